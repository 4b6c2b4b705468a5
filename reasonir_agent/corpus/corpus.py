"""`Corpus`: a store and its encoder in one hand; the object that Python users index and search with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from reasonir_agent.corpus.indexing import Indexer, IndexOptions
from reasonir_agent.corpus.report import IndexReport, Progress
from reasonir_agent.errors import InputError
from reasonir_agent.stores.fusion import Fusion
from reasonir_agent.stores.store import EXACT_BYTES, Store
from reasonir_agent.types import Encoder, Hit, Passage, Where

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix


class Corpus:
    """A searchable corpus on disk.

    Args:
        store: its folder.
        encoder: the encoder; it must be the one that the store was made with.
        create: make the store when it is not there.
        exact_bytes: vectors up to this size are searched exactly; beyond, a Chroma index is kept.

    Raises:
        StoreError: the folder is not there, or is no store.
        EncoderMismatch: the store was made with another encoder.

    Example:
        >>> corpus = Corpus(".reasonir", ReasonIREncoder(), create=True)     # doctest: +SKIP
        >>> corpus.index(["notes/"])                                        # doctest: +SKIP
        >>> corpus.search("Why do ducks not freeze to the ice?")            # doctest: +SKIP
    """

    def __init__(
        self, store: str | Path, encoder: Encoder, *, create: bool = False, exact_bytes: int = EXACT_BYTES
    ) -> None:
        self.encoder = encoder
        self.store = Store(store, encoder, create=create, exact_bytes=exact_bytes)

    def __enter__(self) -> Corpus:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the store's files."""
        self.store.close()

    def index(
        self,
        paths: str | Path | Sequence[str | Path],
        *,
        progress: Progress | None = None,
        options: IndexOptions | None = None,
    ) -> IndexReport:
        """Read, split and encode files and folders; a second run encodes only what changed.

        Files under the paths that were indexed before and are gone are forgotten.

        Raises:
            InputError: a path is missing, or nothing could be read.
            StoreBusy: another process is writing to the store.
        """
        given = [paths] if isinstance(paths, str | Path) else paths
        indexer = Indexer(self.store, self.encoder, progress=progress, options=options)
        return indexer.run([str(path) for path in given])

    @property
    def size(self) -> int:
        """Number of passages."""
        return self.store.size

    def search(self, question: str, k: int = 8, *, where: Where = ()) -> list[Hit]:
        """The best passages for one question, by meaning and by words.

        Raises:
            InputError: the question is empty, k is not positive, or the filter cannot be used.
        """
        return self.find([question], k, where=where)

    def check(self, where: Where) -> None:
        """Refuse a filter over a field that no document has.

        Raises:
            InputError: it names the fields that there are.
        """
        self.store.check(where)

    def find(
        self,
        queries: Sequence[str],
        k: int,
        *,
        vectors: FloatMatrix | None = None,
        where: Where = (),
        rewritten: bool = False,
        weights: Sequence[float] | None = None,
    ) -> list[Hit]:
        """The best passages for several forms of one question (rewritten queries), fused.

        Args:
            queries: the forms; at least one.
            k: how many hits.
            vectors: their vectors, when the caller has them already.
            where: what the documents' metadata must hold; `stores.filters.parse_where` reads it from texts.
            rewritten: whether these are rewritten queries, not the question itself; they are fused by another rule.
            weights: what each form counts, 0 or more; equal ones when None.
        """
        if not queries or not all(query.strip() for query in queries):
            raise InputError("a question is needed, got an empty text")
        if k < 1:
            raise InputError(f"k must be 1 or more, got {k}")
        found = self.encoder.encode_queries(list(queries)) if vectors is None else vectors
        fusion: Fusion = "half" if rewritten else "evidence"
        return self.store.search(queries, found, k, where=where, fusion=fusion, weights=weights)

    def rarity(self, terms: Sequence[str]) -> dict[str, float]:
        """How telling words (as `stores.words` gives them) are here: log(1 + passages / (1 + passages with the word))."""
        return self.store.rarity(terms)

    def passages(self, ids: Sequence[str]) -> dict[str, Passage]:
        """The passages with these ids; unknown ids are left out."""
        return self.store.passages(ids)
