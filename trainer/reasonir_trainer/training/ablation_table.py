"""An ablation as a table of text, JSON, and a picture with two bars for each mix: original and rewritten queries.

What a scripted model wrote proves nothing about data; every form says so at its head.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from reasonir_agent.errors import StoreError, boundary
from reasonir_agent.evaluation.report.axes import Scale, round_ticks
from reasonir_agent.evaluation.report.figures import points, shortened
from reasonir_agent.evaluation.report.svg import Picture, text_width
from reasonir_trainer.training.ablation import Ablated
from reasonir_trainer.training.plot import standalone
from reasonir_trainer.training.resume import write_whole

TEXT: Final = "ablation.txt"
JSON: Final = "ablation.json"
PICTURE: Final = "ablation.svg"
HEAD: Final = "Data from a scripted model: this shows that ablation works, and nothing about the data."

_BAR: Final = 34
_GROUP: Final = 110
_HEIGHT: Final = 260
_TOP: Final = 62
_LEFT: Final = 58
_LONGEST: Final = 15


def write_ablation(ablated: Ablated, folder: Path) -> None:
    """Write text, JSON and picture into a folder.

    Raises:
        StoreError: they cannot be written.
    """
    with boundary(StoreError, f"writing the table into {folder}"):
        write_whole(folder / TEXT, table(ablated) + "\n")
        write_whole(folder / JSON, json.dumps(ablated.as_json(), indent=2, ensure_ascii=False) + "\n")
        write_whole(folder / PICTURE, draw(ablated))


def table(ablated: Ablated) -> str:
    """The table as text: averages first, as in the paper, then every set."""
    sets = list(ablated.rows[0].sets)
    heads = ["mix", "examples", "original", "rewritten", *sets]
    lines = [heads]
    for row in ablated.rows:
        count = f"{sum(row.examples.values()):,}" if row.examples else points(None)
        values = [row.original, row.rewritten, *(row.sets[name] for name in sets)]
        lines.append([row.name, count, *(points(one) for one in values)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    shown = [
        "  ".join(cell.ljust(width) if not column else cell.rjust(width)
                  for column, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in lines
    ]  # fmt: skip
    foot = f"nDCG@10 x 100, dense, averages over sets; {ablated.steps:,} steps each, seed {ablated.seed}, weights of the last step"
    return "\n".join([*([HEAD, ""] if ablated.is_scripted else []), *shown, "", foot])


def draw(ablated: Ablated) -> str:
    """The picture as SVG text."""
    rows = ablated.rows
    values = [100 * one for row in rows for one in (row.original, row.rewritten) if one is not None]
    ticks = round_ticks(0, max([1.0, *values]))
    width: float = max(_LEFT + _GROUP * len(rows) + 20, _LEFT + text_width(HEAD, 12) if ablated.is_scripted else 0, 420)
    picture = Picture(width, _TOP + _HEIGHT + 34, "nDCG@10 of each mix on original and on rewritten queries")
    if ablated.is_scripted:
        picture.text(_LEFT, 18, HEAD, "head")
    picture.text(_LEFT, _TOP - 20, "nDCG@10 x 100", "head")
    for number, name in enumerate(("original queries", "rewritten queries")):
        at = _LEFT + 125 + number * 140
        picture.rectangle(at, _TOP - 29, 10, 10, f"c{number}", round=2)
        picture.text(at + 15, _TOP - 20, name, "label")
    y = Scale(ticks[0], ticks[-1], _TOP + _HEIGHT, _TOP)
    for tick in ticks:
        picture.line((_LEFT, y(tick)), (width - 20, y(tick)), "grid")
        picture.text(_LEFT - 8, y(tick) + 4, f"{tick:g}", "tick", anchor="end")
    for place, row in enumerate(rows):
        middle = _LEFT + _GROUP * (place + 0.5)
        for number, value in enumerate((row.original, row.rewritten)):
            if value is not None:
                left = middle - _BAR - 2 + number * (_BAR + 4)
                top = y(100 * value)
                picture.rectangle(
                    left, top, _BAR, y.start - top, f"c{number}", round=2, title=f"{row.name}: {points(value)}"
                )
                picture.text(left + _BAR / 2, top - 5, points(value), "label", anchor="middle")
        picture.text(middle, y.start + 19, shortened(row.name, _LONGEST), "tick", anchor="middle")
    picture.line((_LEFT, y.start), (width - 20, y.start), "axis")
    return standalone(picture)
