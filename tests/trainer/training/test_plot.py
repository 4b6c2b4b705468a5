"""The picture of a run: well-formed, its corners where they belong, whatever stands in a name."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from reasonir_trainer.training.history import Loss, Measured
from reasonir_trainer.training.plot import draw, smoothed, write_plot

SVG = "{http://www.w3.org/2000/svg}"


def losses(*values: float) -> list[Loss]:
    return [Loss(step, value, "s", 1e-5, 10, 0.1) for step, value in enumerate(values, 1)]


def of_class(text: str, *classes: str) -> list[ElementTree.Element]:
    return [one for one in ElementTree.fromstring(text).iter() if set(classes) <= set(one.get("class", "").split())]


def corners(element: ElementTree.Element) -> list[tuple[float, float]]:
    return [tuple(map(float, one.split())) for one in element.get("d", "")[1:].split(" L")]  # type: ignore[misc]


def test_losses_are_drawn_where_they_belong() -> None:
    text = draw(losses(4, 2, 1), [], steps=4)
    (thin,) = of_class(text, "thin")
    (left, high), (middle, half), (right, low) = corners(thin)
    assert middle - left == pytest.approx(right - middle, abs=0.02)
    assert half - high == pytest.approx(2 * (low - half), abs=0.05)  # 4 to 2 is twice 2 to 1
    assert high < half < low


def test_the_mean_is_over_neighbours_that_are_there() -> None:
    assert smoothed([0, 3, 6, 30, 6], 1) == [1.5, 3, 13, 14, 18]
    assert smoothed([5], 3) == [5]


def test_each_set_has_a_line_and_the_best_average_a_ring() -> None:
    measured = [Measured(0, {"a": 0.2, "b": 0.4}), Measured(2, {"a": 0.5, "b": 0.3}), Measured(4, {"a": 0.3, "b": 0.3})]
    text = draw(losses(4, 3, 2, 1), measured, steps=4)
    assert [len(corners(one)) for one in of_class(text, "line")] == [3, 3]
    (average,) = of_class(text, "thick", "all")
    (ring,) = of_class(text, "taken")
    assert (float(ring.get("cx", 0)), float(ring.get("cy", 0))) == corners(average)[1]
    words = [one.text for one in ElementTree.fromstring(text).iter(f"{SVG}text")]
    assert {"a 30.0", "b 30.0", "average 30.0", "loss", "step"} <= set(words)


def test_a_name_is_no_markup_and_a_run_of_nothing_has_axes(tmp_path: Path) -> None:
    text = draw([], [Measured(0, {"</text><script>": 0.5})], steps=1)
    assert "<script" not in text and of_class(text, "axis")
    file = write_plot(tmp_path, losses(0.001, 0.0011), [], steps=2)
    assert file.name == "training.svg" and len(corners(of_class(file.read_text(), "thin")[0])) == 2
