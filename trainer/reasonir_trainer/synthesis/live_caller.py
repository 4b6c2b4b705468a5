"""A caller that asks the model at once, and asks nothing twice: the journal is looked in first.

A reply is in the journal before anyone sees it, so a run that is killed loses at most the calls under way. What replies
of earlier runs cost counts for the bounds of this one. Until one call has succeeded, calls go one at a time and are
hardly retried: a wrong key, address or model shows at once, and once.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from reasonir_agent.errors import ChatError, ChatUnavailable
from reasonir_agent.llm import Bounds, ChatModel, Meter, Price, Reply
from reasonir_agent.llm.failures import is_passing
from reasonir_trainer.synthesis.calling import Call
from reasonir_trainer.synthesis.journal import Asked, Journal, Spent

_FIRST_RETRIES: Final = 1


class CallFailed(ChatUnavailable):
    """A call failed, and may succeed another time: the server was busy, slow or broken.

    It says nothing about the item, and so passes through its making as `ChatUnavailable` does.
    """


class NeverReached(ChatUnavailable):
    """The model could not be used at all: no call of this run succeeded."""


def meter_of(spent: Spent, bounds: Bounds, price: Price | None) -> Meter:
    """A meter that goes on where the replies of a journal ended."""
    before = {
        "prompt_tokens": spent.estimated_prompt,
        "completion_tokens": spent.estimated_completion,
        "tokens_per_byte": 0.5,
        "silent": spent.silent,
    }
    counted = (spent.calls, spent.prompt_tokens, spent.completion_tokens)
    return Meter(*counted, bounds=bounds, price=price, before=before)


class LiveCaller:
    """Answers calls from the journal, else by the model.

    Args:
        model: who is asked.
        journal: where replies are kept.
        meter: what calls cost and may cost.

    Attributes:
        replayed: replies that were known.
    """

    def __init__(self, model: ChatModel, journal: Journal, meter: Meter) -> None:
        self._model, self._journal, self._meter = model, journal, meter
        self._keys: dict[str, list[str]] = {}
        self._succeeded = False
        self._first = asyncio.Lock()
        self.replayed = 0

    async def reply(self, call: Call) -> Reply:
        """The model's reply; what it thought aloud is left out.

        Raises:
            NeverReached: no call of this run has succeeded, and none can.
            ChatUnavailable: no call can succeed any more.
            BudgetSpent: a bound of the run is reached.
            CallFailed: this call failed, and may succeed another time.
            ChatError: this call failed for good.
            StoreError: the reply cannot be kept.
        """
        self._keys.setdefault(call.item, []).append(call.key)
        known = self._journal.find(call.key)
        if known is not None:
            self.replayed += 1
            return known
        reply = replace(await self._asked(call), thinking="", tokens=())
        self._journal.keep(Asked.of(call), reply)
        return reply

    def begin(self, item: str) -> None:
        """The item is being made."""

    def end(self, item: str) -> None:
        """The item is finished, or given up for now; what is finished is not asked for again."""
        for key in self._keys.pop(item, ()):
            self._journal.forget(key)

    async def _asked(self, call: Call) -> Reply:
        if not self._succeeded:
            async with self._first:
                if not self._succeeded:
                    reply = await self._first_reply(call)
                    self._succeeded = True
                    return reply
        return await self._complete(self._model, call)

    async def _first_reply(self, call: Call) -> Reply:
        hasty = replace(self._model, max_retries=min(self._model.max_retries, _FIRST_RETRIES))
        try:
            return await self._complete(hasty, call)
        except ChatUnavailable as cause:
            raise NeverReached(str(cause)) from cause

    async def _complete(self, model: ChatModel, call: Call) -> Reply:
        try:
            return await model.complete(call.messages, meter=self._meter, schema=call.shape)
        except ChatError as error:
            cause = error.__cause__
            if type(error) is ChatError and isinstance(cause, Exception) and is_passing(cause):
                raise CallFailed(str(error)) from cause
            raise
