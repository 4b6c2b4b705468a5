"""Where passages and their vectors live, and how they are found. Nothing is pickled.

store.py        one folder behind one door
  database.py   the manifest in SQLite: documents, passages, where vectors lie; examination.py tells whether it is sound
  vectors.py    vectors by the hash of their text, in shards.py's immutable files; encoders.py: whose they are
  scan.py       exact search over them
  upkeep.py     Chroma over them, written by chroma_child.py in a process of its own
  lexical.py    BM25 over words, with bigrams for Chinese and Japanese
  fusion.py     one list of candidates out of dense and lexical scores
  filters.py    what a document's metadata must hold
  lock.py       one writer; points.py: the moments at which it may be killed
exact.py, chroma.py, lance.py   engines behind the protocol `VectorIndex`, for others to use too
chroma_collection.py            any Chroma collection as texts, and its replacement
vector_store.py                 LangChain vector stores as a read-only road
"""

from reasonir_agent.stores.store import Store

__all__ = ["Store"]
