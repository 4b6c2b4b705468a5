"""What is damaged is found and named, and nothing else is lost: flipped bytes, cut and missing files, a full disk."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reasonir_agent.corpus import Corpus
from reasonir_agent.corpus.doctor import Finding, examine
from reasonir_agent.errors import StoreError
from reasonir_agent.stores.shards import DamagedShard
from tests.durability.scene import Scene, assert_sound, encoder, first_version, second_version, state_of, write

EXACT, CHROMA = 10**9, 0


def flip(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 0x10
    file.write_bytes(content)


def doctor(store: Path, *, rebuild: bool = False, exact_bytes: int = EXACT) -> dict[str, Finding]:
    return {one.part: one for one in examine(store, lambda _: encoder(), rebuild=rebuild, exact_bytes=exact_bytes)}


@pytest.fixture
def whole(make_scene: Callable[[int], Scene], tmp_path: Path) -> tuple[Scene, Path]:
    """A store in its final state."""
    scene = make_scene(EXACT)
    store = scene.copy_store(tmp_path / "store")
    assert write("index", store, scene.folder).returncode == 0
    return scene, store


@pytest.mark.slow
class TestAFlippedByte:
    def test_in_a_vector_is_named_by_search_and_mended_by_the_doctor(self, whole: tuple[Scene, Path]) -> None:
        scene, store = whole
        file = max(store.glob("vectors/*/*.npy"), key=lambda one: one.stat().st_size)
        flip(file, file.stat().st_size // 2)
        with Corpus(store, encoder()) as corpus, pytest.raises(DamagedShard, match=f"{file.stem}.*reasonir doctor"):
            corpus.search("heron", 3)
        found = doctor(store)["vectors"]
        assert found.sound
        assert file.name in found.problem
        assert "1 were lost" in found.done
        assert "1 passages were encoded again" in found.done
        state_of(store).assert_same(scene.wanted)
        assert_sound(store)

    def test_in_the_header_of_a_vector_file_costs_that_file(self, whole: tuple[Scene, Path]) -> None:
        scene, store = whole
        file = max(store.glob("vectors/*/*.npy"), key=lambda one: one.stat().st_size)
        flip(file, 3)
        assert file.name in doctor(store)["vectors"].problem
        state_of(store).assert_same(scene.wanted)
        assert_sound(store)

    def test_in_the_lexical_index_is_named_and_mended(self, whole: tuple[Scene, Path]) -> None:
        _, store = whole
        file = next(store.glob("lexical/*/data.csc.index.npy"))
        flip(file, file.stat().st_size - 2)
        found = doctor(store)["lexical index"]
        assert found.sound
        assert file.name in found.problem
        assert_sound(store)

    def test_in_the_text_of_a_passage_is_named_and_a_new_manifest_needs_no_encoding(
        self, whole: tuple[Scene, Path]
    ) -> None:
        scene, store = whole
        file = store / "reasonir.sqlite"
        flip(file, file.read_bytes().index(b"A heron stood alone") + 3)
        found = doctor(store)
        assert not found["manifest"].sound
        assert list(found) == ["manifest"]
        assert doctor(store, rebuild=True)["manifest"].sound
        assert (store / "reasonir.sqlite.damaged-1").is_file()
        done = write("index", store, scene.folder)
        assert done.stdout.splitlines()[-1] == '{"encoded": 0}', done.stderr
        state_of(store).assert_same(scene.wanted)
        assert_sound(store)

    def test_in_the_first_page_of_the_manifest_is_told_in_one_sentence(self, whole: tuple[Scene, Path]) -> None:
        _, store = whole
        flip(store / "reasonir.sqlite", 2)
        with pytest.raises(StoreError, match="not a database; run: reasonir doctor --rebuild"):
            Corpus(store, encoder())


@pytest.mark.slow
@pytest.mark.parametrize("how", ["cut", "missing"])
@pytest.mark.parametrize("what", ["reasonir.sqlite", "vectors/*/*.npy", "lexical/*/indices.csc.index.npy"])
def test_a_file_that_is_cut_or_missing_loses_nothing_else(what: str, how: str, whole: tuple[Scene, Path]) -> None:
    scene, store = whole
    file = max(store.glob(what), key=lambda one: one.stat().st_size)
    os.truncate(file, file.stat().st_size // 2) if how == "cut" else file.unlink()
    assert any(one.problem for one in doctor(store, rebuild=True).values())
    assert write("index", store, scene.folder).returncode == 0
    state_of(store).assert_same(scene.wanted)
    assert_sound(store)


@pytest.mark.slow
def test_chroma_that_is_cut_is_not_asked_and_is_built_anew(make_scene: Callable[[int], Scene], tmp_path: Path) -> None:
    scene = make_scene(CHROMA)
    store = scene.copy_store(tmp_path / "store")
    assert write("index", store, scene.folder, exact_bytes=CHROMA).returncode == 0
    file = next(store.glob("chroma/*/*/data_level0.bin"))
    os.truncate(file, file.stat().st_size // 2)
    with Corpus(store, encoder(), exact_bytes=CHROMA) as corpus, Corpus(store, encoder(), exact_bytes=EXACT) as exact:
        assert corpus.search("A heron stood alone", 5) == exact.search("A heron stood alone", 5)
    found = doctor(store, exact_bytes=CHROMA)["Chroma"]
    assert "not as they were left" in found.problem
    assert_sound(store, exact_bytes=CHROMA)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of three megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can be mounted by root only")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path, but: int) -> Path:
    """A file that leaves so many bytes free."""
    ballast = disk / "ballast"
    free = shutil.disk_usage(disk).free
    ballast.write_bytes(b"\0" * max(0, free - but))
    return ballast


@pytest.mark.slow
@pytest.mark.parametrize("free", [0, 10_000, 40_000, 100_000, 200_000])
def test_a_full_disk_is_told_and_the_next_run_ends_in_the_same_state(
    free: int, small_disk: Path, make_scene: Callable[[int], Scene]
) -> None:
    scene = make_scene(EXACT)
    store = scene.copy_store(small_disk / "store")
    shutil.rmtree(store / "lexical")
    ballast = fill(small_disk, free)
    done = write("index", store, scene.folder)
    if free < 100_000:
        assert done.returncode == 1
        last = done.stderr.strip().splitlines()[-1]
        assert "StoreError" in last
        assert "No space left" in last or "disk is full" in last
    ballast.unlink()
    assert write("index", store, scene.folder).returncode == 0
    state_of(store).assert_same(scene.wanted)
    assert_sound(store)


@pytest.mark.slow
def test_a_read_only_disk_is_searched_and_not_written(small_disk: Path, make_scene: Callable[[int], Scene]) -> None:
    scene = make_scene(EXACT)
    store = scene.copy_store(small_disk / "store")
    with Corpus(store, encoder()) as corpus:
        expected = corpus.search("herons and otters", 5)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with Corpus(store, encoder()) as corpus:
        assert corpus.search("herons and otters", 5) == expected
        with pytest.raises(StoreError, match="Read-only file system"):
            corpus.index(scene.folder)
    with pytest.raises(StoreError, match=r"its folder is read-only$"):
        Corpus(store, encoder(), create=True)
    with pytest.raises(StoreError, match=r"making the store's folder .* Read-only file system"):
        Corpus(small_disk / "new", encoder(), create=True)


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_two_hundred_flipped_bytes(tmp_path: Path) -> None:
    """Anywhere in the store: the doctor and one more run always end in the same state."""
    folder, base = tmp_path / "folder", tmp_path / "base"
    first_version(folder)
    second_version(folder)
    assert write("index", base, folder).returncode == 0
    wanted, dice, named = state_of(base), random.Random(7), 0
    for number in range(200):
        store = tmp_path / f"store-{number}"
        shutil.copytree(base, store)
        files = [file for file in sorted(store.rglob("*")) if file.is_file() and file.stat().st_size]
        file = dice.choice([one for one in files if not one.name.startswith("writer")])
        flip(file, dice.randrange(file.stat().st_size))
        found = doctor(store)
        if not found["manifest"].sound:
            found = doctor(store, rebuild=True)
        named += any(one.problem for one in found.values())
        done = write("index", store, folder)
        assert done.returncode == 0, (file, done.stderr)
        state_of(store).assert_same(wanted)
        assert_sound(store)
        shutil.rmtree(store)
    assert named > 100
