"""The picture of a run: the loss of every step above, nDCG@10 of every measurement below, over the same steps.

An SVG of its own that opens in any browser, light or dark as the reader's system is. The loss is drawn as it was, thin, and
as the mean of a window around each step, thick; a batch comes from one source, so losses of neighbours differ by more than
they fall. Of nDCG@10 every set has a line, the average a thick one, and the step whose weights were taken a ring.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from reasonir_agent.errors import StoreError, boundary
from reasonir_agent.evaluation.report.axes import Scale, apart, round_ticks
from reasonir_agent.evaluation.report.figures import points, shortened
from reasonir_agent.evaluation.report.svg import Picture, text_width
from reasonir_trainer.training.history import Loss, Measured
from reasonir_trainer.training.resume import write_whole

PICTURE: Final = "training.svg"
AVERAGE: Final = "average"

_WIDTH: Final = 860
_LEFT: Final = 58
_PANEL: Final = 230
_GAP: Final = 62
_TOP: Final = 40
_ACROSS: Final = 48  # widest window of the mean is a forty-eighth of all steps on each side
_COLOURS: Final = 8
_LONGEST: Final = 26
_ROW: Final = 15

STYLE: Final = """
svg { background: #fdfcfa; color: #1c2025; font: 12px system-ui, "Segoe UI", Roboto, "Noto Sans", Arial, sans-serif; }
text { fill: #1c2025; font-variant-numeric: tabular-nums; } .tick, .name { fill: #5b626c; } .head { font-weight: 600; }
.grid { stroke: #e2ded6; } .axis { stroke: #b9b3a8; } path { fill: none; stroke-linejoin: round; }
.c0 { --own: #234993; } .c1 { --own: #b25c0a; } .c2 { --own: #24806c; } .c3 { --own: #7a1b52; }
.c4 { --own: #625101; } .c5 { --own: #7756c0; } .c6 { --own: #551018; } .c7 { --own: #12004a; } .all { --own: #1c2025; }
.thin { stroke: #b9b3a8; stroke-width: 1; } .line { stroke: var(--own); stroke-width: 1.5; }
.thick { stroke: var(--own); stroke-width: 3; } .mark, rect { fill: var(--own); } .taken { fill: none; stroke: #b25c0a; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
  svg { background: #16191d; } text { fill: #e6e3dd; } .tick, .name { fill: #a1a8b2; }
  .grid { stroke: #2f353c; } .axis, .thin { stroke: #59616b; }
  .c0 { --own: #77a0dc; } .c1 { --own: #f4993c; } .c2 { --own: #70ddb1; } .c3 { --own: #be6f96; }
  .c4 { --own: #fbdd67; } .c5 { --own: #9572e7; } .c6 { --own: #e76250; } .c7 { --own: #bae7f5; } .all { --own: #e6e3dd; }
  .taken { stroke: #f4993c; }
}
"""


def write_plot(folder: Path, losses: Sequence[Loss], measured: Sequence[Measured], *, steps: int) -> Path:
    """Write the picture of a run into its folder.

    Raises:
        StoreError: it cannot be written.
    """
    file = folder / PICTURE
    with boundary(StoreError, f"writing {file}"):
        write_whole(file, draw(losses, measured, steps=steps))
    return file


def draw(losses: Sequence[Loss], measured: Sequence[Measured], *, steps: int) -> str:
    """The picture as SVG text.

    Args:
        losses: of the steps so far; may be empty.
        measured: may be empty, and then has no panel.
        steps: of the whole run, the end of the axis.
    """
    names = [shortened(name, _LONGEST) for name in measured[0].sets] if measured else []
    right = max([84, *(16 + text_width(f"{name} 00.0", 12) for name in names)])
    panels = 1 + bool(measured)
    height = _TOP + panels * _PANEL + (panels - 1) * _GAP + 46
    picture = Picture(_WIDTH, height, "Loss and nDCG@10 over the steps of a training run")
    across = Scale(0, max(steps, 1), _LEFT, _WIDTH - right)
    _draw_losses(picture, losses, across, _TOP, is_last=not measured)
    if measured:
        _draw_measured(picture, measured, across, _TOP + _PANEL + _GAP)
    return standalone(picture)


def standalone(picture: Picture) -> str:
    """A picture as a file of its own, with its colours in it."""
    start, rest = picture.__html__().split(">", 1)
    return f'{start} xmlns="http://www.w3.org/2000/svg"><style>{STYLE}</style>{rest}\n'


def smoothed(values: Sequence[float], reach: int) -> list[float]:
    """Mean of each value and of those at most `reach` places away."""
    windows = [values[max(0, place - reach) : place + reach + 1] for place in range(len(values))]
    return [sum(window) / len(window) for window in windows]


def axes(
    picture: Picture, x: Scale, y: Scale, ticks: Sequence[float], head: str, *, is_last: bool, factor: float = 1
) -> None:
    """Grid, ticks and names of a panel; `factor` is what a value is multiplied with to be shown."""
    picture.text(x.start, y.end - 12, head, "head")
    for tick in ticks:
        picture.line((x.start, y(tick)), (x.end, y(tick)), "grid")
        picture.text(x.start - 8, y(tick) + 4, f"{tick * factor:.4g}", "tick", anchor="end")
    picture.line((x.start, y.start), (x.end, y.start), "axis")
    for step in round_ticks(x.low, x.high):
        if step <= x.high:
            picture.line((x(step), y.start), (x(step), y.start + 5), "axis")
            picture.text(x(step), y.start + 19, f"{step:,g}", "tick", anchor="middle")
    if is_last:
        picture.text((x.start + x.end) / 2, y.start + 38, "step", "name", anchor="middle")


def _draw_losses(picture: Picture, losses: Sequence[Loss], x: Scale, top: float, *, is_last: bool) -> None:
    values = [one.loss for one in losses]
    ticks = _ticks(values)
    y = Scale(ticks[0], ticks[-1], top + _PANEL, top)
    axes(picture, x, y, ticks, "loss", is_last=is_last)
    if not losses:
        return
    steps = [one.step for one in losses]
    picture.path([(x(step), y(value)) for step, value in zip(steps, values, strict=True)], "thin")
    means = smoothed(values, len(values) // _ACROSS + 1)
    picture.path([(x(step), y(value)) for step, value in zip(steps, means, strict=True)], "thick c0")
    picture.text(x(steps[-1]) + 8, y(means[-1]) + 4, f"{means[-1]:.3g}", "label")


def _draw_measured(picture: Picture, measured: Sequence[Measured], x: Scale, top: float) -> None:
    lines: dict[str, list[float]] = {name: [one.sets[name] for one in measured] for name in measured[0].sets}
    if len(lines) > 1:
        lines[AVERAGE] = [one.average for one in measured]
    values = [value for line in lines.values() for value in line]
    ticks = [tick / 100 for tick in _ticks([100 * value for value in values])]
    y = Scale(ticks[0], ticks[-1], top + _PANEL, top)
    axes(picture, x, y, ticks, "nDCG@10 x 100", is_last=True, factor=100)
    places = apart([y(line[-1]) for line in lines.values()], _ROW, y.end, y.start)
    for (name, line), place, classes in zip(lines.items(), places, _classes(lines), strict=True):
        corners = [(x(one.step), y(value)) for one, value in zip(measured, line, strict=True)]
        picture.path(corners, f"{'thick' if len(lines) == 1 or name == AVERAGE else 'line'} {classes}")
        for (left, down), one, value in zip(corners, measured, line, strict=True):
            picture.mark(left, down, 0, f"mark {classes}", size=3, title=f"{name}, step {one.step}: {points(value)}")
        picture.rectangle(x.end + 8, place - 4, 8, 8, classes, round=2)
        picture.text(x.end + 21, place + 4, f"{shortened(name, _LONGEST)} {points(line[-1])}", "label")
    best = max(measured, key=lambda one: (one.average, -one.step))
    picture.mark(x(best.step), y(best.average), 0, "taken", size=8, title=f"highest average: step {best.step}")


def _classes(lines: Mapping[str, object]) -> list[str]:
    return ["all" if name == AVERAGE else f"c{place % _COLOURS}" for place, name in enumerate(lines)]


def _ticks(values: Sequence[float]) -> list[float]:
    """Round ticks around values, of which even small differences are shown."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    span = (high - low) or abs(high) or 1.0
    factor = 1 if span >= 0.1 else 1000  # `round_ticks` takes a span below 0.1 for noise
    return [tick / factor for tick in round_ticks(low * factor, high * factor)]
