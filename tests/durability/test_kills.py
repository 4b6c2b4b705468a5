"""A writer is killed with SIGKILL; the same command run again ends in the state of a run that was never stopped."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reasonir_agent.stores.points import POINTS
from tests.durability.scene import Scene, assert_sound, first_version, start_writer, state_of, write

KILLED = -signal.SIGKILL
CHROMA = {"chroma marked", "chroma updated", "chroma switched"}
ELSEWHERE = {"vectors compacted", "encoder noted", "encoder switched"}
WHILE_INDEXING = [point for point in POINTS if point not in CHROMA | ELSEWHERE]


def make_whole(store: Path, folder: Path, exact_bytes: int) -> None:
    done = write("index", store, folder, exact_bytes=exact_bytes)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
class TestKilledAtAPoint:
    @pytest.mark.parametrize("point", WHILE_INDEXING)
    def test_of_the_second_run(self, point: str, make_scene: Callable[[int], Scene], tmp_path: Path) -> None:
        scene = make_scene(10**9)
        store = scene.copy_store(tmp_path / "store")
        if point.startswith("lexical"):
            shutil.rmtree(store / "lexical")  # a change so small would not write a new one
        assert write("index", store, scene.folder, point=point).returncode == KILLED
        make_whole(store, scene.folder, 10**9)
        state_of(store).assert_same(scene.wanted)
        assert_sound(store)

    @pytest.mark.parametrize("point", [p for p in POINTS if p not in CHROMA | {"files removed", "vectors compacted"}])
    def test_of_the_first_run(self, point: str, make_scene: Callable[[int], Scene], tmp_path: Path) -> None:
        scene, store = make_scene(10**9), tmp_path / "store"
        assert write("index", store, scene.folder, point=point).returncode == KILLED
        make_whole(store, scene.folder, 10**9)
        state_of(store).assert_same(scene.wanted)
        assert_sound(store)

    @pytest.mark.parametrize("point", sorted(CHROMA))
    def test_of_an_update_of_chroma(self, point: str, make_scene: Callable[[int], Scene], tmp_path: Path) -> None:
        scene = make_scene(0)
        store = scene.copy_store(tmp_path / "store")
        assert write("index", store, scene.folder, point=point, exact_bytes=0).returncode == KILLED
        make_whole(store, scene.folder, 0)
        state_of(store).assert_same(scene.wanted)
        assert_sound(store, exact_bytes=0)

    @pytest.mark.parametrize("point", ["encoder noted", "shard renamed", "vectors noted", "encoder switched"])
    def test_of_re_embedding(self, point: str, make_scene: Callable[[int], Scene], tmp_path: Path) -> None:
        scene = make_scene(10**9)
        whole, store = scene.copy_store(tmp_path / "whole"), scene.copy_store(tmp_path / "store")
        assert write("reembed", whole, scene.folder).returncode == 0
        assert write("reembed", store, scene.folder, point=point).returncode == KILLED
        assert write("reembed", store, scene.folder).returncode == 0
        state_of(store).assert_same(state_of(whole))
        assert_sound(store, name="other")

    @pytest.mark.parametrize("point", ["shard renamed", "vectors compacted"])
    def test_of_compaction(self, point: str, make_scene: Callable[[int], Scene], tmp_path: Path) -> None:
        scene = make_scene(10**9)
        store = scene.copy_store(tmp_path / "store")
        make_whole(store, scene.folder, 10**9)  # the gone file's vectors are of no use now
        assert write("compact", store, scene.folder, point=point).returncode == KILLED
        make_whole(store, scene.folder, 10**9)
        state_of(store).assert_same(scene.wanted)
        assert_sound(store)

    def test_before_the_manifest_knows_a_vector_costs_no_encoding(self, tmp_path: Path) -> None:
        folder, store = tmp_path / "folder", tmp_path / "store"
        first_version(folder)
        assert write("index", store, folder, point="shard renamed").returncode == KILLED
        done = write("index", store, folder)
        assert done.stdout.splitlines()[-1] == '{"encoded": 0}'


def kill_at_random(scene: Scene, store: Path, dice: random.Random, longest: float, exact_bytes: int) -> bool:
    """Start the writer, kill it within `longest` seconds; whether it was still at work."""
    writer = start_writer(store, scene.folder, exact_bytes=exact_bytes)
    time.sleep(dice.uniform(0, longest))
    writer.kill()
    writer.communicate()
    return writer.returncode == KILLED


def duration(scene: Scene, store: Path, exact_bytes: int) -> float:
    writer = start_writer(store, scene.folder, exact_bytes=exact_bytes)
    began = time.monotonic()
    writer.communicate()
    return time.monotonic() - began


def survive(scene: Scene, folder: Path, kills: int, seed: int, exact_bytes: int) -> int:
    """Kill so many writers at random moments, up to three in a row on one store; returns how many were at work."""
    dice, met, done = random.Random(seed), 0, 0
    longest = duration(scene, scene.copy_store(folder / "timed"), exact_bytes)
    while done < kills:
        store = folder / f"store-{done}"
        if dice.random() < 0.7:
            scene.copy_store(store)
        for _ in range(dice.randint(1, 3)):
            met += kill_at_random(scene, store, dice, longest, exact_bytes)
            done += 1
        make_whole(store, scene.folder, exact_bytes)
        state_of(store).assert_same(scene.wanted)
        assert_sound(store, exact_bytes=exact_bytes)
        shutil.rmtree(store)
    return met


@pytest.mark.slow
def test_killed_at_ten_random_moments(make_scene: Callable[[int], Scene], tmp_path: Path) -> None:
    assert survive(make_scene(10**9), tmp_path, 10, seed=11, exact_bytes=10**9) >= 3


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("kills", "exact_bytes"), [(120, 10**9), (80, 0)])
def test_killed_two_hundred_times(
    kills: int, exact_bytes: int, make_scene: Callable[[int], Scene], tmp_path: Path
) -> None:
    met = survive(make_scene(exact_bytes), tmp_path, kills, seed=12, exact_bytes=exact_bytes)
    assert met >= kills // 3
