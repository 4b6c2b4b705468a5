"""The pictures of counted values."""

from __future__ import annotations

import pytest

from reasonir_trainer.inspecting.histogram import NARROW, WIDE, binned, bins, histogram


def test_every_value_is_counted_once_edges_in_the_upper_bin_but_for_the_last() -> None:
    found = binned([0, 10, 20, 30], [0, 9, 10, 29, 30, 30], [10])
    assert (found.obtained, found.asked) == ([2, 1, 3], [0, 1, 0])


def test_bins_are_round_and_hold_both() -> None:
    found = bins([310, 1990], [300, 2100])
    assert found.edges[0] <= 300 and found.edges[-1] >= 2100
    assert sum(found.obtained) == sum(found.asked) == 2
    assert {b - a for a, b in zip(found.edges, found.edges[1:], strict=False)} == {200}


def test_one_value_has_a_bin_too() -> None:
    assert sum(bins([7]).obtained) == 1


@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_a_bar_is_as_high_as_its_count(size: tuple[float, float]) -> None:
    picture = histogram(binned([0, 1, 2], [0, 1, 1]), size, title="words", name="words", colour="c0")
    markup = picture.__html__()
    assert "<title>words</title>" in markup and "1 to 2: 2" in markup
    heights = [float(part.split('"')[0]) for part in markup.split('height="')[2:]]
    assert heights[1] == pytest.approx(2 * heights[0], abs=0.1)
