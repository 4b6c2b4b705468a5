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

from reasonir_agent.errors import BudgetSpent, ChatError, UnreadableReply
from reasonir_agent.llm import ChatModel, Meter, Reply
from reasonir_agent.reranking.expecting import expected_score
from reasonir_agent.reranking.prompt import DEFAULT_CRITERIA, messages
from reasonir_agent.reranking.reading import HIGHEST, read_score
from reasonir_agent.types import Passage

_ALTERNATIVES: Final = 20
"""Of each token; most servers give up to 20."""

_SHOWN: Final = 2000  # characters of an unreadable reply that the model is shown again


class _Score(BaseModel):
    score: float


@dataclass(slots=True)
class ChatReranker:
    """Scores passages with a chat model.

    Attributes:
        chat: the model.
        criteria: what counts as relevant.
        meter: where the cost is counted and bounded.
        problems: why scores could not be had, one for each failure.
        on_scored: told after each passage.
    """

    chat: ChatModel
    criteria: str = DEFAULT_CRITERIA
    meter: Meter = field(default_factory=Meter)
    problems: list[ChatError] = field(default_factory=list)
    on_scored: Callable[[], None] | None = None

    async def score(self, question: str, passages: Sequence[Passage]) -> list[float | None]:
        """A score of 0 to 1 for each passage, None where the model gave none."""
        return list(await asyncio.gather(*(self._score_one(question, passage) for passage in passages)))

    async def _score_one(self, question: str, passage: Passage) -> float | None:
        if any(isinstance(one, BudgetSpent) for one in self.problems):
            return None  # nothing more can be paid for
        talk = messages(question, passage.encoded_text, criteria=self.criteria)
        problem: ChatError | None = None
        for shape in (None, _Score):
            try:
                logprobs = _ALTERNATIVES if shape is None else 0
                reply = await self.chat.complete(talk, meter=self.meter, schema=shape, logprobs=logprobs)
                score = _score(reply)
            except UnreadableReply as unreadable:
                problem = unreadable
                talk += [
                    ("assistant", unreadable.raw[:_SHOWN] or "(nothing)"),
                    ("user", f'That could not be used: {problem} Reply with the JSON object {{"score": N}} only.'),
                ]
            except ChatError as failed:
                problem = failed
                break
            else:
                if self.on_scored is not None:
                    self.on_scored()
                return score
        assert problem is not None
        self.problems.append(problem)
        return None


def _score(reply: Reply) -> float:
    """0 to 1.

    Raises:
        UnreadableReply: no score can be read.
    """
    stated = read_score(reply.text)
    expected = expected_score(reply)
    return (stated if expected is None else expected) / HIGHEST
