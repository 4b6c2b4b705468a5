"""The reranker's calls: every passage alone, several at a time, each unreadable reply asked for once more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from reasonir_agent.errors import ChatError, UnreadableReply
from reasonir_agent.llm import ChatModel, Meter
from reasonir_agent.reranking.prompt import DEFAULT_CRITERIA, messages
from reasonir_agent.reranking.reading import HIGHEST, read_score
from reasonir_agent.types import Passage


@dataclass(slots=True)
class ChatReranker:
    """Scores passages with a chat model.

    Attributes:
        chat: the model.
        criteria: what counts as relevant.
        meter: where the cost is counted.
        problems: why scores could not be had, one sentence a failure.
    """

    chat: ChatModel
    criteria: str = DEFAULT_CRITERIA
    meter: Meter = field(default_factory=Meter)
    problems: list[str] = field(default_factory=list)

    async def score(self, question: str, passages: Sequence[Passage]) -> list[float | None]:
        """A score of 0 to 1 for each passage, None where the model gave none."""
        return list(await asyncio.gather(*(self._score_one(question, passage) for passage in passages)))

    async def _score_one(self, question: str, passage: Passage) -> float | None:
        talk = messages(question, passage.encoded_text, criteria=self.criteria)
        problem = ""
        for _ in range(2):
            try:
                reply = await self.chat.complete(talk, meter=self.meter)
                return read_score(reply.text) / HIGHEST
            except UnreadableReply as unreadable:
                problem = str(unreadable)
                talk += [
                    ("assistant", unreadable.raw[:2000] or "(nothing)"),
                    ("user", f"That could not be used: {problem}"),
                ]
            except ChatError as failed:
                problem = str(failed)
                break
        self.problems.append(problem)
        return None
