"""BM25 over words (bm25s): a saved index, and the few passages that changed since it was built.

Words are found by Unicode's classes, composed (NFKC) and folded in case, and keep their vowel signs; runs of Chinese,
Japanese and Korean characters, which have no spaces, become overlapping pairs of characters. English function words
are left out.

Building takes seconds for 100,000 passages, so a small change does not build: passages that are gone are masked, new
ones are scored by the same formula with the saved index's statistics. Beyond DELTA_SHARE of the corpus it is built
anew. An index is a folder of its own that the manifest names; what is named was complete when it was named.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import unicodedata
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from reasonir_agent.errors import StoreError, boundary, missing_extra
from reasonir_agent.stores import points
from reasonir_agent.stores.database import Database
from reasonir_agent.stores.scan import positions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reasonir_agent.stores.database import Numbers
    from reasonir_agent.types import FloatMatrix

DELTA_SHARE: Final = 0.02
"""Changes up to this share of the indexed passages are scored beside the index."""

_K1: Final = 1.5
_B: Final = 0.75

_SIGNS: Final = "".join(chr(n) for n in range(0x300, 0x1B00) if unicodedata.category(chr(n)).startswith("M"))
_WORD: Final = re.compile(rf"[\w{_SIGNS}]+")  # \w has no vowel signs, and Hindi has few words without them
_CJK: Final = re.compile(
    "[\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f]+"
)
STOP_WORDS: Final = frozenset(
    """a about after all also am an and any are as at be because been before being but by can could did do does doing
    for from had has have having he her here hers him his how i if in into is it its just me more most my no nor not of
    off on once only or other our out over own same she should so some such than that the their them then there these
    they this those through to too under until up very was we were what when where which while who whom why will with
    would you your""".split()
)


def words(text: str) -> list[str]:
    """The tokens of a text, in order, repetitions kept."""
    found: list[str] = []
    for match in _WORD.finditer(unicodedata.normalize("NFKC", text).casefold().replace("_", " ")):
        word = match.group()
        if word.isascii():
            if word not in STOP_WORDS:
                found.append(word)
        else:
            found += _mixed(word)
    return found


def _mixed(word: str) -> list[str]:
    """A word that may hold characters of a script without spaces."""
    found: list[str] = []
    at = 0
    for run in _CJK.finditer(word):
        found += [word[at : run.start()]] if run.start() > at else []
        characters = run.group()
        found += [characters[i : i + 2] for i in range(len(characters) - 1)] or [characters]
        at = run.end()
    return found + ([word[at:]] if at < len(word) else [])


@dataclass(slots=True)
class _Base:
    """An index over some passages: bm25s over the numbers at the same places, and the mean length in words."""

    numbers: Numbers
    bm25: Any
    mean_length: float

    def rarity(self, term: str) -> float | None:
        """BM25's weight of a term (Lucene's form), None when no passage has it."""
        holders = len(self.holders(term))
        if not holders:
            return None
        return float(np.log1p((len(self.numbers) - holders + 0.5) / (holders + 0.5)))

    def holders(self, term: str) -> NDArray[np.int64]:
        """Which of the passages hold a term, by their places in `numbers`."""
        if self.bm25 is None or term not in self.bm25.vocab_dict:
            return np.empty(0, dtype=np.int64)
        number, pointers = self.bm25.vocab_dict[term], self.bm25.scores["indptr"]
        found: NDArray[np.int64] = self.bm25.scores["indices"][pointers[number] : pointers[number + 1]]
        return found


@dataclass(slots=True)
class _View:
    """One generation: the base, where its passages stand now (-1: gone), and the words of the new passages."""

    generation: int
    saved: str | None
    base: _Base
    numbers: Numbers
    places: NDArray[np.int64]
    new: list[tuple[int, Counter[str]]]


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

    def scores(self, query: str, numbers: Numbers) -> FloatMatrix:
        """BM25 of every passage, float32 [len(numbers)], 0 where no word is shared.

        Args:
            query: the words that are looked for.
            numbers: the numbers of all passages, in order.
        """
        view = self._current(numbers)
        base = view.base
        found = np.zeros(len(numbers), dtype=np.float32)
        terms = words(query)
        if not terms:
            return found
        if base.bm25 is not None:
            values: FloatMatrix = base.bm25.get_scores(terms)
            there = view.places >= 0
            found[view.places[there]] = values[there]
        for place, counts in view.new:
            found[place] = _score(view, terms, counts)
        return found

    def rarity(self, terms: Sequence[str], numbers: Numbers) -> dict[str, float]:
        """How telling each term is in this corpus: log(1 + passages / (1 + passages with it)), 0 or more."""
        view = self._current(numbers)
        total = len(numbers)
        result = {}
        for term in terms:
            there = np.count_nonzero(view.places[view.base.holders(term)] >= 0)
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
            if base.bm25 is not None:
                base.bm25.save(folder, show_progress=False)
            np.save(folder / "numbers.npy", base.numbers, allow_pickle=False)
        points.reached("lexical written")
        state = {"folder": name, "mean_length": base.mean_length, "files": _hashes(folder)}
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
        self._view = _View(generation, saved, base, numbers, positions(numbers, base.numbers), counted)
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
            try:
                bm25 = _bm25s().BM25.load(folder, mmap=True) if has_words else None
            except (OSError, ValueError, KeyError):  # a writer has just put another in its place
                return None
            self._saved = state["folder"], _Base(numbers, bm25, state["mean_length"])
        return self._saved[1]

    def _saved_numbers(self, state: dict[str, Any]) -> Numbers | None:
        """Which passages the saved index is over; None when its files are no longer what was saved."""
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
        bm25 = None
        if any(tokens):
            bm25 = _bm25s().BM25(k1=_K1, b=_B, method="lucene")
            bm25.index(tokens, show_progress=False)
        mean = sum(map(len, tokens)) / len(tokens) if tokens else 0.0
        return _Base(np.array(numbers, dtype=np.int64), bm25, mean)


def _score(view: _View, terms: Sequence[str], counts: Counter[str]) -> float:
    """BM25 (Lucene's form, as bm25s computes it) of one passage that is not in the base."""
    base, length = view.base, sum(counts.values())
    mean = base.mean_length or length or 1.0
    total = 0.0
    for term in terms:
        count = counts.get(term, 0)
        if not count:
            continue
        rarity = base.rarity(term)
        if rarity is None:
            holders = sum(term in some for _, some in view.new)
            rarity = float(np.log1p((len(view.numbers) - holders + 0.5) / (holders + 0.5)))
        total += rarity * count / (count + _K1 * (1 - _B + _B * length / mean))
    return total


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


def _bm25s() -> Any:
    try:
        import bm25s
    except ModuleNotFoundError as cause:
        raise missing_extra("agent", "lexical search", cause) from cause
    return bm25s
