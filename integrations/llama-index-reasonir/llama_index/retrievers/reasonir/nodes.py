"""The nodes of a `VectorStoreIndex`, wherever it keeps them, as passages.

A vector store that keeps texts (Chroma) has the nodes; for one that keeps vectors alone they are in the index's
document store. A passage's text is the text that was embedded, so encoding it again gives the vector that is stored.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Final

import numpy as np
from llama_index.core.indices.vector_store.base import VectorStoreIndex
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import BasePydanticVectorStore, VectorStoreQuery

from llama_index.postprocessor.reasonir.scores import rule_of, text_of
from reasonir_agent.encoder.pooling import normalised
from reasonir_agent.errors import InputError
from reasonir_agent.types import Passage

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

_REMEMBERED: Final = 10_000  # nodes; a search brings some hundreds


class IndexNodes:
    """The nodes of an index.

    Args:
        index: the index.
        given: all of its nodes, where the caller has them and the vector store cannot list them.

    Raises:
        InputError: the index has no vector store that takes a vector.
    """

    def __init__(self, index: VectorStoreIndex, given: Sequence[BaseNode] | None = None) -> None:
        if not isinstance(index, VectorStoreIndex):
            raise InputError(f"index must be a VectorStoreIndex, got {type(index).__name__}")
        self._index, self._store = index, index.vector_store
        self._given = None if given is None else {node.node_id: node for node in given}
        self._rule = rule_of(self._store)
        self._is_chroma = _class_name(self._store) == "ChromaVectorStore"
        self._has_texts = bool(self._store.stores_text)
        self._seen: OrderedDict[str, BaseNode] = OrderedDict()
        self._lock = Lock()

    @property
    def name(self) -> str:
        """The index in messages."""
        return f"the LlamaIndex vector store {type(self._store).__name__}"

    @property
    def can_list(self) -> bool:
        """Whether all nodes can be had, for search by words."""
        return self._given is not None or not self._has_texts or _overrides(self._store, "get_nodes")

    @property
    def can_count(self) -> bool:
        """Whether counting is cheap."""
        return self._is_chroma or not self._has_texts

    def nearest(self, vector: FloatMatrix, k: int) -> list[tuple[Passage, float | None]]:
        """The k nearest passages of a vector, float32 [dim], each with its cosine where the store's score is known."""
        found = self._store.query(VectorStoreQuery(query_embedding=vector.tolist(), similarity_top_k=k))
        nodes = self._nodes_found(found.nodes, found.ids)
        scores: Sequence[float | None] = found.similarities or [None] * len(nodes)
        self._remember(node for node in nodes if node is not None)
        return [
            (as_passage(node), None if self._rule is None or score is None else self._rule(score))
            for node, score in zip(nodes, scores, strict=True)
            if node is not None
        ]

    def listed(self) -> list[Passage]:
        """All passages."""
        if self._given is not None:
            return [as_passage(node) for node in self._given.values()]
        if self._has_texts:
            return [as_passage(node) for node in self._store.get_nodes(None)]
        return [as_passage(node) for node in self._in_docstore(list(self._index.index_struct.nodes_dict.values()))]

    def count(self) -> int:
        """Number of nodes, where `can_count`."""
        return int(self._store.client.count()) if self._is_chroma else len(self._index.index_struct.nodes_dict)

    def fetch(self, ids: Sequence[str]) -> list[Passage]:
        """The passages with these ids that are there.

        Raises:
            NotImplementedError: the vector store cannot tell.
        """
        return [as_passage(node) for node in self._read(ids)]

    def vectors(self, ids: Sequence[str]) -> dict[str, FloatMatrix]:
        """Stored vectors, from the stores whose way of handing them out is known; from others none."""
        if self._is_chroma:
            found = self._store.client.get(ids=list(ids), include=["embeddings"])
            rows = np.asarray(found["embeddings"], dtype=np.float32)
            return dict(zip(found["ids"], normalised(rows), strict=True)) if len(found["ids"]) else {}
        data = getattr(self._store, "data", None)
        held: Mapping[str, Sequence[float]] = getattr(data, "embedding_dict", None) or {}
        wanted = [one for one in ids if one in held]
        rows = np.asarray([held[one] for one in wanted], dtype=np.float32)
        return dict(zip(wanted, normalised(rows), strict=True)) if wanted else {}

    def nodes(self, ids: Sequence[str]) -> dict[str, BaseNode]:
        """The nodes with these ids, as the store holds them now or as they were found a moment ago."""
        given = self._given or {}
        known = {one: given[one] for one in ids if one in given}
        with self._lock:
            known |= {one: self._seen[one] for one in ids if one in self._seen}
        missing = [one for one in ids if one not in known]
        return known | ({node.node_id: node for node in self._read(missing)} if missing else {})

    def _read(self, ids: Sequence[str]) -> list[BaseNode]:
        if not ids:  # Chroma's get_nodes would give all
            return []
        if self._has_texts:
            return list(self._store.get_nodes(list(ids)))
        return self._in_docstore(ids)

    def _nodes_found(self, nodes: Sequence[BaseNode] | None, ids: Sequence[str] | None) -> list[BaseNode | None]:
        if nodes is not None:
            return list(nodes)
        struct = self._index.index_struct.nodes_dict
        own = [struct.get(one, one) for one in ids or ()]
        found = {node.node_id: node for node in self._in_docstore(own)}
        return [found.get(one) for one in own]

    def _in_docstore(self, ids: Sequence[str]) -> list[BaseNode]:
        return list(self._index.docstore.get_nodes(list(ids), raise_error=False))

    def _remember(self, nodes: Iterable[BaseNode]) -> None:
        with self._lock:
            for node in nodes:
                self._seen[node.node_id] = node
                self._seen.move_to_end(node.node_id)
            while len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)


def as_passage(node: BaseNode) -> Passage:
    """A node as a passage; its id is the node's, its text what was embedded."""
    text = text_of(node)
    source = str(node.metadata.get("file_path") or node.ref_doc_id or "")
    return Passage(node.node_id, source, 0, len(text), text)


def _class_name(store: object) -> str:
    return store.class_name() if isinstance(store, BasePydanticVectorStore) else ""


def _overrides(store: object, method: str) -> bool:
    return getattr(type(store), method, None) is not getattr(BasePydanticVectorStore, method)
