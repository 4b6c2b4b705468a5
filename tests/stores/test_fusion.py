from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasonir_agent.stores.fusion import fuse

DENSE = {"a": 0.9, "b": 0.5, "c": 0.1}
LEXICAL = {"b": 8.0, "c": 4.0, "elsewhere": 99.0}


def test_scores_are_scaled_over_the_candidates_and_weighted() -> None:
    # cosine: a 1, b 0.5, c 0; words: a 0, b 1, c 0.5
    assert fuse(DENSE, LEXICAL, lexical_weight=0.5) == [
        ("b", pytest.approx(0.75)),
        ("a", pytest.approx(0.5)),
        ("c", pytest.approx(0.25)),
    ]
    assert fuse(DENSE, LEXICAL, lexical_weight=0.25) == [
        ("a", pytest.approx(0.75)),
        ("b", pytest.approx(0.625)),
        ("c", pytest.approx(0.125)),
    ]


def test_weight_zero_is_the_order_of_cosines_and_weight_one_that_of_words() -> None:
    assert [one for one, _ in fuse(DENSE, LEXICAL, lexical_weight=0)] == ["a", "b", "c"]
    assert [one for one, _ in fuse(DENSE, LEXICAL, lexical_weight=1)] == ["b", "c", "a"]


def test_ties_are_ordered_by_cosine_then_by_id() -> None:
    assert fuse({"x": 0.1, "y": 0.3, "z": 0.3}, {}, lexical_weight=1) == [("y", 0.0), ("z", 0.0), ("x", 0.0)]
    assert [one for one, _ in fuse({"d": 0.5, "b": 0.5, "c": 0.5}, {}, lexical_weight=0.5)] == ["b", "c", "d"]
    # a: cosine 1, words 0; b: cosine 0, words 1
    assert [one for one, _ in fuse({"b": 0.2, "a": 0.6}, {"b": 3.0}, lexical_weight=0.5)] == ["a", "b"]


def test_without_words_the_cosines_decide() -> None:
    assert [one for one, _ in fuse(DENSE, {}, lexical_weight=0.85)] == ["a", "b", "c"]


def test_no_candidates_give_no_list() -> None:
    assert fuse({}, LEXICAL, lexical_weight=0.5) == []


CANDIDATES = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.floats(-1, 1), max_size=20)
WORDS = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.floats(0, 100), max_size=20)


@settings(deadline=None, max_examples=200)
@given(CANDIDATES, WORDS, st.floats(0, 1), st.randoms(use_true_random=False))
def test_the_list_is_every_candidate_in_order_whatever_the_order_of_the_input(
    dense: dict[str, float], lexical: dict[str, float], weight: float, rng: random.Random
) -> None:
    ranked = fuse(dense, lexical, lexical_weight=weight)
    assert sorted(one for one, _ in ranked) == sorted(dense)
    scores = [score for _, score in ranked]
    assert scores == sorted(scores, reverse=True)
    assert all(-1e-12 <= score <= 1 + 1e-12 for score in scores)
    shuffled = list(dense.items())
    rng.shuffle(shuffled)
    assert fuse(dict(shuffled), dict(reversed(lexical.items())), lexical_weight=weight) == ranked
