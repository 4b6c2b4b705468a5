"""ReasonIR for LangChain: translation only. What is computed is computed in `reasonir_agent`.

embeddings.py   `ReasonIREmbeddings`: questions and documents by separate roads
cache.py        the same with a cache that cannot mix the two
reranker.py     `ReasonIRReranker`: a chat model scores documents
retriever.py    `ReasonIRRetriever`: rewrite, retrieve, fuse, rerank over any vector store
tool.py         `reasonir_search_tool`: the retriever for agents
notices.py      warnings;  waiting.py  work that may not block an event loop
"""

from langchain_reasonir.cache import CachedReasonIREmbeddings
from langchain_reasonir.embeddings import ReasonIREmbeddings
from langchain_reasonir.notices import ReasonIRWarning, RerankWarning, RewriteWarning
from langchain_reasonir.reranker import ReasonIRReranker
from langchain_reasonir.retriever import ReasonIRRetriever
from langchain_reasonir.tool import reasonir_search_tool

__all__ = [
    "CachedReasonIREmbeddings",
    "ReasonIREmbeddings",
    "ReasonIRReranker",
    "ReasonIRRetriever",
    "ReasonIRWarning",
    "RerankWarning",
    "RewriteWarning",
    "reasonir_search_tool",
]
