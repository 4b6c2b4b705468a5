"""Chroma in a store: when it is trusted, brought up to date, made anew; it always fails into exact search."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from reasonir_agent.errors import StoreError
from reasonir_agent.stores import upkeep
from reasonir_agent.stores.chroma.index import ChromaIndex
from reasonir_agent.stores.store import Store
from reasonir_agent.testing import FakeEncoder
from tests.stores.conftest import TEXTS, Stores

pytestmark = pytest.mark.slow  # each build is a process that imports Chroma

MANY = {**TEXTS, **{f"more-{n:02}.txt": f"Lava {n} flows." for n in range(40)}}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a Chroma index; tests work on copies."""
    made = Stores(tmp_path_factory.mktemp("upkeep") / "store")
    made.made(MANY, exact_bytes=0)
    made.close()
    return made.folder


@pytest.fixture
def store(built: Path, stores: Stores) -> Store:
    shutil.copytree(built, stores.folder)
    return stores.open(exact_bytes=0)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folder of every child process that was started, and what for."""
    runs: list[str] = []
    run = upkeep.ChromaUpkeep._run

    def noted(self: upkeep.ChromaUpkeep, task: str, name: str) -> None:
        runs.append(f"{task} {name}")
        run(self, task, name)

    monkeypatch.setattr(upkeep.ChromaUpkeep, "_run", noted)
    return runs


def state(store: Store) -> dict[str, Any]:
    found = store.database.get_meta("chroma")
    assert isinstance(found, dict)
    return found


def folder(store: Store) -> Path:
    return store.folder / "chroma" / str(state(store)["folder"])


def find(store: Store, query: str = "ice cold") -> list[str]:
    hits = store.search([query], FakeEncoder().encode_queries([query]), 40)
    return [hit.passage.source for hit in hits]


def chroma_rows(store: Store) -> dict[str, int]:
    """Chroma's ids, and the number that it gave each at its last writing."""
    connection = sqlite3.connect(folder(store) / "chroma.sqlite3")
    rows = dict(connection.execute("SELECT embedding_id, seq_id FROM embeddings"))
    connection.close()
    return rows


def assert_in_order(store: Store) -> None:
    """Chroma holds exactly the passages, and their vectors."""
    numbers = store.database.numbers()
    assert store.chroma.is_current() and store.chroma.problem() is None
    assert store.database.in_chroma().tolist() == numbers.tolist()
    store.chroma.close()
    index = ChromaIndex(folder(store), fingerprint=FakeEncoder().fingerprint.id)
    try:
        assert index.ids() == {str(number) for number in numbers}
        for number, row in zip(*store.vectors.read(numbers[::9].tolist()), strict=True):
            found = index.search(row[None], 1)
            assert found[0][1] == pytest.approx(1, abs=1e-5)
            assert str(number) in {one for one, cosine in index.search(row[None], 3) if cosine > 0.99999}
    finally:
        index.close()
    assert [one.name for one in (store.folder / "chroma").iterdir()] == [folder(store).name]


class TestBroughtUpToDate:
    def test_it_is_built_by_a_child_process_and_then_trusted(self, store: Store) -> None:
        assert_in_order(store)
        assert state(store).keys() == {"state", "folder", "generation", "encoder", "files"}
        assert state(store)["generation"] == store.database.generation
        assert store.chroma.is_there

    def test_rows_that_did_not_change_are_not_written_again(
        self, stores: Stores, store: Store, runs: list[str]
    ) -> None:
        before, name = chroma_rows(store), folder(store).name
        stores.remove(store, "03.txt")
        stores.fill(store, {"new.txt": "Ice, cold.", "05.txt": "Other words."})
        assert not store.chroma.is_current()
        assert store.refresh() is None
        after = chroma_rows(store)
        assert runs == [f"fill {name}"]  # in place
        numbers = {p.source: str(number) for number, p in store.database.all_passages()}
        new = {numbers["new.txt"], numbers["05.txt"]}
        assert after.keys() - before.keys() == new and len(before.keys() - after.keys()) == 2
        assert {one: after[one] for one in after.keys() - new} == {one: before[one] for one in after.keys() - new}
        assert min(after[one] for one in new) > max(before.values())
        assert_in_order(store)
        assert find(store)[0] == "new.txt"

    def test_what_is_current_starts_no_process(self, store: Store, runs: list[str]) -> None:
        assert store.refresh() is None
        assert runs == []

    def test_a_large_change_builds_all_anew_aside(self, stores: Stores, store: Store, runs: list[str]) -> None:
        old = folder(store)
        stores.remove(store, *list(TEXTS)[:30])
        assert store.refresh() is None
        assert runs == [f"fill {folder(store).name}"]
        assert folder(store) != old and not old.exists()
        assert_in_order(store)

    def test_a_store_that_became_empty_has_an_empty_index(self, stores: Stores, store: Store) -> None:
        stores.remove(store, *MANY)
        assert store.refresh() is None
        assert find(store) == []
        stores.fill(store, {"a": "Ice."})
        assert store.refresh() is None
        assert find(store) == ["a"]
        assert_in_order(store)

    def test_a_small_store_has_none(self, stores: Stores, store: Store, runs: list[str]) -> None:
        small = stores.open(exact_bytes=10**9)
        stores.fill(small, {"a": "Ice."})
        assert small.refresh() is None
        assert runs == []
        assert find(small)[:2] == find(store)[:2]

    def test_leavings_are_removed(self, store: Store) -> None:
        (store.folder / "chroma" / "half").mkdir()
        (store.folder / "chroma" / "half" / "chroma.sqlite3").write_bytes(b"x")
        store.chroma.remove_leavings()
        assert_in_order(store)


