"""`reasonir evaluate rag mmlu|gpqa [PATH]`"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from reasonir_agent.cli import screen
from reasonir_agent.cli.evaluation.answers import told_when_interrupted
from reasonir_agent.cli.evaluation.systems import EVALUATIONS
from reasonir_agent.cli.options import EncoderOption, JsonOption, LlmOption
from reasonir_agent.cli.settings import Choices, choose
from reasonir_agent.errors import InputError

if TYPE_CHECKING:
    from pydantic import JsonValue

    from reasonir_agent.evaluation.rag.benchmark import ChoiceQuestion
    from reasonir_agent.evaluation.rag.passages import Retriever
    from reasonir_agent.evaluation.rag.run import RagSettings, Way
    from reasonir_agent.evaluation.results import RagResult
    from reasonir_agent.llm import ChatModel

DATA: Final = "REASONIR_DATA"
WEB_KEY: Final = "REASONIR_WEB_KEY"


class Benchmark(StrEnum):
    """The sets of questions that can be read."""

    mmlu = "mmlu"
    gpqa = "gpqa"


def rag(
    benchmark: Annotated[Benchmark, typer.Argument(help="Which questions.")],
    path: Annotated[
        Path | None,
        typer.Argument(help=f"MMLU's folder or one CSV of it; GPQA's CSV. What is not here is looked for in ${DATA}."),
    ] = None,
    llm: LlmOption = None,
    store: Annotated[
        list[Path] | None, typer.Option("--store", help="Answer with passages of this store. Repeatable.")
    ] = None,
    encoder: EncoderOption = None,
    rewrite: Annotated[
        bool, typer.Option("--rewrite", help="Search the stores with queries that the model rewrote.")
    ] = False,
    web: Annotated[
        str | None,
        typer.Option("--web", help=f"Answer with results of a SearXNG instance at this address (key: ${WEB_KEY})."),
    ] = None,
    retriever: Annotated[
        list[str] | None,
        typer.Option("--retriever", help="Your own as MODULE:FACTORY; this runs code of your folder. Repeatable."),
    ] = None,
    closed_book: Annotated[
        bool, typer.Option("--closed-book/--no-closed-book", help="Answer without passages too; gains are over that.")
    ] = True,
    top: Annotated[int, typer.Option("--top", help="Passages that the reader is shown.")] = 5,
    drop_leaks: Annotated[
        bool, typer.Option("--drop-leaks", help="Leave out passages that hold the question nearly word for word.")
    ] = False,
    subject: Annotated[list[str] | None, typer.Option("--subject", help="Only this subject. Repeatable.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="A sample of so many questions.")] = None,
    split: Annotated[str, typer.Option("--split", help="Of MMLU: test, val or dev.")] = "test",
    out: Annotated[
        Path | None, typer.Option("--out", help=f"Folder of the result (default: {EVALUATIONS}/NAME).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Multiple choice questions with and without passages, one reader model; goes on where it was stopped."""
    from reasonir_agent.evaluation.identity import folder_name
    from reasonir_agent.evaluation.ledger import FILE, Ledger
    from reasonir_agent.evaluation.rag.benchmark import select
    from reasonir_agent.evaluation.rag.run import measure
    from reasonir_agent.evaluation.results import write_result

    choices, chat = _reader(llm)
    found = _resolved(path or Path(benchmark.value), choices.environment.get(DATA))
    questions = select(_read(benchmark, found, split), subjects=subject or (), limit=limit)
    name = folder_name("rag", benchmark.value, chat.name)
    folder = out or EVALUATIONS / name
    with screen.python_warnings(), ExitStack() as opened:
        stores = _stores(store or (), encoder, opened)
        ways = _ways(stores, _others(web, retriever or ()), closed_book=closed_book, rewrite=rewrite)
        ledger = opened.enter_context(Ledger(folder / FILE))
        progress = opened.enter_context(screen.progress("questions"))
        opened.enter_context(told_when_interrupted())
        result = measure(
            questions,
            ways,
            chat=chat,
            ledger=ledger,
            name=name,
            benchmark=benchmark.value,
            settings=_settings(choices, top=top, drop_leaks=drop_leaks),
            config=_config(benchmark, split, subject or (), limit),
            progress=progress,
        )
    file = write_result(folder, result)
    if as_json:
        screen.print_json(result.model_dump(mode="json"))
    else:
        show(result, file)


