"""The reranker's calls: every passage alone, several at a time, each unreadable reply asked for once more.

First choice is the expected score over the probabilities of the digits 0 to 5 (few ties), where the server gives them;
else the score that the reply states, read strictly. A reply that states none is asked for again as a JSON object, with
the reason. A server that refuses log-probabilities or formats is not asked for them again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydantic import BaseModel

from reasonir_agent.errors import ChatError, UnreadableReply
from reasonir_agent.llm import ChatModel, Meter, Reply
from reasonir_agent.reranking.expecting import expected_score
from reasonir_agent.reranking.prompt import DEFAULT_CRITERIA, messages
from reasonir_agent.reranking.reading import HIGHEST, read_score
from reasonir_agent.types import Passage

_ALTERNATIVES: Final = 20
"""Of each token; most servers give up to 20."""

_SHOWN: Final = 2000  # characters of an unreadable reply that the model is shown again


Outcome = float | ChatError | None
"""A score of 0 to 1, or why there is none; None where a reranker does not say why."""


class _Score(BaseModel):
    score: float


@dataclass(slots=True)
class ChatReranker:
    """Scores passages with a chat model.

    Attributes:
        chat: the model.
        criteria: what counts as relevant.
        meter: where the cost is counted and bounded.
        problems: why `score` could not give scores, one for each failure.
        on_scored: told after each passage, scored or not.
    """

    chat: ChatModel
    criteria: str = DEFAULT_CRITERIA
    meter: Meter = field(default_factory=Meter)
    problems: list[ChatError] = field(default_factory=list)
    on_scored: Callable[[], None] | None = None

    async def score(self, question: str, passages: Sequence[Passage]) -> list[float | None]:
        """A score of 0 to 1 for each passage, None where the model gave none."""
        outcomes = await self.outcomes(question, passages)
        self.problems += [one for one in outcomes if isinstance(one, ChatError)]
        return [one if isinstance(one, float) else None for one in outcomes]

    async def outcomes(self, question: str, passages: Sequence[Passage]) -> list[float | ChatError]:
        """For each passage its score of 0 to 1, or why it has none (`BudgetSpent`: it could not be paid for)."""
        return list(await asyncio.gather(*(self._outcome(question, passage) for passage in passages)))

    async def _outcome(self, question: str, passage: Passage) -> float | ChatError:
        try:
            return await self._asked(messages(question, passage.encoded_text, criteria=self.criteria))
        except ChatError as problem:
            return problem
        finally:
            if self.on_scored is not None:
                self.on_scored()

    async def _asked(self, talk: list[tuple[str, str]]) -> float:
        try:
            return _score(await self.chat.complete(talk, meter=self.meter, logprobs=_ALTERNATIVES))
        except UnreadableReply as problem:
            again = [
                *talk,
                ("assistant", problem.raw[:_SHOWN] or "(nothing)"),
                ("user", f'That could not be used: {problem} Reply with the JSON object {{"score": N}} only.'),
            ]
        return _score(await self.chat.complete(again, meter=self.meter, schema=_Score))


def _score(reply: Reply) -> float:
    """0 to 1.

    Raises:
        UnreadableReply: no score can be read.
    """
    stated = read_score(reply.text)
    expected = expected_score(reply)
    return (stated if expected is None else expected) / HIGHEST
