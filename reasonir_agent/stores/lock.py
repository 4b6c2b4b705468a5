"""One writer at a time. The lock is the operating system's, so a process that was killed holds none.

Beside it lies a note of who holds it, for the message that a second writer gets; the note alone locks nothing.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from reasonir_agent.errors import StoreError, boundary, missing_extra

_LOCK: Final = "writer.lock"
_NOTE: Final = "writer.json"


class StoreBusy(StoreError):
    """Another process writes to the store."""


class WriterLock:
    """The right to write to a store; may be taken again by the thread that holds it.

    Args:
        folder: the store's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: Any = None
        self._thread = threading.RLock()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it for the block.

        Raises:
            StoreBusy: another process holds it; the message names it.
            StoreError: the folder cannot be written to.
        """
        try:
            import filelock
        except ModuleNotFoundError as cause:
            raise missing_extra("agent", "writing to a store", cause) from cause
        if self._lock is None:
            self._lock = filelock.FileLock(self._folder / _LOCK, timeout=0, thread_local=False)
        if not self._thread.acquire(blocking=False):
            raise StoreBusy(f"another thread of this process is writing to the store {self._folder}; wait for it")
        try:
            self._acquire(filelock.Timeout)
            try:
                if self._lock.lock_counter == 1:
                    self._sign()
                yield
            finally:
                self._lock.release()
        finally:
            self._thread.release()

    def _acquire(self, busy: type[Exception]) -> None:
        with boundary(StoreError, f"locking the store {self._folder}", catch=(OSError, NotImplementedError)):
            try:
                self._lock.acquire()
            except busy:
                raise StoreBusy(
                    f"{self._holder()} is writing to the store {self._folder}; wait until it is done, or stop it"
                ) from None

    def _sign(self) -> None:
        command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200] if sys.argv else "python"
        since = datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds")
        note = {"pid": os.getpid(), "command": command, "since": since}
        with boundary(StoreError, f"writing to the store {self._folder}", catch=(OSError,)):
            (self._folder / _NOTE).write_text(json.dumps(note), encoding="utf-8")

    def _holder(self) -> str:
        try:
            note = json.loads((self._folder / _NOTE).read_text(encoding="utf-8"))
            return f"process {note['pid']} ({note['command']}, since {note['since']})"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"
