"""The one way in which synthesis talks to a chat model: a call has a name, and its reply can be kept under it.

Items are made by plain coroutines that ask a `Caller`. Who stands behind it decides the rest: a model that answers at
once, a journal that knows the reply from before a crash, or a batch that answers tomorrow. A coroutine that gets the
same replies makes the same item, which is what makes a run resumable.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel

from reasonir_agent.llm import Reply


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the chat model.

    Attributes:
        item: id of the item, or of the seed, that it is made for.
        step: what is asked ("query", "positive", "negative 1", "judge 1", "quality", ...).
        attempt: from 1; a further attempt holds the refused reply and the reason in its messages.
        messages: (role, text) pairs.
        shape: the JSON shape that is asked of the server; the reply is checked by who asked.
    """

    item: str
    step: str
    attempt: int
    messages: tuple[tuple[str, str], ...]
    shape: type[BaseModel] | None = None

    @property
    def key(self) -> str:
        """Under which the reply is kept: changes with every word of the request."""
        asked = json.dumps([self.item, self.step, self.attempt, self.messages, self.shape and self.shape.__name__])
        return hashlib.sha256(asked.encode()).hexdigest()[:32]


class Caller(Protocol):
    """Whoever answers calls."""

    async def reply(self, call: Call) -> Reply:
        """The model's reply.

        Raises:
            ChatUnavailable: no call can succeed.
            BudgetSpent: a bound of the run is reached.
            ChatError: this call failed for good.
        """
        ...
