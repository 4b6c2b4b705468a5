"""Which weights are taken at the end: the better average, and no set given up for it where that is asked for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from reasonir_trainer.training.config import TrainingConfig
from reasonir_trainer.training.evaluating import is_better
from reasonir_trainer.training.model import blended, load_base

BASE = {"a": 0.50, "b": 0.40}
BOLD = {"a": 0.47, "b": 0.60}  # a falls by 6%
MILD = {"a": 0.49, "b": 0.45}  # a falls by 2%


def test_the_better_average_is_taken() -> None:
    assert is_better(BOLD, MILD, BASE, None)
    assert not is_better(MILD, BOLD, BASE, None)
    assert not is_better(MILD, MILD, BASE, None)


def test_what_gives_up_no_set_goes_before_the_better_average() -> None:
    assert is_better(MILD, BOLD, BASE, 0.03)
    assert not is_better(BOLD, MILD, BASE, 0.03)
    assert is_better(BOLD, MILD, BASE, 0.06)  # now both keep to it: 0.47 is just what may be


def test_among_those_that_give_up_a_set_the_average_decides() -> None:
    assert is_better(BOLD, MILD, BASE, 0.01)
    assert not is_better(BASE, {"a": 0.5, "b": 0.41}, BASE, 0.0)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_blend_goes_a_share_of_the_way(make: Callable[..., TrainingConfig], method: str) -> None:
    base = load_base(make(method=method, lora={"rank": 2, "alpha": 2}))
    start = {name: one.detach().clone() for name, one in base.trainable().items()}
    with torch.no_grad():
        for one in base.trainable().values():
            one += 1.0
    with blended(base, start, 0.25):
        for name, one in base.trainable().items():
            wanted = start[name] + (
                1.0 if "lora_A" in name else 0.25
            )  # B begins at 0: the product B A counts a quarter
            torch.testing.assert_close(one.detach(), wanted)
    for name, one in base.trainable().items():
        torch.testing.assert_close(one.detach(), start[name] + 1.0)
