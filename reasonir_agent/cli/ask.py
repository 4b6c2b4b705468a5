"""`reasonir ask QUESTION`"""

from __future__ import annotations

from typing import Annotated

import typer

from reasonir_agent.cli import screen
from reasonir_agent.cli.options import (
    EncoderOption,
    JsonOption,
    KOption,
    LlmOption,
    MaxCallsOption,
    MaxSecondsOption,
    RoundsOption,
    StoreOption,
    TraceOption,
    WhereOption,
    bounded,
)
from reasonir_agent.cli.settings import choose


def ask(
    question: Annotated[str, typer.Argument(help="The question.", show_default=False)],
    store: StoreOption = None,
    encoder: EncoderOption = None,
    llm: LlmOption = None,
    k: KOption = None,
    where: WhereOption = None,
    rounds: RoundsOption = None,
    max_calls: MaxCallsOption = None,
    max_seconds: MaxSecondsOption = None,
    trace: TraceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer a question from the corpus, with citations that were checked."""
    from reasonir_agent.agent.api import ask as run
    from reasonir_agent.cli.working import work_on

    choices = choose(store=store, encoder=encoder, llm=llm, k=k)
    settings = bounded(choices.agent, rounds=rounds, max_calls=max_calls, max_seconds=max_seconds)
    show = screen.print_result_json if as_json else screen.print_answer
    work_on(question, run, choices, settings, where=where or (), trace=trace, show=show)
