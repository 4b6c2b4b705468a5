"""BM25 (bm25s, Lucene's form) over the words of some documents, for plain and for weighted queries.

    weight of a term t in a text x:   w(t, x) = rarity(t) * n / (n + k1 * (1 - b + b * length(x) / mean length)),
    with n the number of times it stands there, rarity(t) = log(1 + (N - holders + 0.5) / (holders + 0.5))

    plain:     score = sum over the query's words of w(t, document), a word as often as the query has it
    weighted:  score = sum over its different words of w(t, query) * w(t, document)

The weighted form is BRIGHT's BM25 (xlang-ai/BRIGHT): the query is weighted as a document is, so that a word that is
repeated does not count without end, and rare words count twice over. It is made for long, rewritten queries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from reasonir_agent.errors import missing_extra

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reasonir_agent.types import FloatMatrix


K1: Final = 0.9
B: Final = 0.4
"""BRIGHT's parameters, and on our development sets the better ones."""


@dataclass(frozen=True, slots=True)
class Bm25:
    """An index over documents 0 to size - 1.

    Attributes:
        index: bm25s' index; None when no document has a word.
        size: number of documents.
        mean_length: of the documents, in words.
        k1: how fast repetitions of a word lose weight.
        b: how much the length of a text counts, 0 to 1.
    """

    index: Any
    size: int
    mean_length: float
    k1: float = K1
    b: float = B

    @classmethod
    def build(cls, documents: Sequence[Sequence[str]], *, k1: float = K1, b: float = B) -> Bm25:
        """Index documents that are given as lists of words."""
        index = None
        if any(documents):
            index = _bm25s().BM25(k1=k1, b=b, method="lucene")
            index.index(documents, show_progress=False, create_empty_token=False)  # it has no column
        mean = sum(map(len, documents)) / len(documents) if documents else 0.0
        return cls(index, len(documents), mean, k1, b)

    @classmethod
    def load(cls, folder: Path, *, size: int, mean_length: float) -> Bm25:
        """Open an index that `save` wrote, mapped into memory."""
        index = _bm25s().BM25.load(folder, mmap=True)
        index.scores = {name: np.asarray(given) for name, given in index.scores.items()}  # of a memmap a slice is slow
        return cls(index, size, mean_length, index.k1, index.b)

    def save(self, folder: Path) -> None:
        """Write the index into a folder; nothing when no document has a word."""
        if self.index is not None:
            self.index.save(folder, show_progress=False)

    def holders(self, term: str) -> NDArray[np.int64]:
        """Numbers of the documents that hold a term."""
        if self.index is None or term not in self.index.vocab_dict:
            return np.empty(0, dtype=np.int64)
        found: NDArray[np.int64] = self.index.scores["indices"][self._column(term)]
        return found

    def rarity(self, term: str) -> float | None:
        """How much a term counts, None when no document has it."""
        holders = len(self.holders(term))
        return rarity(holders, self.size) if holders else None

    def scores(self, query: Mapping[str, float]) -> FloatMatrix:
        """The score of every document, float32 [size].

        Args:
            query: terms and how much each counts, see `query_weights`.
        """
        found = np.zeros(self.size, dtype=np.float32)
        for term, weight in query.items():
            holders = self.holders(term)
            if len(holders):
                addend = np.float32(weight) * self.index.scores["data"][self._column(term)]
                np.add.at(found, holders.astype(np.intp), addend)  # half the time of `found[holders] += addend`
        return found

    def weight(self, count: int, length: int, rarity: float) -> float:
        """What a term counts in a text that has it `count` times among `length` words."""
        mean = self.mean_length or length or 1.0
        return rarity * count / (count + self.k1 * (1 - self.b + self.b * length / mean))

    def query_weights(self, words: Sequence[str], *, weighted: bool = False) -> dict[str, float]:
        """What each term of a query counts.

        Args:
            words: the query's words, repetitions kept.
            weighted: BRIGHT's form; otherwise a term counts as often as it stands there.
        """
        counts = Counter(words)
        if not weighted:
            return {term: float(count) for term, count in counts.items()}
        known = ((term, count, self.rarity(term)) for term, count in counts.items())
        return {term: self.weight(count, len(words), rare) for term, count, rare in known if rare is not None}

    def most(self, query: Mapping[str, float]) -> float:
        """The score that no document can exceed: all of the query's terms, each without end."""
        return sum(weight * (self.rarity(term) or 0.0) for term, weight in query.items())

    def _column(self, term: str) -> slice:
        number, pointers = self.index.vocab_dict[term], self.index.scores["indptr"]
        return slice(int(pointers[number]), int(pointers[number + 1]))


def rarity(holders: int, total: int) -> float:
    """BM25's weight of a term that `holders` of `total` documents have (Lucene's form)."""
    return float(np.log1p((total - holders + 0.5) / (holders + 0.5)))


def _bm25s() -> Any:
    try:
        import bm25s
    except ModuleNotFoundError as cause:
        raise missing_extra("agent", "lexical search", cause) from cause
    return bm25s
