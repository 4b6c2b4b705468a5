"""The retriever's cosine where a framework hides it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reasonir_agent.errors import InputError
from reasonir_agent.reranking import cosine_of_distance, cosine_of_exponential, retriever_scores
from reasonir_agent.testing import FakeEncoder


def test_distances_become_the_cosines_they_were_made_of() -> None:
    rng = np.random.default_rng(3)
    one, other = (row / np.linalg.norm(row) for row in rng.standard_normal((2, 8)))
    cosine = float(one @ other)
    assert cosine_of_distance(1 - cosine, "cosine") == pytest.approx(cosine)
    assert cosine_of_distance(1 - cosine, "ip") == pytest.approx(cosine)
    assert cosine_of_distance(float(((one - other) ** 2).sum()), "l2") == pytest.approx(cosine)
    assert cosine_of_exponential(math.exp(-(1 - cosine))) == pytest.approx(cosine)


def test_a_space_that_nobody_knows_is_refused() -> None:
    with pytest.raises(InputError, match="'cosine', 'ip' or 'l2', got 'hamming'"):
        cosine_of_distance(0.3, "hamming")  # type: ignore[arg-type]


@pytest.mark.parametrize("score", [0.0, -0.5, math.exp(-2), 1e-300])
def test_an_exponential_score_never_leaves_the_range_of_a_cosine(score: float) -> None:
    assert cosine_of_exponential(score) == -1.0


def test_known_cosines_are_taken_and_nothing_is_encoded() -> None:
    encoder = FakeEncoder()
    assert retriever_scores("q", ["a", "b"], known=[0.25, -0.5], encoder=encoder) == [0.25, -0.5]
    assert encoder.encoded == []


def test_rounding_beyond_one_is_cut() -> None:
    assert retriever_scores("q", ["a", "b"], known=[1.0000001, -1.2]) == [1.0, -1.0]


@pytest.mark.parametrize("missing", [None, math.nan, math.inf])
def test_scores_of_two_kinds_do_not_mix(missing: float | None) -> None:
    encoder = FakeEncoder()
    found = retriever_scores("salt melts ice", ["melts ice", "bees"], known=[0.25, missing], encoder=encoder)
    wanted = encoder.encode_documents(["melts ice", "bees"]) @ encoder.encode_queries(["salt melts ice"])[0]
    assert found == pytest.approx(wanted.tolist())
    assert found[0] > 0.5 > found[1]


def test_without_an_encoder_ranks_stand_in() -> None:
    assert retriever_scores("q", ["a", "b", "c", "d"]) == [1.0, 0.75, 0.5, 0.25]
    assert retriever_scores("q", ["a", "b"], known=[0.3, None]) == [1.0, 0.5]


def test_no_texts_no_scores() -> None:
    assert retriever_scores("q", [], encoder=FakeEncoder()) == []


def test_another_number_of_scores_is_refused() -> None:
    with pytest.raises(InputError, match="each of 2 texts, got 1"):
        retriever_scores("q", ["a", "b"], known=[0.3])
