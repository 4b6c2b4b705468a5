"""What a run must not lose: append-only files of JSON lines, and on top of them the journal of the model's replies.

A line is written before anything is done with it, in one piece, so a process that is killed leaves whole lines and at
most one torn one at the end. Opening cuts that off and counts it; a broken line anywhere else was not made by a crash,
and is an error that names file and line. Lines reach the disk in small groups, by a thread of their own: a power cut
may cost the last second, a kill costs nothing. One process writes to a file at a time; the lock is the operating
system's, so one that was killed holds none.

The journal keeps in memory where each reply lies, not what it says, and only of items that are still to be made.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from reasonir_agent.errors import StoreError, boundary, missing_extra
from reasonir_agent.llm import Reply
from reasonir_trainer.synthesis.calling import Call

_GROUP: Final = 64  # lines
_SECONDS: Final = 1.0  # a group reaches the disk after so many lines or this time


class Lines:
    """An append-only file of JSON objects, one a line, with one writer.

    Args:
        file: where it is; made where it is not.

    Attributes:
        cut_off: torn last lines that were found and cut off, 0 or 1.

    Raises:
        StoreError: another process writes to it, or it cannot be written.
    """

    def __init__(self, file: Path) -> None:
        self.file, self.cut_off = file, 0
        self._lock = _locked(file)
        try:
            with boundary(StoreError, f"opening {file}", catch=(OSError,)):
                self._writing = os.open(file, os.O_APPEND | os.O_CREAT | os.O_RDWR, 0o644)
                self._end = self._repair()
        except BaseException:
            self._lock.release()
            raise
        self._reading = file.open("rb")
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._group: Future[None] | None = None
        self._waiting, self._since = 0, time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """(offset, object) of every line."""
        return ((offset, found) for offset, _, found in _lines(self.file))

    def append(self, text: str) -> int:
        """Add one JSON object; when this returns, it survives a kill. Returns its offset.

        Raises:
            StoreError: it cannot be written.
        """
        line, at = text.encode() + b"\n", self._end
        with boundary(StoreError, f"writing {self.file}", catch=(OSError,)):
            try:
                rest = line
                while rest:  # one write takes it all but for a full disk
                    rest = rest[os.write(self._writing, rest) :]
            except OSError:
                os.ftruncate(self._writing, at)  # the next line must not continue half of this one
                raise
            self._end += len(line)
            self._waiting += 1
            if self._waiting >= _GROUP or time.monotonic() - self._since >= _SECONDS:
                self._begin_sync()
        return at

    def at(self, offset: int) -> dict[str, Any]:
        """The object of the line that begins there."""
        with boundary(StoreError, f"reading {self.file}"):
            self._reading.seek(offset)
            found: dict[str, Any] = json.loads(self._reading.readline())
        return found

    def sync(self) -> None:
        """Bring everything to the disk now.

        Raises:
            StoreError: it cannot be written.
        """
        with boundary(StoreError, f"writing {self.file}", catch=(OSError,)):
            os.fsync(self._writing)

    def close(self) -> None:
        """Bring everything to the disk and let the file go."""
        try:
            self._disk.shutdown(wait=True)
            self.sync()
        finally:
            self._reading.close()
            os.close(self._writing)
            self._lock.release()

    def _begin_sync(self) -> None:
        """Begin to bring the lines to the disk, unless that is under way."""
        if self._group is not None:
            if not self._group.done():
                return
            self._group.result()
        self._waiting, self._since = 0, time.monotonic()
        self._group = self._disk.submit(os.fsync, self._writing)

    def _repair(self) -> int:
        """Cut off a torn last line; returns where the file ends."""
        size = os.fstat(self._writing).st_size
        whole = _whole(self.file, size)
        if whole != size:
            os.ftruncate(self._writing, whole)
            self.cut_off = 1
        return whole


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a call is kept beside its reply.

    Attributes:
        key: of the call.
        item: that it is made for.
        step: what is asked.
        attempt: from 1.
        asked: bytes of all its messages.
    """

    key: str
    item: str
    step: str
    attempt: int
    asked: int

    @classmethod
    def of(cls, call: Call) -> Asked:
        """That of a call."""
        size = sum(len(text.encode(errors="replace")) for _, text in call.messages)
        return cls(call.key, call.item, call.step, call.attempt, size)


