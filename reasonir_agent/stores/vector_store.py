"""LangChain `VectorStore`s as a read-only road: what somebody has filled already can be searched and asked.

Translation only; what is computed is computed in `borrowed`. LangChain itself is not imported here: a store is used by
its methods, and two kinds are known better. Chroma's and the one in memory tell cosines, list their documents and hand
out their vectors, so that over them search is what it is over a store of our own.
"""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from reasonir_agent.reranking.retriever_scores import cosine_of_distance
from reasonir_agent.stores.borrowed import BorrowedCorpus
from reasonir_agent.types import Encoder, Passage

if TYPE_CHECKING:
    from langchain_core.documents import Document
    from langchain_core.vectorstores import VectorStore

    from reasonir_agent.types import FloatMatrix

_REMEMBERED: Final = 20_000  # documents; a search brings some hundreds
_PAGE: Final = 1000  # documents that are read at once


class VectorStoreCorpus(BorrowedCorpus):
    """A LangChain vector store in the place of a `Corpus`; give it, or the vector store itself, as `store=`.

    The store must have been filled with vectors of the same encoder, by its road for documents (`ReasonIREmbeddings` of
    langchain-reasonir does that). Over Chroma and the vector store in memory, or with `documents=`, passages are found by
    meaning and by words, in the order of a store of our own over the same passages.

    What is lost on this road, compared with a store of our own:

    - words, where all passages are not known: BM25 needs them. Other stores are searched by meaning alone and have no
      `lexical_score`, unless `documents=` gives them; so are stores beyond 100,000 passages, with a warning;
    - no filters: a `where` is refused;
    - offsets and pages only where the documents' metadata hold `start_index` and `page`; without, a citation counts
      characters from the beginning of the passage;
    - a document without an id is known by a hash of its text, in this object only: a checkpoint that is resumed
      elsewhere does not find it again;
    - over stores that are searched by meaning alone, abstention without a model does not know how rare a word is, nor
      the size of the corpus unless `size` is given;
    - nothing tells that the vectors are of the same encoder: another length fails, and cosines or an order that the
      encoder would not have chosen are warned about, no more;
    - over other stores than the two, every passage that is found is encoded once more;
    - `documents=` are not looked for in the store: what was deleted there is still found by its words;
    - nothing is written, so nothing is indexed incrementally or repaired.

    Args:
        vector_store: any LangChain vector store that can be searched by a vector.
        encoder: the encoder that it was filled with.
        size: number of passages in it, for the threshold of abstention; None: as the store says, else 10,000.
        documents: all documents of the store, for search by words; None: as the store lists them, if it can.
    """

    def __init__(
        self,
        vector_store: VectorStore,
        encoder: Encoder,
        *,
        size: int | None = None,
        documents: Sequence[Document] | None = None,
    ) -> None:
        self._vector_store = vector_store
        self._readable = _readable(vector_store)
        self._given = {as_passage(document).id: document for document in documents or ()}
        self._kept: OrderedDict[str, Document] = OrderedDict()
        self._keeping = threading.Lock()
        listed = None if self._readable is None else self._readable.passages
        counted = None if self._readable is None else self._readable.count
        super().__init__(
            encoder,
            self._nearest_documents,
            name=f"the vector store {type(vector_store).__name__}",
            fetch=self._fetch_documents,
            vectors=None if self._readable is None else self._readable.vectors,
            passages=listed if documents is None else [as_passage(document) for document in documents],
            size=counted if size is None else size,
        )

    def documents(self, ids: Sequence[str]) -> dict[str, Document]:
        """The documents of passages that were found, with the metadata that they have in the store.

        Raises:
            StoreError: the store could not be read.
        """
        with self._keeping:
            known = {one: self._kept[one] for one in ids if one in self._kept}
        known |= {one: self._given[one] for one in ids if one in self._given and one not in known}
        self._fetched([one for one in ids if one not in known])
        with self._keeping:
            return known | {one: self._kept[one] for one in ids if one in self._kept}

    def _nearest_documents(self, vector: FloatMatrix, k: int) -> list[tuple[Passage, float | None]]:
        if self._readable is not None:
            found = self._readable.nearest(vector.tolist(), k)
        else:
            found = [(one, None) for one in self._vector_store.similarity_search_by_vector(vector.tolist(), k=k)]
        self._keep([document for document, _ in found])
        return [(as_passage(document), cosine) for document, cosine in found]

    def _fetch_documents(self, ids: Sequence[str]) -> list[Passage]:
        documents = self._vector_store.get_by_ids(list(ids))
        self._keep(documents)
        return [as_passage(document) for document in documents]

    def _keep(self, documents: Iterable[Document]) -> None:
        with self._keeping:
            for document in documents:
                one = as_passage(document).id
                self._kept[one] = document
                self._kept.move_to_end(one)
            while len(self._kept) > _REMEMBERED:
                self._kept.popitem(last=False)


