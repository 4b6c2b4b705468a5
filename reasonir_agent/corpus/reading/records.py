"""Files of records: JSON lines (BEIR's layout included), CSV and TSV. `rows_as_documents` serves Parquet, too.

One record is one document, named by its id; its other short values become metadata that a search can ask for. A record
that cannot be used is skipped and named by its line. A chosen field that no record has is the user's mistake, and the
fields that are there are named.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

from reasonir_agent.corpus.reading.decoding import clean
from reasonir_agent.corpus.reading.formats import Fields, File, kind_of
from reasonir_agent.corpus.reading.problems import Unreadable
from reasonir_agent.corpus.reading.text import text_of
from reasonir_agent.types import Document, Scalar, Section, Skipped

_IDS: Final = ("id", "_id", "doc_id")
_LONGEST_VALUE: Final = 200  # characters of a text that is metadata rather than content
_LARGEST_INTEGER: Final = 2**63  # SQLite's
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d(?!\d)")
_INTEGER: Final = re.compile(r"-?(0|[1-9]\d{0,17})")  # not 007, which is a name
_NUMBER: Final = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d+)?([eE][+-]?\d{1,3})?")
_DELIMITERS: Final = ",;\t|"

Row = tuple[int, Mapping[str, Any] | str]
"""A record and the line or row where it stands, or the reason why there is none."""


def read_jsonl(file: File) -> Iterator[Document | Skipped]:
    """One document for each line."""
    return rows_as_documents(file, _json_rows(text_of(file)))


def read_csv(file: File) -> Iterator[Document | Skipped]:
    """One document for each row; the first row names the columns."""
    text = text_of(file)
    delimiter = "\t" if kind_of(file.path) == "tsv" else _delimiter(text, file.fields)
    limit = csv.field_size_limit(max(len(text), 1))
    try:
        columns = _columns(text, delimiter)
        require(file.fields, columns)
        numeric = _numeric_columns(text, delimiter, columns)
        yield from rows_as_documents(file, _csv_rows(text, delimiter, columns, numeric))
    except csv.Error as problem:
        raise Unreadable(f"is a broken table: {problem}") from None
    finally:
        csv.field_size_limit(limit)


def rows_as_documents(file: File, rows: Iterable[Row]) -> Iterator[Document | Skipped]:
    """The documents of the records, and those that are skipped.

    Raises:
        Unreadable: no record can be used, or none has a field that the user chose.
    """
    seen: set[str] = set()
    names: dict[str, None] = {}
    first = ""
    for number, row in rows:
        try:
            if isinstance(row, str):
                raise Unreadable(row)
            names.update(dict.fromkeys(row))
            document = _document(file, number, row)
            if document.source in seen:
                raise Unreadable("its id stands in the file twice")
        except Unreadable as problem:
            first = first or str(problem)
            yield Skipped(f"{file.path}:{number}", str(problem))
            continue
        seen.add(document.source)
        yield document
    if not seen and first != _no_text(file.fields):
        raise Unreadable(f"holds no record with a text ({first})" if first else "holds no records")
    require(file.fields, names)
    if not seen:
        raise Unreadable(f"holds no record with a text ({first})")


def require(fields: Fields, names: Collection[str]) -> None:
    """Refuse a file that lacks a field that the user chose.

    Raises:
        Unreadable: naming the fields that it has.
    """
    for chosen in (fields.text, fields.id, fields.title):
        if chosen is not None and chosen not in names:
            there = ", ".join(repr(clean(name)) for name in itertools.islice(names, 20)) or "none"
            more = ", ..." if len(names) > 20 else ""
            raise Unreadable(
                f"has no field {chosen!r}; its fields are {there}{more} (--text-field and the like choose)"
            )


def metadata_of(record: Mapping[str, Any], without: Collection[str | None]) -> dict[str, Scalar]:
    """The values of a record that a search can ask for: numbers, truth values, dates and short texts."""
    found = {}
    for name, value in record.items():
        scalar = None if name in without or not name else _scalar(name, value)
        if scalar is not None:
            found[clean(name)] = scalar
    return found


def _scalar(name: str, value: Any) -> Scalar | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -_LARGEST_INTEGER <= value < _LARGEST_INTEGER else None
    if isinstance(value, Decimal | float):
        number = float(value)
        return number if math.isfinite(number) else None
    text = value.isoformat() if isinstance(value, date) else value  # a datetime is a date
    if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST_VALUE:
        return None
    day = _DAY.match(text) if name == "date" else None
    return day[0] if day else clean(text)


def _document(file: File, number: int, record: Mapping[str, Any]) -> Document:
    fields = file.fields
    text = record.get(fields.text)
    if not isinstance(text, str) or not text.strip():
        raise Unreadable(_no_text(fields))
    ids = _IDS if fields.id is None else (fields.id,)
    key, one = next(((key, record[key]) for key in ids if record.get(key) is not None), (None, number))
    title_field = fields.title or "title"
    title = record.get(title_field)
    text = clean(text)
    heading = (clean(title).strip(),) if isinstance(title, str) and title.strip() else ()
    rest = metadata_of(record, (fields.text, key, title_field))
    return Document(f"{file.path}#id={clean(str(one))}", text, (Section(0, len(text), heading),), rest)


def _no_text(fields: Fields) -> str:
    return f'is no record {{"id": ..., "{fields.text}": ...}} with a text'


def _json_rows(text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            yield number, "is not valid JSON"
            continue
        yield number, record if isinstance(record, dict) else 'is no record {"id": ..., "text": ...} with a text'


def _rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line where it begins, cells) of the rows that are not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    began = 1
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield began, cells
        began = reader.line_num + 1


def _delimiter(text: str, fields: Fields) -> str:
    """The sign under which the first row names the chosen field, or else makes the most columns."""

    def worth(delimiter: str) -> tuple[bool, int]:
        columns = _columns(text[:65_536], delimiter)
        return fields.text in columns, len(columns)

    return max(_DELIMITERS, key=worth)


def _columns(text: str, delimiter: str) -> list[str]:
    """The names in the first row that is not blank."""
    return [cell.strip() for _, cells in itertools.islice(_rows(text, delimiter), 1) for cell in cells]


def _numeric_columns(text: str, delimiter: str, columns: list[str]) -> frozenset[str]:
    """The columns in which every cell that is not empty is a number."""
    others: set[int] = set()
    for _, cells in itertools.islice(_rows(text, delimiter), 1, None):
        others.update(
            at
            for at, cell in enumerate(cells)
            if at not in others and cell.strip() and not _NUMBER.fullmatch(cell.strip())
        )
        if len(others) >= len(columns):
            break
    return frozenset(name for at, name in enumerate(columns) if at not in others)


def _csv_rows(text: str, delimiter: str, columns: list[str], numeric: frozenset[str]) -> Iterator[Row]:
    for number, cells in itertools.islice(_rows(text, delimiter), 1, None):
        if len(cells) > len(columns) and any(cell.strip() for cell in cells[len(columns) :]):
            yield number, f"has {len(cells)} cells where the first row names {len(columns)} columns"
            continue
        named = {name: cell for name, cell in zip(columns, cells, strict=False) if name}
        yield number, {name: _number(cell) if name in numeric else cell for name, cell in named.items()}


def _number(cell: str) -> int | float | str:
    plain = cell.strip()
    if _INTEGER.fullmatch(plain):
        return int(plain)
    return float(plain) if plain else ""
