"""BM25 over words (bm25s): a saved index, and the few passages that changed since it was built.

Building takes seconds for 100,000 passages, so a small change does not build: passages that are gone are masked, new
ones are scored by the same formula with the saved index's statistics. Beyond DELTA_SHARE of the corpus it is built
anew. An index is a folder of its own that the manifest names; what is named was complete when it was named.
"""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from reasonir_agent.errors import StoreError, boundary
from reasonir_agent.stores import points
from reasonir_agent.stores.bm25 import Bm25, rarity
from reasonir_agent.stores.database import Database
from reasonir_agent.stores.scan import positions
from reasonir_agent.stores.words import VERSION, words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reasonir_agent.stores.database import Numbers
    from reasonir_agent.types import FloatMatrix

DELTA_SHARE: Final = 0.02
"""Changes up to this share of the indexed passages are scored beside the index."""


@dataclass(slots=True)
class _Base:
    """An index over some passages: their numbers, and BM25 over the documents at the same places."""

    numbers: Numbers
    bm25: Bm25


@dataclass(slots=True)
class _View:
    """One generation: the base, where its passages stand now (-1: gone), and the words of the new passages.

    `is_whole`: the base is over these very passages.
    """

    generation: int
    saved: str | None
    base: _Base
    numbers: Numbers
    places: NDArray[np.int64]
    new: list[tuple[int, Counter[str]]]
    is_whole: bool


