"""What one question may cost, carried from step to step through the graph's state.

Each step makes a meter that knows what was spent before it, and leaves what it spent itself. Steps before the answer
hold a part of the budget back, so that a question whose budget ends early still gets its answer written, judged,
corrected, and judged once more where the correction is new. Of a budget too small for that, half is held back. Time is
that of the steps: while a thread waits for a person, or lies on the disk after a crash, none is spent.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from reasonir_agent.config import AgentSettings
from reasonir_agent.llm import Bounds, Meter, Price

_HELD_CALLS: Final = 4
"""The answer, the judgement of its quotes, its repair, and the judgement of what is new in it."""

_HELD_PROMPTS: Final = 10_000
_HELD_REPLIES: Final = 4_000
"""Tokens of these calls, of which two show eight passages of 250 words."""

_HELD_SECONDS: Final = 60.0

_HELD_SHARE: Final = 0.2
"""Of tokens, seconds and money at least."""


def price_of(settings: AgentSettings) -> Price | None:
    """The two prices of the settings, when both are there."""
    if settings.prompt_price is None or settings.completion_price is None:
        return None
    return Price(settings.prompt_price, settings.completion_price)


@dataclass(slots=True)
class Spending:
    """The meter of one step.

    Attributes:
        meter: for the step's calls; counts from what was spent before.
        before: the state's usage when the step began.
        reranker_failures: of this step.
    """

    meter: Meter
    before: Mapping[str, Any]
    reranker_failures: int = 0
    _began: float = field(default_factory=time.perf_counter)

    def usage(self) -> dict[str, Any]:
        """What this step cost, for the state; the cost is None without a price, or where a server reports no tokens."""
        calls, prompt, completion = (
            self.before.get(name, 0) for name in ("llm_calls", "prompt_tokens", "completion_tokens")
        )
        price = None if self.meter.silent else self.meter.price
        spent = (self.meter.prompt_tokens - prompt, self.meter.completion_tokens - completion)
        return {
            "llm_calls": self.meter.llm_calls - calls,
            "prompt_tokens": spent[0],
            "completion_tokens": spent[1],
            "seconds": self.seconds,
            "reranker_failures": self.reranker_failures,
            "cost": None if price is None else price.of(*spent),
        }

    @property
    def seconds(self) -> float:
        """Since the step began."""
        return time.perf_counter() - self._began


def spending(
    settings: AgentSettings,
    usage: Mapping[str, Any],
    *,
    price: Price | None = None,
    carried: Mapping[str, float] | None = None,
    for_answer: bool = False,
) -> Spending:
    """Begin a step.

    Args:
        settings: hold the bounds and the prices.
        usage: what the question cost so far, as the state keeps it.
        price: of the model, where the settings give none.
        carried: what the last step's meter knew beside.
        for_answer: whether the step may use all that is left.
    """
    bounds = Bounds(
        calls=settings.max_calls, tokens=settings.max_tokens, seconds=settings.max_seconds, money=settings.max_money
    )
    price = price_of(settings) or price
    meter = Meter(
        llm_calls=int(usage.get("llm_calls", 0)),
        prompt_tokens=int(usage.get("prompt_tokens", 0)),
        completion_tokens=int(usage.get("completion_tokens", 0)),
        bounds=bounds,
        held_back=Bounds() if for_answer else _held_back(bounds, price),
        price=price,
        spent_before=float(usage.get("seconds", 0.0)),
        before=carried,
    )
    return Spending(meter, dict(usage))


def left(
    settings: AgentSettings,
    usage: Mapping[str, Any],
    carried: Mapping[str, float] | None = None,
    *,
    price: Price | None = None,
) -> AgentSettings:
    """The settings with what was spent before the agent began already taken from their bounds.

    Args:
        settings: hold the bounds and the prices.
        usage: what was spent.
        carried: what its meter knew beside.
        price: of the model, where the settings give none.
    """
    prompt, completion = (
        usage.get(name, 0) + int((carried or {}).get(name, 0)) for name in ("prompt_tokens", "completion_tokens")
    )
    price = price_of(settings) or price
    spent = {
        "max_calls": usage.get("llm_calls", 0),
        "max_tokens": prompt + completion,
        "max_seconds": usage.get("seconds", 0.0),
        "max_money": 0.0 if price is None else price.of(prompt, completion),
    }
    bounds = {name: getattr(settings, name) for name in spent}
    return replace(
        settings, **{name: max(0, bounds[name] - value) for name, value in spent.items() if bounds[name] is not None}
    )


def _held_back(bounds: Bounds, price: Price | None) -> Bounds:
    def held(bound: float | None, need: float) -> float | None:
        return None if bound is None else max(bound * _HELD_SHARE, min(need, bound / 2))

    tokens = held(bounds.tokens, _HELD_PROMPTS + _HELD_REPLIES)
    return Bounds(
        calls=None if bounds.calls is None else min(_HELD_CALLS, (bounds.calls + 1) // 2),
        tokens=None if tokens is None else int(tokens),
        seconds=held(bounds.seconds, _HELD_SECONDS),
        money=held(bounds.money, 0.0 if price is None else price.of(_HELD_PROMPTS, _HELD_REPLIES)),
    )
