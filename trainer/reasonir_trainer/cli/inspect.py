"""`reasonir-trainer inspect`: a data set as one page to read, finished or not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reasonir_trainer.cli import choices, screen


def inspect(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run, finished or not.")],
    out: Annotated[Path | None, typer.Option("--out", help="The page to write; DIR/page.html by itself.")] = None,
    examples: Annotated[int, typer.Option("--examples", min=1, max=1000, help="Rows of each kind that are shown.")] = 8,
    price: Annotated[
        str | None, typer.Option("--price", metavar="PROMPT,COMPLETION", help="Of a million tokens, for the cost.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as one JSON object.")] = False,
) -> None:
    """Write one self-contained HTML page: rows to read, lengths, overlap, repetitions, rejections, cost."""
    from reasonir_trainer.inspecting import write_page

    page = write_page(folder, out or folder / "page.html", examples=examples, price=choices.price_of(price))
    if as_json:
        counts = page.summary.model_dump(mode="json")
        screen.print_json({"page": str(page.file), "warnings": list(page.warnings), "summary": counts})
        return
    for warning in page.warnings:
        screen.note(warning)
    screen.say(f"{page.summary.rows:,} rows, {page.summary.items - page.summary.rows:,} rejected: {page.file}")
