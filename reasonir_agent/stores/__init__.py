"""Where passages and their vectors live, and how they are found. Nothing is pickled.

database.py  SQLite: documents, passages, which vector belongs to which text, what the store was made with
shards.py    the vectors, in immutable files named by their content
exact.py     exact search over them (small corpora, and whenever Chroma is behind)
chroma.py    Chroma as an index over the same vectors; the only module that imports chromadb
lexical.py   BM25 over words, with bigrams for Chinese and Japanese
fusion.py    one list of candidates out of dense and lexical scores
store.py     all of these behind one door
"""

from reasonir_agent.stores.store import Store

__all__ = ["Store"]
