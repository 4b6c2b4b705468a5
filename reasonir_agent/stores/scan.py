"""Exact search over the memory-mapped vector files: every cosine, nothing copied, never stale, nothing to keep in order.

It costs one pass over the vectors, so it serves small corpora always and large ones whenever Chroma is behind.

Every cosine is a dot product of its own, on one core. A matrix-vector product costs more work, and is split among all
cores, file by file: on an idle machine that is a little faster, but where one core is busy, with the encoder's threads
or another process, every file waits for it, and a search takes ten times as long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reasonir_agent.stores.vectors import Vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reasonir_agent.types import FloatMatrix


class Scan:
    """The passages of one generation and where their vectors lie.

    Args:
        vectors: the encoder's vectors.
    """

    def __init__(self, vectors: Vectors) -> None:
        located = vectors.locations()
        self.numbers: NDArray[np.int64] = located[:, 0]
        self._vectors, self._names = vectors, vectors.names()
        order = np.argsort(located[:, 1], kind="stable")
        shards, begins = np.unique(located[order, 1], return_index=True)
        parts = np.split(order, begins[1:]) if len(order) else []
        self._parts = [(self._names[int(s)], part, located[part, 2]) for s, part in zip(shards, parts, strict=True)]

    @property
    def size(self) -> int:
        """Bytes of the vectors that one search reads."""
        return len(self.numbers) * self._vectors.dim * 4

    def cosines(self, vector: FloatMatrix) -> FloatMatrix:
        """The cosine of one vector [1, dim] with every passage, float32 [passages], in order of number.

        Raises:
            DamagedShard: a file is not what was written.
        """
        query = np.asarray(vector, dtype=np.float32).reshape(self._vectors.dim)
        found = np.empty(len(self.numbers), dtype=np.float32)
        for name, places, rows in self._parts:
            found[places] = dots(self._vectors.shards.vectors(name), query)[rows]
        return found


def dots(rows: FloatMatrix, vector: FloatMatrix) -> FloatMatrix:
    """The dot product of each row with a vector, float32 [n]; a row's does not depend on the rows beside it."""
    found: FloatMatrix = np.matmul(rows[:, None, :], vector[:, None])[:, 0, 0]
    return found


def positions(numbers: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where numbers stand in a sorted array, -1 for those that do not."""
    if not len(numbers):
        return np.full(len(wanted), -1, dtype=np.int64)
    places = np.minimum(np.searchsorted(numbers, wanted), len(numbers) - 1)
    return np.where(numbers[places] == wanted, places, -1)


def best(scores: FloatMatrix, k: int) -> NDArray[np.int64]:
    """Places of the k highest scores and of all that equal the last of them, in no order."""
    if k < 1:
        return np.arange(0)
    if k >= len(scores):
        return np.arange(len(scores))
    last = np.partition(scores, len(scores) - k)[len(scores) - k]
    return np.flatnonzero(scores >= last)
