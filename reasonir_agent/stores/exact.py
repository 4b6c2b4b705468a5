"""Exact search: every cosine is computed. Never stale, never approximate; fast up to some hundred thousand rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from reasonir_agent.stores.filters import check_where, matches
from reasonir_agent.types import Scalar, Where

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
        self._metadata: list[Mapping[str, Scalar]] = []
        self._rows: FloatMatrix = np.zeros((0, dim), dtype=np.float32)

    def add(
        self, ids: Sequence[str], vectors: FloatMatrix, metadata: Sequence[Mapping[str, Scalar]] | None = None
    ) -> None:
        """Add rows, float32 [n, dim]; an id that is there already, or came before in `ids`, keeps its row."""
        known, new = set(self._ids), []
        for number, one in enumerate(ids):
            if one not in known:
                known.add(one)
                new.append(number)
        if not new:
            return
        self._ids += [ids[number] for number in new]
        self._metadata += [{} if metadata is None else dict(metadata[number]) for number in new]
        self._rows = np.concatenate([self._rows, np.asarray(vectors, dtype=np.float32)[new]])

    def search(self, vector: FloatMatrix, k: int, *, where: Where = ()) -> list[tuple[str, float]]:
        """The k nearest of one vector [1, dim] as (id, cosine), best first; equal scores in order of id."""
        passing = self._passing(where)
        k = min(k, len(passing))
        if k < 1:
            return []
        rows = self._rows[passing] if where else self._rows  # no copy of everything without a filter
        scores = rows @ np.asarray(vector, dtype=np.float32).reshape(self._dim)
        best = np.argpartition(-scores, k - 1)[:k]
        tied_with_last = np.flatnonzero(scores == scores[best].min())
        candidates = {int(place) for place in (*best, *tied_with_last)}
        ranked = sorted((-scores[place], self._ids[passing[place]]) for place in candidates)
        return [(one, -float(score)) for score, one in ranked[:k]]

    def delete(self, ids: Iterable[str]) -> None:
        """Remove rows; unknown ids are ignored."""
        gone = set(ids)
        kept = [number for number, one in enumerate(self._ids) if one not in gone]
        self._ids = [self._ids[number] for number in kept]
        self._metadata = [self._metadata[number] for number in kept]
        self._rows = self._rows[kept]

    def ids(self, *, where: Where = ()) -> set[str]:
        """The ids of the rows that the filter lets through."""
        return {self._ids[number] for number in self._passing(where)}

    def _passing(self, where: Where) -> Sequence[int]:
        check_where(where)
        if not where:
            return range(len(self._ids))
        return [number for number, metadata in enumerate(self._metadata) if matches(metadata, where)]
