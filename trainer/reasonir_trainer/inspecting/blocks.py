"""What sections of the page are made of beside the report's blocks. No markup; every text in here is foreign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from reasonir_agent.evaluation.report.blocks import Figure, Fold, Table, Text


@dataclass(frozen=True, slots=True)
class Number:
    """A headline figure with what it counts and a word on it."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Numbers:
    """Headline figures."""

    kind: ClassVar[str] = "numbers"
    numbers: Sequence[Number]


@dataclass(frozen=True, slots=True)
class Side:
    """One text of an example: what it is, how long it is, and what is known of it; style "query", "good" or "bad"."""

    title: str
    note: str
    text: str
    style: str


@dataclass(frozen=True, slots=True)
class Example:
    """Texts side by side, with where they come from folded."""

    kind: ClassVar[str] = "example"
    mark: str
    colour: str
    where: str
    asked: str
    sides: Sequence[Side]
    details: Sequence[Table]
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Refusals:
    """Items that were rejected for one reason."""

    kind: ClassVar[str] = "refusals"
    reason: str
    count: str
    refused: Sequence[tuple[str, str]]
    """Detail and text."""
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Figures:
    """Pictures beside each other where there is room."""

    kind: ClassVar[str] = "figures"
    figures: Sequence[Figure]


Block = Numbers | Example | Refusals | Figures | Table | Text | Fold


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page."""

    title: str
    topic: str
    blocks: Sequence[Block]