@dataclass(slots=True)
class Spent:
    """What the replies of a journal cost, in the words of `Meter`.

    Attributes:
        calls: replies.
        prompt_tokens: as servers reported them.
        completion_tokens: likewise.
        silent: replies without any report; the estimates are theirs.
        estimated_prompt: tokens.
        estimated_completion: tokens.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    silent: int = 0
    estimated_prompt: int = 0
    estimated_completion: int = 0

    def add(self, entry: dict[str, Any]) -> None:
        """Count one more reply."""
        self.calls += 1
        self.prompt_tokens += entry["prompt_tokens"]
        self.completion_tokens += entry["completion_tokens"]
        if not entry["prompt_tokens"] and not entry["completion_tokens"]:
            self.silent += 1
            self.estimated_prompt += entry["asked"] // 2
            self.estimated_completion += len(entry["text"].encode(errors="replace")) // 2


class Journal:
    """The model's replies by the key of their call.

    Args:
        file: where they are kept.
        wanted: whether the calls of an item will be asked again; of others only the cost is remembered.

    Attributes:
        before: what the replies cost that were there at the beginning.
        kept: replies that were added since.
    """

    def __init__(self, file: Path, *, wanted: Callable[[str], bool] = lambda item: True) -> None:
        self._lines = Lines(file)
        self._places: dict[bytes, int] = {}
        self.before, self.kept = Spent(), 0
        try:
            for number, (offset, entry) in enumerate(self._lines, start=1):
                with boundary(StoreError, f"reading line {number} of {file}", catch=(KeyError, TypeError, ValueError)):
                    self.before.add(entry)
                    if wanted(entry["item"]):
                        self._places[bytes.fromhex(entry["key"])] = offset
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __len__(self) -> int:
        """Replies that can be found."""
        return len(self._places)

    @property
    def cut_off(self) -> int:
        """Torn last lines that were cut off at opening, 0 or 1."""
        return self._lines.cut_off

    def find(self, key: str) -> Reply | None:
        """The reply to a call, None where it is not known."""
        offset = self._places.get(bytes.fromhex(key))
        if offset is None:
            return None
        entry = self._lines.at(offset)
        return Reply(entry["text"], "", entry["prompt_tokens"], entry["completion_tokens"], entry["ended"])

    def keep(self, asked: Asked, reply: Reply) -> None:
        """Add a reply; when this returns, it survives a kill. What the model thought aloud is not kept.

        Raises:
            StoreError: it cannot be written.
        """
        entry = asdict(asked) | {
            "prompt_tokens": reply.prompt_tokens,
            "completion_tokens": reply.completion_tokens,
            "ended": reply.ended,
            "text": reply.text,
        }
        self._places[bytes.fromhex(asked.key)] = self._lines.append(json.dumps(entry, ensure_ascii=False))
        self.kept += 1

    def forget(self, key: str) -> None:
        """Drop the place of a reply that nobody will ask for again in this run; the file keeps it."""
        self._places.pop(bytes.fromhex(key), None)

    def sync(self) -> None:
        """Bring everything to the disk now."""
        self._lines.sync()

    def close(self) -> None:
        """Let the file go."""
        self._lines.close()


def read_lines(file: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """(bytes, object) of the lines of a file that someone else may be writing: a torn last line is passed over.

    Raises:
        StoreError: a line before the last is broken; the message names file and line.
    """
    for _, line, found in _lines(file):
        yield line, found


def _lines(file: Path) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
    with boundary(StoreError, f"reading {file}", catch=(OSError,)):
        size = _whole(file, file.stat().st_size)
        offset = 0
        with file.open("rb") as reading:
            for number, line in enumerate(reading, start=1):
                if offset >= size:
                    return
                yield offset, line, _object(line, number, file)
                offset += len(line)


def _object(line: bytes, number: int, file: Path) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as cause:
        raise _broken(number, file) from cause
    if not isinstance(found, dict):
        raise _broken(number, file)
    return found


def _broken(number: int, file: Path) -> StoreError:
    return StoreError(
        f"line {number} of {file} is broken, and it is not the last one, so no crash explains it; "
        "restore the file, or delete that line to have its work done again"
    )


def _whole(file: Path, size: int) -> int:
    """Bytes up to the end of the last line that is whole."""
    with file.open("rb") as reading:
        end = _after_newline(reading, size)
        start = _after_newline(reading, end - 1) if end else 0
        reading.seek(start)
        last = reading.read(end - start)
    try:  # a power cut leaves zeros where the data had not arrived
        is_whole = not last or isinstance(json.loads(last), dict)
    except (ValueError, RecursionError):
        is_whole = False
    return end if is_whole else start


def _after_newline(reading: Any, end: int) -> int:
    """The place after the last line break before `end`, 0 where there is none."""
    while end > 0:
        start = max(0, end - 65_536)
        reading.seek(start)
        found = reading.read(end - start).rfind(b"\n")
        if found >= 0:
            return int(start + found + 1)
        end = start
    return 0


def _locked(file: Path) -> Any:
    """The right to write to a file, until it is released."""
    try:
        import filelock
    except ModuleNotFoundError as cause:
        raise missing_extra("agent", "writing a run's files", cause) from cause
    lock = filelock.FileLock(f"{file}.lock", timeout=0, thread_local=False)
    with boundary(StoreError, f"locking {file}", catch=(OSError, NotImplementedError)):
        try:
            lock.acquire()
        except filelock.Timeout:
            raise StoreError(f"another process is writing to {file}; wait until it is done, or stop it") from None
    return lock
