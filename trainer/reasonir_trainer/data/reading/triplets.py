"""JSON lines of sentence-transformers: anchor (or query, question), positive (or answer), negative, negative_1 ...

`negatives` and `positives` may be lists too, which is what `reasonir-trainer mine` writes. Grades go beside them:
`positive_grade` and `negative_grades` (a number for each negative, in order). `weight` is what the example counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reasonir_agent.evaluation.datasets.records import Record, read_records
from reasonir_trainer.data.examples import Candidate, Example
from reasonir_trainer.data.reading.fields import number, numbers, texts

_QUERY: Final = ("anchor", "query", "question")
_COLUMNS: Final = (
    *_QUERY,
    *(
        "query_id",
        "id",
        "positive",
        "positives",
        "answer",
        "negative",
        "negatives",
        "positive_grade",
        "negative_grades",
    ),
    *("weight", "rewritten", *(f"negative_{number}" for number in range(100))),
)
_NEGATIVE: Final = re.compile(r"negative(_\d+)?")


def read_triplets(file: Path) -> Iterator[tuple[str, Example]]:
    """The examples of a file and where each stands.

    Raises:
        InputError: a line has not the fields.
    """
    for record in read_records(file, _COLUMNS):
        yield f"{file}:{record.number}", _example(record)


def _example(record: Record) -> Example:
    name = next((name for name in _QUERY if name in record.fields), "anchor")
    positives = texts(record, "positives") if "positives" in record.fields else [record.text(_positive(record))]
    negatives = texts(record, "negatives") if "negatives" in record.fields else []
    negatives += [record.text(field) for field in record.fields if _NEGATIVE.fullmatch(field)]
    grade = number(record, "positive_grade")
    grades = numbers(record, "negative_grades", len(negatives))
    return Example(
        id=str(record.fields.get("query_id") or record.fields.get("id") or record.number),
        query=record.text(name),
        positives=tuple(Candidate(one, grade) for one in positives),
        negatives=tuple(Candidate(one, its) for one, its in zip(negatives, grades, strict=True)),
        weight=1.0 if (weight := number(record, "weight")) is None else weight,
        rewritten=record.text("rewritten") if record.fields.get("rewritten") else "",
    )


def _positive(record: Record) -> str:
    return "answer" if "answer" in record.fields and "positive" not in record.fields else "positive"
