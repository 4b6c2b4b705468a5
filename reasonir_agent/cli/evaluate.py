"""`reasonir evaluate ...`: the measurements that our defaults rest on, for the user's own corpus too."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reasonir_agent.cli import screen
from reasonir_agent.cli.options import EncoderOption, JsonOption, StoreOption
from reasonir_agent.cli.settings import choose

evaluate = typer.Typer(no_args_is_help=True, help="Measure the parts of the pipeline.")


@evaluate.callback()
def _evaluate() -> None:
    """Measure the parts of the pipeline."""


@evaluate.command()
def abstention(
    questions: Annotated[Path, typer.Argument(help="JSONL of {id, question, gold_ids}; empty gold_ids: no answer.")],
    store: StoreOption = None,
    encoder: EncoderOption = None,
    as_json: JsonOption = False,
) -> None:
    """How often `ask` without a model is silent where it could answer, and answers where it should be silent."""
    from reasonir_agent.evaluation.abstention import measure
    from reasonir_agent.evaluation.questions import read_questions

    choices = choose(store=store, encoder=encoder)
    asked = read_questions(questions)
    with screen.python_warnings(), choices.open_corpus() as corpus:
        report = measure(corpus, asked)
    if as_json:
        screen.print_json(report.as_json())
        return
    for line in report.lines():
        screen.out.print(line)
