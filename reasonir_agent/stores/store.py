"""A store: one folder that holds a corpus, checked at every open against the encoder that made it.

    DIR/reasonir.sqlite         the manifest: documents, passages, where vectors lie (database.py)
    DIR/vectors/ENCODER/*.npy   vectors (vectors.py, shards.py); with encoder.json they can tell their own story
    DIR/lexical/                BM25 (lexical.py); may be deleted at any time
    DIR/chroma/                 Chroma over the same vectors (upkeep.py); may be deleted at any time
    DIR/writer.lock             held by the one process that writes (lock.py)

Search is exact while the vectors are few enough to be read faster than Chroma can be opened, and whenever Chroma is
behind or a filter is given; beyond that Chroma finds the candidates. Cosines of hits always come from the stored
vectors. A reader never writes, never waits for a writer, and sees what is committed at its next search.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from reasonir_agent.encoder.fingerprint import check_match
from reasonir_agent.errors import EncoderMismatch, InputError, StoreError, boundary
from reasonir_agent.stores.database import FILE_NAME, Database
from reasonir_agent.stores.encoders import active_encoder, note_encoder, use_encoder
from reasonir_agent.stores.fusion import Background, Forms, Fusion, background, by_evidence, by_halves, in_order, shares
from reasonir_agent.stores.lexical import LexicalIndex
from reasonir_agent.stores.lock import WriterLock
from reasonir_agent.stores.scan import Scan, best, dots, positions
from reasonir_agent.stores.upkeep import ChromaUpkeep
from reasonir_agent.stores.vectors import Vectors
from reasonir_agent.types import Encoder, Hit, Passage, Where

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reasonir_agent.types import FloatMatrix

EXACT_BYTES: Final = 256_000_000
"""Vectors up to this size are searched exactly (166,000 passages of MiniLM, 15,600 of ReasonIR-8B)."""

CANDIDATES: Final = 100
"""Passages that each kind of search brings into the fusion."""

LEXICAL_WEIGHT_FOREIGN: Final = 0.85
"""Weight of BM25 where the encoder's vocabulary does not know the language."""

_SAMPLE: Final = 2000
"""Passages by which a question's background is estimated where search is not exact."""


