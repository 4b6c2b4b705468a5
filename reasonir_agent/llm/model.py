"""Calls to a chat model: a bound on how many are under way, retries within the budget, formats, streams.

What a server refuses is given up one option at a time and remembered: log-probabilities, streams, and the formats
json_schema (as a dict, so that the client parses nothing), json_object, plain. Whatever it says is checked here.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

from pydantic import BaseModel

from reasonir_agent.bridge import on_our_loop
from reasonir_agent.errors import ChatError, UnreadableReply
from reasonir_agent.llm.failures import (
    BrokeOff,
    asked_to_wait,
    is_passing,
    may_have_cost,
    refuses_option,
    translated,
)
from reasonir_agent.llm.meter import Estimate, Meter, Price
from reasonir_agent.llm.replies import Parsed, Reply, Visible, as_reply, as_text, read_json

ATTEMPTS: Final = 2
"""How often a structured reply is asked for: once, and once more with the error told to the model."""

DEFAULT_REPLY_TOKENS: Final = 2048
"""Length of a reply that is reserved for a model whose bound nobody knows."""

FIRST_WAIT: Final = 1.0
"""Seconds at most before the first retry, where the server names none; each further wait is twice as long."""

LONGEST_WAIT: Final = 60.0
"""Seconds. A server that asks for more before the next attempt is not waited for."""

LONGEST_STREAM: Final = 500_000
"""Characters, thinking included. A stream that goes on beyond is taken for endless: far more than any model may say."""

_LADDER: Final = ("json_schema", "json_object", "plain text")
OnText = Callable[[str | None], None]
"""Gets each visible piece of a stream; None means that what came so far is void and the reply begins anew."""


class Talks(Protocol):
    """What a chat model underneath must do: LangChain's chat models do, and an adapter of any other framework may."""

    async def ainvoke(self, input: Any, **kwargs: Any) -> Any:
        """Answer (role, text) pairs with an object that has `content`, and `usage_metadata` where tokens are known.

        An option that it does not know, such as `response_format`, raises TypeError; it is called again without.
        """
        ...


@dataclass(slots=True)
class _Asked:
    """What is asked of a server beside the messages; what it refuses is left out, dearest wish last."""

    rung: int = 0
    logprobs: int = 1
    streams: bool = True

    def without_one(self) -> bool:
        """Leave one thing out; False when nothing is left to leave out."""
        if self.logprobs:
            self.logprobs = 0
        elif self.streams:
            self.streams = False
        elif self.rung + 1 < len(_LADDER):
            self.rung += 1
        else:
            return False
        return True

    def learn(self, worked: _Asked, *, schema: bool, logprobs: bool, streams: bool) -> None:
        """Remember what was wanted and worked only without; a thing is given up for good only then."""
        if schema:
            self.rung = max(self.rung, worked.rung)
        if logprobs and not worked.logprobs:
            self.logprobs = 0
        if streams and not worked.streams:
            self.streams = False


@dataclass(slots=True)
class _Teller:
    """The caller's `on_text`; what it raises is the caller's own and no failure of the server."""

    tell: OnText
    failure: Exception | None = None

    def __call__(self, text: str | None) -> None:
        try:
            self.tell(text)
        except Exception as mistake:
            self.failure = mistake
            raise


