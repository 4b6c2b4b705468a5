"""One rewrite of a question, or several that differ.

A question and the passage that answers it often share no word. The rewrite makes three moves: name the essential
problem, reason about what would help, draft an answer with every thought. It replaces the question in retrieval; the
reranker and the answer still see the question itself. In its second form the rewriter has seen what a first search
found, or is told which fact is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from reasonir_agent.errors import ChatError, ChatUnavailable, UnreadableReply
from reasonir_agent.llm import ChatModel, Meter, Reply
from reasonir_agent.llm.model import OnText
from reasonir_agent.reranking.prompt import neutral
from reasonir_agent.rewriting.prompts import SYSTEM, task, texts_of
from reasonir_agent.types import Passage

_SHORTEST: Final = 20
_LONGEST: Final = 20_000  # characters; a rewrite of 2,048 tokens has about half of that

_REFUSED: Final = ("refusal", "content_filter")


@dataclass(frozen=True, slots=True)
class Rewrites:
    """Several rewrites.

    Attributes:
        texts: those that could be had, without doubles.
        problems: why others could not.
    """

    texts: list[str] = field(default_factory=list)
    problems: list[ChatError] = field(default_factory=list)


async def rewrite(
    question: str,
    chat: ChatModel,
    *,
    words: int,
    meter: Meter,
    missing: str = "",
    evidence: Sequence[Passage] = (),
    angle: int = 0,
    on_text: OnText | None = None,
) -> str:
    """Rewrite a question.

    Args:
        question: as the user asked it.
        chat: the model.
        words: length to ask for.
        meter: where the cost is counted and bounded.
        missing: a fact that earlier searches did not find.
        evidence: passages that an earlier search found, best first.
        angle: which of the angles, so that several rewrites differ.
        on_text: gets the rewrite as it comes.

    Raises:
        UnreadableReply: the model said next to nothing.
        ChatError: the server failed, or the budget is spent.
    """
    shown = [neutral(text) for text in texts_of(evidence)]
    asked = task(question, words=words, missing=missing, evidence=shown, angle=angle)
    reply = await chat.complete([("system", SYSTEM), ("user", asked)], meter=meter, on_text=on_text)
    return usable_text(reply)


async def rewrite_several(
    question: str,
    chat: ChatModel,
    *,
    count: int,
    words: int,
    meter: Meter,
    missing: Sequence[str] = (),
    evidence: Sequence[Passage] = (),
    on_text: OnText | None = None,
) -> Rewrites:
    """Rewrites at the same time: `count` from different angles, or one for each missing fact. Failures are told.

    Raises:
        ChatUnavailable: the server cannot be reached or refuses the key.
    """
    wishes = [(fact, 0) for fact in missing] or [("", angle) for angle in range(count)]
    tries = await asyncio.gather(
        *(
            rewrite(
                question,
                chat,
                words=words,
                meter=meter,
                missing=fact,
                evidence=evidence,
                angle=angle,
                on_text=on_text if number == 0 else None,
            )
            for number, (fact, angle) in enumerate(wishes)
        ),
        return_exceptions=True,
    )
    problems = [one for one in tries if isinstance(one, ChatError)]
    for one in tries:
        if isinstance(one, BaseException) and not isinstance(one, ChatError):
            raise one
    texts = list(dict.fromkeys(one for one in tries if isinstance(one, str)))
    gone = [one for one in problems if isinstance(one, ChatUnavailable)]
    if gone and not texts:
        raise gone[0]
    return Rewrites(texts, problems)


def usable_text(reply: Reply) -> str:
    """The rewrite in a reply; a model that put everything into its thinking is taken at that.

    Raises:
        UnreadableReply: neither holds a text, or the server says that the model refused.
    """
    if reply.ended in _REFUSED:
        raise UnreadableReply("the model refused to rewrite the question.", raw=reply.text)
    for text in (reply.text, reply.thinking):
        if len(text) >= _SHORTEST:
            return text[:_LONGEST]
    raise UnreadableReply("the rewritten query is empty.", raw=reply.text)
