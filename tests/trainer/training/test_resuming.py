"""A run that was killed goes on to the very losses of one that was not; a full disk is told and lived through."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from reasonir_agent.errors import StoreError
from reasonir_trainer.training.config import TrainingConfig
from reasonir_trainer.training.resume import finish_folder, last_checkpoint, whole_checkpoints
from reasonir_trainer.training.run import train

Make = Callable[..., TrainingConfig]
ROOT = Path(__file__).resolve().parents[3]


def begin(config: TrainingConfig, *deadly: str) -> subprocess.CompletedProcess[str]:
    file = config.output.with_suffix(".json")
    file.write_text(config.model_dump_json())
    paths = os.pathsep.join([str(ROOT), str(ROOT / "trainer")])
    return subprocess.run(
        [sys.executable, str(Path(__file__).with_name("begin.py")), str(file), *deadly],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def story(config: TrainingConfig) -> list[dict[str, Any]]:
    """The history without times."""
    lines = [json.loads(line) for line in (config.output / "history.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes", [{"dropout": True}, {"method": "lora", "accumulate": 2, "lora": {"dropout": 0.2}}], ids=str
)
def test_killed_runs_go_on_to_the_losses_of_an_uninterrupted_one(make: Make, changes: dict[str, Any]) -> None:
    """Killed between checkpoints, and right after one; dropout draws what it would have drawn."""
    whole = make(output=f"{make().output}-whole", **changes)
    train(whole)
    config = make(**changes)
    for deadly in ("0:3", "0:4"):
        assert begin(config, deadly).returncode == -signal.SIGKILL
    kept = last_checkpoint(config.output)
    assert kept is not None and kept.name == "checkpoint-2"  # step 4 was killed before its checkpoint
    done = begin(config)
    assert done.returncode == 0, done.stderr
    assert story(config) == story(whole)
    assert len({line["loss"] for line in story(config) if "loss" in line}) == 6
    one, two = (load_file(run.output / "model" / "model.safetensors") for run in (config, whole))
    assert all(torch.equal(one[name], two[name]) for name in two)


@pytest.mark.slow
def test_a_finished_run_that_is_begun_again_gives_its_result_again(make: Make) -> None:
    first = train(make())
    before = story(make())
    assert train(make()) == first
    assert story(make()) == before


@pytest.mark.slow
def test_a_torn_checkpoint_is_passed_over(make: Make) -> None:
    config = make()
    train(config)
    expected = story(config)
    newest = whole_checkpoints(config.output)[-1]
    assert newest.name == "checkpoint-6"
    os.truncate(newest / "optimizer.pt", 100)
    kept = last_checkpoint(config.output)
    assert kept is not None and kept.name == "checkpoint-4"
    train(config)
    assert story(config) == expected


def test_a_folder_is_put_in_place_whole(tmp_path: Path) -> None:
    aside, place = tmp_path / "aside", tmp_path / "place"
    for number in (1, 2):
        aside.mkdir()
        (aside / "a.txt").write_text(f"text {number}")
        finish_folder(aside, place)
        assert (place / "a.txt").read_text() == f"text {number}"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["place"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can be mounted by root only")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_room(make: Make, small_disk: Path) -> None:
    whole = make(output=f"{make().output}-whole", evaluation={})
    train(whole)
    config = make(output=str(small_disk / "run"), evaluation={}, keep_checkpoints=3)
    ballast = small_disk / "ballast"
    size = sum(one.stat().st_size for one in whole_checkpoints(whole.output)[-1].iterdir())
    ballast.write_bytes(b"\0" * (shutil.disk_usage(small_disk).free - int(1.6 * size)))
    with pytest.raises(
        StoreError, match=r"the checkpoint of step 4 cannot be written into .* make room and start again"
    ):
        train(config)
    kept = last_checkpoint(config.output)
    assert kept is not None and kept.name == "checkpoint-2"
    ballast.unlink()
    train(config)
    assert story(config) == story(whole)
