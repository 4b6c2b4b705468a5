"""A child process that reads risky files, and the watch over it.

The child is started when it is first needed and reused. One that says nothing for too long, dies or answers without end
is killed; its file is unreadable for that reason, and the next file gets a fresh child.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any, Final

from reasonir_agent.corpus.reading import wire
from reasonir_agent.corpus.reading.formats import File
from reasonir_agent.corpus.reading.problems import Unreadable
from reasonir_agent.types import Document, Skipped

_PROGRAM: Final = "reasonir_agent.corpus.reading.child"
_MOST_ANSWERED: Final = 512_000_000  # bytes; a small file can hold the same page a million times
_KEPT: Final = (  # of the environment; keys and passwords are no business of a parser
    *("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TEMP", "TMP", "TZ", "SYSTEMROOT", "WINDIR"),
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
)
_FRUGAL: Final = {  # address space is limited, and pools of threads and memory reserve much of it
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "2",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONUTF8": "1",
}


class ReaderProcess:
    """Reads files in a child process; for one thread.

    Args:
        patience: seconds to wait for the next line of an answer.
    """

    def __init__(self, *, patience: float = 60.0) -> None:
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None
        self._pump: threading.Thread | None = None
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    @property
    def pid(self) -> int | None:
        """The child's process id; None where none runs."""
        return None if self._process is None else self._process.pid

    def read(self, file: File) -> Iterator[Document | Skipped]:
        """What the reader of a file gives.

        Raises:
            Unreadable: its reason, or what became of the child.
        """
        process = self._running()
        sender = threading.Thread(target=_send, args=(process, file), daemon=True)
        sender.start()
        alive = False
        try:
            size = 0
            while "done" not in (message := self._next(process)):
                if "unreadable" in message:
                    alive = "last" not in message
                    raise Unreadable(message["unreadable"])
                size += message["bytes"]
                if size > _MOST_ANSWERED:
                    raise Unreadable(f"holds more than {_MOST_ANSWERED / 1e6:.0f} MB of text; split it")
                yield wire.item(message)
            alive = True
        finally:
            if not alive:
                self.close()
            sender.join()

    def close(self) -> None:
        """End the child."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None and process.stdout is not None and self._pump is not None
        process.kill()  # it keeps nothing that could be lost
        process.wait()
        self._pump.join()
        process.stdout.close()
        with suppress(OSError):  # what was not sent yet
            process.stdin.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self.close()  # it was killed between two files
        if self._process is None:
            self._process = process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-P", "-B", "-W", "ignore", "-m", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,
            )
            self._lines = queue.SimpleQueue()
            self._pump = threading.Thread(target=_pump, args=(process.stdout, self._lines), daemon=True)
            self._pump.start()
        return self._process

    def _next(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=self._patience)
        except queue.Empty:
            raise Unreadable(f"could not be read within {self._patience:g} s") from None
        if line is None or not line.endswith(b"\n"):
            raise Unreadable(_obituary(process.wait()))
        message: dict[str, Any] = json.loads(line)
        return {**message, "bytes": len(line)}


def _environment() -> dict[str, str]:
    """The child finds the packages that we find, and nothing else of ours."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, **_FRUGAL, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _send(process: subprocess.Popen[bytes], file: File) -> None:
    assert process.stdin is not None
    with suppress(OSError, ValueError):  # it died, which its output tells
        process.stdin.write(wire.request(file))
        process.stdin.write(file.content)
        process.stdin.flush()


def _pump(output: IO[bytes], lines: queue.SimpleQueue[bytes | None]) -> None:
    for line in output:
        lines.put(line)
    lines.put(None)


def _obituary(code: int) -> str:
    return f"crashed its reader ({f'signal {-code}' if code < 0 else f'exit code {code}'})"
