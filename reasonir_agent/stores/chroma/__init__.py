"""Everything that talks to Chroma; no other room imports it.

index.py                our own index over a store's vectors; child.py writes it in a process of its own
embedding_function.py   our encoders as an embedding function that Chroma keeps and rebuilds; registered on import
opening.py              `open_collection`: the road on which fingerprint, dimension and space are compared
collection.py           any collection as texts to read, and its replacement by one of another encoder

The names are loaded when they are first used (PEP 562): importing this package loads no chromadb.

    from reasonir_agent.stores.chroma import ReasonIREmbeddingFunction, open_collection
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reasonir_agent.stores.chroma.collection import Collection as Collection
    from reasonir_agent.stores.chroma.embedding_function import ReasonIREmbeddingFunction as ReasonIREmbeddingFunction
    from reasonir_agent.stores.chroma.index import HNSW as HNSW
    from reasonir_agent.stores.chroma.index import ChromaIndex as ChromaIndex
    from reasonir_agent.stores.chroma.opening import open_collection as open_collection

_HOMES = {
    "HNSW": "index",
    "ChromaIndex": "index",
    "Collection": "collection",
    "ReasonIREmbeddingFunction": "embedding_function",
    "open_collection": "opening",
}

__all__ = ["HNSW", "ChromaIndex", "Collection", "ReasonIREmbeddingFunction", "open_collection"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_HOMES))
