"""Exact search: every cosine is computed. Never stale, never approximate; fast up to some hundred thousand rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix


class ExactIndex:
    """A `VectorIndex` that keeps its rows in memory.

    Args:
        dim: length of a vector.
    """

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._ids: list[str] = []
        self._rows: FloatMatrix = np.zeros((0, dim), dtype=np.float32)

    def add(self, ids: Sequence[str], vectors: FloatMatrix) -> None:
        """Add rows; an id that is there already keeps its row."""
        known = set(self._ids)
        new = [number for number, one in enumerate(ids) if one not in known]
        self._ids += [ids[number] for number in new]
        self._rows = np.concatenate([self._rows, np.asarray(vectors, dtype=np.float32)[new]]) if new else self._rows

    def search(self, vector: FloatMatrix, k: int) -> list[tuple[str, float]]:
        """The k nearest of one vector [1, dim] as (id, cosine), best first; equal scores in order of id."""
        if not self._ids or k < 1:
            return []
        scores = self._rows @ np.asarray(vector, dtype=np.float32).reshape(self._dim)
        k = min(k, len(scores))
        best = np.argpartition(-scores, k - 1)[:k]
        tied_with_last = np.flatnonzero(scores == scores[best].min())
        candidates = {int(number) for number in (*best, *tied_with_last)}
        ranked = sorted(candidates, key=lambda number: (-scores[number], self._ids[number]))
        return [(self._ids[number], float(scores[number])) for number in ranked[:k]]

    def delete(self, ids: Iterable[str]) -> None:
        """Remove rows; unknown ids are ignored."""
        gone = set(ids)
        kept = [number for number, one in enumerate(self._ids) if one not in gone]
        self._ids = [self._ids[number] for number in kept]
        self._rows = self._rows[kept]

    def ids(self) -> set[str]:
        """All ids."""
        return set(self._ids)
