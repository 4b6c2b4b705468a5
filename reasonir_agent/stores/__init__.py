"""Where passages and their vectors live, and how they are found. Nothing is pickled.

store.py        one folder behind one door
  database.py   the manifest in SQLite: documents, passages, where vectors lie; examination.py tells whether it is sound
  vectors.py    vectors by the hash of their text, in shards.py's immutable files; encoders.py: whose they are
  scan.py       exact search over them
  upkeep.py     Chroma over them, written by chroma/child.py in a process of its own
  lexical.py    BM25 over words, with bigrams for Chinese and Japanese
  fusion.py     one list of candidates out of dense and lexical scores
  language.py   whether the encoder knows the language; words weigh more where it does not
  filters.py    what a document's metadata must hold
  lock.py       one writer; points.py: the moments at which it may be killed
exact.py, chroma/index.py, lance.py   engines behind the protocol `VectorIndex`, for others to use too
chroma/                         all that knows Chroma: our index, an embedding function, collections of others
borrowed.py                     somebody else's index in the place of a corpus, read only
  reported_cosines.py           whether its scores are believed
  passage_list.py, listed.py    all of its passages where it can list them, and their words
vector_store.py                 LangChain vector stores by that road
"""

from reasonir_agent.stores.store import Store

__all__ = ["Store"]
