"""A store: one folder that holds a corpus, checked at every open against the encoder that made it.

    DIR/reasonir.sqlite   documents, passages, meta (database.py)
    DIR/vectors/*.npy     vectors (shards.py)
    DIR/lexical/          BM25 (lexical.py)
    DIR/chroma/           Chroma over the same vectors (chroma.py); may be deleted at any time

Search is exact while the vectors are few enough to be read faster than Chroma can be opened, and whenever Chroma is
behind; beyond that Chroma finds the candidates. Cosines of hits always come from the stored vectors.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from reasonir_agent.encoder.fingerprint import check_match
from reasonir_agent.errors import StoreError, boundary
from reasonir_agent.stores.database import FILE_NAME, Database
from reasonir_agent.stores.exact import ExactIndex
from reasonir_agent.stores.fusion import fuse
from reasonir_agent.stores.lexical import LexicalIndex
from reasonir_agent.stores.shards import Shards
from reasonir_agent.types import Encoder, Hit, Passage

if TYPE_CHECKING:
    from reasonir_agent.stores.chroma import ChromaIndex
    from reasonir_agent.types import FloatMatrix

EXACT_BYTES: Final = 256_000_000
"""Vectors up to this size are searched exactly (166,000 passages of MiniLM, 15,600 of ReasonIR-8B)."""

CANDIDATES: Final = 100
"""Passages that each kind of search brings into the fusion."""

LEXICAL_WEIGHT: Final = 0.5
LEXICAL_WEIGHT_FOREIGN: Final = 0.85
"""Weight of BM25 where the encoder's vocabulary does not know the language."""


