"""Triplets as sentence-transformers reads them: columns `anchor`, `positive`, `negative` (or `negative_1`, ...).

Behind them stand `positive_grade`, `negative_grades` (one for each negative, in order) and `rewritten`, each only where some
row that is written has one: `reasonir-trainer train` learns from them. sentence-transformers takes every column for a text,
so there these are removed first; the rows that have them are counted.

A table has the same columns in every row, so every row gets the same number of negatives: that which most rows have, or
that which is asked for. Rows with fewer are left out, further negatives are cut; both are counted.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from reasonir_agent.evaluation.datasets.records import Record, read_records
from reasonir_trainer.data.reading.fields import number, numbers
from reasonir_trainer.export.foreign import foreign_row
from reasonir_trainer.export.formats import Notes, Source, Written
from reasonir_trainer.synthesis.data_files import Aside
from reasonir_trainer.synthesis.rows import Row

LOSES: Final = "ids, kinds, origins and ranks of negatives, seeds, provenance"

_BESIDE: Final = ("positive_grade", "negative_grades", "rewritten")
_NEGATIVE: Final = re.compile(r"negative(?:_([0-9]{1,4}))?")


def write_triplets(rows: Source, file: Path, *, negatives: int | None = None) -> Written:
    """Write rows as triplets, one JSON object a line.

    Args:
        rows: to write; gone through up to three times.
        file: to make.
        negatives: for every row; None takes the number that most rows have.

    Raises:
        StoreError: it cannot be written.
    """
    wanted = _most_common(rows) if negatives is None else negatives
    columns = _beside(rows, wanted)
    count, notes = 0, Notes()
    with Aside(file) as aside:
        for row in rows:
            if len(row.negatives) < wanted:
                notes.add(f"rows with fewer than {wanted} negatives, which are left out")
                continue
            notes.add(f"negatives beyond the first {wanted}, which are cut", len(row.negatives) - wanted)
            aside.write(json.dumps(_record(row, wanted, columns), ensure_ascii=False) + "\n")
            count += 1
    if columns:
        notes.add(f"rows with {', '.join(columns)}, which sentence-transformers must not get as texts", count)
    return Written(file, count, tuple(notes))


def read_triplets(file: Path, notes: Notes) -> Iterator[Row]:
    """Read triplets from JSON lines or Parquet; without negatives they are pairs.

    Args:
        file: to read.
        notes: takes what could not be kept.

    Raises:
        InputError: a record has no anchor or no positive, or a field that is no text.
    """
    columns = ["anchor", "positive", "negative", *(f"negative_{place}" for place in range(1, 1000)), *_BESIDE]
    for record in read_records(file, columns):
        names = _negatives(record)
        used = {"anchor", "positive", *names, *_BESIDE}
        notes.add("columns that are no part of a triplet", len(record.fields.keys() - used))
        row = foreign_row(
            record.text("anchor"),
            record.text("positive"),
            [record.text(name) for name in names],
            positive_grade=number(record, "positive_grade"),
            grades=numbers(record, "negative_grades", len(names)),
        )
        rewritten = record.text("rewritten") if record.fields.get("rewritten") else ""
        yield row.model_copy(update={"rewritten": rewritten})


def _negatives(record: Record) -> list[str]:
    """Names of the columns with negatives, in order."""
    found = [(int(match[1] or 0), name) for name in record.fields if (match := _NEGATIVE.fullmatch(name))]
    return [name for _, name in sorted(found)]


def _record(row: Row, wanted: int, columns: Sequence[str]) -> dict[str, object]:
    record: dict[str, object] = {"anchor": row.query, "positive": row.positive}
    record |= {_column(place, wanted): row.negatives[place].text for place in range(wanted)}
    return record | {name: value for name, value in _values(row, wanted).items() if name in columns}


def _values(row: Row, wanted: int) -> dict[str, object]:
    """What a row says beside its texts, by column."""
    grades = [one.grade for one in row.negatives[:wanted]]
    return dict(zip(_BESIDE, (row.positive_grade, grades, row.rewritten), strict=True))


def _beside(rows: Source, wanted: int) -> list[str]:
    """The columns beside the texts for which a row that is written has a value."""
    empty: tuple[object, ...] = (None, [None] * wanted, "")
    found: set[str] = set()
    for row in rows:
        if len(row.negatives) >= wanted:
            values = _values(row, wanted).items()
            found |= {name for (name, value), nothing in zip(values, empty, strict=True) if value != nothing}
    return [name for name in _BESIDE if name in found]


def _column(place: int, wanted: int) -> str:
    return "negative" if wanted == 1 else f"negative_{place + 1}"


def _most_common(rows: Source) -> int:
    """The number of negatives that most rows have; of two that are as frequent, the larger."""
    counts = Counter(len(row.negatives) for row in rows)
    return max(counts, key=lambda number: (counts[number], number), default=0)