class TestTrouble:
    """Whatever is wrong, search is exact and right, and the next refresh repairs it."""

    @pytest.fixture
    def expected(self, store: Store) -> list[str]:
        return find(store)

    @pytest.fixture(autouse=True)
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """Every search that Chroma answers is noted."""
        asked: list[int] = []
        search = ChromaIndex.search

        def noted(self: ChromaIndex, vector: np.ndarray, k: int) -> list[tuple[str, float]]:
            asked.append(k)
            return search(self, vector, k)

        monkeypatch.setattr(ChromaIndex, "search", noted)
        return asked

    def repaired(self, store: Store, expected: list[str], asked: list[int]) -> None:
        asked.clear()
        assert find(store) == expected
        assert asked == []
        assert store.refresh() is None
        assert_in_order(store)
        asked.clear()
        assert find(store) == expected
        assert asked == [100]

    def test_a_writer_that_was_killed_left_the_mark(
        self, store: Store, expected: list[str], asked: list[int], runs: list[str]
    ) -> None:
        old = folder(store)
        store.database.note_chroma({**state(store), "state": "dirty"}, None)
        assert not store.chroma.is_current()
        assert store.chroma.problem() == "a process was stopped while it was updated"
        self.repaired(store, expected, asked)
        assert runs[0].startswith("fill ") and not old.exists()  # anew: nothing is trusted that was left

    @pytest.mark.parametrize("how", ["cut", "missing", "all missing"])
    def test_files_that_are_not_as_they_were_left(
        self, stores: Stores, store: Store, expected: list[str], asked: list[int], how: str
    ) -> None:
        store.chroma.close()
        (file,) = folder(store).glob("*/data_level0.bin")
        if how == "cut":
            os.truncate(file, file.stat().st_size // 2)
        elif how == "missing":
            file.unlink()
        else:
            shutil.rmtree(folder(store))
        again = stores.open(exact_bytes=0)  # a store that has looked looks again only when something was committed
        assert not again.chroma.is_current()
        assert again.chroma.problem() == "its files are not as they were left"
        self.repaired(again, expected, asked)

    def test_rows_that_are_lost_within_are_found_by_asking_and_made_anew(
        self, store: Store, expected: list[str], asked: list[int]
    ) -> None:
        store.chroma.close()
        index = ChromaIndex(folder(store), fingerprint=FakeEncoder().fingerprint.id)
        index.delete(["1", "2"])
        index.close()
        assert store.chroma.problem() == ("the Chroma index is damaged: it holds 78 rows, 78 of the 80 that it should")
        store.chroma.rebuild(store.database.numbers())
        assert_in_order(store)
        assert find(store) == expected

    def test_rows_with_other_vectors_are_found_by_asking(self, store: Store) -> None:
        store.chroma.close()
        index = ChromaIndex(folder(store), fingerprint=FakeEncoder().fingerprint.id)
        ids = sorted(index.ids())
        index.delete(ids)
        index.add(ids, FakeEncoder("other").encode_documents([f"word {one}" for one in ids]))
        index.close()
        assert "does not find itself" in str(store.chroma.problem())

    def test_an_index_of_another_encoder_is_not_current(self, store: Store) -> None:
        store.database.note_chroma({**state(store), "encoder": "another"}, None)
        assert not store.chroma.is_current()
        assert store.refresh() is None
        assert_in_order(store)

    @pytest.mark.parametrize("killed_in", ["an update", "a build"])
    def test_a_child_that_is_killed_is_an_error_in_words_and_harms_nothing(
        self, stores: Stores, store: Store, asked: list[int], monkeypatch: pytest.MonkeyPatch, killed_in: str
    ) -> None:
        stores.fill(store, {"new.txt": "Ice, cold."})
        if killed_in == "a build":
            stores.remove(store, *list(MANY)[40:])
        expected = find(stores.open())
        database = folder(store) / "chroma.sqlite3"
        monkeypatch.setattr(Killed, "known", {database: database.stat().st_mtime_ns})
        monkeypatch.setattr(subprocess, "Popen", Killed)
        trouble = store.refresh()
        assert trouble == (
            f"the Chroma index could not be built: its process ended with {-9 if os.name == 'posix' else 1}; "
            "search is exact until the next run"
        )
        assert not store.chroma.is_current()
        left = {one.name for one in (store.folder / "chroma").iterdir()}
        assert left == {state(store)["folder"]}  # nothing half-built stays
        assert state(store)["state"] == ("dirty" if killed_in == "an update" else "clean")
        monkeypatch.undo()
        asked.clear()
        assert find(store) == expected
        assert asked == []
        assert store.refresh() is None
        assert_in_order(store)

    def test_a_child_that_cannot_be_started_is_an_error_in_words(
        self, stores: Stores, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stores.fill(store, {"new.txt": "Ice, cold."})
        monkeypatch.setattr(sys, "executable", str(store.folder / "no-python"))
        trouble = store.refresh()
        assert trouble is not None
        assert trouble.startswith("running the process that writes Chroma failed: FileNotFoundError: ")
        assert find(store)[0] == "new.txt"

    def test_a_child_that_talks_much_is_no_obstacle(
        self, stores: Stores, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PYTHONVERBOSE", "1")  # megabytes on stderr, and a pipe holds 64 KiB
        stores.fill(store, {"new.txt": "Ice, cold."})
        refreshed = threading.Thread(target=store.refresh, daemon=True)
        refreshed.start()
        refreshed.join(60)
        assert not refreshed.is_alive()
        assert store.chroma.is_current()

    def test_interrupted_by_the_user_it_ends_its_child(
        self, stores: Stores, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stores.fill(store, {"new.txt": "Ice, cold."})
        monkeypatch.setattr(subprocess, "Popen", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.refresh()
        assert Interrupted.child is not None and Interrupted.child.returncode is not None
        monkeypatch.undo()
        assert find(store)[0] == "new.txt"
        assert store.refresh() is None
        assert_in_order(store)


class Killed(subprocess.Popen[bytes]):
    """The real child, killed once it has Chroma's database open."""

    known: ClassVar[dict[Path, int]] = {}

    def __init__(self, *words: Any, **options: Any) -> None:
        super().__init__(*words, **options)
        threading.Thread(target=self._kill_at_work, daemon=True).start()

    def _kill_at_work(self) -> None:
        (folder,) = {file.parent.parent for file in self.known}
        while self.poll() is None:
            now = {file: file.stat().st_mtime_ns for file in folder.glob("*/chroma.sqlite3")}
            if now != self.known:
                self.kill()
                return
            time.sleep(0.001)


class Interrupted(subprocess.Popen[bytes]):
    """The real child; its parent gets Ctrl-C while it waits for it."""

    child: subprocess.Popen[bytes] | None = None

    def __init__(self, *words: Any, **options: Any) -> None:
        super().__init__(*words, **options)
        Interrupted.child = self
        stdout = self.stdout
        assert stdout is not None

        class Reading:
            def read(self) -> bytes:
                raise KeyboardInterrupt

            def close(self) -> None:
                stdout.close()

        self.stdout = Reading()  # type: ignore[assignment]


class TestTheChild:
    """`python -m reasonir_agent.stores.chroma.child`, as a process of its own."""

    @pytest.fixture
    def request_(self, store: Store) -> dict[str, str]:
        return {"task": "fill", "store": str(store.folder), "folder": str(store.folder / "chroma" / "new")}

    @pytest.fixture
    def start(self) -> Iterator[Any]:
        started: list[subprocess.Popen[str]] = []

        def start(code: str) -> subprocess.Popen[str]:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            child = subprocess.Popen([sys.executable, "-c", code], text=True, **pipes)
            started.append(child)
            return child

        yield start
        for child in started:
            child.kill()
            child.communicate()

    def ask(self, child: subprocess.Popen[str], request: dict[str, str]) -> dict[str, Any]:
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(json.dumps(request) + "\n")
        child.stdin.flush()
        lines = child.stdout.read().splitlines()
        assert child.wait(30) == 0
        return dict(json.loads(lines[-1]))

    MAIN = "from reasonir_agent.stores.chroma.child import main; main()"

    def test_it_fills_and_verifies(self, start: Any, request_: dict[str, str]) -> None:
        assert self.ask(start(self.MAIN), request_) == {"rows": 80}
        assert self.ask(start(self.MAIN), {**request_, "task": "verify"}) == {"rows": 80}

    def test_it_ends_when_its_parent_does(self, start: Any, request_: dict[str, str]) -> None:
        waiting = (
            "import time; from reasonir_agent.stores.chroma import child\n"
            "child._work = lambda request: (print('at work', flush=True), time.sleep(600))\n"
            "child.main()"
        )
        child = start(waiting)
        child.stdin.write(json.dumps(request_) + "\n")
        child.stdin.flush()
        assert child.stdout.readline() == "at work\n"
        child.stdin.close()  # as when the parent is killed
        assert child.wait(30) == 1
        child.stdin = None

    @pytest.mark.skipif(os.name != "posix", reason="only POSIX bounds the size of a process's files")
    def test_a_file_that_wants_to_grow_beyond_the_limit_ends_it(
        self, start: Any, request_: dict[str, str], store: Store
    ) -> None:
        limited = (
            "from reasonir_agent.stores.chroma import child\n"
            "child._LEAST_LIMIT = 60_000  # Chroma's empty database has 180,000 bytes\n"
            "child.main()"
        )
        child = start(limited)
        child.stdin.write(json.dumps({**request_}) + "\n")
        child.stdin.flush()
        said = child.stdout.read()
        code = child.wait(60)
        assert code != 0 or "problem" in json.loads(said.splitlines()[-1])
        sizes = [file.stat().st_size for file in Path(request_["folder"]).rglob("*") if file.is_file()]
        assert max(sizes, default=0) <= 8 * 80 * 64 * 4  # what the vectors can need is more than the least here

    @pytest.mark.skipif(os.name != "posix", reason="only POSIX bounds the size of a process's files")
    def test_the_limit_is_eight_times_the_vectors_and_a_gigabyte_at_least(self, start: Any) -> None:
        code = (
            "import resource; from reasonir_agent.stores.chroma.child import _limit_files\n"
            "_limit_files({}); print(resource.getrlimit(resource.RLIMIT_FSIZE)[0])"
        )
        assert start(code.format(10)).communicate()[0] == "1000000000\n"
        assert start(code.format(10**9)).communicate()[0] == "8000000000\n"

    @pytest.mark.skipif(os.name != "posix", reason="only POSIX bounds the size of a process's files")
    def test_a_lower_limit_of_the_system_is_kept(self, start: Any) -> None:
        code = (
            "import resource; from reasonir_agent.stores.chroma.child import _limit_files\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))\n"
            "_limit_files(10); print(resource.getrlimit(resource.RLIMIT_FSIZE))"
        )
        assert start(code).communicate() == ("(5000000, 5000000)\n", "")


def test_an_error_of_the_child_is_redacted_and_in_one_sentence(store: Store) -> None:
    store.chroma.close()
    (folder(store) / "chroma.sqlite3").write_bytes(b"no database" * 1000)
    problem = store.chroma.problem()
    assert problem is not None and problem.startswith("the Chroma index is damaged: opening the Chroma index in ")
    assert "\n" not in problem
    with pytest.raises(StoreError):
        ChromaIndex(folder(store), fingerprint=FakeEncoder().fingerprint.id)


def test_a_child_that_is_gone_before_it_read_its_request_tells_by_its_exit_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = subprocess.Popen

    def gone(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        child = real([sys.executable, "-c", "raise SystemExit(7)"], **options)
        child.wait()
        return child

    monkeypatch.setattr(subprocess, "Popen", gone)
    assert upkeep._answer(b"{}\n") == (7, b"")
