"""The final score, worked out by hand; no passage is lost and no order of arrival matters."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasonir_agent.reranking import interpolate
from reasonir_agent.types import Hit, Passage


def hit(name: str, cosine: float, *, final: float = 0.0, lexical: float | None = None) -> Hit:
    return Hit(Passage(name, f"{name}.txt", 0, 1, name), cosine, lexical, None, final)


def names(hits: list[Hit]) -> list[str]:
    return [one.passage.id for one in hits]


def test_each_final_score_is_half_reranker_and_half_cosine() -> None:
    result = interpolate([hit("a", 0.8), hit("b", 0.6), hit("c", 0.4)], [0.2, 1.0, 0.6], weight=0.5)
    assert names(result.hits) == ["b", "a", "c"]  # .8, .5, .5: equal scores in order of the cosine
    assert [one.final_score for one in result.hits] == pytest.approx([0.8, 0.5, 0.5])
    assert [one.reranker_score for one in result.hits] == [1.0, 0.2, 0.6]
    assert [one.dense_score for one in result.hits] == [0.6, 0.8, 0.4]
    assert (result.failures, result.usable) == (0, True)


def test_the_weight_is_the_reranker_s() -> None:
    hits = [hit("a", 0.9), hit("b", 0.1)]
    assert [one.final_score for one in interpolate(hits, [0.0, 1.0], weight=0.0).hits] == [0.9, 0.1]
    assert [one.final_score for one in interpolate(hits, [0.0, 1.0], weight=1.0).hits] == [1.0, 0.0]
    assert interpolate(hits, [0.0, 1.0], weight=0.75).hits[0].final_score == pytest.approx(0.75 * 1.0 + 0.25 * 0.1)


def test_a_cosine_outside_of_0_to_1_is_clipped_in_the_score_and_kept_in_the_hit() -> None:
    result = interpolate([hit("low", -0.4), hit("high", 1.0000001)], [1.0, 0.0], weight=0.5)
    assert [(one.passage.id, one.dense_score, one.final_score) for one in result.hits] == [
        ("high", 1.0000001, 0.5),
        ("low", -0.4, 0.5),
    ]


def test_a_failed_passage_takes_the_mean_of_the_others() -> None:
    hits = [hit("a", 0.5), hit("b", 0.5), hit("c", 0.5), hit("d", 0.5)]
    result = interpolate(hits, [1.0, None, 0.2, 0.0], weight=0.5)
    assert names(result.hits) == ["a", "b", "c", "d"]
    assert result.hits[1].reranker_score == pytest.approx(0.4)
    assert result.hits[1].final_score == pytest.approx(0.45)
    assert (result.failures, result.usable) == (1, True)


def test_a_quarter_may_fail_and_no_more() -> None:
    hits = [hit(name, 0.5) for name in "abcdefgh"]
    at_limit = interpolate(hits, [None, None, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0], weight=0.5)
    assert (at_limit.failures, at_limit.usable, at_limit.hits[0].passage.id) == (2, True, "h")
    beyond = interpolate(hits, [None, None, None, 0.0, 0.0, 0.0, 0.0, 1.0], weight=0.5)
    assert (beyond.failures, beyond.usable) == (3, False)
    assert beyond.hits == hits


def test_when_all_fail_the_retriever_s_order_and_scores_stand() -> None:
    hits = [hit("b", 0.1, final=0.9), hit("a", 0.8, final=0.7)]
    result = interpolate(hits, [None, None], weight=0.5)
    assert result.hits == hits
    assert (result.failures, result.usable) == (2, False)


def test_nothing_gives_nothing() -> None:
    assert interpolate([], [], weight=0.5).hits == []
    assert interpolate([], [], weight=0.5).usable


def test_scores_that_do_not_fit_the_hits_are_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        interpolate([hit("a", 0.5), hit("b", 0.5)], [1.0], weight=0.5)


def test_the_lexical_score_is_kept() -> None:
    assert interpolate([hit("a", 0.5, lexical=7.5)], [0.2], weight=0.5).hits[0].lexical_score == 7.5


FIFTHS = st.sampled_from([None, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0])


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.floats(-1, 1, width=32), FIFTHS), max_size=14), st.randoms(), st.sampled_from([0.3, 0.5]))
def test_no_passage_is_lost_and_the_order_of_arrival_is_of_no_effect(
    rows: list[tuple[float, float | None]], shuffler: random.Random, weight: float
) -> None:
    pairs = [(hit(f"p{n}", cosine), score) for n, (cosine, score) in enumerate(rows)]
    result = interpolate([one for one, _ in pairs], [score for _, score in pairs], weight=weight)
    assert sorted(names(result.hits)) == sorted(one.passage.id for one, _ in pairs)
    finals = [one.final_score for one in result.hits]
    if result.usable:
        assert finals == sorted(finals, reverse=True)
        assert all(0 <= final <= 1 for final in finals)
        shuffler.shuffle(pairs)
        again = interpolate([one for one, _ in pairs], [score for _, score in pairs], weight=weight)
        assert again.hits == result.hits
