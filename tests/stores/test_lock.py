from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reasonir_agent.errors import StoreError
from reasonir_agent.stores.lock import StoreBusy, WriterLock
from tests.stores.conftest import Stores

HOLDER = """
import sys
from pathlib import Path
from reasonir_agent.stores.lock import WriterLock
with WriterLock(Path(sys.argv[2])).held():
    print("held", flush=True)
    sys.stdin.readline()
print("let go", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Starts a process that holds the lock of a folder until it is told to go on."""
    script, started = tmp_path / "holder.py", []
    script.write_text(HOLDER)

    def hold(folder: Path) -> subprocess.Popen[str]:
        words = [sys.executable, str(script), "index", str(folder)]
        child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(child)
        assert child.stdout is not None and child.stdout.readline() == "held\n"
        return child

    yield hold
    for child in started:
        child.kill()
        child.communicate()


def tell(child: subprocess.Popen[str]) -> str:
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write("\n")
    child.stdin.flush()
    return child.stdout.readline()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


def test_a_second_process_fails_at_once_and_is_told_who_holds_it(
    folder: Path, hold: Callable[[Path], subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    child = hold(folder)
    lock = WriterLock(folder)

    def waited(seconds: float) -> None:
        raise AssertionError(f"it waited for {seconds} seconds")

    monkeypatch.setattr(time, "sleep", waited)
    with pytest.raises(StoreBusy) as error, lock.held():
        raise AssertionError("two processes hold the lock")
    text = str(error.value)
    assert text.startswith(f"process {child.pid} (holder.py index {folder}, since 20")
    assert text.endswith(f") is writing to the store {folder}; wait until it is done, or stop it")
    assert tell(child) == "let go\n"
    with lock.held():  # the same lock, once it is free
        pass


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_the_lock_of_a_killed_process_is_free(folder: Path, hold: Callable[[Path], subprocess.Popen[str]]) -> None:
    child = hold(folder)
    child.kill()
    child.wait()
    with WriterLock(folder).held():
        note = json.loads((folder / "writer.json").read_text())
        assert note["pid"] == os.getpid()


@pytest.mark.parametrize("note", [None, "", "{", "[]", "{}", '{"pid": 1}', "\xff"])
def test_a_note_that_cannot_be_read_is_no_obstacle(
    folder: Path, hold: Callable[[Path], subprocess.Popen[str]], note: str | None
) -> None:
    hold(folder)
    if note is None:
        (folder / "writer.json").unlink()
    else:
        (folder / "writer.json").write_bytes(note.encode("latin-1"))
    with pytest.raises(StoreBusy, match=r"^another process is writing to the store"), WriterLock(folder).held():
        pass


def test_its_holder_may_take_it_again_and_it_is_free_after_the_last(
    folder: Path, hold: Callable[[Path], subprocess.Popen[str]]
) -> None:
    lock = WriterLock(folder)
    with lock.held():
        note = (folder / "writer.json").read_text()
        (folder / "writer.json").unlink()
        with lock.held():
            assert not (folder / "writer.json").exists()  # who holds it has not changed
        (folder / "writer.json").write_text(note)
        with pytest.raises(StoreBusy, match=f"^process {os.getpid()} "), WriterLock(folder).held():
            pass  # still held: another lock of the same process is another one
    hold(folder)


def test_a_block_that_fails_lets_it_go(folder: Path, hold: Callable[[Path], subprocess.Popen[str]]) -> None:
    for error in (ValueError, KeyboardInterrupt, StoreError):
        with pytest.raises(error), WriterLock(folder).held():
            raise error
    hold(folder)


def test_the_note_says_what_was_started(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/opt/bin/reasonir", "index", "docs", "x" * 500])
    with WriterLock(folder).held():
        note = json.loads((folder / "writer.json").read_text(encoding="utf-8"))
    assert note.keys() == {"pid", "command", "since"}
    assert note["command"].startswith("reasonir index docs xxx") and len(note["command"]) == 200


def test_a_folder_that_is_not_there_cannot_be_locked(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="locking the store"), WriterLock(tmp_path / "file").held():
        pass
    assert (tmp_path / "file").read_text() == "x"


def test_a_store_that_is_written_to_is_searched_all_the_same(
    stores: Stores, hold: Callable[[Path], subprocess.Popen[str]]
) -> None:
    stores.made({"a": "Ice is cold."})
    stores.close()
    hold(stores.folder)
    store = stores.open()
    assert store.rarity(["ice"])["ice"] > 0
    with pytest.raises(StoreBusy, match=r"holder\.py index"), store.writing():
        pass
    with pytest.raises(StoreBusy):
        store.refresh()


def test_a_second_thread_is_refused_and_the_first_may_take_it_again(folder: Path) -> None:
    lock = WriterLock(folder)
    busy = pytest.raises(StoreBusy, match="another thread of this process")
    with lock.held(), lock.held(), ThreadPoolExecutor(1) as other, busy:
        other.submit(take, lock).result()
    with ThreadPoolExecutor(1) as other:
        other.submit(take, lock).result()


def take(lock: WriterLock) -> None:
    with lock.held():
        pass
