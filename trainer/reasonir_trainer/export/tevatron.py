"""Tevatron's training format: a query with passages that answer it and passages that do not.

    {"query_id", "query", "positive_passages": [{"docid", "title", "text"}], "negative_passages": [...]}

Titles are left empty: a trainer puts them before the text, and only positives from documents have one, which would give
them away. A passage that is a seed is called by the seed's id, so that it is one passage in all rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reasonir_agent.evaluation.datasets.records import Record, read_records
from reasonir_trainer.export.foreign import foreign_row
from reasonir_trainer.export.formats import Notes, Source, Written, texts_of
from reasonir_trainer.synthesis.data_files import Aside
from reasonir_trainer.synthesis.rows import Row

LOSES: Final = "kinds, grades, origins and ranks of negatives, rewritten queries, sources of seeds, provenance"

_COLUMNS: Final = ("query_id", "query", "positive_passages", "negative_passages")


def write_tevatron(rows: Source, file: Path) -> Written:
    """Write rows in Tevatron's format, one JSON object a line.

    Raises:
        StoreError: it cannot be written.
    """
    count = 0
    with Aside(file) as aside:
        for row in rows:
            negatives = [
                _passage(negative.source or f"{row.id}-negative-{number}", negative.text)
                for number, negative in enumerate(row.negatives, start=1)
            ]
            docid = row.seed.id if row.kind == "hq" and row.seed.id else f"{row.id}-positive"
            record = {
                "query_id": row.id,
                "query": row.query,
                "positive_passages": [_passage(docid, row.positive)],
                "negative_passages": negatives,
            }
            aside.write(json.dumps(record, ensure_ascii=False) + "\n")
            count += 1
    return Written(file, count)


def read_tevatron(file: Path, notes: Notes) -> Iterator[Row]:
    """Read Tevatron's format from JSON lines or Parquet; a row for each positive passage.

    Args:
        file: to read.
        notes: takes what could not be kept.

    Raises:
        InputError: a record has another shape.
    """
    for record in read_records(file, _COLUMNS):
        query, name = record.text("query"), record.id("query_id")
        negatives = [_text(record, one, notes) for one in texts_of(record, "negative_passages", "passages")]
        positives = [_text(record, one, notes) for one in texts_of(record, "positive_passages", "passages")]
        notes.add("queries without a positive passage, which give no row", not positives)
        notes.add("positive passages beyond the first, which give rows of their own", max(0, len(positives) - 1))
        for number, positive in enumerate(positives, start=1):
            yield foreign_row(query, positive, negatives, id=name if number == 1 else f"{name}-{number}")


def _passage(docid: str, text: str) -> dict[str, str]:
    return {"docid": docid, "title": "", "text": text}


def _text(record: Record, passage: object, notes: Notes) -> str:
    """A passage's title and text, as trainers join them."""
    if not isinstance(passage, dict) or not isinstance(passage.get("text"), str):
        raise record.problem("must have passages with a text: {docid, title, text}")
    title = passage.get("title")
    if not isinstance(title, str) or not title:
        return str(passage["text"])
    notes.add("titles, which are put before their text")
    return f"{title} {passage['text']}"
