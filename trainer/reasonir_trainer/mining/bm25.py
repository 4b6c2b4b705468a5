"""Ranks by BM25 over a whole corpus, best first, taken one by one.

A query's scores are the sum of a few columns of bm25s' index, so they cost little; sorting all documents by them is
what costs, so only as many are sorted as are taken. Documents without a word of the query are not ranked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from reasonir_agent.stores.bm25 import Bm25
from reasonir_agent.stores.words import words
from reasonir_trainer.mining.ordering import best_first


class WordRanks:
    """BM25 over texts 0 to n - 1. The texts themselves are not kept.

    Args:
        texts: the documents, gone through once.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        known: dict[str, str] = {}  # one object for each different word, or a large corpus takes gigabytes meanwhile
        self._index = Bm25.build([[known.setdefault(word, word) for word in words(text)] for text in texts])

    def ranked(self, query: str) -> Iterator[int]:
        """Numbers of the documents that share a word with a query, best first; equal ones in the corpus's order."""
        scores = self._index.scores(self._index.query_weights(words(query)))
        return best_first(scores, np.flatnonzero(scores > 0))
