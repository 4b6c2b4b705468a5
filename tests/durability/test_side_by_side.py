"""Readers beside a writer: they never wait for it, never fail, and see whole states only."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from reasonir_agent.corpus import Corpus
from reasonir_agent.testing import write_corpus
from tests.durability.scene import Scene, encoder, start_writer, state_of, write

QUESTION = "A heron stood alone"


@pytest.mark.slow
@pytest.mark.parametrize("exact_bytes", [10**9, 0])
def test_a_reader_beside_another_process(exact_bytes: int, make_scene: Callable[[int], Scene], tmp_path: Path) -> None:
    scene = make_scene(exact_bytes)
    store = scene.copy_store(tmp_path / "store")
    with Corpus(store, encoder(), exact_bytes=exact_bytes) as reader:
        assert "A heron stood alone" not in reader.search(QUESTION)[0].passage.text
        writer = start_writer(store, scene.folder, exact_bytes=exact_bytes)
        searches = 0
        while writer.poll() is None:
            hits = reader.search(QUESTION)
            assert len(hits) == 8
            searches += 1
        assert writer.communicate()[1] == ""
        assert writer.returncode == 0
        assert searches >= 3
        assert "A heron stood alone" in reader.search(QUESTION)[0].passage.text
        reader.store.close()
    state_of(store).assert_same(scene.wanted)


@pytest.mark.slow
@pytest.mark.parametrize("exact_bytes", [10**9, 0])
def test_a_reader_in_another_thread_of_the_writer(exact_bytes: int, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    write_corpus(folder, {f"{n:03}.txt": f"Note {n} is about otters and kelp." for n in range(60)})
    with Corpus(tmp_path / "store", encoder(), create=True, exact_bytes=exact_bytes) as corpus:
        corpus.index(folder)
        failures: list[BaseException] = []

        def index() -> None:
            try:
                corpus.index(folder)
            except BaseException as problem:
                failures.append(problem)

        for round_ in range(3):
            write_corpus(folder, {f"new-{round_}-{n:03}.txt": f"Note {round_} {n} is about herons." for n in range(9)})
            writer = threading.Thread(target=index)
            writer.start()
            while writer.is_alive():
                assert len(corpus.search("otters and herons", 5)) == 5
            writer.join()
            assert failures == []
            found = corpus.search(f"Note {round_} 7 herons", 100)
            assert f"new-{round_}-007.txt" in {Path(hit.passage.source).name for hit in found}


@pytest.mark.slow
def test_of_two_writers_one_is_refused_and_the_other_is_not_disturbed(
    make_scene: Callable[[int], Scene], tmp_path: Path
) -> None:
    scene = make_scene(10**9)
    store = tmp_path / "store"
    writers = [start_writer(store, scene.folder) for _ in range(2)]
    ends = [one.communicate() for one in writers]
    refused = [error for (_, error), one in zip(ends, writers, strict=True) if one.returncode]
    assert sorted(one.returncode for one in writers) in ([0, 1], [0, 0])  # the first may be done before the second asks
    assert all("is writing to the store" in error for error in refused)
    assert write("index", store, scene.folder).returncode == 0
    state_of(store).assert_same(scene.wanted)
