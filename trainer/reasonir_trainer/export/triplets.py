"""Triplets as sentence-transformers reads them: columns `anchor`, `positive`, `negative` (or `negative_1`, ...).

A table has the same columns in every row, so every row gets the same number of negatives: that which most rows have, or
that which is asked for. Rows with fewer are left out, further negatives are cut; both are counted.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reasonir_agent.evaluation.datasets.records import Record, read_records
from reasonir_trainer.export.foreign import foreign_row
from reasonir_trainer.export.formats import Notes, Source, Written
from reasonir_trainer.synthesis.data_files import Aside
from reasonir_trainer.synthesis.rows import Row

LOSES: Final = "ids, kinds, grades, origins and ranks of negatives, rewritten queries, seeds, provenance"

_NEGATIVE: Final = re.compile(r"negative(?:_([0-9]{1,4}))?")


def write_triplets(rows: Source, file: Path, *, negatives: int | None = None) -> Written:
    """Write rows as triplets, one JSON object a line.

    Args:
        rows: to write; gone through twice.
        file: to make.
        negatives: for every row; None takes the number that most rows have.

    Raises:
        StoreError: it cannot be written.
    """
    wanted = _most_common(rows) if negatives is None else negatives
    count, notes = 0, Notes()
    with Aside(file) as aside:
        for row in rows:
            if len(row.negatives) < wanted:
                notes.add(f"rows with fewer than {wanted} negatives, which are left out")
                continue
            notes.add(f"negatives beyond the first {wanted}, which are cut", len(row.negatives) - wanted)
            record = {"anchor": row.query, "positive": row.positive}
            record |= {_column(place, wanted): row.negatives[place].text for place in range(wanted)}
            aside.write(json.dumps(record, ensure_ascii=False) + "\n")
            count += 1
    return Written(file, count, tuple(notes))


def read_triplets(file: Path, notes: Notes) -> Iterator[Row]:
    """Read triplets from JSON lines or Parquet; without negatives they are pairs.

    Args:
        file: to read.
        notes: takes what could not be kept.

    Raises:
        InputError: a record has no anchor or no positive, or a field that is no text.
    """
    columns = ["anchor", "positive", "negative", *(f"negative_{number}" for number in range(1, 1000))]
    for record in read_records(file, columns):
        names = _negatives(record)
        notes.add("columns that are no part of a triplet", len(record.fields.keys() - {"anchor", "positive", *names}))
        yield foreign_row(record.text("anchor"), record.text("positive"), [record.text(name) for name in names])


def _negatives(record: Record) -> list[str]:
    """Names of the columns with negatives, in order."""
    found = [(int(match[1] or 0), name) for name in record.fields if (match := _NEGATIVE.fullmatch(name))]
    return [name for _, name in sorted(found)]


def _column(place: int, wanted: int) -> str:
    return "negative" if wanted == 1 else f"negative_{place + 1}"


def _most_common(rows: Source) -> int:
    """The number of negatives that most rows have; of two that are as frequent, the larger."""
    counts = Counter(len(row.negatives) for row in rows)
    return max(counts, key=lambda number: (counts[number], number), default=0)
