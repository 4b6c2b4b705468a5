"""Training examples: from files of many formats to batches that are fixed by seed and step.

examples.py    the one internal form: a query, documents that help, documents that do not, grades, weight
reading/       JSON lines of triplets, Tevatron, folders of data sets, ReasonIR's release, our synthesis, click logs
mixing.py      which examples of which source make the batch of a step
provenance.py  who wrote exported data, in a file beside it
batches.py     the tokens of that batch, sorted by length
"""

from reasonir_trainer.data.examples import Candidate, Example, Source
from reasonir_trainer.data.mixing import Mix

__all__ = ["Candidate", "Example", "Mix", "Source"]
