"""What a question looks like while it is worked on: the rewrite as it comes, a bar over the reranking, the draft.

Everything here goes to stderr and is taken away at the end, so that the checked answer stands alone. Without a terminal
at stderr nothing is shown. What is shown is bounded by the height of the terminal, however long a model talks; texts of
models are cleaned of what a terminal would act on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from reasonir_agent.agent.harmless import harmless
from reasonir_agent.cli import screen

_REWRITE_LINES: Final = 6
_KEPT: Final = 100_000
"""Characters of a model's text that are remembered; more than any screen holds."""

_FRAMES: Final = 8  # pictures a second
_DRAFT: Final = Text("draft, not checked yet", style="yellow")
_DRAFT_LINES: Final = 3  # a frame and a line in it
_SCORING: Final = "scoring passages"


@dataclass(slots=True)
class Watch:
    """Takes the news of a question and draws what it has come to; news may come from another thread.

    Attributes:
        phase: what is being done, in words.
        rewrite: the rewrite as far as it came.
        scored: (done, of) of the reranking; None outside of it.
        is_rewriting: whether the rewrite is still coming; later its beginning is enough.
        draft: the answer as far as it came; None before it begins.
    """

    phase: str = "rewriting the question"
    rewrite: str = ""
    is_rewriting: bool = False
    scored: tuple[int, int] | None = None
    draft: str | None = None
    _rewriting: str = "rewriting the question"
    _began: float = field(default_factory=time.monotonic)
    _spinner: Spinner | None = None

    def news(self, news: Mapping[str, Any]) -> None:
        """What happens inside a step: a piece of a text, or a passage that was scored."""
        kind = news["kind"]
        if kind == "rerank":
            self.phase, self.scored = _SCORING, (int(news["done"]), int(news["of"]))
        elif kind == "rewrite":
            self.phase, self.is_rewriting = self._rewriting, True
            self.rewrite = _longer(self.rewrite, news["text"])
        elif kind == "answer":
            self.phase = "writing and checking the answer"
            self.draft = _longer(self.draft or "", news["text"])

    def step(self, name: str, update: Mapping[str, Any]) -> None:
        """A step has ended; the phase is what comes next."""
        self.scored, self.is_rewriting = None, False
        if name == "rewrite":
            self.phase = "searching"
            # the trace holds this round's; `rewrites` are those of all rounds
            self.rewrite = self.rewrite or " ".join(update["trace"][-1].get("rewrites") or ())
        elif name == "retrieve":
            self.phase = _SCORING
        elif name == "rerank":
            self.phase = "reading the best passages"
        elif name == "grade" and update.get("missing"):
            self.phase = self._rewriting = f"searching again for: {'; '.join(update['missing'])}"
            self.rewrite = ""
        else:
            self.phase = "writing the answer"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As many lines as the terminal has room for."""
        width, room = options.max_width, console.height - 2
        edge = "| " if options.ascii_only else "│ "
        yield self._head(width, is_ascii=options.ascii_only)
        lines = min(_REWRITE_LINES if self.is_rewriting else 1, room if self.draft is None else room - _DRAFT_LINES)
        if self.rewrite and lines > 0:
            told = _tail if self.is_rewriting else _first
            for line in told(harmless(self.rewrite, ""), console, width - 4, lines):
                yield Text.assemble("  ", (edge, "dim"), (line, "dim"), no_wrap=True, overflow="crop")
            room -= lines
        if self.draft is not None and room >= _DRAFT_LINES:
            shown = Text("\n".join(_tail(self.draft, console, width - 4, room - 2)), no_wrap=True, overflow="crop")
            yield Panel(shown, title=_DRAFT, title_align="left", border_style="dim", width=width)

    def _head(self, width: int, *, is_ascii: bool) -> RenderableType:
        """What is being done, how far it is, and how long it took so far."""
        if self._spinner is None:
            self._spinner = Spinner("line" if is_ascii else "dots")
        seconds = f"{time.monotonic() - self._began:.0f} s"
        phase = Text(" ".join(screen.clean(self.phase).split()), no_wrap=True, overflow="ellipsis")
        row = Table.grid(padding=(0, 1))
        row.add_column(no_wrap=True)
        row.add_column(no_wrap=True, max_width=max(width - 12 - (self.scored is not None) * 14, 4))
        if self.scored is None:
            row.add_row(self._spinner, phase, Text(seconds, style="dim"))
        else:
            done, of = self.scored
            bar = ProgressBar(total=of, completed=done, width=max(min(30, width - 40), 4))
            row.add_row(self._spinner, phase, bar, f"{done}/{of}", Text(seconds, style="dim"))
        return row


@contextmanager
def watching(*, has_model: bool) -> Iterator[Watch | None]:
    """Show a question's progress on stderr while the block runs; None where nobody would see it."""
    console = Console(stderr=True, highlight=False)
    if not has_model or not console.is_terminal or console.is_dumb_terminal:
        yield None
        return
    watch = Watch()
    with Live(watch, console=console, transient=True, refresh_per_second=_FRAMES, redirect_stdout=False):
        yield watch


def _longer(text: str, piece: str | None) -> str:
    """A text with its next piece; None voids what came so far."""
    text = "" if piece is None else text + piece
    return text if len(text) <= 2 * _KEPT else text[-_KEPT:]


def _tail(text: str, console: Console, width: int, lines: int) -> list[str]:
    """The last lines of a text as they are wrapped; a line holds `width` characters at most, so not all need be read."""
    width = max(width, 2)
    last = screen.clean(text[-(lines + 1) * width :]).replace("\t", " ").rstrip()
    return [line.plain.rstrip() for line in Text(last).wrap(console, width)][-lines:]


def _first(text: str, console: Console, width: int, lines: int) -> list[str]:
    """The beginning of a text."""
    width = max(width, 2)
    wrapped = Text(" ".join(screen.clean(text[: (lines + 1) * width]).split())).wrap(console, width)
    return [line.plain.rstrip() for line in wrapped][:lines]
