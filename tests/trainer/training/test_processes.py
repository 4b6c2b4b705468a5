"""Two processes on a CPU (gloo): negatives of the other process count, and the gradient is that of one process with all."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from reasonir_agent.errors import InputError
from reasonir_trainer.training.config import TrainingConfig
from reasonir_trainer.training.run import train

Make = Callable[..., TrainingConfig]
HERE = Path(__file__).parent
ROOT = HERE.parents[2]


def two(script: str, *arguments: str) -> list[subprocess.CompletedProcess[str]]:
    """Run a script as two processes of one group."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "trainer")]),
        **{"OMP_NUM_THREADS": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)},
    }
    running = [
        subprocess.Popen(
            [sys.executable, str(HERE / script), *arguments],
            env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    done: list[subprocess.CompletedProcess[str]] = []
    for one in running:
        try:
            out, err = one.communicate(timeout=5 if done and done[0].returncode == -signal.SIGKILL else 240)
        except subprocess.TimeoutExpired:
            one.kill()  # its partner died: torchrun would do the same
            out, err = one.communicate()
        done.append(subprocess.CompletedProcess(one.args, one.returncode, out, err))
    return done


@pytest.mark.slow
def test_two_processes_give_the_gradients_of_one_with_the_whole_batch(make: Make, tmp_path: Path) -> None:
    """Also where the processes have different numbers of documents, weights and grades."""
    file = tmp_path / "settings.json"
    file.write_text(make().model_dump_json())
    done = two("gradients.py", str(file), str(tmp_path))
    assert [one.returncode for one in done] == [0, 0], done[0].stderr + done[1].stderr
    alone, parts = (
        load_file(tmp_path / "alone.safetensors"),
        [load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1)],
    )
    assert json.loads((tmp_path / "documents.json").read_text()) == [17, 18]  # one is shared within the first process
    scale = max(float(one.abs().max()) for one in alone.values())
    assert scale > 0.01
    for name, one in alone.items():
        assert torch.equal(parts[0][name], parts[1][name])  # DDP has averaged them
        assert float((parts[0][name] - one).abs().max()) <= 2e-5 * scale, name


@pytest.mark.parametrize("name", ["FSDP", "DEEPSPEED"])
def test_sharding_by_accelerate_is_refused(make: Make, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"ACCELERATE_USE_{name}", "true")
    with pytest.raises(InputError, match=f"accelerate's --use_{name.lower()}.*shard: true"):
        train(make())
    assert not make().output.exists()


def begin(config: TrainingConfig, *deadly: str) -> list[subprocess.CompletedProcess[str]]:
    """Run a configuration as two processes."""
    file = config.output.with_suffix(".json")
    file.write_text(config.model_dump_json())
    return two("begin.py", str(file), *deadly)


def finish(config: TrainingConfig, *, killed_at: str = "") -> None:
    """Run it to its end, killed before where that is asked for."""
    if killed_at:
        assert begin(config, killed_at)[0].returncode == -signal.SIGKILL
    done = begin(config)
    assert [one.returncode for one in done] == [0, 0], done[0].stderr


def story(config: TrainingConfig) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (config.output / "history.jsonl").read_text().splitlines()]


def assert_same_weights(one: TrainingConfig, other: TrainingConfig, *, within: float) -> None:
    found, expected = (load_file(run.output / "model" / "model.safetensors") for run in (one, other))
    assert found.keys() == expected.keys()
    for name in found:
        if not name.endswith("key.bias"):  # softmax does not see it: its gradient is rounding, and Adam follows that
            torch.testing.assert_close(found[name], expected[name], rtol=0, atol=within)


@pytest.mark.slow
def test_a_killed_rank_and_a_restart_give_the_same_losses(make: Make) -> None:
    settings: dict[str, Any] = {"evaluation": {}}
    whole, config = make(output=f"{make().output}-whole", **settings), make(**settings)
    finish(whole)
    finish(config, killed_at="0:3")
    stories = [[line["loss"] for line in story(run)] for run in (whole, config)]
    assert stories[0] == stories[1] and len(set(stories[0])) == 6


@pytest.mark.slow
def test_two_processes_train_the_weights_of_one(make: Make) -> None:
    """The same batches, a global loss: after some steps the weights agree up to rounding."""
    settings: dict[str, Any] = {"evaluation": {}, "steps": 3, "learning_rate": 1e-4, "weight_decay": 0.0}
    both, alone = make(output=f"{make().output}-both", **settings), make(**settings)
    finish(both)
    train(alone)
    stories = [[line["loss"] for line in story(run)] for run in (both, alone)]
    assert stories[0] == pytest.approx(stories[1], rel=1e-4)
    assert_same_weights(both, alone, within=5e-5)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"dropout": True, "accumulate": 2, "evaluation": {}}], ids=str)
def test_weights_in_parts_train_as_copies_do(make: Make, changes: dict[str, Any]) -> None:
    """FSDP2: the same losses, measurements and result; killed in between and gone on; mini-batches differ in number."""
    settings: dict[str, Any] = {"mini_batch_tokens": 24, **changes}
    copies, parts = make(output=f"{make().output}-copies", **settings), make(shard=True, **settings)
    finish(copies)
    finish(parts, killed_at="0:3")
    for one, other in zip(story(copies), story(parts), strict=True):
        assert one.get("ndcg@10") == other.get("ndcg@10")
        assert one.get("loss", 0) == pytest.approx(other.get("loss", 0), rel=1e-5)
    assert_same_weights(copies, parts, within=2e-4)