class LexicalIndex:
    """BM25 over the passages of a store.

    Args:
        folder: the store's `lexical` folder.
        database: the store's manifest.
    """

    def __init__(self, folder: Path, database: Database) -> None:
        self._folder, self._database = folder, database
        self._saved: tuple[str, _Base] | None = None
        self._own: _Base | None = None
        self._view: _View | None = None

    def scores(self, query: str, numbers: Numbers) -> tuple[FloatMatrix, float]:
        """BM25 of every passage with the query weighted as a document is (see `bm25`), and the most that one can reach.

        Args:
            query: the words that are looked for.
            numbers: the numbers of all passages, in order.

        Returns:
            float32 [len(numbers)], 0 where no word is shared; and the highest score that any passage could have.
        """
        view = self._current(numbers)
        bm25 = view.base.bm25
        found = np.zeros(len(numbers), dtype=np.float32)
        terms = words(query)
        rarities = {term: _rarity(view, term) for term in dict.fromkeys(terms)}
        counts = Counter(terms)
        weights = {term: bm25.weight(counts[term], len(terms), rare) for term, rare in rarities.items() if rare}
        if view.is_whole:
            found = bm25.scores(weights)
        else:
            there = view.places >= 0
            found[view.places[there]] = bm25.scores(weights)[there]
        for place, held in view.new:
            found[place] = _score(bm25, weights, rarities, held)
        return found, sum(weight * rarities[term] for term, weight in weights.items())

    def rarity(self, terms: Sequence[str], numbers: Numbers) -> dict[str, float]:
        """How telling each term (a stem, see `words`) is here: log(1 + passages / (1 + passages with it)), 0 or more."""
        view = self._current(numbers)
        total = len(numbers)
        result = {}
        for term in terms:
            there = np.count_nonzero(view.places[view.base.bm25.holders(term)] >= 0)
            holders = there + sum(term in counts for _, counts in view.new)
            result[term] = float(np.log1p(total / (1 + holders))) if total else 1.0
        return result

    def refresh(self) -> bool:
        """Build and save when too much has changed since the last time; for the writer. Returns whether it did."""
        state = self._database.get_meta("lexical")
        saved = self._saved_numbers(state) if state else None
        if saved is not None and not _outgrown(saved, self._database.numbers()):
            return False
        self.rebuild()
        return True

    def rebuild(self) -> None:
        """Build over all passages and save; the manifest's one entry is the switch."""
        base = self._build()
        name = uuid.uuid4().hex[:12]
        folder = self._folder / name
        with boundary(StoreError, f"writing the lexical index in {self._folder}"):
            folder.mkdir(parents=True)
            base.bm25.save(folder)
            np.save(folder / "numbers.npy", base.numbers, allow_pickle=False)
        points.reached("lexical written")
        state = {"folder": name, "words": VERSION, "mean_length": base.bm25.mean_length, "files": _hashes(folder)}
        self._database.set_meta("lexical", state)
        points.reached("lexical switched")
        self._saved, self._own, self._view = (name, base), None, None
        self.remove_leavings()

    def remove_leavings(self) -> None:
        """Delete the folders that the manifest does not name."""
        current = (self._database.get_meta("lexical") or {}).get("folder")
        for folder in self._folder.glob("*"):
            if folder.name != current:
                shutil.rmtree(folder, ignore_errors=True)

    def problem(self) -> str | None:
        """What is wrong with the saved index; None when it is sound, or was never built."""
        state = self._database.get_meta("lexical")
        if state is None:
            return None
        try:
            found = _hashes(self._folder / state["folder"])
        except OSError as cause:
            return f"cannot be read ({cause.strerror})"
        if found != state["files"]:
            wrong = sorted(name for name in {*found, *state["files"]} if found.get(name) != state["files"].get(name))
            return f"{', '.join(wrong)}: not what was written"
        return None

    def _current(self, numbers: Numbers) -> _View:
        generation, state = self._database.generation, self._database.get_meta("lexical")
        saved = state["folder"] if state else None
        view = self._view
        same = view is not None and (view.generation, view.saved) == (generation, saved)
        if view is not None and same and np.array_equal(view.numbers, numbers):  # vectors may be lost, and healed
            return view
        base = self._load(state)
        if base is None or _outgrown(base.numbers, numbers):  # a writer was stopped before it saved a new one
            if self._own is None or _outgrown(self._own.numbers, numbers):
                self._own = self._build()
            base = self._own
        new = np.setdiff1d(numbers, base.numbers, assume_unique=True)
        texts = self._database.numbered(new.tolist())
        counted = [
            (int(place), Counter(words(texts[int(number)].encoded_text)))
            for number, place in zip(new, positions(numbers, new), strict=True)
        ]
        is_whole = np.array_equal(numbers, base.numbers)
        self._view = _View(generation, saved, base, numbers, positions(numbers, base.numbers), counted, is_whole)
        return self._view

    def _load(self, state: dict[str, Any] | None) -> _Base | None:
        """The saved index; None when there is none, or it is no longer what was saved."""
        if state is None:
            return None
        if self._saved is None or self._saved[0] != state["folder"]:
            numbers, folder = self._saved_numbers(state), self._folder / state["folder"]
            if numbers is None:
                return None
            has_words = "params.index.json" in state["files"]
            size, mean = len(numbers), state["mean_length"]
            try:
                bm25 = Bm25.load(folder, size=size, mean_length=mean) if has_words else Bm25(None, size, mean)
            except (OSError, ValueError, KeyError):  # a writer has just put another in its place
                return None
            self._saved = state["folder"], _Base(numbers, bm25)
        return self._saved[1]

    def _saved_numbers(self, state: dict[str, Any]) -> Numbers | None:
        """Which passages the saved index is over; None when its files are not what was saved, or it counts other words."""
        if state.get("words") != VERSION:
            return None
        folder = self._folder / state["folder"]
        try:
            found = _hashes(folder)
            if any(found.get(name) != file for name, file in state["files"].items()):
                return None
            numbers: Numbers = np.load(folder / "numbers.npy", allow_pickle=False)
        except (OSError, ValueError):
            return None
        return numbers

    def _build(self) -> _Base:
        numbers: list[int] = []
        tokens: list[list[str]] = []
        for number, passage in self._database.all_passages():
            numbers.append(number)
            tokens.append(words(passage.encoded_text))
        return _Base(np.array(numbers, dtype=np.int64), Bm25.build(tokens))


def _score(bm25: Bm25, query: Mapping[str, float], rarities: Mapping[str, float], held: Counter[str]) -> float:
    """BM25 of one passage that is not in the base, by the words that it holds."""
    length = held.total()
    return sum(
        weight * bm25.weight(held[term], length, rarities[term]) for term, weight in query.items() if term in held
    )


def _rarity(view: _View, term: str) -> float:
    """The saved index's; of a term that only new passages have, theirs; 0 when no passage has it."""
    known = view.base.bm25.rarity(term)
    if known is not None:
        return known
    holders = sum(term in held for _, held in view.new)
    return rarity(holders, len(view.numbers)) if holders else 0.0


def _outgrown(indexed: Numbers, numbers: Numbers) -> bool:
    kept = len(np.intersect1d(indexed, numbers, assume_unique=True))
    changed = max(len(numbers), len(indexed)) - kept
    return changed > DELTA_SHARE * len(indexed)


def _hashes(folder: Path) -> dict[str, list[Any]]:
    """Size and hash of the files of a folder, as JSON keeps them."""
    found: dict[str, list[Any]] = {}
    for file in sorted(folder.iterdir()):
        with file.open("rb") as stream:
            found[file.name] = [file.stat().st_size, hashlib.file_digest(stream, "sha256").hexdigest()]
    return found
