"""Readers of training data, one module a format; each gives examples, or one sentence about what is wrong.

triplets.py    JSON lines of sentence-transformers (anchor, positive, negative...) and of `reasonir-trainer mine`
tevatron.py    JSON lines with positive_passages and negative_passages (MS MARCO and NQ as Tevatron ships them)
release.py     ReasonIR's published data: query, pos and neg as [instruction, text]
synthesis.py   rows of our own synthesis
folders.py     folders of data sets: BEIR, BRIGHT, corpus.jsonl with queries and qrels
logs.py        CSV of the user's own questions and clicks or labels
"""

from reasonir_trainer.data.reading.opening import FORMATS, SourceSpec, read_source

__all__ = ["FORMATS", "SourceSpec", "read_source"]
