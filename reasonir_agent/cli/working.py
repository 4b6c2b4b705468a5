"""One question of the command line, from its options to its result: watched on the way, and traced at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from reasonir_agent.cli import screen
from reasonir_agent.cli.live import watching
from reasonir_agent.cli.settings import Choices
from reasonir_agent.cli.trace import leave_trace, refuse_folder
from reasonir_agent.config import AgentSettings
from reasonir_agent.types import PassageSource, SearchResult

if TYPE_CHECKING:
    from reasonir_agent.agent.api import OnNews, OnStep
    from reasonir_agent.llm import ChatModel

R = TypeVar("R", bound=SearchResult)
R_co = TypeVar("R_co", bound=SearchResult, covariant=True)


class Run(Protocol[R_co]):
    """`ask` or `search`."""

    def __call__(
        self,
        question: str,
        *,
        store: PassageSource,
        chat_model: ChatModel | None,
        settings: AgentSettings,
        where: Sequence[str],
        on_step: OnStep | None,
        on_news: OnNews | None,
    ) -> R_co:
        """The result."""
        ...


def work_on(
    question: str,
    run: Run[R],
    choices: Choices,
    settings: AgentSettings,
    *,
    where: Sequence[str],
    trace: Path | None,
    show: Callable[[R], None],
) -> None:
    """Ask or search, with progress where there is a terminal, and show the result.

    Args:
        question: as the user asked it.
        run: `ask` or `search`.
        choices: what the user chose.
        settings: of the agent, with the options' bounds.
        where: filters.
        trace: the page to write; a page that cannot be written is a warning, since the result has been paid for.
        show: prints the result.

    Raises:
        InputError: there is no store, or the page is a folder.
    """
    if trace is not None:
        refuse_folder(trace)
    with screen.python_warnings(), choices.open_corpus() as corpus:
        with watching(has_model=choices.llm is not None) as watch:
            result = run(
                question,
                store=corpus,
                chat_model=choices.open_chat_model(),
                settings=settings,
                where=where,
                on_step=watch.step if watch else None,
                on_news=watch.news if watch else None,
            )
        trace_was_left = trace is not None and (
            leave_trace(trace, result, corpus, settings, chat_model=choices.llm, store=choices.store, where=where)
        )
    show(result)
    if trace_was_left:
        screen.note(f"trace: {trace}", style="dim")
