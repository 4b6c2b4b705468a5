"""`reasonir ask QUESTION`"""

from __future__ import annotations

from typing import Annotated

import typer

from reasonir_agent.cli import screen
from reasonir_agent.cli.options import EncoderOption, JsonOption, KOption, LlmOption, StoreOption, WhereOption
from reasonir_agent.cli.settings import choose


def ask(
    question: Annotated[str, typer.Argument(help="The question.", show_default=False)],
    store: StoreOption = None,
    encoder: EncoderOption = None,
    llm: LlmOption = None,
    k: KOption = None,
    where: WhereOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer a question from the corpus, with citations that were checked."""
    from reasonir_agent.agent.api import ask as run

    choices = choose(store=store, encoder=encoder, llm=llm, k=k)
    with screen.python_warnings(), choices.open_corpus() as corpus:
        answer = run(
            question, store=corpus, chat_model=choices.open_chat_model(), settings=choices.agent, where=where or ()
        )
    screen.print_json(answer.as_json()) if as_json else screen.print_answer(answer)
