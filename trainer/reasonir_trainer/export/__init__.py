"""Data sets in other people's formats, to and from, and the held-out part.

reasonir.py    ReasonIR's release format
triplets.py    sentence-transformers
tevatron.py    Tevatron
beir.py        BEIR: an evaluation set
foreign.py     rows of which only the texts are known
split.py       a held-out part by seed document
exporting.py   from a data set to files, from files to a data set
formats.py     what the formats have in common

What a format cannot hold stands in its `LOSES`, what was left out of it is counted, and what it does not say is left
empty when it is read.
"""

from reasonir_trainer.export.exporting import FORMATS, Exported, Format, Options, export, read_documents, take_over

__all__ = ["FORMATS", "Exported", "Format", "Options", "export", "read_documents", "take_over"]
