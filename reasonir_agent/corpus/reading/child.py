"""The program that reads risky files: `python -m reasonir_agent.corpus.reading.child`, started by `ReaderProcess`.

It reads requests from its standard input and answers with lines of JSON, until the input ends. A parser in it may crash,
hang or want all memory there is; then this process ends and the run goes on. Its memory is limited where the system can
do that, it leaves no core dumps, and an alarm ends it where nobody is left to.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, BinaryIO, Final

from reasonir_agent.corpus.reading import wire
from reasonir_agent.corpus.reading.formats import File, kind_of, reader_of
from reasonir_agent.corpus.reading.problems import Unreadable, described

MEMORY: Final = 4_000_000_000
"""Bytes of address space."""

_ALARM: Final = 90  # seconds without a line; longer than the parent waits, so that it is for orphans


def main() -> None:
    """Answer requests until the input ends."""
    with suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    answers = _own_output()
    _limit()
    requests = sys.stdin.buffer
    while head := requests.readline():
        details = json.loads(head)
        content = requests.read(details["size"])
        if len(content) < details["size"]:
            return
        for message in _messages(wire.requested(details, content)):
            _alarm(_ALARM)
            answers.write(wire.line(message))
            answers.flush()
        _alarm(0)


def _messages(file: File) -> Iterator[dict[str, Any]]:
    _alarm(_ALARM)
    try:
        for item in reader_of(file.path)(file):
            yield wire.message(item)
    except Unreadable as problem:
        yield {"unreadable": str(problem)}
    except MemoryError:
        yield {"unreadable": f"needs more than {MEMORY // 10**9} GB to read", "last": True}
    except RecursionError:
        yield {"unreadable": f"is a broken {kind_of(file.path).upper()}: it is nested too deeply"}
    except Exception as problem:  # parsers raise whatever they meet
        yield {"unreadable": f"is a broken {kind_of(file.path).upper()}: {described(problem)}"}
    else:
        yield {"done": True}


def _own_output() -> BinaryIO:
    """Where answers go. Libraries that print write to standard error instead, which nobody reads."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return answers


def _limit() -> None:
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return
    for kind, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0)):
        with suppress(ValueError, OSError):  # macOS refuses the first
            resource.setrlimit(kind, (most, most))


def _alarm(seconds: int) -> None:
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)


if __name__ == "__main__":
    main()
