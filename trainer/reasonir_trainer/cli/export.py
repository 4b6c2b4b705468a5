"""`reasonir-trainer export` and `import`: a data set in other people's formats, and theirs as one of ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reasonir_trainer.cli import screen

if TYPE_CHECKING:
    from reasonir_trainer.export.formats import Written

_FORMATS = "triplets (sentence-transformers), tevatron, beir or reasonir"
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a finished run.")],
    to: Annotated[str, typer.Option("--to", help=f"Format: {_FORMATS}.")],
    out: Annotated[Path, typer.Option("--out", help="File to write; a folder for beir, and with --held-out.")],
    held_out: Annotated[
        float | None,
        typer.Option("--held-out", help="Share of the documents whose rows become an evaluation set (BEIR)."),
    ] = None,
    instruction: Annotated[str | None, typer.Option("--instruction", help="Of every query, for reasonir.")] = None,
    negatives: Annotated[
        int | None, typer.Option("--negatives", min=0, help="Of every triplet; by itself, what most rows have.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a data set in another format; with --held-out, train.jsonl (or train/) and held-out/."""
    from reasonir_trainer.export import Options
    from reasonir_trainer.export import export as write

    plain = Options(negatives=negatives)
    options = plain if instruction is None else Options(negatives=negatives, instruction=instruction)
    done = write(folder, to, out, held_out=held_out, options=options)
    told = {"train": done.written, **({"held_out": done.held_out} if done.held_out else {})}
    if as_json:
        screen.print_json({name: _as_json(one) for name, one in told.items()} | {"not_held": done.loses})
        return
    _say(told)
    screen.note(f"not held by this format: {done.loses}", style="dim")


def take_over(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="File (JSON lines or Parquet), or folder for beir.")],
    source: Annotated[str, typer.Option("--from", help=f"Format: {_FORMATS}.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to make: data.jsonl, data.parquet, summary.json.")],
    documents: Annotated[
        Path | None,
        typer.Option("--documents", help="Texts by id, for reasonir's positives that are ids of BRIGHT's documents."),
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="Of a BEIR folder that has several.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a data set of ours from files in another format; what they do not say is left empty."""
    from reasonir_trainer.export import Options, read_documents
    from reasonir_trainer.export import take_over as read

    texts = read_documents(documents) if documents else None
    done = read(path, source, out, options=Options(documents=texts, split=split))
    if as_json:
        screen.print_json(_as_json(done))
        return
    _say({"train": done})


def _say(told: Mapping[str, Written]) -> None:
    for name, one in told.items():
        rows = f"{one.rows:,} row{'' if one.rows == 1 else 's'}"
        screen.say(f"{rows}{'' if name == 'train' else ' held out'} in {one.path}")
        for note in one.notes:
            screen.note(note)


def _as_json(one: Written) -> dict[str, Any]:
    return {"path": str(one.path), "rows": one.rows, "notes": list(one.notes)}
