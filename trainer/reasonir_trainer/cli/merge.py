"""`reasonir-trainer merge`: the folders of all shards as one, and a data set of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reasonir_trainer.cli import choices, screen


def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders of shards.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="New folder.")],
    price: Annotated[
        str | None, typer.Option("--price", metavar="PROMPT,COMPLETION", help="Of a million tokens.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Join what shards made, drop what repeats over all of them, and finish the data set."""
    from reasonir_trainer.synthesis.finishing import finish
    from reasonir_trainer.synthesis.merging import merge as join

    prices = choices.price_of(price)
    joined = join(folders, out)
    request = joined.request
    guards = choices.guards(request.exclude, request.settings)
    changed = [guard.name for guard, held in zip(guards, request.exclude_sha256, strict=True) if guard.sha256 != held]
    if changed:
        joined.warnings.append(f"{', '.join(changed)} holds something else here than where the shards were made")
    summary = finish(out, settings=request.settings, exclusions=guards, price=prices)
    if as_json:
        told = {"out": str(out), "seeds": joined.seeds, "items": joined.items, "missing": joined.missing}
        screen.print_json(told | {"warnings": joined.warnings, "data": summary.model_dump(mode="json")})
        return
    screen.say(f"{summary.rows:,} rows in {out / 'data.jsonl'} from {len(folders)} folders")
    for line in joined.warnings:
        screen.note(line)
