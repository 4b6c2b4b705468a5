"""ReasonIR's release format (the data set `reasonir/reasonir-data` on the hub): pairs of instruction and text.

    {"query": [instruction, text], "pos": [[instruction, text], ...], "neg": [[instruction, text], ...]}

In the release's part "hq" the text of a positive is the id of a document of BRIGHT, which it may not hold itself; such
ids are replaced where the documents are given. Our rows hold no instructions, for they belong to training: one is
written for all queries, and those that are read are counted and left.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from reasonir_agent.encoder.template import DEFAULT_INSTRUCTION
from reasonir_agent.evaluation.datasets.records import Record, read_records
from reasonir_trainer.export.foreign import foreign_row
from reasonir_trainer.export.formats import Notes, Source, Written, texts_of
from reasonir_trainer.synthesis.data_files import Aside
from reasonir_trainer.synthesis.rows import Row

LOSES: Final = "ids, kinds, grades, origins and ranks of negatives, rewritten queries, seeds, provenance"

_COLUMNS: Final = ("query", "pos", "neg")


def write_reasonir(rows: Source, file: Path, *, instruction: str = DEFAULT_INSTRUCTION) -> Written:
    """Write rows in the release's format, one JSON object a line.

    Args:
        rows: to write.
        file: to make.
        instruction: of every query; documents have none.

    Raises:
        StoreError: it cannot be written.
    """
    count = 0
    with Aside(file) as aside:
        for row in rows:
            neg = [["", negative.text] for negative in row.negatives]
            record = {"query": [instruction, row.query], "pos": [["", row.positive]], "neg": neg}
            aside.write(json.dumps(record, ensure_ascii=False) + "\n")
            count += 1
    return Written(file, count)


def read_reasonir(file: Path, notes: Notes, *, documents: Mapping[str, str] | None = None) -> Iterator[Row]:
    """Read the release's format from JSON lines or Parquet; a row for each positive.

    Args:
        file: to read.
        notes: takes what could not be kept.
        documents: id -> text, for positives that are ids of documents.

    Raises:
        InputError: a record has another shape.
    """
    for record in read_records(file, _COLUMNS):
        query = _pair(record, record.fields.get("query"), "query", notes)
        negatives = [_pair(record, one, "neg", notes) for one in texts_of(record, "neg", "pairs")]
        positives = [_pair(record, one, "pos", notes) for one in texts_of(record, "pos", "pairs")]
        notes.add("records without a positive, which give no row", not positives)
        for positive in positives:
            text = (documents or {}).get(positive, positive)
            notes.add("positives that are one word: an id of a document, whose text was not given?", _is_id(text))
            yield foreign_row(query, text, negatives)


def _pair(record: Record, value: object, name: str, notes: Notes) -> str:
    """The text of a pair of instruction and text."""
    if not (isinstance(value, list) and len(value) == 2 and all(isinstance(one, str) for one in value)):
        raise record.problem(f"must have pairs [instruction, text] in its field {name!r}")
    notes.add("instructions, which are left: they are given when training", bool(value[0]))
    return str(value[1])


def _is_id(text: str) -> bool:
    return len(text.split()) == 1
