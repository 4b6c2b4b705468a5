"""`reasonir-trainer mine`: the command line of the trainer."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import typer

from reasonir_agent.errors import InputError, ReasonIRError
from reasonir_trainer.mining import FIRST_RANK, mine

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def _root() -> None:
    """Training data for retrieval encoders."""


@app.command("mine")
def mine_command(
    corpus: Annotated[Path, typer.Option(help="JSONL of {id, text}.")],
    queries: Annotated[Path, typer.Option(help="JSONL of {id, text}.")],
    qrels: Annotated[Path, typer.Option(help="Lines of query id, document id, relevance, tab-separated.")],
    out: Annotated[Path, typer.Option(help="JSONL to write.")],
    negatives: Annotated[int, typer.Option(min=1, help="Negatives for each pair.")] = 1,
    first_rank: Annotated[int, typer.Option(min=1, help="First BM25 rank that is taken.")] = FIRST_RANK,
) -> None:
    """Mine hard negatives by BM25."""
    positives = _positives(qrels)
    found = mine(_texts(corpus), _texts(queries), positives, negatives=negatives, first_rank=first_rank)
    lines = [json.dumps(triplet.as_json(), ensure_ascii=False) for triplet in found]
    aside = out.with_name(out.name + ".part")
    aside.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    aside.replace(out)
    typer.echo(f"{len(lines)} triplets in {out}")


def _texts(file: Path) -> dict[str, str]:
    texts: dict[str, str] = {}
    for number, line in enumerate(_lines(file), start=1):
        try:
            record = json.loads(line)
            one, text = str(record["id"]), record["text"]
        except (ValueError, KeyError, TypeError) as cause:
            raise InputError(f'{file}:{number} must be {{"id", "text"}}') from cause
        if one in texts:
            raise InputError(f"{file}:{number}: the id {one!r} stands in the file twice")
        texts[one] = text
    return texts


def _positives(file: Path) -> dict[str, set[str]]:
    positives: dict[str, set[str]] = defaultdict(set)
    for number, line in enumerate(_lines(file), start=1):
        parts = line.split("\t")
        try:
            query, document, relevance = parts[0], parts[1], float(parts[2])
        except (IndexError, ValueError) as cause:
            raise InputError(
                f"{file}:{number} must hold query id, document id and relevance, got {line[:60]!r}"
            ) from cause
        if relevance > 0:
            positives[query].add(document)
    return positives


def _lines(file: Path) -> list[str]:
    try:
        return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as cause:
        raise InputError(f"{str(file)!r} cannot be read: {cause.strerror}") from cause


def main() -> None:
    """Run the command line: 0 a result, 2 wrong input."""
    try:
        code = app(standalone_mode=False)
    except ReasonIRError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except Exception as error:
        code = getattr(error, "exit_code", None)
        if code is None:
            raise
        say = getattr(error, "format_message", None)
        typer.echo(f"error: {say() if say else error}", err=True)
    sys.exit(code if isinstance(code, int) else 0)
