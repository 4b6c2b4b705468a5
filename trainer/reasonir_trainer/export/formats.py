"""What every format has in common: what writing one gives, and how counted losses are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from reasonir_agent.evaluation.datasets.records import Record
from reasonir_trainer.synthesis.rows import Row

Source = Iterable[Row]
"""Rows that can be gone through more than once: a list, or `Rows` of a folder."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes:
        path: file or folder.
        rows: how many.
        notes: sentences about what was left out, counted.
    """

    path: Path
    rows: int
    notes: tuple[str, ...] = ()


class Notes:
    """Counts what a format could not take, by sentence."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, what: str, count: int = 1) -> None:
        """It happened `count` times more."""
        if count:
            self._counts[what] += count

    def __iter__(self) -> Iterator[str]:
        return iter([f"{what}: {count:,}" for what, count in sorted(self._counts.items())])


def texts_of(record: Record, name: str, where: str) -> list[object]:
    """The list in a field of a record.

    Raises:
        InputError: there is none.
    """
    value = record.fields.get(name)
    if not isinstance(value, list):
        raise record.problem(f"must have a list of {where} in its field {name!r}")
    return value
