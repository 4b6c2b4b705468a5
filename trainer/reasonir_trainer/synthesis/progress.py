"""What a run looks like while it works: how far, what was rejected and why, what it cost, how long it will take.

`Progress` holds numbers and draws itself; who prints is the command line. On a terminal it is a live picture, elsewhere
a plain line every now and then. Reasons come from our own rules; the texts of models are not shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from reasonir_agent.llm import Meter
from reasonir_trainer.synthesis.outcomes import Outcomes

_REASONS: Final = 6  # lines of reasons that are shown
_BAR: Final = 40  # columns at most
_SOON: Final = 5.0  # seconds; a rate over less says nothing


@dataclass(slots=True)
class Progress:
    """How far a run is.

    Attributes:
        stage: what is being done, in words.
        done: pieces of the stage that are done, earlier runs included.
        total: pieces of the stage; None where nobody knows yet.
        failed: items whose calls failed, to be tried again.
        note: a further line (the state of batches), "" for none.
        meter: what was spent; None before the first call.
        outcomes: finished items; None before there can be any.
        clock: seconds.
    """

    stage: str = "reading documents"
    done: int = 0
    total: int | None = None
    failed: int = 0
    note: str = ""
    meter: Meter | None = None
    outcomes: Outcomes | None = None
    clock: Callable[[], float] = time.monotonic
    _began: float = field(default=0.0, init=False)
    _done_before: int = field(default=0, init=False)

    def begin(self, stage: str, *, total: int | None = None, done: int = 0) -> None:
        """A stage begins; `done` of it was done by earlier runs."""
        self.stage, self.total, self.done, self._done_before = stage, total, done, done
        self._began = self.clock()

    def tell(self, note: str) -> None:
        """Show a further line from now on."""
        self.note = note

    def seconds_left(self) -> float | None:
        """By the rate of this stage so far; None while that says nothing."""
        seconds, now = self.clock() - self._began, self.done - self._done_before
        if self.total is None or not now or seconds < _SOON:
            return None
        return (self.total - self.done) * seconds / now

    def line(self) -> str:
        """Everything in one line, for a log."""
        parts = [self.stage, self._count(), *self._outcomes(), *self._reasons_in_one(), *self._spent(), self.note]
        left = self.seconds_left()
        return " · ".join(part for part in (*parts, f"{span(left)} left" if left is not None else "") if part)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """A bar, a line of numbers, and the reasons of rejections."""
        left = self.seconds_left()
        row = Table.grid(padding=(0, 1))
        cells: list[Text | ProgressBar] = [Text(self.stage, style="bold")]
        if self.total is not None:
            width = max(10, min(_BAR, options.max_width - 60))
            cells.append(ProgressBar(total=max(self.total, 1), completed=self.done, width=width))
        cells += [Text(self._count()), Text(f"{span(left)} left" if left is not None else "", style="dim")]
        row.add_row(*cells)
        yield row
        numbers = " · ".join([*self._outcomes(), *self._spent()])
        if numbers:
            yield Text(f"  {numbers}", no_wrap=True, overflow="ellipsis")
        for count, reason in self._reasons():
            yield Text.assemble((f"  {count:>7,}  ", "yellow"), (reason, "dim"), no_wrap=True, overflow="ellipsis")
        if self.note:
            yield Text(f"  {self.note}", style="cyan", no_wrap=True, overflow="ellipsis")

    def _count(self) -> str:
        return f"{self.done:,}" + (f"/{self.total:,}" if self.total is not None else "")

    def _outcomes(self) -> list[str]:
        if self.outcomes is None:
            return []
        rejected = self.outcomes.rejected.total()
        share = f" ({rejected / len(self.outcomes):.0%})" if rejected else ""
        parts = [f"{self.outcomes.rows:,} rows", f"{rejected:,} rejected{share}"]
        return parts + ([f"{self.failed:,} to be tried again"] if self.failed else [])

    def _reasons(self) -> list[tuple[int, str]]:
        if self.outcomes is None:
            return []
        found = self.outcomes.rejected.most_common()
        shown = [(count, reason) for reason, count in found[:_REASONS]]
        rest = sum(count for _, count in found[_REASONS:])
        return shown + ([(rest, "other reasons")] if rest else [])

    def _reasons_in_one(self) -> list[str]:
        reasons = ", ".join(f"{reason} {count}" for count, reason in self._reasons())
        return [f"[{reasons}]"] if reasons else []

    def _spent(self) -> list[str]:
        meter = self.meter
        if meter is None or not meter.llm_calls:
            return []
        parts = [f"{meter.llm_calls:,} calls", f"{meter.prompt_tokens:,} + {meter.completion_tokens:,} tokens"]
        return parts + ([f"cost {meter.cost:.2f}"] if meter.cost is not None else [])


def span(seconds: float) -> str:
    """Seconds in words: "40 s", "12 min", "3 h 05 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"
