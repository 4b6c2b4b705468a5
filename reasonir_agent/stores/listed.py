"""BM25 over passages that somebody else keeps: their texts are listed once and held in memory.

The scores are those of a store of our own over the same passages (see `bm25`: the query is weighted as a document is).
A passage that was found and was not listed is scored by the same formula with the statistics of those that were.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from reasonir_agent.stores.bm25 import Bm25
from reasonir_agent.stores.fusion import Forms
from reasonir_agent.stores.words import words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reasonir_agent.types import FloatMatrix, Passage


class ListedWords:
    """The words of some passages.

    Args:
        passages: all of them; their order decides nothing.

    Raises:
        MissingExtra: the packages for lexical search are not installed.
    """

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.passages = list({passage.id: passage for passage in passages}.values())
        self._bm25 = Bm25.build([words(passage.encoded_text) for passage in self.passages])
        self._by_id = {passage.id: place for place, passage in enumerate(self.passages)}
        self._by_content = {_content(passage): place for place, passage in enumerate(self.passages)}

    def place(self, passage: Passage) -> int | None:
        """Where a passage stands in `passages`: the one with its id, else the one with its source, span and text."""
        place = self._by_id.get(passage.id)
        return self._by_content.get(_content(passage)) if place is None else place

    def scores(self, forms: Forms) -> tuple[FloatMatrix, float]:
        """BM25 of every passage, averaged over the forms by their shares, and the most that one could reach."""
        found, most = np.zeros(len(self.passages), dtype=np.float32), 0.0
        for text, share in forms.weighted():
            one = self._weights(text)
            found += self._bm25.scores(one) * np.float32(share)
            most += self._bm25.most(one) * share
        return found, most

    def score(self, forms: Forms, passage: Passage) -> float:
        """BM25 of one passage that was not listed, averaged over the forms by their shares."""
        held = Counter(words(passage.encoded_text))
        return sum(self._score(self._weights(text), held) * share for text, share in forms.weighted())

    def rarity(self, terms: Sequence[str]) -> dict[str, float]:
        """How telling each term (a stem, see `words`) is here: log(1 + passages / (1 + passages with it)), 0 or more."""
        total = len(self.passages)
        return {term: float(np.log1p(total / (1 + len(self._bm25.holders(term))))) if total else 1.0 for term in terms}

    def best(self, scores: FloatMatrix, k: int) -> NDArray[np.int64]:
        """Places of the k highest scores above 0, and of all that equal the last of them."""
        among = np.flatnonzero(scores > 0)
        if len(among) <= k:
            return among
        last = np.partition(scores[among], len(among) - k)[len(among) - k]
        found: NDArray[np.int64] = among[scores[among] >= last]
        return found

    def _weights(self, query: str) -> dict[str, float]:
        return self._bm25.query_weights(words(query), weighted=True)

    def _score(self, query: Mapping[str, float], held: Counter[str]) -> float:
        length = held.total()
        return sum(
            weight * self._bm25.weight(held[term], length, self._bm25.rarity(term) or 0.0)
            for term, weight in query.items()
            if term in held
        )


def _content(passage: Passage) -> tuple[str, int, str]:
    return passage.source, passage.start, passage.text
