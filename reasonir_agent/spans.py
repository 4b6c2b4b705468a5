"""OpenTelemetry spans, for those who collect them; nothing at all for everybody else.

Nobody can have set up a tracer without importing OpenTelemetry, so as long as it is not imported a span costs one
look-up, and this module never imports it first. Attributes are names, counts and durations: no question, passage,
prompt or reply ever stands in one, and a failure leaves its kind, not its message, which might quote them.

    reasonir.encode   texts, query, model          one call of an encoder
    reasonir.rerank   passages, depth, scored, failures
    reasonir.step     step                         one step of the agent
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from reasonir_agent._version import __version__

Attribute = str | int | float | bool | None
Note = Callable[..., None]
"""Adds attributes to a span: `note(scored=30, failures=0)`."""


@contextmanager
def span(name: str, **attributes: Attribute) -> Iterator[Note]:
    """Measure a block, as a part of whatever span is open around it.

    Args:
        name: of the span; "reasonir." is put before it.
        attributes: what is known when it begins; likewise. Those that are None are left out.

    Yields:
        a function that adds attributes that are known only later.
    """
    if "opentelemetry.trace" not in sys.modules:
        yield _nothing
        return
    from opentelemetry import trace
    from opentelemetry.trace import Status, StatusCode

    tracer = trace.get_tracer("reasonir_agent", __version__)
    with tracer.start_as_current_span(
        f"reasonir.{name}",
        attributes=_named(attributes),
        record_exception=False,  # its message may quote a text
        set_status_on_exception=False,
    ) as one:
        try:
            yield lambda **more: one.set_attributes(_named(more))
        except BaseException as failure:
            one.set_attribute("error.type", type(failure).__name__)
            one.set_status(Status(StatusCode.ERROR))
            raise


def _nothing(**attributes: Attribute) -> None:
    """Nobody collects."""


def _named(attributes: dict[str, Attribute]) -> dict[str, str | int | float | bool]:
    return {f"reasonir.{name}": value for name, value in attributes.items() if value is not None}
