"""Guard against contamination: nothing that is made may lie close to the data sets that it is evaluated on.

Of every split of the named sets the queries and the gold documents (judged above 0) are known. A text is close to one of
them when

- it is the same, word for word (case, punctuation and white space aside), or
- the Jaccard similarity of their 5-word shingles reaches the limit for near-duplicates, or
- both hold the same run of 13 words (GPT-3, Brown et al. 2020, appendix C); runs that stand in more than 10 of the
  known texts are phrases, no content (also there), or
- it holds the whole of a known text of 6 to 12 words, and not more than four times as many words in all: a short
  question in a long document is no copy of it.

Seeds are held against them before anything is paid for, rows at the end.
Every part of a row is held against queries and gold documents alike, since documents may quote a query.

The similarity is the true one, counted over an index of all shingles, so no signature can miss a pair. Characters of
scripts without spaces are words. What is written in quite other words is not recognised; that takes an encoder.

Held are 12 bytes for each shingle and for each run: about 24 bytes a word of the evaluation queries and gold documents.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from reasonir_agent.evaluation.datasets import open_data_set
from reasonir_trainer.synthesis.near_duplicates import compared_words, run_hashes, shingle_hashes, word_hashes
from reasonir_trainer.synthesis.rows import Row

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reasonir_agent.evaluation.datasets import Split
    from reasonir_trainer.synthesis.near_duplicates import Hashes

RUN: Final = 13
"""Words of a run that two texts do not share by chance (GPT-3)."""

SHORTEST: Final = 6
"""Words of the shortest text that is looked for inside others; below, the whole texts must be equal."""

_MOST_AROUND: Final = 4  # times the words of a short text, in the text that holds it
_COMMON: Final = 10  # texts of a set; runs that stand in more are its phrases (GPT-3)

Likeness = Literal["exact", "run", "similar"]


@dataclass(frozen=True, slots=True)
class Contamination:
    """Why a row may not be used.

    Attributes:
        reason: a short fixed name, for counting ("query close to a query of an evaluation set").
        detail: which text of which set, and how it was found.
    """

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Match:
    """The known text that another is close to.

    Attributes:
        name: of the known text.
        how: equal, similar, or sharing a run.
        value: Jaccard similarity, or words of the run.
    """

    name: str
    how: Likeness
    value: float

    def __str__(self) -> str:
        said = {
            "exact": "the same words",
            "similar": f"similarity {self.value:.2f}",
            "run": f"{self.value:.0f} words in a row",
        }
        return f"{self.name}: {said[self.how]}"


class KnownTexts:
    """Texts that others are held against.

    Args:
        texts: (name, text) pairs; of equal texts the first is named; those without words are left out.
        similar: Jaccard similarity from which two texts are close.
    """

    def __init__(self, texts: Iterable[tuple[str, str]], *, similar: float) -> None:
        self._similar = similar
        self._names: list[str] = []
        self._whole: dict[int, int] = {}  # hash of the whole text -> number
        runs: defaultdict[int, list[tuple[int, Hashes]]] = defaultdict(list)
        sets: list[Hashes] = []
        for name, text in texts:
            hashes = word_hashes(compared_words(text))
            if not len(hashes) or _whole(hashes) in self._whole:
                continue  # splits may share documents; counted twice, their runs would look like phrases
            self._whole[_whole(hashes)] = len(self._names)
            self._names.append(name)
            length = min(RUN, len(hashes))
            if length >= SHORTEST:
                runs[length].append((len(self._names) - 1, np.unique(run_hashes(hashes, length))))
            sets.append(shingle_hashes(hashes))
        self._runs = {
            length: _Runs.of(found, most=_COMMON if length == RUN else None) for length, found in runs.items()
        }
        self._sizes = np.array([len(one) for one in sets], np.int64)
        owners = np.repeat(np.arange(len(sets), dtype=np.int32), self._sizes)
        shingles = np.concatenate(sets) if sets else np.zeros(0, np.uint64)
        order = np.argsort(shingles, kind="stable")
        self._shingles, self._owners = shingles[order], owners[order]

    def __len__(self) -> int:
        return len(self._names)

    def match(self, text: str) -> Match | None:
        """The known text that a text is close to, or None."""
        hashes = word_hashes(compared_words(text))
        if not len(hashes) or not self._names:
            return None
        same = self._whole.get(_whole(hashes))
        if same is not None:
            return Match(self._names[same], "exact", 1.0)
        number, similarity = self._nearest(shingle_hashes(hashes))
        if similarity >= self._similar:
            return Match(self._names[number], "similar", similarity)
        for length in sorted(self._runs, reverse=True):
            if length == RUN or len(hashes) <= _MOST_AROUND * length:
                owner = self._runs[length].owner(run_hashes(hashes, length))
                if owner is not None:
                    return Match(self._names[owner], "run", length)
        return None

    def _nearest(self, mine: Hashes) -> tuple[int, float]:
        """Number of the text that shares most with a set of shingles, and its similarity."""
        first = np.searchsorted(self._shingles, mine, "left")
        last = np.searchsorted(self._shingles, mine, "right")
        shared: Counter[int] = Counter()
        for begin, end in zip(first[first < last].tolist(), last[first < last].tolist(), strict=True):
            shared.update(self._owners[begin:end].tolist())
        if not shared:
            return 0, 0.0
        alike = {one: count / (len(mine) + int(self._sizes[one]) - count) for one, count in shared.items()}
        number = min(alike, key=lambda one: (-alike[one], one))
        return number, alike[number]


class Exclusion:
    """One data set whose queries and gold documents nothing may be close to.

    Args:
        name: of the data set.
        queries: (name, text) of its queries.
        documents: (name, text) of its gold documents.
        similar: Jaccard similarity from which two texts are close.

    Attributes:
        sha256: of its queries and gold documents; what is left out follows from them.
        counts: rows that `check` refused, by reason.
        warnings: sentences about what could not be guarded.
    """

    def __init__(
        self, name: str, queries: Iterable[tuple[str, str]], documents: Iterable[tuple[str, str]], *, similar: float
    ) -> None:
        self.name = name
        held = sorted(queries), sorted(documents)
        self.sha256 = hashlib.sha256(json.dumps(held).encode()).hexdigest()
        self._queries, self._documents = (KnownTexts(texts, similar=similar) for texts in held)
        self.counts: Counter[str] = Counter()
        self.warnings: list[str] = []

    @classmethod
    def open(cls, name: str, *, similar: float, data_folder: Path | None = None) -> Exclusion:
        """The guard for a data set, all of its splits.

        Args:
            name: as `reasonir evaluate` takes it: a folder, a file of questions, "bright".
            similar: Jaccard similarity from which two texts are close.
            data_folder: where the user keeps data sets.

        Raises:
            InputError: there is no such data set, or its files cannot be used.
        """
        data_set = open_data_set(name, data_folder=data_folder)
        queries: list[tuple[str, str]] = []
        documents: list[tuple[str, str]] = []
        warnings: list[str] = []
        for split in map(data_set.load, data_set.splits):
            queries += [(f"the query {one!r} ({split.name})", text) for one, text in split.queries.items()]
            documents += [(f"the document {one!r} ({split.name})", text) for one, text in _gold(split)]
            if split.documents is None:
                warnings.append(f"{name}: the split {split.name} has no documents here; only its queries are guarded")
        guard = cls(name, queries, documents, similar=similar)
        guard.warnings += warnings
        return guard

    @property
    def sizes(self) -> tuple[int, int]:
        """How many queries and gold documents are known."""
        return len(self._queries), len(self._documents)

    def close_to(self, text: str) -> str | None:
        """What a text is close to, as words: "the query 'q12' (biology): similarity 0.81"; None where to nothing."""
        match = self._queries.match(text) or self._documents.match(text)
        return str(match) if match else None

    def check(self, row: Row, seed_text: str = "") -> Contamination | None:
        """Why a row may not be used, or None; counted by reason.

        Args:
            row: what was made.
            seed_text: the words of its seed, where they are not its positive.
        """
        for part, text in _parts(row, seed_text):
            for known, kind in ((self._queries, "query"), (self._documents, "gold document")):
                if match := known.match(text):
                    reason = f"{part} close to a {kind} of an evaluation set"
                    self.counts[reason] += 1
                    return Contamination(reason, f"the {part} is close to {match} of {self.name}")
        return None


@dataclass(frozen=True, slots=True)
class _Runs:
    """Runs of one length, uint64 [runs], in order, and for each the number of the first text that holds it."""

    hashes: Hashes
    owners: NDArray[np.int32]

    @classmethod
    def of(cls, found: Sequence[tuple[int, Hashes]], *, most: int | None) -> _Runs:
        """The runs of several texts; those that stand in more than `most` of them are left out."""
        owners = np.repeat(np.array([one for one, _ in found], np.int32), [len(runs) for _, runs in found])
        hashes, first, texts = np.unique(
            np.concatenate([runs for _, runs in found]), return_index=True, return_counts=True
        )
        telling = texts <= (most or len(found))
        return cls(hashes[telling], owners[first[telling]])

    def owner(self, runs: Hashes) -> int | None:
        """The first text that holds one of some runs."""
        if not len(self.hashes) or not len(runs):
            return None
        places = np.minimum(np.searchsorted(self.hashes, runs), len(self.hashes) - 1)
        held = places[self.hashes[places] == runs]
        return int(self.owners[held].min()) if len(held) else None


def _parts(row: Row, seed_text: str) -> Iterator[tuple[str, str]]:
    yield "query", row.query
    yield "rewritten query", row.rewritten
    yield "positive", row.positive
    if seed_text != row.positive:
        yield "seed", seed_text
    for negative in row.negatives:
        yield "negative", negative.text


def _whole(hashes: Hashes) -> int:
    return int(run_hashes(hashes, len(hashes))[0])


def _gold(split: Split) -> list[tuple[str, str]]:
    """Id and text of the documents that some query is judged to need; a unit's documents are all of it."""
    if split.documents is None:
        return []
    gold = {one for grades in split.qrels.values() for one, grade in grades.items() if grade > 0}
    documents = split.documents
    rows = zip(documents.ids, documents.units or documents.ids, documents.texts, strict=True)
    return [(one, text) for one, unit, text in rows if unit in gold]
