"""`reasonir-trainer mine`: hard negatives for pairs that exist already, graded on request."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reasonir_agent.errors import InputError
from reasonir_trainer.cli import choices, screen

if TYPE_CHECKING:
    from reasonir_agent.llm import ChatModel
    from reasonir_trainer.mining import Triplet


def mine(
    corpus: Annotated[Path, typer.Option(help="JSONL of {id, text}.")],
    queries: Annotated[Path, typer.Option(help="JSONL of {id, text}.")],
    qrels: Annotated[Path, typer.Option(help="Lines of query id, document id, relevance, tab-separated.")],
    out: Annotated[Path, typer.Option(help="JSONL to write.")],
    negatives: Annotated[int, typer.Option(min=1, help="Negatives for each pair.")] = 1,
    first_rank: Annotated[
        int | None, typer.Option(min=1, help="First rank that is taken; 20 by BM25, 1 by an encoder.")
    ] = None,
    by: Annotated[str, typer.Option("--by", help="bm25 or encoder.")] = "bm25",
    encoder: Annotated[
        str | None, typer.Option("--encoder", help="Ranks; by BM25 it keeps likely positives out.")
    ] = None,
    margin: Annotated[
        float, typer.Option("--margin", help="Share of the positive's similarity that a negative may reach.")
    ] = 0.95,
    grade: Annotated[bool, typer.Option("--grade", help="Have a chat model grade each document 0 to 5.")] = False,
    llm: Annotated[str | None, typer.Option("--llm", help="Chat model for --grade. [REASONIR_LLM]")] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Most calls at once.")] = 8,
) -> None:
    """Mine hard negatives by BM25 or by an encoder; grades that are known are not asked for again."""
    from reasonir_trainer import mining

    if by not in ("bm25", "encoder"):
        raise InputError(f"negatives are mined by bm25 or encoder, got {by!r}")
    model = None
    if grade:
        model = choices.open_named(choices.model_name(llm), concurrency=concurrency)
    found: Iterable[Triplet] = mining.mine(
        _texts(corpus),
        _texts(queries),
        _positives(qrels),
        negatives=negatives,
        first_rank=first_rank,
        by="encoder" if by == "encoder" else "bm25",
        encoder=choices.encoder_opener()(encoder) if encoder else None,
        margin=margin,
    )
    left_out = 0
    if model is not None:
        found, left_out = _graded(list(found), model, out, concurrency)
    lines = [json.dumps(triplet.as_json(), ensure_ascii=False) for triplet in found]
    aside = out.with_name(out.name + ".part")
    aside.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    aside.replace(out)
    typer.echo(f"{len(lines)} triplets in {out}")
    if left_out:
        screen.note(f"{left_out} triplets were left out, because they could not be graded; the same command asks again")


def _graded(triplets: list[Triplet], model: ChatModel, out: Path, concurrency: int) -> tuple[list[Triplet], int]:
    """Triplets with grades, and how many could not be graded. Replies are kept beside the output."""
    from reasonir_agent.bridge import run_sync
    from reasonir_agent.llm import Meter
    from reasonir_trainer.mining import Triplet
    from reasonir_trainer.mining.grading import graded
    from reasonir_trainer.synthesis.journal import Journal
    from reasonir_trainer.synthesis.live_caller import LiveCaller

    done: list[Triplet] = []

    async def grade(journal: Journal) -> None:
        async for one in graded(triplets, LiveCaller(model, journal, Meter()), at_once=concurrency):
            if isinstance(one, Triplet):
                done.append(one)

    with Journal(out.with_name(out.name + ".calls")) as journal:
        run_sync(grade(journal))
    return done, len(triplets) - len(done)


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
