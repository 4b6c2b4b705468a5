"""Requested lengths: drawn from the item alone, even in the logarithm; obtained against requested, by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasonir_trainer.synthesis.lengths import distribution, requested
from reasonir_trainer.synthesis.rows import Provenance, Row, Seed, SeedPlace
from reasonir_trainer.synthesis.settings import SynthesisSettings

SETTINGS = SynthesisSettings(model="openai:any")


def row(words: int, asked: int, kind: str = "vl") -> Row:
    seed = Seed.of(source="a.md", start=0, end=1, heading="", text="x")
    made = Provenance(model="m", prompts=1, requested_query_words=asked, attempts=1)
    query = "word " * words
    return Row(id=f"{words}", kind=kind, query=query, positive="p", negatives=(), seed=SeedPlace.of(seed), made=made)


def test_lengths_are_even_in_the_logarithm() -> None:
    lengths = [requested(f"item {n}", "query", SETTINGS).words for n in range(4000)]
    assert min(lengths) >= 300
    assert max(lengths) <= 2000
    for least in (300, 500, 1000):
        share = sum(least <= one < 2 * least for one in lengths) / len(lengths)
        assert share == pytest.approx(math.log(2) / math.log(2000 / 300), abs=0.03)
    assert sum(lengths) / len(lengths) == pytest.approx(896, rel=0.03)


def test_query_and_positive_are_drawn_apart_and_by_the_random_seed() -> None:
    other = SynthesisSettings(model="openai:any", random_seed=1)
    drawn = {requested("a", part, settings).words for part in ("query", "positive") for settings in (SETTINGS, other)}
    assert len(drawn) == 4


@given(st.text(max_size=20), st.integers(1, 500), st.integers(0, 3000), st.floats(0.01, 1))
def test_a_length_lies_within_the_bounds_and_its_tolerance(item: str, least: int, more: int, tolerance: float) -> None:
    settings = SynthesisSettings(
        model="m", shortest_words=least, longest_words=least + more, length_tolerance=tolerance
    )
    length = requested(item, "query", settings)
    assert least <= length.words <= least + more
    assert length.holds(length.words)
    assert not length.holds(length.least - 1)
    assert not length.holds(length.most + 1)
    assert abs(length.most - length.words) / length.words <= tolerance + 1e-9
    assert length == requested(item, "query", settings)


def test_the_distribution_by_hand() -> None:
    found = distribution([row(100, 100), row(300, 200), row(400, 400), row(9, 0, kind="hq")])
    assert found.items == 3
    assert (found.requested_mean, found.obtained_mean) == (233.3, 266.7)
    assert found.ratios == (1.0, 1.0, 1.5)
    assert sum(bucket.requested for bucket in found.buckets) == 3
    assert sum(bucket.obtained for bucket in found.buckets) == 3
    assert found.buckets[0].start == 100
    assert found.buckets[-1].end == 401
    assert found.as_json()["buckets"][0]["requested"] == 1


def test_without_varied_rows_there_is_nothing_to_tell() -> None:
    assert distribution([row(9, 0, kind="hq")]).items == 0
