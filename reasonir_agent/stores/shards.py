"""Vectors on disk: immutable `.npy` files named by the hash of their rows, written aside, synced and renamed.

A row holds the key of its text, a checksum and the vector, so a file explains itself: the manifest can be made anew
from the files, and a flipped byte is found in the row where it is. Reading maps the file into memory; nothing is
unpickled, and a file is never changed.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reasonir_agent.errors import StoreError, boundary
from reasonir_agent.stores import points

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reasonir_agent.types import FloatMatrix

_HEADER_LIMIT = 4096


class DamagedShard(StoreError):
    """A vector file is missing, torn, or holds other bytes than were written."""


class Shards:
    """The vector files of one encoder.

    Args:
        folder: where they are; made when the first one is written.
        dim: length of a vector.
    """

    def __init__(self, folder: Path, dim: int) -> None:
        self.folder, self.dim = folder, dim
        self._type = np.dtype([("key", "u1", (16,)), ("crc", "<u4"), ("vector", "<f4", (dim,))])
        self._mapped: dict[str, NDArray[Any]] = {}
        self._verified: set[str] = set()

    def write(self, keys: Sequence[bytes], vectors: FloatMatrix) -> str:
        """Store float32 [n, dim] under their keys (16 bytes each) and return the file's name.

        Raises:
            StoreError: the file could not be written (a full disk, a read-only folder).
        """
        rows = np.empty(len(keys), dtype=self._type)
        rows["vector"] = vectors
        rows["key"] = np.frombuffer(b"".join(keys), dtype="u1").reshape(len(keys), 16)
        rows["crc"] = [_checksum(row) for row in rows]
        name = hashlib.sha256(rows.tobytes()).hexdigest()[:32]
        with boundary(StoreError, f"writing vectors to {self.folder}", catch=(OSError,)):
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, aside = tempfile.mkstemp(dir=self.folder, suffix=".part")
            try:
                with os.fdopen(handle, "wb") as stream:
                    np.save(stream, rows, allow_pickle=False)
                    stream.flush()
                    os.fsync(stream.fileno())
                points.reached("shard aside")
                Path(aside).replace(self._file(name))
            except BaseException:
                Path(aside).unlink(missing_ok=True)
                raise
            sync_folder(self.folder)
        self._mapped.pop(name, None)
        points.reached("shard renamed")
        return name

    def names(self) -> set[str]:
        """The files that are there."""
        return {file.stem for file in self.folder.glob("*.npy")}

    def vectors(self, name: str) -> FloatMatrix:
        """All vectors of a file, float32 [n, dim], mapped into memory; verified once in a process.

        Raises:
            DamagedShard: the file is not what was written.
        """
        rows = self._map(name)
        if name not in self._verified:
            if hashlib.sha256(rows.view(np.uint8).data).hexdigest()[:32] != name:
                raise self._damaged(name, "holds other bytes than were written (checksum)")
            self._verified.add(name)
        found: FloatMatrix = rows["vector"]
        return found

    def read(self, name: str, numbers: Sequence[int]) -> FloatMatrix:
        """Some rows of a file, float32 [len(numbers), dim], each checked.

        Raises:
            DamagedShard: the file or one of these rows is not what was written.
        """
        rows = self._map(name)
        if numbers and max(numbers) >= len(rows):
            raise self._damaged(name, f"holds {len(rows)} rows, row {max(numbers)} was expected")
        some = rows[list(numbers)]
        if any(_checksum(row) != row["crc"] for row in some):
            raise self._damaged(name, "holds other bytes than were written (checksum)")
        found: FloatMatrix = some["vector"]
        return found

    def sound_rows(self, name: str) -> dict[bytes, int]:
        """Key and number of the rows that can still be trusted, of a file that may be damaged; empty when none."""
        try:
            rows = self._map(name)
        except DamagedShard:
            return {}
        return {row["key"].tobytes(): number for number, row in enumerate(rows) if _checksum(row) == row["crc"]}

    def is_sound(self, name: str) -> bool:
        """Whether a file holds what was written."""
        self._verified.discard(name)
        try:
            self.vectors(name)
        except DamagedShard:
            return False
        return True

    def remove(self, name: str) -> None:
        """Delete a file; one that is mapped elsewhere lives on there."""
        self._mapped.pop(name, None)
        self._verified.discard(name)
        with boundary(StoreError, f"deleting {self._file(name)}", catch=(OSError,)):
            self._file(name).unlink(missing_ok=True)

    def remove_leavings(self) -> int:
        """Delete the files that a killed writer left half-written; returns how many."""
        left = list(self.folder.glob("*.part"))
        with boundary(StoreError, f"cleaning up {self.folder}", catch=(OSError,)):
            for file in left:
                file.unlink(missing_ok=True)
        return len(left)

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.npy"

    def _map(self, name: str) -> NDArray[Any]:
        if name not in self._mapped:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")  # NumPy forgives some damage of a header with a warning
                    rows: NDArray[Any] = np.lib.format.open_memmap(  # reads .npy alone, never a pickle
                        self._file(name), mode="r", max_header_size=_HEADER_LIMIT
                    )
            except FileNotFoundError:
                raise self._damaged(name, "is missing") from None
            except Exception as cause:  # a damaged header breaks NumPy's parser in many ways
                raise self._damaged(name, f"cannot be read ({cause})") from cause
            if rows.dtype != self._type or rows.ndim != 1:
                raise self._damaged(name, f"holds {rows.dtype.descr}, expected vectors of {self.dim} dimensions")
            self._mapped[name] = rows
        return self._mapped[name]

    def _damaged(self, name: str, how: str) -> DamagedShard:
        return DamagedShard(f"the vector file {self._file(name)} {how}; run: reasonir doctor")


def _checksum(row: Any) -> int:
    return zlib.crc32(row["vector"].tobytes(), zlib.crc32(row["key"].tobytes()))


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder durable, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
