"""`Corpus`: a store and its encoder in one hand; the object that Python users index and search with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from reasonir_agent.corpus.indexing import Indexer, IndexReport, Progress
from reasonir_agent.errors import InputError
from reasonir_agent.stores.store import Store
from reasonir_agent.types import Encoder, Hit, Passage

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix


class Corpus:
    """A searchable corpus on disk.

    Args:
        store: its folder.
        encoder: the encoder; it must be the one that the store was made with.
        create: make the store when it is not there.

    Raises:
        StoreError: the folder is not there, or is no store.
        EncoderMismatch: the store was made with another encoder.

    Example:
        >>> corpus = Corpus(".reasonir", ReasonIREncoder(), create=True)     # doctest: +SKIP
        >>> corpus.index(["notes/"])                                        # doctest: +SKIP
        >>> corpus.search("Why do ducks not freeze to the ice?")            # doctest: +SKIP
    """

    def __init__(self, store: str | Path, encoder: Encoder, *, create: bool = False) -> None:
        self.encoder = encoder
        self.store = Store(store, encoder, create=create)

    def __enter__(self) -> Corpus:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the store's files."""
        self.store.close()

    def index(self, paths: str | Path | Sequence[str | Path], *, progress: Progress | None = None) -> IndexReport:
        """Read, split and encode files and folders; a second run encodes only what changed.

        Files under the paths that were indexed before and are gone are forgotten.

        Raises:
            InputError: a path is missing, or nothing could be read.
        """
        given = [paths] if isinstance(paths, str | Path) else paths
        return Indexer(self.store, self.encoder, progress=progress).run([str(path) for path in given])

    def search(self, question: str, k: int = 8) -> list[Hit]:
        """The best passages for one question, by meaning and by words.

        Raises:
            InputError: the question is empty, or k is not positive.
        """
        return self.find([question], k)

    def find(self, queries: Sequence[str], k: int, *, vectors: FloatMatrix | None = None) -> list[Hit]:
        """The best passages for several forms of one question (rewritten queries), fused.

        Args:
            queries: the forms; at least one.
            k: how many hits.
            vectors: their vectors, when the caller has them already.
        """
        if not queries or not all(query.strip() for query in queries):
            raise InputError("a question is needed, got an empty text")
        if k < 1:
            raise InputError(f"k must be 1 or more, got {k}")
        found = self.encoder.encode_queries(list(queries)) if vectors is None else vectors
        return self.store.search(queries, found, k)

    def passages(self, ids: Sequence[str]) -> dict[str, Passage]:
        """The passages with these ids; unknown ids are left out."""
        return self.store.passages(ids)
