"""What a question cost, and what it may cost. A call reserves its estimate before it is sent and settles after.

The invariant: what was spent and what is reserved never pass a bound together, so calls that run at the same time
cannot overspend it. A call that would fit once others have settled waits for them; one that cannot fit any more raises
`BudgetSpent`, which names the bound. A retry is a call like any other.

Estimates are on the safe side: a token for two bytes of the prompt, more once a server has counted more, and the whole
length that the reply is allowed. A server that ignores the allowed length can pass the bound of tokens or money by the
replies under way; the next call is refused. Where no server says what a call took (no usage in the reply, a time-out, a
connection that broke), the bounds count the estimate; the tokens and the cost that are shown stay those that were
reported. `carried` is what a later meter of the same question must know of that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import InitVar, dataclass, field
from typing import Final

from reasonir_agent.errors import BudgetSpent, InputError

_TOKENS_PER_BYTE: Final = 0.5
_TOKENS_PER_MESSAGE: Final = 8


@dataclass(frozen=True, slots=True)
class Price:
    """Money for a million tokens, in the user's currency."""

    prompt: float
    completion: float

    def of(self, prompt: float, completion: float) -> float:
        """What so many tokens cost."""
        return (prompt * self.prompt + completion * self.completion) / 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one question may cost; None is no bound.

    Attributes:
        calls: requests to the chat server, retries included.
        tokens: of prompts and replies together.
        seconds: from the beginning of the question.
        money: by the price table.
    """

    calls: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    money: float | None = None

    def __post_init__(self) -> None:
        for name in ("calls", "tokens", "seconds", "money"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise InputError(f"the bound on {name} must be 0 or more, got {value!r}")


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one call may cost at most: tokens of the prompt and of the reply."""

    prompt: int
    completion: int


@dataclass(slots=True)
class Meter:
    """Counts what one question costs, within its bounds.

    Attributes:
        llm_calls: requests that were sent, retries included.
        prompt_tokens: as servers reported them.
        completion_tokens: likewise.
        bounds: what may be spent in all.
        held_back: what of the bounds is kept for a later step (the answer).
        price: of the model; None where nobody said.
        spent_before: seconds that the question took before this meter began.
        silent: replies of servers that reported no tokens.
        before: what an earlier meter of the same question `carried`.
    """

    llm_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    bounds: Bounds = field(default_factory=Bounds, compare=False)
    held_back: Bounds = field(default_factory=Bounds, compare=False)
    price: Price | None = field(default=None, compare=False)
    spent_before: float = field(default=0.0, compare=False)
    silent: int = field(default=0, compare=False)
    clock: Callable[[], float] = field(default=time.monotonic, compare=False, repr=False)
    before: InitVar[Mapping[str, float] | None] = None
    _began: float = field(init=False, compare=False, repr=False)
    _reserved: list[Estimate] = field(default_factory=list, compare=False, repr=False)
    _waiting: list[asyncio.Future[None]] = field(default_factory=list, compare=False, repr=False)
    _unreported: Estimate = field(default=Estimate(0, 0), compare=False, repr=False)
    _tokens_per_byte: float = field(default=_TOKENS_PER_BYTE, compare=False, repr=False)

    def __post_init__(self, before: Mapping[str, float] | None) -> None:
        if self.bounds.money is not None and self.price is None:
            raise InputError("a bound on money needs the model's price; give both, or a bound on tokens")
        self._began = self.clock()
        if before:
            self._unreported = Estimate(int(before["prompt_tokens"]), int(before["completion_tokens"]))
            self._tokens_per_byte = float(before["tokens_per_byte"])
            self.silent = int(before["silent"])

    @property
    def cost(self) -> float | None:
        """Money spent; None without a price, or where a server did not report its tokens."""
        if self.price is None or self.silent:
            return None
        return self.price.of(self.prompt_tokens, self.completion_tokens)

    def carried(self) -> dict[str, float]:
        """What a later meter of the same question must know beside the tokens that were reported, JSON-native."""
        return {
            "prompt_tokens": self._unreported.prompt,
            "completion_tokens": self._unreported.completion,
            "silent": self.silent,
            "tokens_per_byte": self._tokens_per_byte,
        }

    @property
    def seconds_left(self) -> float | None:
        """Until the bound on time; None without one."""
        if self.bounds.seconds is None:
            return None
        return self.bounds.seconds - (self.held_back.seconds or 0.0) - self.spent_before - (self.clock() - self._began)

    def estimate(self, characters: int, messages: int, longest_reply: int) -> Estimate:
        """What a call may cost. `characters` are bytes of UTF-8 of all its messages."""
        return Estimate(int(characters * self._tokens_per_byte) + _TOKENS_PER_MESSAGE * messages, longest_reply)

    @asynccontextmanager
    async def reserved(self, estimate: Estimate) -> AsyncIterator[None]:
        """Hold what one request may cost while it is under way. The request counts as sent from here on.

        Raises:
            BudgetSpent: a bound would be passed even if everything under way cost nothing.
        """
        while self._passed(estimate, self._reserved) is not None:
            bound = self._passed(estimate, [])
            if bound is not None:
                raise BudgetSpent(self._sentence(bound), bound=bound)
            await self._settlement()
        self._reserved.append(estimate)
        self.llm_calls += 1
        try:
            yield
        finally:
            self._reserved.remove(estimate)
            self._wake()

    def settle(
        self, prompt_tokens: int, completion_tokens: int, *, characters: int = 0, estimate: Estimate, reply: int = 0
    ) -> None:
        """Count what a server reported for one request.

        Args:
            prompt_tokens: as reported.
            completion_tokens: likewise.
            characters: bytes of the prompt.
            estimate: what was reserved.
            reply: bytes of the reply, for a server that reports nothing.
        """
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens
        if not prompt_tokens and not completion_tokens:  # the server counts nothing; the bounds must hold all the same
            self.silent += 1
            self.lost(Estimate(estimate.prompt, reply // 2))
        elif characters > 200:  # of short prompts the server's own wrapping is most
            self._tokens_per_byte = max(self._tokens_per_byte, prompt_tokens / characters)

    def lost(self, estimate: Estimate) -> None:
        """Count for the bounds what a request may have cost that nobody will report."""
        known = self._unreported
        self._unreported = Estimate(known.prompt + estimate.prompt, known.completion + estimate.completion)

    def out_of_time(self) -> BudgetSpent:
        """The error of a call that was stopped at the bound on time."""
        return BudgetSpent(self._sentence("seconds"), bound="seconds")

    def _passed(self, estimate: Estimate, under_way: list[Estimate]) -> str | None:
        """Name of the first bound that would be passed."""
        counted = [estimate, self._unreported, *under_way]
        prompt = self.prompt_tokens + sum(one.prompt for one in counted)
        completion = self.completion_tokens + sum(one.completion for one in counted)
        # calls count from the moment they are sent, so those under way are counted already
        wanted: dict[str, float] = {"calls": self.llm_calls + 1, "tokens": prompt + completion}
        if self.price is not None:
            wanted["money"] = self.price.of(prompt, completion)
        for name, value in wanted.items():
            bound = getattr(self.bounds, name)
            if bound is not None and value > bound - (getattr(self.held_back, name) or 0):
                return name
        left = self.seconds_left
        return "seconds" if left is not None and left <= 0 else None

    def _sentence(self, bound: str) -> str:
        unit = "units of money" if bound == "money" else bound
        return f"the bound of {getattr(self.bounds, bound):g} {unit} for one question is reached"

    async def _settlement(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        await waiter

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.get_loop().call_soon_threadsafe(_done, waiter)


def _done(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
