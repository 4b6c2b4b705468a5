"""A message of a conversation: made a question that stands alone, then answered as any other.

`ask_follow_up` is for conversations that somebody else keeps, such as a chat page that sends all of it each time; one of
our own is a `Conversation`. What making the question stand alone costs is a part of what the question costs, and of its
bounds. An address in the question counts as the user's, so none may come into it out of an earlier answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Final

from reasonir_agent.agent.api import OnNews, OnStep, ask_async
from reasonir_agent.agent.harmless import harmless
from reasonir_agent.agent.spending import left, spending
from reasonir_agent.agent.state import add_usage
from reasonir_agent.config import AgentSettings
from reasonir_agent.errors import ChatError, ChatUnavailable
from reasonir_agent.llm import ChatModel, Meter
from reasonir_agent.rewriting import Turn, standalone
from reasonir_agent.types import Answer, PassageSource, Usage

REMEMBERED: Final = 6
"""Turns that a message may refer to."""

NOT_READ: Final = "no chat model: what was said before was not read; the message was taken as a question of its own"


async def understand(
    message: str, said: Sequence[Turn], chat: ChatModel | None, *, meter: Meter
) -> tuple[str, list[str]]:
    """A message as a question that stands alone, and what the user must be told.

    A model that fails leaves the message as it is, with a warning.

    Args:
        message: the user's next one.
        said: what was said before, oldest first.
        chat: the model; None leaves every message as it is.
        meter: where the cost is counted and bounded.

    Raises:
        ChatUnavailable: the chat server cannot be reached or refuses the key.
    """
    if chat is None:
        return message, []
    try:
        question = await standalone(message, said[-REMEMBERED:], chat, meter=meter)
    except ChatUnavailable:
        raise
    except ChatError as problem:
        return message, [
            f"the message could not be made a question that stands alone ({problem}); it was asked as it is"
        ]
    if question == message:
        return message, []
    return harmless(question, " ".join([message, *(one.question for one in said)])), []


async def ask_follow_up(
    message: str,
    said: Sequence[Turn],
    *,
    store: PassageSource,
    chat_model: ChatModel | None = None,
    settings: AgentSettings | None = None,
    on_question: Callable[[str], None] | None = None,
    on_step: OnStep | None = None,
    on_news: OnNews | None = None,
) -> Answer:
    """Answer the next message of a conversation; the answer's `question` is what it was taken for.

    Args:
        message: the user's next one.
        said: what was said before, oldest first; without it the message is a question as it stands.
        store: what is asked about.
        chat_model: the model; None takes every message as a question of its own.
        settings: of the agent; its bounds hold for understanding the message too.
        on_question: told the question where it is not the message itself, before anything is searched.
        on_step: as in `ask_async`.
        on_news: likewise.

    Raises:
        InputError: the message is empty.
        ChatUnavailable: the chat server cannot be reached or refuses the key.
    """
    settings = settings or AgentSettings()
    price = None if chat_model is None else chat_model.price
    spent = spending(settings, {}, price=price)
    question, warnings = await understand(message, said, chat_model, meter=spent.meter)
    if said and chat_model is None:
        warnings = [NOT_READ]
    if question != message and on_question is not None:
        on_question(question)
    before = spent.usage()
    answer = await ask_async(
        question,
        store=store,
        chat_model=chat_model,
        settings=left(settings, before, spent.meter.carried(), price=price),
        on_step=on_step,
        on_news=on_news,
    )
    usage = Usage(**add_usage(before, asdict(answer.usage)))
    return replace(answer, usage=usage, warnings=[*warnings, *answer.warnings])