def _reader(llm: str | None) -> tuple[Choices, ChatModel]:
    """The model that answers, always at temperature 0."""
    choices = choose(llm=llm)
    choices = replace(choices, agent=replace(choices.agent, temperature=0.0))
    chat = choices.open_chat_model()
    if chat is None:
        raise InputError("evaluate rag needs a reader; give --llm provider:model (or REASONIR_LLM)")
    return choices, chat


def _settings(choices: Choices, *, top: int, drop_leaks: bool) -> RagSettings:
    from reasonir_agent.evaluation.rag.run import RagSettings

    return RagSettings(
        top=top,
        drop_leaks=drop_leaks,
        rewrite_words=choices.agent.rewrite_words,
        concurrency=choices.agent.concurrency,
        max_reply_tokens=choices.agent.max_reply_tokens,
    )


def _config(benchmark: Benchmark, split: str, subjects: Sequence[str], limit: int | None) -> dict[str, JsonValue]:
    """Which questions, for the result."""
    from reasonir_agent.evaluation.rag.benchmark import SEED

    return {
        "split": split if benchmark is Benchmark.mmlu else None,
        "subjects": [*subjects],
        "limit": limit,
        "sample_seed": None if limit is None else SEED,
    }


def _read(benchmark: Benchmark, path: Path, split: str) -> list[ChoiceQuestion]:
    from reasonir_agent.evaluation.rag.gpqa import read_gpqa
    from reasonir_agent.evaluation.rag.mmlu import read_mmlu

    return read_mmlu(path, split=split) if benchmark is Benchmark.mmlu else read_gpqa(path)


def _resolved(path: Path, data: str | None) -> Path:
    """The path as it is, else under the folder that the environment names."""
    for found in (path, Path(data) / path if data else path):
        if found.exists():
            return found
    raise InputError(
        f"there is no {path} here" + (f", nor in {DATA}" if data else f", and {DATA} names no folder of data")
    )


def _ways(stores: list[Retriever], others: list[Retriever], *, closed_book: bool, rewrite: bool) -> list[Way]:
    """What is measured: without passages, then with those of each retriever; stores may be searched by rewrites."""
    from reasonir_agent.evaluation.rag.run import Way

    ways = [Way()] if closed_book else []
    ways += [Way(one, rewrite=rewrite) for one in stores]
    ways += [Way(one) for one in others]
    if not ways:
        raise InputError("there is nothing to measure; give --store, --web or --retriever, or leave --closed-book")
    return ways


def _stores(folders: Sequence[Path], encoder: str | None, opened: ExitStack) -> list[Retriever]:
    from reasonir_agent.evaluation.rag.passages import StoreRetriever

    corpora = [opened.enter_context(choose(store=one, encoder=encoder).open_corpus()) for one in folders]
    return [StoreRetriever(corpus) for corpus in corpora]


def _others(web: str | None, retrievers: Sequence[str]) -> list[Retriever]:
    from reasonir_agent.evaluation.rag.passages import load_retriever
    from reasonir_agent.evaluation.rag.web import WebSearch

    engines = [WebSearch(web, key=os.environ.get(WEB_KEY))] if web else []
    return [*engines, *(load_retriever(name, Path.cwd()) for name in retrievers)]


def show(result: RagResult, file: Path) -> None:
    """The result on the terminal."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for title in ("accuracy", "macro", "gain", "unreadable", "leaking"):
        table.add_column(title, justify="right")
    for one in result.conditions:
        table.add_row(
            Text(screen.clean(one.name)),
            f"{one.accuracy:.1%}",
            f"{one.macro:.1%}",
            "" if one.relative_gain is None else f"{one.relative_gain:+.1%}",
            str(sum(subject.unreadable for subject in one.subjects.values())),
            f"{one.leaking}{' dropped' if one.dropped else ''}",
        )
    screen.out.print(table)
    if len(result.conditions[0].subjects) > 1:
        screen.out.print()
        screen.out.print(_by_subject(result))
    screen.out.print(Text(f"result: {file}"))
    screen.notes(result.warnings)


def _by_subject(result: RagResult) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("subject")
    table.add_column("questions", justify="right")
    for one in result.conditions:
        table.add_column(Text(screen.clean(one.name)), justify="right")
    for subject, first in result.conditions[0].subjects.items():
        shares = (one.subjects[subject].right / one.subjects[subject].questions for one in result.conditions)
        table.add_row(Text(screen.clean(subject)), str(first.questions), *(f"{share:.1%}" for share in shares))
    return table
