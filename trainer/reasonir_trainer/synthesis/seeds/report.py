"""What became of the user's documents on the way to seeds: counts by reason, a few examples, and all of it on request."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from reasonir_agent.types import Skipped

EXAMPLES: Final = 5
"""Examples that are kept for each reason; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A piece of a document that became no seed.

    Attributes:
        source: its document.
        start: first character in the extracted text.
        end: one past the last.
        reason: a short fixed name, for counting.
        detail: which seed it repeats, what the model said; "" where the reason says it all.
    """

    source: str
    start: int
    end: int
    reason: str
    detail: str = ""


@dataclass(slots=True)
class SeedReport:
    """Counts of one run over the documents. Its size does not grow with the documents, but for files that were skipped.

    Attributes:
        files: files that were read.
        skipped: files and records that could not be read, and why.
        pieces: pieces that the documents were split into.
        kept: seeds that are left.
        dropped: pieces by the reason why they are no seeds.
        examples: the first ones of each reason.
        on_dropped: told of every one, for a log; None for nobody.
    """

    files: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    pieces: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    examples: defaultdict[str, list[Dropped]] = field(default_factory=lambda: defaultdict(list))
    on_dropped: Callable[[Dropped], None] | None = None

    def drop(self, one: Dropped) -> None:
        """Count a piece that became no seed."""
        self.dropped[one.reason] += 1
        if len(self.examples[one.reason]) < EXAMPLES:
            self.examples[one.reason].append(one)
        if self.on_dropped is not None:
            self.on_dropped(one)

    def counts(self) -> str:
        """One line: "30 pieces of 4 files: too short 20, licence text 10; 2 files or records could not be read"."""
        reasons = ", ".join(f"{reason} {count}" for reason, count in self.dropped.most_common())
        line = f"{self.pieces} pieces of {self.files} files" + (f": {reasons}" if reasons else "")
        if not self.skipped:
            return line
        first = "; ".join(f"{one.path}: {one.reason}" for one in self.skipped[:3])
        return f"{line}; {len(self.skipped)} files or records could not be read ({first})"