@dataclass(slots=True)
class ChatModel:
    """A chat model with our errors.

    Attributes:
        model: the LangChain model underneath, or whatever talks like one.
        name: for messages.
        concurrency: most requests under way.
        own_loop: make the requests on the process's own event loop. The provider's client keeps connections, and those
            break when the loop that opened them ends; a model that the caller opened stays on the caller's loop.
        max_retries: of passing failures; 0 for a model whose own client retries.
        reply_tokens: the longest reply, for the budget.
        price: of a million tokens.
        tells_ends: whether the server says why a reply ended; a stream without it has broken off.
        secrets: keys that the model sends; no message shows them.
        pause: waits between attempts.
    """

    model: Talks
    name: str
    concurrency: int = 8
    own_loop: bool = False
    max_retries: int = 0
    reply_tokens: int = DEFAULT_REPLY_TOKENS
    price: Price | None = None
    tells_ends: bool = False
    secrets: tuple[str, ...] = field(default=(), repr=False)
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    _least: _Asked = field(default_factory=_Asked)
    _gates: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = field(default_factory=WeakKeyDictionary)

    async def complete(
        self,
        messages: Sequence[tuple[str, str]],
        *,
        meter: Meter,
        schema: type[BaseModel] | None = None,
        logprobs: int = 0,
        on_text: OnText | None = None,
    ) -> Reply:
        """One reply.

        Args:
            messages: (role, text) pairs; roles are "system", "user", "assistant".
            meter: where the cost is counted and bounded.
            schema: ask the server to keep to this shape where it can; the reply is not checked here.
            logprobs: alternatives of each token to ask for; left out of the reply where the server has none.
            on_text: gets the reply as it comes, without thinking, where the server streams.

        Raises:
            ChatUnavailable: no connection, key refused, unknown model.
            BudgetSpent: one more request would pass a bound of the question.
            ChatError: any other failure of the server or client. What `on_text` raises comes back as it is.
        """
        teller = None if on_text is None else _Teller(on_text)
        call = self._retried(list(messages), meter, schema, logprobs, teller)
        return await (on_our_loop(call) if self.own_loop else call)

    async def ask_json(
        self,
        messages: Sequence[tuple[str, str]],
        shape: type[Parsed],
        *,
        meter: Meter,
        on_text: OnText | None = None,
    ) -> Parsed:
        """A reply of a given shape; an unreadable one is asked for again with the reason.

        Raises:
            UnreadableReply: the last attempt could not be read either.
            ChatError: the server failed, or the budget is spent.
        """
        talk = list(messages)
        for attempt in range(ATTEMPTS):
            if attempt and on_text is not None:
                on_text(None)
            reply = await self.complete(talk, meter=meter, schema=shape, on_text=on_text)
            try:
                return read_json(reply.text, shape)
            except UnreadableReply as problem:
                if attempt + 1 == ATTEMPTS:
                    raise
                talk += [
                    ("assistant", reply.text[:4000] or "(nothing)"),
                    ("user", f"That could not be used: {problem} Reply again with the JSON object only."),
                ]
        raise AssertionError("unreachable")

    @property
    def json_format(self) -> str:
        """What replies of a given shape are asked for with: "json_schema", "json_object" or "plain text".

        It begins with the first; the next takes its place once the server has refused it.
        """
        return _LADDER[self._least.rung]

    def _gate(self) -> asyncio.Semaphore:
        """The limit of the running loop; a semaphore belongs to one."""
        return self._gates.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(self.concurrency))

    async def _retried(
        self,
        messages: list[tuple[str, str]],
        meter: Meter,
        schema: type[BaseModel] | None,
        logprobs: int,
        teller: _Teller | None,
    ) -> Reply:
        """Send until it succeeds: options that are refused are left out, passing failures waited out."""
        asked = _Asked(
            rung=self._least.rung if schema else len(_LADDER) - 1,
            logprobs=logprobs if self._least.logprobs else 0,
            streams=teller is not None and self._least.streams and hasattr(self.model, "astream"),
        )
        retries = 0
        while True:
            try:
                reply = await self._sent(messages, meter, schema, asked, teller)
            except ChatError:
                raise
            except Exception as cause:
                if teller is not None and cause is teller.failure:
                    raise
                if refuses_option(cause) and asked.without_one():
                    continue
                retries += 1
                await self._wait(cause, retries, meter)
                if asked.streams and teller is not None:
                    teller(None)
                continue
            self._least.learn(asked, schema=schema is not None, logprobs=logprobs > 0, streams=teller is not None)
            return reply

    async def _sent(
        self,
        messages: list[tuple[str, str]],
        meter: Meter,
        schema: type[BaseModel] | None,
        asked: _Asked,
        teller: _Teller | None,
    ) -> Reply:
        """One request, within the budget and the limit of requests under way."""
        size = sum(len(text.encode(errors="replace")) for _, text in messages)
        options = _response_format(_LADDER[asked.rung], schema)
        if asked.logprobs:
            options |= {"logprobs": True, "top_logprobs": asked.logprobs}
        estimate = meter.estimate(size, len(messages), self.reply_tokens)
        try:
            # waiting for others' requests and for what they leave of the budget takes time too
            async with asyncio.timeout(meter.seconds_left), self._gate(), meter.reserved(estimate):
                message = await self._message(messages, options, meter, estimate, teller if asked.streams else None)
                reply = as_reply(message)
                said = len((reply.text + reply.thinking).encode(errors="replace"))
                counted = reply.prompt_tokens, reply.completion_tokens
                meter.settle(*counted, characters=size, estimate=estimate, reply=said)
                return reply
        except TimeoutError as late:
            left = meter.seconds_left
            if left is not None and left <= 0 and (teller is None or late is not teller.failure):
                raise meter.out_of_time() from late
            raise

    async def _message(
        self,
        messages: list[tuple[str, str]],
        options: dict[str, Any],
        meter: Meter,
        estimate: Estimate,
        teller: _Teller | None,
    ) -> Any:
        """What the model underneath says; a request that broke counts for the bounds."""
        try:
            if teller is not None:
                return await self._streamed(messages, options, teller)
            return await self.model.ainvoke(messages, **options)
        except Exception as cause:
            was_stopped = teller is not None and cause is teller.failure
            if was_stopped or isinstance(cause, ChatError) or may_have_cost(cause):
                meter.lost(estimate)
            raise

    async def _streamed(self, messages: list[tuple[str, str]], options: dict[str, Any], teller: _Teller) -> Any:
        pieces: list[Any] = []
        visible = Visible()
        length = 0
        stream = self.model.astream(messages, **options)  # type: ignore[attr-defined]
        try:
            async for piece in stream:
                text = as_text(piece)
                length += len(text)
                if length > LONGEST_STREAM:
                    raise ChatError(f"the reply of {self.name} does not end; it was cut off at {length:,} characters")
                pieces.append(piece)
                shown = visible.feed(text)
                if shown:
                    teller(shown)
        finally:
            if hasattr(stream, "aclose"):  # one that is left in the middle ends now, not when it is collected
                await stream.aclose()
        rest = visible.rest()
        if rest:
            teller(rest)
        # all at once: one by one takes time in the square of the length
        whole = pieces[0] + pieces[1:] if pieces else None
        if whole is None or (self.tells_ends and not as_reply(whole).ended):
            raise BrokeOff("the stream broke off")
        return whole

    async def _wait(self, cause: Exception, retries: int, meter: Meter) -> None:
        """Wait for the next attempt, or say why there is none."""
        wanted = asked_to_wait(cause)
        left = meter.seconds_left
        most = LONGEST_WAIT if left is None else min(LONGEST_WAIT, left)
        if not is_passing(cause) or retries > self.max_retries:
            raise translated(cause, self.name, self.secrets) from cause
        if wanted is not None and wanted > most:
            raise ChatError(
                f"the chat model {self.name} asks to wait {wanted:,.0f} s before the next attempt, more than the "
                f"{most:,.0f} s that it may take"
            ) from cause
        # jitter, so that many do not come back at once
        backoff = random.uniform(0.5, 1.0) * FIRST_WAIT * 2 ** (retries - 1)  # noqa: S311
        await self.pause(min(most, wanted if wanted is not None else backoff))


def _response_format(rung: str, schema: type[BaseModel] | None) -> dict[str, Any]:
    if schema is None or rung == "plain text":
        return {}
    if rung == "json_object":
        return {"response_format": {"type": "json_object"}}
    described = {"name": schema.__name__, "schema": schema.model_json_schema()}
    return {"response_format": {"type": "json_schema", "json_schema": described}}
