"""Vectors on disk: immutable `.npy` files named by the hash of their content, written aside and renamed.

A shard is never changed. Reading memory-maps it; nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reasonir_agent.errors import StoreError, boundary

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix


class Shards:
    """The vector files of a store.

    Args:
        folder: where they are; made when the first one is written.
        dim: length of a vector.
    """

    def __init__(self, folder: Path, dim: int) -> None:
        self._folder, self._dim = folder, dim
        self._open: dict[str, FloatMatrix] = {}

    def write(self, vectors: FloatMatrix) -> str:
        """Store float32 [n, dim] and return the shard's name.

        Raises:
            StoreError: the file could not be written (a full disk, a read-only folder).
        """
        rows = np.ascontiguousarray(vectors, dtype=np.float32)
        name = hashlib.sha256(rows.tobytes()).hexdigest()[:32]
        with boundary(StoreError, f"writing vectors to {self._folder}", catch=(OSError,)):
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, aside = tempfile.mkstemp(dir=self._folder, suffix=".part")
            try:
                with os.fdopen(handle, "wb") as stream:
                    np.save(stream, rows, allow_pickle=False)
                    stream.flush()
                    os.fsync(stream.fileno())
                Path(aside).replace(self._folder / f"{name}.npy")
            except BaseException:
                Path(aside).unlink(missing_ok=True)
                raise
        return name

    def read(self, locations: Sequence[tuple[str, int]]) -> FloatMatrix:
        """The vectors at (shard, row), float32 [n, dim], in order.

        Raises:
            StoreError: a shard is missing, torn, or of another dimension.
        """
        result = np.empty((len(locations), self._dim), dtype=np.float32)
        by_shard: dict[str, tuple[list[int], list[int]]] = {}
        for place, (shard, row) in enumerate(locations):
            places, rows = by_shard.setdefault(shard, ([], []))
            places.append(place)
            rows.append(row)
        for shard, (places, rows) in by_shard.items():
            vectors = self._map(shard)
            if max(rows) >= len(vectors):
                raise StoreError(f"the vector file {shard}.npy holds {len(vectors)} rows, row {max(rows)} was expected")
            result[places] = vectors[rows]
        return result

    def _map(self, shard: str) -> FloatMatrix:
        if shard not in self._open:
            file = self._folder / f"{shard}.npy"
            with boundary(StoreError, f"reading the vector file {file}", catch=(OSError, ValueError, EOFError)):
                vectors: FloatMatrix = np.lib.format.open_memmap(file, mode="r")  # reads .npy alone, never a pickle
            if vectors.dtype != np.float32 or vectors.ndim != 2 or vectors.shape[1] != self._dim:
                raise StoreError(
                    f"the vector file {file} holds {vectors.dtype} {list(vectors.shape)}, "
                    f"expected float32 [n, {self._dim}]"
                )
            self._open[shard] = vectors
        return self._open[shard]
