"""Filters over metadata: `type=pdf`, `date>=2024-03`, `source=notes/*`, `year!=1999`.

Two readers. `matches` is the rule of a `VectorIndex`: texts are equal or not, numbers are compared. `as_sql` is the
richer rule of a store, run in SQLite over documents: `source` takes a path, a folder or a pattern with `*`; texts are
ordered too, and a date is compared by as much of it as was given (`date<=2024` holds on 2024-12-31).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from reasonir_agent.errors import InputError
from reasonir_agent.types import Condition, Operator, Scalar, Where

_CONDITION: Final = re.compile(r"\s*(?P<field>[^\s=<>!]+)\s*(?P<operator>!=|<=|>=|=|<|>)\s*(?P<value>.*?)\s*", re.S)
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_DATE: Final = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
_ORDERED: Final = ("<", "<=", ">", ">=")
_SQL: Final = {"=": "=", "!=": "IS NOT", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


def parse_where(texts: Sequence[str]) -> Where:
    """Conditions as a user writes them; all must hold.

    Raises:
        InputError: one is no condition.
    """
    return tuple(map(_parsed, texts))


def _parsed(text: str) -> Condition:
    found = _CONDITION.fullmatch(text)
    if found is None or not found["value"]:
        raise InputError(
            f"a filter is a field, one of = != < <= > >=, and a value, for example type=pdf or date>=2024-03; got {text!r}"
        )
    field, operator, value = found["field"], found["operator"], found["value"]
    if field == "date" and not _DATE.fullmatch(value):
        raise InputError(f"a date is YYYY, YYYY-MM or YYYY-MM-DD; got {value!r}")
    if field == "source" and operator in _ORDERED:
        raise InputError(f"a source is compared by = or != only; got {text!r}")
    return Condition(field, cast("Operator", operator), value)


def matches(metadata: Mapping[str, Scalar], where: Where) -> bool:
    """Whether a row's metadata pass a filter, by the rule of `VectorIndex`."""
    return all(_holds(metadata.get(one.field), one) for one in where)


def _holds(value: Scalar | None, condition: Condition) -> bool:
    wanted, operator = condition.value, condition.operator
    if operator in ("=", "!="):
        equal = value is not None and isinstance(value, str) == isinstance(wanted, str) and value == wanted
        return equal if operator == "=" else not equal
    limit = number_of(condition)
    if isinstance(value, (str, bool)) or value is None:
        return False
    return {"<": value < limit, "<=": value <= limit, ">": value > limit, ">=": value >= limit}[operator]


def number_of(condition: Condition) -> int | float:
    """The value of an ordered condition.

    Raises:
        InputError: it is no number.
    """
    if isinstance(condition.value, (str, bool)):
        raise InputError(f"{condition.field} {condition.operator} needs a number, got {condition.value!r}")
    return condition.value


def as_sql(where: Where) -> tuple[str, list[Any]]:
    """A filter as an SQL condition over the table `documents` (source, metadata as JSON), with its parameters."""
    clauses, values = ["1"], []
    for one in where:
        clause, some = _source_sql(one) if one.field == "source" else _field_sql(one)
        clauses.append(clause)
        values += some
    return " AND ".join(clauses), values


def _source_sql(condition: Condition) -> tuple[str, list[Any]]:
    path = str(condition.value)
    if any(mark in path for mark in "*?["):
        clause = "(source GLOB ? OR path GLOB ?)"
        values: list[Any] = [path, path]
    else:
        folder = path.rstrip("/") + "/"
        clause = "(source = ? OR path = ? OR substr(path, 1, ?) = ?)"
        values = [path, path, len(folder), folder]
    return (clause if condition.operator == "=" else f"NOT {clause}"), values


def _field_sql(condition: Condition) -> tuple[str, list[Any]]:
    value, operator = condition.value, _SQL[condition.operator]
    path = '$."' + condition.field.replace('"', "") + '"'
    stored = "json_extract(metadata, ?)"
    if condition.field == "date":
        return f"substr({stored}, 1, ?) {operator} ?", [path, len(str(value)), str(value)]
    if isinstance(value, str) and _NUMBER.fullmatch(value):  # a text "7" and a number 7 are one to the user
        compared = f"CASE typeof({stored}) WHEN 'text' THEN {stored} {operator} ? ELSE {stored} {operator} ? END"
        return f"({compared})", [path, path, value, path, float(value)]
    if isinstance(value, str) and value.casefold() in ("true", "false") and condition.operator in ("=", "!="):
        truth = f"(json_type(metadata, ?) = ? OR {stored} = ?)"
        return (truth if condition.operator == "=" else f"NOT coalesce({truth}, 0)"), [
            path, value.casefold(), path, value,
        ]  # fmt: skip
    return f"{stored} {operator} ?", [path, value]
