"""Histograms as pictures: bars of what was obtained, a stepped line of what was asked for, in one scale."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from reasonir_agent.evaluation.report.axes import Scale, round_ticks
from reasonir_agent.evaluation.report.figures import count
from reasonir_agent.evaluation.report.svg import Picture

WIDE: Final = (540.0, 240.0)
NARROW: Final = (344.0, 240.0)
"""Width and height in pixels."""

_LEFT: Final = 46.0
_BELOW: Final = 46.0
_TICK_WIDTH: Final = 58.0
"""Room for the label of an edge."""


@dataclass(frozen=True, slots=True)
class Bins:
    """Counted values.

    Attributes:
        edges: of the bins, one more than there are; the last bin holds its upper edge too.
        obtained: count of each bin.
        asked: likewise, empty where nothing was asked for.
    """

    edges: Sequence[float]
    obtained: Sequence[int]
    asked: Sequence[int] = ()


def bins(obtained: Sequence[float], asked: Sequence[float] = (), *, wanted: int = 12) -> Bins:
    """Count values in round bins over the range of both.

    Args:
        obtained: values, at least one.
        asked: values that were asked for.
        wanted: how many bins, about.
    """
    edges = round_ticks(min([*obtained, *asked]), max([*obtained, *asked]), wanted)
    return binned(edges, obtained, asked)


def binned(edges: Sequence[float], obtained: Sequence[float], asked: Sequence[float] = ()) -> Bins:
    """Count values between given edges."""
    return Bins(edges, _counts(edges, obtained), _counts(edges, asked) if len(asked) else ())


def histogram(
    found: Bins,
    size: tuple[float, float],
    *,
    title: str,
    name: str,
    colour: str,
    edge: Callable[[float], str] = lambda value: count(round(value)),
    limit: float | None = None,
) -> Picture:
    """Draw counted values.

    Args:
        found: the counts.
        size: width and height in pixels.
        title: what it shows, for readers who do not see it.
        name: of the axis.
        colour: class of the bars.
        edge: how the edge of a bin is written.
        limit: a value that is marked by a line.
    """
    width, height = size
    picture = Picture(width, height, title)
    most = max([*found.obtained, *found.asked, 1])
    ticks = [tick for tick in round_ticks(0, most, 4) if tick == int(tick)]
    x = Scale(found.edges[0], found.edges[-1], _LEFT, width - 12)
    y = Scale(0, max(ticks[-1], most), height - _BELOW, 12)
    for tick in ticks:
        picture.line((x.start, y(tick)), (x.end, y(tick)), "grid")
        picture.text(x.start - 8, y(tick) + 4, count(int(tick)), "tick", anchor="end")
    _bars(picture, found, x, y, colour, edge)
    _edges(picture, found.edges, x, y, edge)
    if found.asked:
        _steps(picture, found, x, y)
    if limit is not None and found.edges[0] <= limit <= found.edges[-1]:
        picture.line((x(limit), y.start), (x(limit), y.end), "zero limit")
    picture.line((x.start, y.start), (x.end, y.start), "axis")
    picture.text((x.start + x.end) / 2, height - 6, name, "name", anchor="middle")
    return picture


def bar(value: int, most: int, title: str, colour: str, *, width: float = 180.0) -> Picture:
    """One bar of a table."""
    picture = Picture(width, 14, title)
    picture.line((0.5, 0), (0.5, 14), "axis")
    picture.rectangle(1, 1, (width - 2) * value / max(most, 1), 12, f"bar {colour}", round=1.5)
    return picture


def _bars(picture: Picture, found: Bins, x: Scale, y: Scale, colour: str, edge: Callable[[float], str]) -> None:
    for place, number in enumerate(found.obtained):
        low, high = found.edges[place], found.edges[place + 1]
        shown = f"{edge(low)} to {edge(high)}: {count(number)}"
        if found.asked:
            shown += f", asked for {count(found.asked[place])}"
        picture.rectangle(
            x(low) + 1, y(number), x(high) - x(low) - 2, y.start - y(number), f"bar {colour}", round=1.5, title=shown
        )


def _edges(picture: Picture, edges: Sequence[float], x: Scale, y: Scale, edge: Callable[[float], str]) -> None:
    """Labels of as many edges as there is room for."""
    every = next(n for n in (1, 2, 3, 4, 5, 10, 100) if (x.end - x.start) / max(1, (len(edges) - 1) / n) >= _TICK_WIDTH)
    for place, value in enumerate(edges):
        if place % every == 0:
            picture.line((x(value), y.start), (x(value), y.start + 4), "axis")
            anchor = "end" if place == len(edges) - 1 else "middle"
            picture.text(x(value), y.start + 18, edge(value), "tick", anchor=anchor)


def _steps(picture: Picture, found: Bins, x: Scale, y: Scale) -> None:
    corners = [(x(found.edges[0]), y.start)]
    for place, number in enumerate(found.asked):
        corners += [(x(found.edges[place]), y(number)), (x(found.edges[place + 1]), y(number))]
    picture.path([*corners, (x(found.edges[-1]), y.start)], "asked-for")


def _counts(edges: Sequence[float], values: Sequence[float]) -> list[int]:
    counts = [0] * (len(edges) - 1)
    for value in values:
        counts[min(max(bisect_right(edges, value) - 1, 0), len(counts) - 1)] += 1
    return counts
