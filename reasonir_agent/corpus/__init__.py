"""From the user's files to a store that can be searched: read, split, encode, index; and to keep it sound.

reading/      files -> documents, the risky formats in a child process
splitting.py  documents -> passages, by the encoder's tokens, at natural boundaries
indexing.py   the incremental run; encoding.py, language.py and report.py are its parts
corpus.py     `Corpus`: a store and its encoder in one hand
doctor.py     what is wrong with a store, and its repair
reembed.py    another encoder for the same texts
"""

from reasonir_agent.corpus.corpus import Corpus
from reasonir_agent.corpus.indexing import IndexOptions
from reasonir_agent.corpus.report import IndexReport

__all__ = ["Corpus", "IndexOptions", "IndexReport"]
