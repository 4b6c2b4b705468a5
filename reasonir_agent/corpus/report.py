"""What an index run tells: how far it is, and what it did."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from reasonir_agent.types import Skipped


@dataclass(frozen=True, slots=True)
class Step:
    """How far a run is.

    Attributes:
        what: the part of the work.
        done: how much of it is done.
        total: of how much; bytes of files while indexing.
        passages: passages that were encoded so far.
    """

    what: str
    done: int
    total: int
    passages: int = 0


Progress = Callable[[Step], None]
"""Called several times a minute while a run works."""


@dataclass(slots=True)
class IndexReport:
    """What a run did. Counts are passages, except `files`.

    Attributes:
        files: files that are now indexed under the given paths.
        passages: passages that the store now holds.
        encoded: passages that were new and whose text was encoded or known.
        unchanged: passages that were there before and still are.
        removed: passages that are gone.
        skipped: what could not be read, and why.
        seconds: duration.
        warnings: sentences for the user.
        parts: seconds by part of the work: read, split, encode, write, index.
    """

    files: int = 0
    passages: int = 0
    encoded: int = 0
    unchanged: int = 0
    removed: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)
    parts: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add the duration of the block to a part."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.parts[part] = self.parts.get(part, 0.0) + time.perf_counter() - began

    def as_json(self) -> dict[str, Any]:
        """The object that `reasonir index --json` prints."""
        return {
            "files": self.files,
            "passages": self.passages,
            "encoded": self.encoded,
            "unchanged": self.unchanged,
            "removed": self.removed,
            "skipped": [{"path": one.path, "reason": one.reason} for one in self.skipped],
            "seconds": round(self.seconds, 3),
            "warnings": list(self.warnings),
        }