class Store:
    """An open store.

    Args:
        folder: where it is.
        encoder: the encoder it is used with.
        create: make it when it is not there.
        exact_bytes: vectors up to this size are searched exactly, and no Chroma index is kept.

    Raises:
        StoreError: the folder is not there, or is no store of ours.
        EncoderMismatch: it was made with another encoder.
    """

    def __init__(
        self, folder: str | Path, encoder: Encoder, *, create: bool = False, exact_bytes: int = EXACT_BYTES
    ) -> None:
        self.folder = Path(folder)
        if create:
            _make_folder(self.folder)
        elif not self.folder.is_dir():
            raise StoreError(f"there is no store at {self.folder}; make one with: reasonir index PATH")
        self.database = Database(self.folder, create=create)
        try:
            number = self._encoder_number(encoder, create=create)
        except BaseException:
            self.database.close()
            raise
        self.dim, self._exact_bytes = encoder.dim, exact_bytes
        self.vectors = Vectors(self.database, self.folder, number, encoder.fingerprint.as_json(), encoder.dim)
        self.lexical = LexicalIndex(self.folder / "lexical", self.database)
        self.chroma = ChromaUpkeep(self.folder, self.database, encoder.fingerprint.id)
        self._writer = WriterLock(self.folder)
        self._scan: tuple[tuple[int, ...], Scan] | None = None
        self._sampled: tuple[Scan, FloatMatrix] | None = None
        self._lock = threading.RLock()

    def _encoder_number(self, encoder: Encoder, *, create: bool) -> int:
        stored = active_encoder(self.database)
        if stored is not None:
            check_match(stored.fingerprint, stored.name, encoder.fingerprint.as_json(), encoder.name)
            return stored.number
        if not create:
            raise StoreError(f"the store {self.folder} was never finished; run: reasonir index PATH")
        number = note_encoder(self.database, self.folder, encoder)
        use_encoder(self.database, encoder.fingerprint.id)
        return number

    def close(self) -> None:
        """Close the files."""
        self.database.close()
        self.chroma.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the right to write for the block; what a killed writer left is put in order first.

        Raises:
            StoreBusy: another process is writing.
        """
        with self._writer.held():
            self.vectors.adopt()
            yield

    @property
    def is_foreign(self) -> bool:
        """Whether the encoder's vocabulary does not know the language of the corpus; then words weigh more."""
        return bool(self.database.get_meta("foreign"))

    @property
    def size(self) -> int:
        """Number of passages."""
        with self._lock:
            return self.database.count()[1]

    def passages(self, ids: Sequence[str]) -> dict[str, Passage]:
        """The passages with these ids."""
        with self._lock:
            return self.database.passages(ids)

    def refresh(self) -> str | None:
        """Bring the indexes up to the committed passages; for the writer. Searches go on meanwhile.

        Returns:
            a sentence when Chroma could not be brought up; search is exact then.
        """
        with self._writer.held():
            self.lexical.refresh()
            if self.size * self.dim * 4 <= self._exact_bytes:
                return None
            try:
                self.chroma.refresh(self.vectors.locations()[:, 0])
            except StoreError as problem:
                return f"{problem}; search is exact until the next run"
            return None

    def check(self, where: Where) -> None:
        """Refuse a filter over a field that no document has.

        Raises:
            InputError: it names the fields that there are.
        """
        if not where:
            return
        fields = self.database.metadata_fields()
        for condition in where:
            if condition.field not in fields:
                raise InputError(
                    f"no document of this store has the field {condition.field!r}; there are {', '.join(fields)}"
                )

    def search(
        self,
        queries: Sequence[str],
        vectors: FloatMatrix,
        k: int,
        *,
        where: Where = (),
        fusion: Fusion = "evidence",
        weights: Sequence[float] | None = None,
    ) -> list[Hit]:
        """The best passages for one or several forms of a question.

        Args:
            queries: the texts, for the words.
            vectors: their vectors, float32 [len(queries), dim]; several are averaged by their weights.
            k: how many hits.
            where: what their documents' metadata must hold, see `filters`.
            fusion: "evidence" for questions as they were asked, "half" for rewritten queries. A corpus whose language
                the encoder does not know leans on words either way.
            weights: what each form counts, 0 or more; equal ones when None.

        Returns:
            up to k hits, best first; `final_score` is the fused score.

        Raises:
            InputError: no document has a field that the filter asks for, or the weights do not fit.
            DamagedShard: vectors are not what was written.
        """
        forms = Forms(queries, shares(weights, len(queries)))
        query = forms.shares[None, :] @ np.asarray(vectors, dtype=np.float32)
        depth = max(k, CANDIDATES)
        with self._lock, self.database.snapshot():
            scan = self._scan_now()
            allowed = self._allowed(where, scan)
            words, most_words = self._words(forms, scan)
            chosen, cosines = self._dense(query, depth, scan, allowed)
            chosen = np.union1d(chosen, _best_words(words, depth, allowed))
            known = self._cosines(query, chosen, scan) if cosines is None else cosines[chosen]
            against = background(self._sample(query, scan) if cosines is None else cosines, most_words)
            passages = self.database.numbered(scan.numbers[chosen].tolist())
            found = [passages[int(number)] for number in scan.numbers[chosen]]
        by_id = np.argsort(np.array([passage.id for passage in found], dtype=np.str_), kind="stable")
        known, lexical, found = known[by_id], words[chosen][by_id], [found[place] for place in by_id]
        fused = self._fused(known, lexical, against, fusion)
        return [
            Hit(found[place], float(known[place]), float(lexical[place]), None, float(fused[place]))
            for place in in_order(fused, known)[:k]
        ]

    def _fused(self, cosines: FloatMatrix, words: FloatMatrix, against: Background, fusion: Fusion) -> FloatMatrix:
        if self.is_foreign:
            return by_halves(cosines, words, lexical_weight=LEXICAL_WEIGHT_FOREIGN)
        return by_halves(cosines, words) if fusion == "half" else by_evidence(cosines, words, against)

    def rarity(self, terms: Sequence[str]) -> dict[str, float]:
        """How telling words are in this corpus, see `LexicalIndex.rarity`."""
        with self._lock, self.database.snapshot():
            return self.lexical.rarity(terms, self._scan_now().numbers)

    def nearest(self, vector: FloatMatrix, k: int, *, where: Where = ()) -> list[tuple[str, float]]:
        """The k nearest passages of one vector [1, dim] as (id, cosine), best first."""
        query = np.asarray(vector, dtype=np.float32).reshape(1, self.dim)
        with self._lock, self.database.snapshot():
            scan = self._scan_now()
            chosen, cosines = self._dense(query, k, scan, self._allowed(where, scan))
            known = self._cosines(query, chosen, scan) if cosines is None else cosines[chosen]
            passages = self.database.numbered(scan.numbers[chosen].tolist())
        pairs = [
            (passages[int(number)].id, float(cosine))
            for number, cosine in zip(scan.numbers[chosen], known, strict=True)
        ]
        return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:k]

    def _scan_now(self) -> Scan:
        state = (self.database.generation, *self.vectors.files_state())  # files may be rewritten within a generation
        if self._scan is None or self._scan[0] != state:
            self._check_switch()
            self._scan = (state, Scan(self.vectors))
        return self._scan[1]

    def _check_switch(self) -> None:
        """Whether the store was re-embedded while it was open here."""
        now = active_encoder(self.database)
        if now is not None and now.number != self.vectors.number:
            raise EncoderMismatch(
                f"the store {self.folder} was re-embedded with the encoder {now.name!r} while it was open; open it anew"
            )

    def _allowed(self, where: Where, scan: Scan) -> NDArray[np.bool_] | None:
        """Which passages a filter lets through; None without one."""
        if not where:
            return None
        self.check(where)
        allowed = np.zeros(len(scan.numbers), dtype=np.bool_)
        places = positions(scan.numbers, self.database.numbers(where))
        allowed[places[places >= 0]] = True
        return allowed

    def _dense(
        self, query: FloatMatrix, depth: int, scan: Scan, allowed: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int64], FloatMatrix | None]:
        """Places of the nearest passages, and all cosines where search was exact."""
        found = self.chroma.search(query, depth) if allowed is None and scan.size > self._exact_bytes else None
        if found is not None:
            places = positions(scan.numbers, np.array(sorted(number for number, _ in found), dtype=np.int64))
            return places[places >= 0], None
        cosines = scan.cosines(query)
        if allowed is None:
            return best(cosines, depth), cosines
        among = np.flatnonzero(allowed)
        return among[best(cosines[among], depth)], cosines

    def _cosines(self, query: FloatMatrix, chosen: NDArray[np.int64], scan: Scan) -> FloatMatrix:
        _, rows = self.vectors.read(scan.numbers[chosen].tolist())
        return dots(rows, query[0])

    def _sample(self, query: FloatMatrix, scan: Scan) -> FloatMatrix:
        """Cosines with passages at even distances, read once for a generation."""
        if self._sampled is None or self._sampled[0] is not scan:
            step = max(1, len(scan.numbers) // _SAMPLE)
            self._sampled = (scan, self.vectors.read(scan.numbers[::step].tolist())[1])
        return dots(self._sampled[1], query[0])

    def _words(self, forms: Forms, scan: Scan) -> tuple[FloatMatrix, float]:
        """BM25 of every passage, averaged over the forms by their shares, and the most that one could reach."""
        total, most = np.zeros(len(scan.numbers), dtype=np.float32), 0.0
        for query, share in forms.weighted():
            words, highest = self.lexical.scores(query, scan.numbers)
            total += words * share
            most += highest * share
        return total, most


def _best_words(words: FloatMatrix, depth: int, allowed: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """Places of the passages with the highest lexical scores above 0."""
    among = np.flatnonzero(words > 0 if allowed is None else (words > 0) & allowed)
    return among[best(words[among], depth)]


def _make_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"the store {folder} must be a folder, and a file of that name is there")
    with boundary(StoreError, f"making the store's folder {folder}", catch=(OSError,)):
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / FILE_NAME).is_file() or not any(folder.iterdir()):
            return
    if any((folder / "vectors").glob("*/encoder.json")):
        raise StoreError(
            f"{folder} is a store without its {FILE_NAME}; run: reasonir doctor --rebuild (its vectors are kept), "
            "then index again"
        )
    raise StoreError(f"{folder} is not a store of ours and not empty; give another --store")
