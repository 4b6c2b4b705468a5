"""Parquet: one document for each row, read batch by batch. Needs pyarrow (extra `parquet`).

A file declares how much it unpacks to, which is checked before anything is unpacked; what it does not declare (a
dictionary that is repeated) meets the memory limit of the child process.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from reasonir_agent.corpus.reading.formats import File
from reasonir_agent.corpus.reading.problems import Unreadable, described, missing_package
from reasonir_agent.corpus.reading.records import Row, require, rows_as_documents
from reasonir_agent.types import Document, Skipped

_MOST_UNPACKED: Final = 2_000_000_000  # bytes
_ROWS_AT_ONCE: Final = 256


def read_parquet(file: File) -> Iterator[Document | Skipped]:
    """One document for each row."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise missing_package("Parquet", "parquet") from None
    try:
        table = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(file.content))
        _check_size(table.metadata)
        require(file.fields, table.schema_arrow.names)
        columns = [one.name for one in table.schema_arrow if _is_scalar(pyarrow, one.type) and "." not in one.name]
        if file.fields.text not in columns:
            raise Unreadable(f"its field {file.fields.text!r} holds no texts")
        yield from rows_as_documents(file, _rows(pyarrow, table, columns))
    except (pyarrow.ArrowException, OSError) as problem:
        if isinstance(problem, MemoryError):
            raise
        raise Unreadable(f"is a broken Parquet file: {described(problem)}") from None


def _check_size(metadata: Any) -> None:
    size = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    if size > _MOST_UNPACKED:
        raise Unreadable(f"would unpack to {size / 1e9:.1f} GB, more than the 2 GB that are read; split it")


def _is_scalar(pyarrow: Any, kind: Any) -> bool:
    types = pyarrow.types
    return not (types.is_nested(kind) or types.is_null(kind) or types.is_duration(kind) or types.is_interval(kind))


def _rows(pyarrow: Any, table: Any, columns: list[str]) -> Iterator[Row]:
    number = 0
    for batch in table.iter_batches(batch_size=_ROWS_AT_ONCE, columns=columns, use_threads=False):
        values = [_values(pyarrow, batch.column(at)) for at in range(batch.num_columns)]
        for cells in zip(*values, strict=True):
            number += 1
            yield number, dict(zip(batch.schema.names, cells, strict=True))


def _values(pyarrow: Any, column: Any) -> list[Any]:
    """A column as Python's values; dates and times as ISO text, which has no limits of range and time zone."""
    types, kind = pyarrow.types, column.type
    if types.is_dictionary(kind):
        return _values(pyarrow, column.dictionary_decode())
    if types.is_timestamp(kind):
        plain = column.cast(pyarrow.timestamp(kind.unit)).cast(pyarrow.string())
        return [value and value.replace(" ", "T", 1) + ("Z" if kind.tz else "") for value in plain.to_pylist()]
    if types.is_temporal(kind):
        texts: list[Any] = column.cast(pyarrow.string()).to_pylist()
        return texts
    found: list[Any] = column.to_pylist()
    return [_decoded(value) if isinstance(value, bytes) else value for value in found]


def _decoded(value: bytes) -> str | None:
    """The text of a byte column, which some writers use for texts; None where it is none."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
