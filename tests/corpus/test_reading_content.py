from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reasonir_agent.corpus.reading import Changing, Finder, FoundFile, Unreadable, content, read_content

HOUR = 3600


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that was written an hour ago."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"content")
    os.utime(path, (time.time() - HOUR, time.time() - HOUR))
    return path


def stamp(path: Path) -> str:
    (found,) = Finder().walk(str(path))
    assert isinstance(found, FoundFile)
    return found.stamp


def test_content_comes_with_the_stamp_that_the_finder_gives(file: Path) -> None:
    assert read_content(str(file)) == (b"content", stamp(file))
    assert stamp(file) != ""


def test_an_empty_file_is_read(file: Path) -> None:
    file.write_bytes(b"")
    assert read_content(str(file))[0] == b""


@pytest.mark.parametrize("age", [0, 1, -HOUR], ids=["now", "a second ago", "in the future"])
def test_a_file_that_was_just_written_has_no_stamp_to_trust(file: Path, age: float) -> None:
    os.utime(file, (time.time() - age, time.time() - age))
    assert read_content(str(file)) == (b"content", "")


def replaced(path: Path) -> None:
    before = path.stat()
    path.with_suffix(".new").write_bytes(b"CONTENT")
    os.utime(path.with_suffix(".new"), ns=(before.st_atime_ns, before.st_mtime_ns))
    path.with_suffix(".new").replace(path)


def rewritten(path: Path) -> None:
    before = path.stat()
    path.write_bytes(b"CONTENT")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [lambda path: path.write_bytes(b"content!"), lambda path: os.utime(path, (0, 0)), replaced, rewritten],
    ids=["another size", "another time", "another file", "same size and time"],
)
def test_a_change_changes_the_stamp(file: Path, change: Callable[[Path], None]) -> None:
    before = stamp(file)
    time.sleep(0.02)  # the clock of the file system ticks every few milliseconds
    change(file)
    assert stamp(file) != before


@pytest.mark.parametrize(
    ("size", "most", "reason"),
    [
        (2**31, 256_000_000, r"^is 2\.1 GB, more than the 256 MB that are read; split it$"),
        (256_000_001, 256_000_000, r"^is 256 MB, more than"),
        (1500, 1000, r"^is 1\.5 kB, more than the 1 kB that are read"),
        (8, 7, r"^is 8 bytes, more than the 7 bytes that are read"),
    ],
)
def test_a_file_over_the_limit_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, most: int, reason: str
) -> None:
    with (tmp_path / "large.txt").open("wb") as sparse:
        sparse.truncate(size)
    monkeypatch.setattr(os, "read", lambda *_: pytest.fail("it was read"))
    with pytest.raises(Unreadable, match=reason):
        read_content(str(tmp_path / "large.txt"), most=most)


def test_a_file_at_the_limit_is_read(file: Path) -> None:
    assert read_content(str(file), most=7)[0] == b"content"


@pytest.fixture
def each_read(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], object]], list[int]]:
    """Calls a function with 1, 2, ... after each piece that is read; returns what counts them."""
    read = os.read
    calls: list[int] = []

    def install(then: Callable[[int], object]) -> list[int]:
        def reading(descriptor: int, most: int) -> bytes:
            piece = read(descriptor, most)
            if piece:
                calls.append(len(calls) + 1)
                then(calls[-1])
            return piece

        monkeypatch.setattr(content.os, "read", reading)
        return calls

    return install


def test_a_file_that_grows_while_it_is_read_is_left_for_later(file: Path, each_read: Callable[..., list[int]]) -> None:
    calls = each_read(lambda number: os.truncate(file, 7 + number))
    with pytest.raises(Changing, match=r"^changes while it is read; index again when it is finished$") as raised:
        read_content(str(file))
    assert isinstance(raised.value, OSError) and raised.value.strerror is None
    assert len(calls) >= 3


def test_a_file_that_is_cut_while_it_is_read_is_left_for_later(file: Path, each_read: Callable[..., list[int]]) -> None:
    each_read(lambda number: os.truncate(file, 7 - number))
    with pytest.raises(Changing):
        read_content(str(file))


def test_a_file_that_changed_once_is_read_again(file: Path, each_read: Callable[..., list[int]]) -> None:
    each_read(lambda number: number == 1 and file.write_bytes(b"CONTENT"))
    assert read_content(str(file))[0] == b"CONTENT"


@pytest.mark.timeout(20)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(Unreadable, match=r"^is a pipe or a device, no file$"):
            read_content(str(path))
    with pytest.raises(Unreadable, match=r"^is a folder$"):
        read_content(str(tmp_path))


def test_a_file_that_is_gone_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_content(str(tmp_path / "gone.txt"))