class _Readable(Protocol):
    """A kind of vector store that tells more than LangChain asks for."""

    def nearest(self, vector: list[float], k: int) -> list[tuple[Document, float | None]]:
        """The nearest documents and their cosines."""
        ...

    def passages(self) -> Iterator[Passage]:
        """All documents, as passages."""
        ...

    def vectors(self, ids: Sequence[str]) -> Mapping[str, FloatMatrix]:
        """Stored vectors by id."""
        ...

    def count(self) -> int:
        """Number of documents."""
        ...


class _Chroma:
    """LangChain's Chroma: its score is a distance, whose kind stands in the collection's configuration."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def nearest(self, vector: list[float], k: int) -> list[tuple[Document, float | None]]:
        space = _space(self._store._collection)
        found = self._store.similarity_search_by_vector_with_relevance_scores(vector, k=k)
        return [(one, cosine_of_distance(distance, space) if space else None) for one, distance in found]

    def passages(self) -> Iterator[Passage]:
        start = 0
        while True:
            page = self._store.get(limit=_PAGE, offset=start, include=["documents", "metadatas"])
            for one, text, metadata in zip(page["ids"], page["documents"], page["metadatas"], strict=True):
                if text is not None:
                    yield _passage(one, text, metadata)
            start += _PAGE
            if len(page["ids"]) < _PAGE:
                return

    def vectors(self, ids: Sequence[str]) -> Mapping[str, FloatMatrix]:
        found: dict[str, FloatMatrix] = {}
        for start in range(0, len(ids), _PAGE):
            page = self._store.get(ids=list(ids[start : start + _PAGE]), include=["embeddings"])
            found.update(zip(page["ids"], page["embeddings"], strict=True))
        return found

    def count(self) -> int:
        return int(self._store._collection.count())


class _InMemory:
    """LangChain's vector store in memory: its score is the cosine."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def nearest(self, vector: list[float], k: int) -> list[tuple[Document, float | None]]:
        return [(one, cosine) for one, cosine in self._store.similarity_search_with_score_by_vector(vector, k=k)]

    def passages(self) -> Iterator[Passage]:
        for record in list(self._store.store.values()):
            yield _passage(record["id"], record["text"], record["metadata"])

    def vectors(self, ids: Sequence[str]) -> Mapping[str, FloatMatrix]:
        records = {one: self._store.store.get(one) for one in ids}
        return {one: np.asarray(record["vector"], dtype=np.float32) for one, record in records.items() if record}

    def count(self) -> int:
        return len(self._store.store)


def as_passage(document: Document) -> Passage:
    """A LangChain document as a passage.

    `source` of its metadata, with `#page=N` where `page` counts from 0 as LangChain's readers do; `start_index` is where
    it starts. Its id, else a hash as for our own passages.
    """
    return _passage(document.id, document.page_content, document.metadata)


def _passage(one: str | None, text: str, metadata: Mapping[str, Any] | None) -> Passage:
    metadata, text = metadata or {}, str(text)
    source = str(metadata.get("source") or one or "")
    page, start = metadata.get("page"), metadata.get("start_index")
    if isinstance(page, int) and page >= 0:
        source += f"#page={page + 1}"
    at = start if isinstance(start, int) and start > 0 else 0
    made = Passage.make(source, at, at + len(text), text)
    return made if not one else Passage(str(one), made.source, made.start, made.end, made.text)


def _readable(store: Any) -> _Readable | None:
    in_memory = getattr(sys.modules.get("langchain_core.vectorstores.in_memory"), "InMemoryVectorStore", None)
    if in_memory is not None and isinstance(store, in_memory):
        return _InMemory(store)
    needed = ("similarity_search_by_vector_with_relevance_scores", "get", "_collection")
    is_chroma = any(kind.__name__ == "Chroma" for kind in type(store).__mro__)
    return _Chroma(store) if is_chroma and all(hasattr(store, name) for name in needed) else None


def _space(collection: Any) -> Any:
    """The kind of distance of a Chroma collection; None when it does not say."""
    configuration = collection.configuration_json or {}  # `configuration` would load an embedding function too
    for kind in ("hnsw", "spann"):
        space = (configuration.get(kind) or {}).get("space")
        if space in ("cosine", "ip", "l2"):
            return space
    return None
