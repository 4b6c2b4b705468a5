"""LanceDB as an index over our own vectors: one table of columns on disk, every cosine computed.

Search is exact and reads the vectors from disk, so a corpus may be larger than the memory. What another process wrote
is found at once. An approximate index that somebody made with lancedb's own `create_index` is used where it is; its
candidates are scored again from the vectors, so scores stay cosines.

Metadata stand in columns that are added when a field first comes, one for each kind of value (text, number, truth
value), named by the field's letters and digits with every other character as its code; a field can never be read as SQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from reasonir_agent.errors import EncoderMismatch, StoreError, boundary, missing_extra
from reasonir_agent.stores.filters import check_where, comparable
from reasonir_agent.types import Condition, Scalar, Where

try:
    import lancedb
    import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]
except ModuleNotFoundError as cause:
    raise missing_extra("lance", "the LanceDB index", cause) from cause

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

_TABLE: Final = "passages"
_FINGERPRINT: Final = b"reasonir:fingerprint"
_IDS_PER_REQUEST: Final = 5_000
_FRAGMENTS: Final = 64
"""Pieces of the table (one for each call of `add`) before they are joined."""
_KINDS: Final = {str: "text", float: "number", bool: "truth"}
_TYPES: Final = {"text": pa.string(), "number": pa.float64(), "truth": pa.bool_()}


class LanceIndex:
    """A `VectorIndex` in a LanceDB table.

    Args:
        folder: where LanceDB keeps its files.
        fingerprint: id of the encoder's fingerprint; kept in the table and checked at every open.

    Raises:
        EncoderMismatch: the table was made with another encoder.
        StoreError: LanceDB cannot open its files.
    """

    def __init__(self, folder: Path, *, fingerprint: str) -> None:
        self._folder, self._fingerprint = folder, fingerprint
        with boundary(StoreError, f"opening the LanceDB index in {folder}"):
            self._database: Any = lancedb.connect(str(folder), read_consistency_interval=timedelta(0))
            self._open_table: Any = None
            self._table()

    def close(self) -> None:
        """Let go of the table; there is nothing to write."""
        self._open_table = self._database = None

    def add(
        self, ids: Sequence[str], vectors: FloatMatrix, metadata: Sequence[Mapping[str, Scalar]] | None = None
    ) -> None:
        """Add rows in one step; an id that is there already keeps its row."""
        if not ids:
            return
        first = {one: number for number, one in reversed(list(enumerate(ids)))}
        chosen = sorted(first.values())
        columns = _columns([{} if metadata is None else metadata[number] for number in chosen])
        rows = np.ascontiguousarray(np.asarray(vectors, dtype=np.float32)[chosen])
        with boundary(StoreError, "writing to the LanceDB index"):
            table = self._table_for(rows.shape[1], columns)
            given = {"id": pa.array([ids[number] for number in chosen], pa.string()), "vector": _as_lists(rows)}
            for field in table.schema:
                if field.name not in given:
                    given[field.name] = pa.array(columns.get(field.name, [None] * len(chosen)), field.type)
            table.merge_insert("id").when_not_matched_insert_all().execute(pa.table(given))
            if table.stats()["fragment_stats"]["num_fragments"] > _FRAGMENTS:
                table.optimize()

    def search(self, vector: FloatMatrix, k: int, *, where: Where = ()) -> list[tuple[str, float]]:
        """The k nearest of one vector [1, dim] as (id, cosine), best first."""
        with boundary(StoreError, "searching the LanceDB index"):
            table = self._table()
            wanted = _as_sql(where, table)
            if table is None or k < 1:
                return []
            query = table.search(np.asarray(vector, dtype=np.float32).reshape(-1), vector_column_name="vector")
            query = query.distance_type("cosine").refine_factor(10).limit(k).select(["id", "_distance"])
            found = query.where(wanted, prefilter=True).to_arrow() if wanted else query.to_arrow()
        pairs = zip(found["id"].to_pylist(), found["_distance"].to_pylist(), strict=True)
        return sorted(((one, 1.0 - distance) for one, distance in pairs), key=lambda p: (-p[1], p[0]))

    def delete(self, ids: Iterable[str]) -> None:
        """Remove rows; unknown ids are ignored."""
        gone = list(ids)
        with boundary(StoreError, "deleting from the LanceDB index"):
            table = self._table()
            if table is None:
                return
            for start in range(0, len(gone), _IDS_PER_REQUEST):
                some = ", ".join(map(_quoted, gone[start : start + _IDS_PER_REQUEST]))
                table.delete(f"id IN ({some})")

    def __len__(self) -> int:
        with boundary(StoreError, "counting the LanceDB index"):
            table = self._table()
            return 0 if table is None else int(table.count_rows())

    def ids(self, *, where: Where = ()) -> set[str]:
        """The ids of the rows that the filter lets through."""
        with boundary(StoreError, "listing the LanceDB index"):
            table = self._table()
            wanted = _as_sql(where, table)
            if table is None:
                return set()
            query = table.search().select(["id"])
            found = query.where(wanted).to_arrow() if wanted else query.to_arrow()
        return set(found["id"].to_pylist())

    def _table(self) -> Any:
        """The table; None before the first `add`, here or in another process, has made it."""
        if self._database is None:
            raise StoreError(f"the LanceDB index in {self._folder} is closed; open it again")
        if self._open_table is None and (self._folder / f"{_TABLE}.lance").exists():
            table = self._database.open_table(_TABLE)
            stored = (table.schema.metadata or {}).get(_FINGERPRINT, b"").decode()
            if stored != self._fingerprint:
                raise EncoderMismatch(
                    f"the LanceDB index in {self._folder} was made with the encoder {stored}, got {self._fingerprint}; "
                    "delete that folder, it is rebuilt from the store"
                )
            self._open_table = table
        return self._open_table

    def _table_for(self, dim: int, columns: Iterable[str]) -> Any:
        """The table, made when it is not there, with the columns added that it lacks."""
        table = self._table()
        if table is None:
            fields = [("id", pa.string()), ("vector", pa.list_(pa.float32(), dim))]
            schema = pa.schema(fields, metadata={_FINGERPRINT: self._fingerprint.encode()})
            table = self._open_table = self._database.create_table(_TABLE, schema=schema)
        missing = sorted(set(columns) - set(table.schema.names))
        if missing:
            table.add_columns([pa.field(name, _TYPES[name.partition("_")[0]]) for name in missing])
        return table


def _as_sql(where: Where, table: Any) -> str:
    check_where(where)
    there = set(table.schema.names) if where and table is not None else set()
    return " AND ".join(_condition(one, there) for one in where)


def _condition(condition: Condition, there: set[str]) -> str:
    """One condition as SQL that is true or false for every row, never NULL."""
    value = comparable(condition.value)
    assert value is not None
    column = _column(condition.field, value)
    holds = "false"
    if column in there:
        operator = "=" if condition.operator == "!=" else condition.operator
        holds = f"coalesce(`{column}` {operator} {_literal(value)}, false)"
    return holds if condition.operator != "!=" else f"NOT {holds}"


def _literal(value: str | float | bool) -> str:
    if isinstance(value, str):
        return _quoted(value)
    return str(value).lower() if isinstance(value, bool) else f"CAST('{value!r}' AS DOUBLE)"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _column(field: str, value: str | float | bool) -> str:
    """The column of a field for values of this kind; two fields never share one."""
    letters = "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):x}_" for c in field)
    return f"{_KINDS[type(value)]}_{letters}"


def _columns(metadata: Sequence[Mapping[str, Scalar]]) -> dict[str, list[str | float | bool | None]]:
    """The columns that these rows have values for, each with one value or None a row."""
    columns: dict[str, list[str | float | bool | None]] = {}
    for number, row in enumerate(metadata):
        for field, given in row.items():
            value = comparable(given)
            if value is not None:
                columns.setdefault(_column(field, value), [None] * len(metadata))[number] = value
    return columns


def _as_lists(rows: FloatMatrix) -> Any:
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])
