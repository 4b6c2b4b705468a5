"""Batches are a function of seed and step: one source each, shares kept, nothing twice in a batch."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from reasonir_agent.errors import InputError
from reasonir_trainer.data.examples import Candidate, Example, Source
from reasonir_trainer.data.mixing import Mix


def source(name: str, size: int) -> Source:
    return Source(name, [Example(f"{name}{n}", f"q {name} {n}", (Candidate(f"p {name} {n}"),)) for n in range(size)])


def mix(*sizes: int, **settings: object) -> Mix:
    chosen = {"batch": 4, "steps": 60, "seed": 1, **settings}
    return Mix([source("abc"[n], size) for n, size in enumerate(sizes)], **chosen)  # type: ignore[arg-type]


def ids(plan: Mix, step: int) -> list[str]:
    return [one.id for one in plan.draw(step).examples]


def test_a_step_gives_the_same_batch_whenever_it_is_asked_for() -> None:
    one, other = mix(20, 9), mix(20, 9)
    assert [ids(one, step) for step in range(60)] == [ids(other, step) for step in reversed(range(60))][::-1]
    assert [ids(one, step) for step in range(60)] != [ids(mix(20, 9, seed=2), step) for step in range(60)]


def test_a_longer_run_begins_as_a_shorter_one() -> None:
    assert [ids(mix(20, 9, steps=10), step) for step in range(10)] == [
        ids(mix(20, 9, steps=60), step) for step in range(10)
    ]


def test_a_batch_comes_from_one_source_and_holds_nothing_twice() -> None:
    plan = mix(20, 9)
    for step in range(60):
        found = ids(plan, step)
        assert len(found) == len(set(found)) == 4
        assert len({name[0] for name in found}) == 1


@pytest.mark.parametrize(
    ("settings", "shares"),
    [
        ({}, (0.75, 0.25)),  # by size
        ({"temperature": 2.0}, (0.634, 0.366)),  # sqrt(3) : 1
        ({"weights": (1.0, 3.0)}, (0.25, 0.75)),
        ({"weights": (0.0, 1.0)}, (0.0, 1.0)),
    ],
    ids=str,
)
def test_sources_are_drawn_by_their_shares_evenly(settings: dict[str, object], shares: tuple[float, float]) -> None:
    plan = mix(30, 10, **settings)
    assert plan.shares == pytest.approx(shares, abs=1e-3)
    for upto in range(1, 61):
        drawn = Counter(plan.draw(step).source.name for step in range(upto))
        for name, share in zip("ab", plan.shares, strict=True):
            assert abs(drawn[name] - share * upto) <= 1.0
    assert sum(plan.counts().values()) == 60


def test_every_example_has_its_turn_before_one_comes_again() -> None:
    plan = mix(12)
    passes = [[one for step in range(first, first + 3) for one in ids(plan, step)] for first in range(0, 60, 3)]
    assert all(sorted(one) == sorted(passes[0]) and len(set(one)) == 12 for one in passes)
    assert all(one != other for one, other in pairwise(passes))  # in another order each time
    assert [plan.draw(step).passes for step in (0, 2, 3, 6)] == [0, 0, 1, 2]


def test_a_source_smaller_than_a_batch_gives_all_it_has() -> None:
    assert len(ids(mix(3), 5)) == 3
    assert len(ids(mix(7, batch=8, divisor=2), 5)) == 6


@pytest.mark.parametrize(
    ("sizes", "settings", "message"),
    [
        ((1,), {}, "has 1 examples, too few"),
        ((3,), {"divisor": 4}, "too few for a batch over 4 processes"),
        ((9, 9), {"weights": (0.0, 0.0)}, "one weight of 0 or more each and one above 0"),
        ((9, 9), {"weights": (1.0,)}, "one weight"),
        ((9,), {"temperature": 0.5}, "must be 1 or more"),
    ],
    ids=str,
)
def test_what_cannot_be_mixed_is_refused(sizes: tuple[int, ...], settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        mix(*sizes, **settings)


def test_names_differ() -> None:
    with pytest.raises(InputError, match="names of sources must differ"):
        Mix([source("a", 4), source("a", 4)], batch=2, steps=1, seed=0)
