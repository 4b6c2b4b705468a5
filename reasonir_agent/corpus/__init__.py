"""From the user's files to a store that can be searched: read, split, encode, index.

reading.py    files -> documents (text, Markdown, HTML, JSONL)
splitting.py  documents -> passages, by the encoder's tokens, at natural boundaries
indexing.py   the incremental run
corpus.py     `Corpus`: a store and its encoder in one hand
"""

from reasonir_agent.corpus.corpus import Corpus
from reasonir_agent.corpus.indexing import IndexReport

__all__ = ["Corpus", "IndexReport"]