class Store:
    """An open store.

    Args:
        folder: where it is.
        encoder: the encoder it is used with.
        create: make it when it is not there.

    Raises:
        StoreError: the folder is not there, or is no store of ours.
        EncoderMismatch: it was made with another encoder.
    """

    def __init__(self, folder: str | Path, encoder: Encoder, *, create: bool = False) -> None:
        self.folder = Path(folder)
        if create:
            _make_folder(self.folder)
        elif not self.folder.is_dir():
            raise StoreError(f"there is no store at {self.folder}; make one with: reasonir index PATH")
        self.database = Database(self.folder, create=create)
        try:
            self._check_encoder(encoder)
        except BaseException:
            self.database.close()
            raise
        self.dim = encoder.dim
        self._fingerprint = encoder.fingerprint.id
        self._shards = Shards(self.folder / "vectors", encoder.dim)
        self._lexical = LexicalIndex(self.folder / "lexical")
        self._exact: tuple[int, ExactIndex] | None = None
        self._chroma: ChromaIndex | None = None
        self._lock = threading.RLock()

    def _check_encoder(self, encoder: Encoder) -> None:
        stored = self.database.get_meta("encoder")
        given = encoder.fingerprint.as_json()
        if stored is None:
            self.database.set_meta("encoder", {"name": encoder.name, "fingerprint": given})
            return
        check_match(stored["fingerprint"], stored["name"], given, encoder.name)

    def close(self) -> None:
        """Close the files."""
        self.database.close()
        if self._chroma is not None:
            self._chroma.close()

    @property
    def is_foreign(self) -> bool:
        """Whether the encoder's vocabulary does not know the language of the corpus; then words weigh more."""
        return bool(self.database.get_meta("foreign"))

    def passages(self, ids: Sequence[str]) -> dict[str, Passage]:
        """The passages with these ids."""
        with self._lock:
            return self.database.passages(ids)

    def add_vectors(self, texts: Sequence[str], vectors: FloatMatrix) -> None:
        """Store the vectors of encoded texts, so that passages with these texts can be found."""
        shard = self._shards.write(vectors)
        self.database.add_vectors([vector_key(text) for text in texts], shard)

    def vectors(self, ids: Sequence[str]) -> dict[str, FloatMatrix]:
        """The vectors of passages, each float32 [dim]."""
        with self._lock:
            locations = self.database.locations(ids)
            rows = self._shards.read([(shard, row) for _, shard, row in locations])
        return {one: vector for (one, _, _), vector in zip(locations, rows, strict=True)}

    def refresh(self, *, chroma: bool = True) -> None:
        """Bring the indexes up to the committed passages: BM25 rebuilt, Chroma given the difference."""
        with self._lock:
            generation = self.database.generation
            if not self._lexical.is_fresh(generation):
                self._lexical.build(self.database.all_texts(), generation)
            if chroma and not self._chroma_is_current(generation):
                self._refresh_chroma(generation)

    def search(
        self, queries: Sequence[str], vectors: FloatMatrix, k: int, *, lexical_weight: float | None = None
    ) -> list[Hit]:
        """The best passages for one or several forms of a question.

        Args:
            queries: the texts, for the words.
            vectors: their vectors, float32 [len(queries), dim]; several are averaged.
            k: how many hits.
            lexical_weight: weight of BM25 in the fusion, 0 to 1; None is the default for this corpus.

        Returns:
            up to k hits, best first; `final_score` is the fused score.
        """
        with self._lock:
            query = np.asarray(vectors, dtype=np.float32).mean(axis=0, keepdims=True)
            depth = max(k, CANDIDATES)
            candidates = {one for one, _ in self._nearest(query, depth)}
            words = self._words(queries)
            candidates.update(sorted(words, key=lambda one: (-words[one], one))[:depth])
            cosines = {one: float(row @ query[0]) for one, row in self.vectors(sorted(candidates)).items()}
            if lexical_weight is None:
                lexical_weight = LEXICAL_WEIGHT_FOREIGN if self.is_foreign else LEXICAL_WEIGHT
            ranked = fuse(cosines, words, lexical_weight=lexical_weight)[:k]
            passages = self.database.passages([one for one, _ in ranked])
        return [Hit(passages[one], cosines[one], words.get(one, 0.0), None, score) for one, score in ranked]

    def rarity(self, terms: Sequence[str]) -> dict[str, float]:
        """How telling words are in this corpus, see `LexicalIndex.rarity`."""
        with self._lock:
            self._words([""])
            return self._lexical.rarity(terms)

    def nearest(self, vector: FloatMatrix, k: int) -> list[tuple[str, float]]:
        """The k nearest passages of one vector [1, dim] as (id, cosine)."""
        with self._lock:
            return self._nearest(vector, k)

    def _words(self, queries: Sequence[str]) -> dict[str, float]:
        self.refresh(chroma=False)
        total: dict[str, float] = {}
        for query in queries:
            for one, score in self._lexical.scores(query, self.database.generation).items():
                total[one] = total.get(one, 0.0) + score / len(queries)
        return total

    def _nearest(self, vector: FloatMatrix, k: int) -> list[tuple[str, float]]:
        generation = self.database.generation
        size = self.database.count()[1] * self.dim * 4
        if size > EXACT_BYTES and self._chroma_is_current(generation):
            return self._open_chroma().search(vector, k)
        if self._exact is None or self._exact[0] != generation:
            index = ExactIndex(self.dim)
            locations = self.database.locations()
            index.add([one for one, _, _ in locations], self._shards.read([(s, r) for _, s, r in locations]))
            self._exact = (generation, index)
        return self._exact[1].search(vector, k)

    def _chroma_is_current(self, generation: int) -> bool:
        """Whether Chroma holds the passages of this generation; its folder may have been deleted since it did."""
        if self.database.get_meta("chroma_generation") != generation or not (self.folder / "chroma").is_dir():
            return False
        return len(self._open_chroma()) == self.database.count()[1]

    def _open_chroma(self) -> ChromaIndex:
        if self._chroma is None:
            from reasonir_agent.stores.chroma import ChromaIndex

            self._chroma = ChromaIndex(self.folder / "chroma", fingerprint=self._fingerprint)
        return self._chroma

    def _refresh_chroma(self, generation: int) -> None:
        index = self._open_chroma()
        there, wanted = index.ids(), set(self.database.passage_ids())
        index.delete(sorted(there - wanted))
        locations = self.database.locations(sorted(wanted - there))
        if locations:
            index.add([one for one, _, _ in locations], self._shards.read([(s, r) for _, s, r in locations]))
        self.database.set_meta("chroma_generation", generation)


def vector_key(text: str) -> str:
    """The key of a text's vector: a hash, so that equal texts share one vector and a moved file costs nothing."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def stored_encoder(folder: str | Path) -> str | None:
    """Name of the encoder that a store was made with; None when there is no store yet."""
    if not (Path(folder) / FILE_NAME).is_file():
        return None
    database = Database(Path(folder), create=False)
    try:
        stored: dict[str, Any] | None = database.get_meta("encoder")
    finally:
        database.close()
    return None if stored is None else str(stored["name"])


def _make_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"the store {folder} must be a folder, and a file of that name is there")
    with boundary(StoreError, f"making the store's folder {folder}", catch=(OSError,)):
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / FILE_NAME).is_file() and any(folder.iterdir()):
            raise StoreError(f"{folder} is not a store of ours and not empty; give another --store")
