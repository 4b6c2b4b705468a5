"""Weights by reasoning intensity, by hand: two-dimensional unit vectors with known cosines."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from reasonir_agent.errors import InputError
from reasonir_trainer.data.examples import Candidate, Example, Source
from reasonir_trainer.training.config import IntensitySettings, TrainingConfig
from reasonir_trainer.training.intensity import intensities, weighted
from reasonir_trainer.training.run import train

FloatMatrix = NDArray[np.float32]
ANGLES = {"good": 0, "bad": 90, "lost": 45, "helped": 0, "wrong": 90}


class Angles:
    """An encoder that knows the direction of every text."""

    def encode_queries(self, texts: Sequence[str], /) -> FloatMatrix:
        angles = np.radians([ANGLES[text] for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    encode_documents = encode_queries


def example(name: str, query: str, rewritten: str) -> Example:
    return Example(name, query, (Candidate("good"),), (Candidate("bad"),), rewritten=rewritten)


SETTINGS = IntensitySettings(most=5.0, temperature=1.0, others=0)


def test_an_example_whose_rewrite_helps_counts_more() -> None:
    """Query at 45 degrees: both candidates alike, loss log 2. Rewrite at the positive: log(1 + exp(-1))."""
    source = Source("s", [example("a", "lost", "helped"), example("b", "lost", "lost")])
    found = weighted(source, Angles(), SETTINGS, seed=0).examples
    ratio = math.log(2) / math.log(1 + math.exp(-1))  # 2.2126, and 1 for the second
    mean = (ratio + 1) / 2
    assert [one.weight for one in found] == pytest.approx([ratio / mean, 1 / mean], rel=1e-4)
    assert [replace(one, weight=1.0) for one in found] == list(source.examples)  # nothing else has changed


def test_the_ratio_is_capped_and_a_rewrite_that_hurts_counts_less() -> None:
    assert intensities([1.0, 1.0, 1.0, 0.0], [0.01, 2.0, 0.0, 0.0], 5.0) == pytest.approx(
        [5.0, 0.5, 5.0, 1.0], rel=1e-5
    )


def test_examples_without_a_rewrite_keep_their_weight_and_given_weights_are_kept() -> None:
    plain = Example("c", "lost", (Candidate("good"),), weight=3.0)
    heavy = replace(example("a", "lost", "helped"), weight=2.0)
    found = weighted(Source("s", [plain, heavy]), Angles(), SETTINGS, seed=0).examples
    assert [one.weight for one in found] == pytest.approx([3.0, 2.0])  # the only rewrite is its own mean


def test_positives_of_others_are_candidates_but_never_a_positive_of_ones_own() -> None:
    """Another's positive "bad" makes the loss log 2 where a lone candidate would give 0."""
    own = Example("a", "lost", (Candidate("good"), Candidate("lost")), rewritten="wrong")
    other = Example("b", "wrong", (Candidate("bad"),), rewritten="wrong")
    third = Example("c", "lost", (Candidate("lost"),), rewritten="lost")
    settings = IntensitySettings(most=9.0, temperature=1.0, others=2)
    found = weighted(Source("s", [own, other, third]), Angles(), settings, seed=0).examples
    first = math.log(2) / (math.log(math.e + 1))  # candidates good and bad; with the rewrite: cosines 0 and 1
    raw = [first, 1.0, 1.0]
    assert [one.weight for one in found] == pytest.approx([one / (sum(raw) / 3) for one in raw], rel=1e-4)


def test_a_source_without_rewrites_is_told() -> None:
    with pytest.raises(InputError, match="no example of the source 's' has one; synthesize with --rewrite"):
        weighted(Source("s", [example("a", "lost", "")]), Angles(), SETTINGS, seed=0)


@pytest.mark.slow
def test_a_run_uses_the_weights(make: Callable[..., TrainingConfig]) -> None:
    source = make().sources[0]
    lines = [json.loads(line) for line in source.path.read_text().splitlines()]
    with pytest.raises(InputError, match="intensity needs rewritten queries"):
        train(make(intensity={}, steps=1, evaluation={}))
    for number, line in enumerate(lines):
        line["rewritten"] = line["positive"] if number % 2 else line["anchor"]
    source.path.write_text("\n".join(json.dumps(line) for line in lines))
    first = []
    for number, intensity in enumerate((None, {"most": 3.0})):
        config = make(intensity=intensity, steps=2, evaluation={}, output=f"{make().output}-{number}")
        train(config)
        first.append(json.loads((config.output / "history.jsonl").read_text().splitlines()[0])["loss"])
    assert abs(first[0] - first[1]) > 1e-3
    assert "| intensity.most | `3.0` |" in (config.output / "model" / "README.md").read_text()
