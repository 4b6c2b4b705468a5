"""The benchmark of a training step: its count of operations by hand, and its GPU part on a tiny shape."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.threads import one_thread as one_thread

ROOT = Path(__file__).parents[3]


@pytest.fixture
def train_benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.chdir(ROOT)
    return importlib.import_module("benchmarks.train")


def test_operations_of_a_token(train_benchmark: ModuleType) -> None:
    # forward 2 x 100 + 2 x 10 + 7 = 227, backward 2 x 100 + 4 x 10 + 2 x 7 = 254
    assert train_benchmark.operations(frozen=100, adapters=10, attention=7) == {"needed": 481, "done": 3 * 227 + 254}


@pytest.mark.slow
def test_a_step_of_lora_on_a_tiny_shape(
    train_benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "gpu --device cpu --layers 2 --hidden 64 --rank 4 --batch 4 --tokens 48 --peak-tflops 1"
    monkeypatch.setattr(sys, "argv", ["train.py", *words.split()])
    train_benchmark.main()
    said = capsys.readouterr().out
    # a layer: four matrices 64 x 64, three 64 x 224, two norms; one norm at the end
    assert f"{2 * (4 * 64**2 + 3 * 64 * 224 + 2 * 64) + 64:,} weights in the layers" in said
    assert f"{2 * 4 * (4 * 128 + 3 * 288):,} in adapters" in said
    assert f"{4 * 2 * 48:,} tokens, " in said  # every text is cut to 48
    assert re.search(r"^done .* of 1$", said, re.MULTILINE) and re.search(r"^memory ", said, re.MULTILINE)
