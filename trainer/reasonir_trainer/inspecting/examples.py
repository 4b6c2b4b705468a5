"""Rows to read, with all that is known of them, and queries that repeat another."""

from __future__ import annotations

from typing import Final

from reasonir_agent.evaluation.report.blocks import Cell, Column, Table
from reasonir_agent.evaluation.report.figures import NONE, counted, shortened
from reasonir_trainer.inspecting.blocks import Example, Side
from reasonir_trainer.inspecting.gathering import Pair
from reasonir_trainer.synthesis.rows import Negative, Row
from reasonir_trainer.synthesis.word_runs import count_words

KINDS: Final = {"vl": "varied length", "hq": "hard query", "given": "taken over"}
MARKS: Final = {"vl": "VL", "hq": "HQ", "given": "–"}
COLOURS: Final = {"vl": "c0", "hq": "c2", "given": "c5"}

ORDER: Final = tuple(KINDS)
"""In which kinds are shown."""

_SUMMARY: Final = 160
"""Characters of the line that opens an example."""


def example(row: Row, *, is_open: bool) -> Example:
    """A row with its texts side by side."""
    wanted = row.made.requested_query_words
    sides = [
        Side("Query", _words(row.query, wanted), row.query.strip(), "query"),
        Side("Positive", _positive_note(row), row.positive.strip(), "good"),
    ]
    sides += [
        Side(
            f"Negative {number}" if len(row.negatives) > 1 else "Negative", _negative_note(one), one.text.strip(), "bad"
        )
        for number, one in enumerate(row.negatives, start=1)
    ]
    if row.rewritten:
        sides.append(Side("Rewritten query", _words(row.rewritten, 0), row.rewritten, "query"))
    where = row.seed.heading or row.seed.source.rpartition("/")[2]
    return Example(
        MARKS[row.kind],
        COLOURS[row.kind],
        shortened(where, 48),
        shortened(row.query, _SUMMARY),
        sides,
        [_provenance(row), *_checks(row)],
        is_open,
    )


def pair(found: Pair, *, is_open: bool) -> Example:
    """A refused query beside the one that it repeats."""
    one = found.refused
    sides = [
        Side("Left out", one.id, one.example, "bad"),
        Side("Kept", one.like, found.first or "(not in this folder)", "query"),
    ]
    mark, colour = MARKS[one.kind], COLOURS[one.kind]
    table = _table("Why", [("reason", one.reason), ("detail", one.detail), ("seed", one.seed)])
    return Example(mark, colour, _alike(one.detail), shortened(one.example, _SUMMARY), sides, [table], is_open)


def _alike(detail: str) -> str:
    """The words of a detail that say how close two texts are."""
    said = detail.partition(", ")[2].partition(";")[0]
    return shortened(said, 40)


def _words(text: str, wanted: int) -> str:
    asked = f", {wanted:,} asked for" if wanted else ""
    return f"{counted(count_words(text), 'word')}{asked}"


def _positive_note(row: Row) -> str:
    note = _words(row.positive, row.made.requested_positive_words)
    return note if row.positive_grade is None else f"{note}; grade {row.positive_grade:g}"


def _negative_note(one: Negative) -> str:
    parts = [_words(one.text, 0), one.origin]
    parts += [] if one.rank is None else [f"rank {one.rank:,}"]
    parts += [] if one.similarity is None else [f"cosine {one.similarity:.2f}"]
    parts += [] if one.grade is None else [f"grade {one.grade:g}"]
    return "; ".join(parts)


def _provenance(row: Row) -> Table:
    seed, made = row.seed, row.made
    return _table(
        "Provenance",
        [
            ("id", row.id),
            ("document", seed.source or NONE),
            ("characters", f"{seed.start:,} to {seed.end:,}"),
            ("heading", seed.heading or NONE),
            ("seed", seed.id or NONE),
            ("quality", NONE if seed.quality is None else f"{seed.quality:g}"),
            ("field", seed.field or NONE),
            ("model", made.model or NONE),
            ("prompts", str(made.prompts)),
            ("temperature", "the server's default" if made.temperature is None else f"{made.temperature:g}"),
            ("calls", str(made.attempts)),
        ],
    )


def _checks(row: Row) -> list[Table]:
    if not row.made.checks:
        return []
    columns = [Column("check", is_number=False), Column("value"), Column("limit"), Column("", is_number=False)]
    rows = [
        [Cell(one.name), Cell(f"{one.value:g}"), Cell(f"{one.limit:g}"), Cell("passed" if one.passed else "failed")]
        for one in row.made.checks
    ]
    return [Table("Checks", columns, rows)]


def _table(caption: str, rows: list[tuple[str, str]]) -> Table:
    columns = [Column("", is_number=False), Column("", is_number=False, is_prose=True)]
    return Table(caption, columns, [[Cell(name), Cell(value)] for name, value in rows])
