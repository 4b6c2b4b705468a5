"""The user's own log: CSV with a line above it that names the columns `question`, `document`, and `clicks` or `label`.

All lines of one question make one example. A document with clicks (or a label) above 0 is a positive, one with 0 was
shown and not wanted: a negative. Labels that differ among the positives are kept as grades; clicks are not, since they
count how often something was asked rather than how much it helped.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reasonir_agent.errors import InputError
from reasonir_trainer.data.examples import Candidate, Example, same_words

_VALUES: Final = ("label", "clicks")


def read_logs(file: Path) -> Iterator[tuple[str, Example]]:
    """The examples of a log, in the order in which questions first stand in it; questions without a positive are left out.

    Raises:
        InputError: a column is missing, or a value is no number.
    """
    shown: dict[str, list[tuple[str, float]]] = {}
    first: dict[str, int] = {}
    column = ""
    for number, question, document, name, count in _lines(file):
        column = name
        shown.setdefault(question, []).append((document, count))
        first.setdefault(question, number)
    for question, documents in shown.items():
        best: dict[str, tuple[str, float]] = {}
        for document, count in documents:  # one document may be shown often: its best value counts
            key = same_words(document)
            text, most = best.get(key, (document, count))
            best[key] = (text, max(count, most))
        positives = [(text, count) for text, count in best.values() if count > 0]
        graded = column == "label" and len({count for _, count in best.values()}) > 1
        if positives:
            yield (
                f"{file}:{first[question]}",
                Example(
                    id=f"line {first[question]}",
                    query=question,
                    positives=tuple(Candidate(text, count if graded else None) for text, count in positives),
                    negatives=tuple(
                        Candidate(text, count if graded else None) for text, count in best.values() if count <= 0
                    ),
                ),
            )


def _lines(file: Path) -> Iterator[tuple[int, str, str, str, float]]:
    """Line number, question, document, name of the value's column, value."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            rows = csv.DictReader(opened)
            names = rows.fieldnames or []
            value = next((name for name in _VALUES if name in names), "")
            if not {"question", "document"} <= set(names) or not value:
                raise InputError(
                    f"{file} must name the columns question, document, and clicks or label in its first line; "
                    f"it names {', '.join(names) or 'none'}"
                )
            for row in rows:
                where = f"{file}:{rows.line_num}"
                yield rows.line_num, row["question"] or "", row["document"] or "", value, _number(where, row[value])
    except OSError as cause:
        raise InputError(f"{file} cannot be read: {cause.strerror}") from cause
    except UnicodeDecodeError as cause:
        raise InputError(f"{file} is not UTF-8: {cause.reason} at byte {cause.start}") from cause
    except csv.Error as cause:
        raise InputError(f"{file} is no CSV: {cause}") from cause


def _number(where: str, text: str | None) -> float:
    try:
        return float(text or "")
    except ValueError:
        raise InputError(f"{where} must have a number of clicks or a label, got {text!r:.40}") from None
