"""How much one request may ask, how many may be under way, how long one may take.

Three bounds, in the order in which a request meets them. *Admission*: `active` requests are worked on and `waiting` wait
for their turn; whoever comes later is sent away at once with Retry-After, and so memory is bounded by (active + waiting)
bodies. *Body*: counted while it arrives, whatever Content-Length says, and read whole before anything is parsed.
*Time*: one clock for the body, the turn and the work. A client that leaves is noticed, and its work is cancelled.

/health and /metrics pass by: they must answer when nothing else does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

from reasonir_agent.errors import InputError
from reasonir_agent.server.problems import CLIENT_GONE, Problem, busy

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN_PATHS: Final = ("/health", "/metrics")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds; every one can be set.

    Attributes:
        body_bytes: of one request's body.
        texts: of one request (inputs, documents).
        characters: of one text.
        active: requests that are worked on at the same time.
        waiting: requests that may wait for their turn.
        seconds: for one request, from its first byte to its last.
        batch_texts: texts that go through the encoder together.
        batch_characters: their characters; one longer text goes alone.
    """

    body_bytes: int = 16_000_000
    texts: int = 2048
    characters: int = 100_000
    active: int = 64
    waiting: int = 256
    seconds: float = 300.0
    batch_texts: int = 64
    batch_characters: int = 32_768

    def __post_init__(self) -> None:
        for one in fields(self):
            least = 0 if one.name == "waiting" else 1
            if one.name != "seconds" and getattr(self, one.name) < least:
                raise InputError(f"the limit {one.name} must be {least} or more, got {getattr(self, one.name)!r}")
        if not 0 < self.seconds < float("inf"):
            raise InputError(f"the limit seconds must be more than 0, got {self.seconds!r}")

    def check_texts(self, texts: Sequence[str], *, param: str) -> None:
        """Refuse more or longer texts than the server takes.

        Raises:
            Problem: 413, with the limit.
        """
        if len(texts) > self.texts:
            raise too_large(
                f"{param} may hold up to {self.texts:,} texts, got {len(texts):,}; send several requests", param
            )
        for number, text in enumerate(texts):
            if len(text) > self.characters:
                raise too_large(
                    f"a text may have up to {self.characters:,} characters, got {len(text):,} at {param}[{number}]; "
                    "split it first",
                    param,
                )


def too_large(message: str, param: str | None = None) -> Problem:
    """413: the request is larger than the server takes."""
    return Problem(413, message, param=param, code="too_large")


class Gate:
    """Middleware that keeps the bounds.

    Args:
        app: what stands behind it.
        limits: the bounds.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits
        self._inside = 0
        self._turns = asyncio.Semaphore(limits.active)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or raise a `Problem`."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        if self._inside >= self._limits.active + self._limits.waiting:
            raise busy(f"{self._inside} requests are under way, as many as this server takes; try again later")
        self._inside += 1
        try:
            await self._in_time(_Visit(self._app, scope, receive, send))
        finally:
            self._inside -= 1

    async def _in_time(self, visit: _Visit) -> None:
        seconds = self._limits.seconds
        try:
            async with asyncio.timeout(seconds) as clock:
                await visit.read_body(self._limits.body_bytes)
                await visit.run(self._turns)
        except TimeoutError as cause:
            if not clock.expired():
                raise
            if visit.body is None:
                raise Problem(408, f"the body did not arrive within {seconds:g} seconds", code="timeout") from cause
            raise Problem(
                504, f"this took longer than {seconds:g} seconds; ask for less", kind="timeout_error", code="timeout"
            ) from cause


class _Visit:
    """One request on its way: its body is replayed to the application, its client's leaving is watched."""

    def __init__(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        self._app, self._scope, self._receive, self._send = app, scope, receive, send
        self.body: bytes | None = None
        self._is_told = False
        self._has_ended = False
        self._gone = asyncio.Event()

    async def read_body(self, most: int) -> None:
        """Read the whole body, and not a byte more than `most`."""
        declared = dict(self._scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > most:
            raise too_large(f"a body may have up to {most:,} bytes, got {int(declared):,}; send several requests")
        parts: list[bytes] = []
        size, is_more = 0, True
        while is_more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise _client_gone()
            parts.append(message.get("body", b""))
            size, is_more = size + len(parts[-1]), message.get("more_body", False)
            if size > most:
                raise too_large(f"a body may have up to {most:,} bytes; send several requests")
        self.body = b"".join(parts)

    async def run(self, turns: asyncio.Semaphore) -> None:
        """Wait for a turn and run the application, as long as the client is there."""
        work = asyncio.ensure_future(self._take_turn(turns))
        watch = asyncio.ensure_future(self._watch())
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and not self._has_ended:
                raise _client_gone()
            await work
        finally:
            work.cancel()
            watch.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)

    async def _take_turn(self, turns: asyncio.Semaphore) -> None:
        async with turns:
            await self._app(self._scope, self._replay, self._note_end)

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone.set()

    async def _replay(self) -> Message:
        if not self._is_told:
            self._is_told = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _note_end(self, message: Message) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._has_ended = True
        await self._send(message)


def _client_gone() -> Problem:
    return Problem(CLIENT_GONE, "the client has gone")
