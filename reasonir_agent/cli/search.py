"""`reasonir search QUESTION`"""

from __future__ import annotations

from typing import Annotated

import typer

from reasonir_agent.cli import screen
from reasonir_agent.cli.options import EncoderOption, JsonOption, KOption, LlmOption, StoreOption, WhereOption
from reasonir_agent.cli.settings import choose


def search(
    question: Annotated[str, typer.Argument(help="The question.", show_default=False)],
    store: StoreOption = None,
    encoder: EncoderOption = None,
    llm: LlmOption = None,
    k: KOption = None,
    where: WhereOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the passages that help with a question; with --llm, rewritten and reranked."""
    from reasonir_agent.agent.api import search as run

    choices = choose(store=store, encoder=encoder, llm=llm, k=k)
    with screen.python_warnings(), choices.open_corpus() as corpus:
        result = run(
            question, store=corpus, chat_model=choices.open_chat_model(), settings=choices.agent, where=where or ()
        )
    screen.print_json(result.as_json()) if as_json else screen.print_hits(result)
