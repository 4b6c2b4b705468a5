"""The bytes of a file as they were at one moment, and a stamp that tells whether they still are.

A file over the limit is refused before it is read; pipes and devices are never opened for reading. What is written while
it is read is read again, and then left for a later run.
"""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Final

from reasonir_agent.corpus.reading.problems import Changing, Unreadable

MOST_BYTES: Final = 256_000_000
"""Largest file that is read."""

_TRIES: Final = 3
_SETTLED: Final = 2_000_000_000  # nanoseconds; some file systems keep times no finer
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOCTTY", 0)


def stamp_of(status: os.stat_result) -> str:
    """What changes whenever a file's content does: its size, times and inode."""
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_ino}"


def read_content(path: str, *, most: int = MOST_BYTES) -> tuple[bytes, str]:
    """A file's content and stamp; the stamp is "" where the file is so new that a later change might not show.

    Args:
        path: the file.
        most: largest size in bytes.

    Raises:
        Unreadable: it is too large, or no file.
        Changing: it is written while it is read.
        OSError: it cannot be opened.
    """
    for _ in range(_TRIES):
        _check(Path(path).stat(), most)  # before opening: to open a device can have effects
        with os.fdopen(os.open(path, _FLAGS), "rb", buffering=0) as file:
            before = os.fstat(file.fileno())
            _check(before, most)
            content = _read(file.fileno(), before.st_size + 1)
            after = os.fstat(file.fileno())
        if len(content) == before.st_size and stamp_of(before) == stamp_of(after):
            settled = time.time_ns() - before.st_mtime_ns > _SETTLED
            return content, stamp_of(before) if settled else ""
    raise Changing("changes while it is read; index again when it is finished")


def _check(status: os.stat_result, most: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable("is a folder" if stat.S_ISDIR(status.st_mode) else "is a pipe or a device, no file")
    if status.st_size > most:
        raise Unreadable(f"is {_named(status.st_size)}, more than the {_named(most)} that are read; split it")


def _read(descriptor: int, most: int) -> bytes:
    pieces: list[bytes] = []
    while most and (piece := os.read(descriptor, min(most, 1 << 24))):
        pieces.append(piece)
        most -= len(piece)
    return b"".join(pieces)


def _named(size: int) -> str:
    for unit, name in ((1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}".replace(".0 ", " ")
    return f"{size} bytes"
