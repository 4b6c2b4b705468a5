"""Filters over metadata: `type=pdf`, `date>=2024-03`, `source=notes/*`, `year!=1999`.

Two readers. `matches` is the rule of a `VectorIndex`: texts, numbers and truth values are three kinds; within a kind
values are equal or not, numbers alone have an order, and they are compared as 64-bit floats. A row without the field
(or with a number that is not finite) matches != alone. `as_sql` is the richer rule of a store, run in SQLite over
documents: `source` takes a path, a folder or a pattern; texts are ordered too; a text "7" asks for a number 7 as well,
"true" for a truth value; and a date is compared by as much of it as was given (`date<=2024` holds on 2024-12-31).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from reasonir_agent.errors import InputError
from reasonir_agent.types import Condition, Operator, Scalar, Where

_CONDITION: Final = re.compile(r"([^\s=<>!]+)\s*(!=|<=|>=|=|<|>)(.*)", re.S)
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_DATE: Final = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?")
_ORDERED: Final = ("<", "<=", ">", ">=")
_OPERATORS: Final = ("=", "!=", *_ORDERED)


def parse_where(texts: Sequence[str]) -> Where:
    """Conditions as a user writes them; all must hold. Their values are texts.

    Raises:
        InputError: one is no condition.
    """
    if isinstance(texts, str):
        raise InputError(f"filters come as a list of texts, for example ['type=pdf']; got the text {texts!r}")
    return tuple(map(_parsed, texts))


def _parsed(text: str) -> Condition:
    found = _CONDITION.fullmatch(text.strip()) if isinstance(text, str) else None
    value = found[3].strip() if found else ""
    if found is None or not value:
        raise InputError(
            f"a filter is a field, one of = != < <= > >=, and a value, for example type=pdf or date>=2024-03; got {text!r}"
        )
    field, operator = found[1], found[2]
    if field == "date" and not _DATE.fullmatch(value):
        raise InputError(f"a date is YYYY, YYYY-MM or YYYY-MM-DD; got {value!r}")
    if field == "source" and operator in _ORDERED:
        raise InputError(f"a source is compared by = or != only; got {text!r}")
    return Condition(field, cast("Operator", operator), value)


def comparable(value: Scalar | None) -> str | float | bool | None:
    """A value as every `VectorIndex` compares it: a number as a 64-bit float; None where it cannot be compared.

    Engines keep whole numbers and fractions apart (Chroma cuts 7.5 to 7 to compare it with a whole number), so each
    is given floats.
    """
    if value is None or isinstance(value, (str, bool)):
        return value
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def check_where(where: Where) -> None:
    """Refuse what a `VectorIndex` cannot compare, before any row is looked at.

    Raises:
        InputError: an operator is unknown, or an ordered condition has no number, or a number is not finite.
    """
    for one in where:
        if one.operator not in _OPERATORS:
            raise InputError(f"a filter's operator is one of {' '.join(_OPERATORS)}; got {one.operator!r}")
        if comparable(one.value) is None:
            raise InputError(f"a filter compares with a text, a truth value or a finite number; got {one.value!r}")
        if one.operator in _ORDERED:
            number_of(one)


def matches(metadata: Mapping[str, Scalar], where: Where) -> bool:
    """Whether a row's metadata pass a filter, by the rule of `VectorIndex`.

    Raises:
        InputError: as for `check_where`.
    """
    check_where(where)
    return all(_holds(comparable(metadata.get(one.field)), one) for one in where)


def _holds(value: str | float | bool | None, condition: Condition) -> bool:
    wanted, operator = comparable(condition.value), condition.operator
    if operator in ("=", "!="):
        equal = type(value) is type(wanted) and value == wanted
        return equal if operator == "=" else not equal
    if not isinstance(value, float):
        return False
    limit = number_of(condition)
    return {"<": value < limit, "<=": value <= limit, ">": value > limit, ">=": value >= limit}[operator]


def number_of(condition: Condition) -> float:
    """The value of an ordered condition.

    Raises:
        InputError: it is no number.
    """
    value = comparable(condition.value)
    if not isinstance(value, float):
        raise InputError(f"{condition.field} {condition.operator} needs a number, got {condition.value!r}")
    return value


def as_sql(where: Where) -> tuple[str, list[Any]]:
    """A filter as an SQL condition over the table `documents` (source, path, metadata as JSON), with its parameters."""
    clauses, values = ["1"], []
    for one in where:
        clause, some = _source_sql(one) if one.field == "source" else _field_sql(one)
        clauses.append(clause)
        values += some
    return " AND ".join(clauses), values


def _source_sql(condition: Condition) -> tuple[str, list[Any]]:
    path = str(condition.value)
    folder = path.rstrip("/") + "/"
    clause = "source = ? OR path = ? OR substr(path, 1, ?) = ?"
    values: list[Any] = [path, path, len(folder), folder]
    if any(mark in path for mark in "*?["):  # beside the plain comparison: a file may be called notes[1].md
        clause += " OR source GLOB ? OR path GLOB ?"
        values += [path, path]
    return (f"({clause})" if condition.operator == "=" else f"NOT ({clause})"), values


def _field_sql(condition: Condition) -> tuple[str, list[Any]]:
    """The field's value is looked up by its key, since a path like $."a" cannot hold every key."""
    operator = "=" if condition.operator == "!=" else condition.operator
    tests = _value_sql(condition, operator)
    held = " OR ".join(test for test, _ in tests)
    clause = f"EXISTS (SELECT 1 FROM json_each(metadata) WHERE key = ? AND ({held}))"  # noqa: S608 - no text of the user
    values = [condition.field, *(value for _, some in tests for value in some)]
    return (clause if condition.operator != "!=" else f"NOT {clause}"), values


def _value_sql(condition: Condition, operator: str) -> list[tuple[str, list[Any]]]:
    """What a value of the field may be, as tests over json_each's columns `type` and `atom`."""
    value = condition.value
    truth, number = f"type {operator} ?", f"type IN ('integer', 'real') AND atom {operator} ?"
    if isinstance(value, bool):
        return [(truth, [str(value).casefold()])] if operator == "=" else [("0", [])]
    if not isinstance(value, str):
        return [(number, [float(value)])]
    if condition.field == "date":
        return [(f"substr(atom, 1, ?) {operator} ?", [len(value), value])]
    tests: list[tuple[str, list[Any]]] = [(f"type = 'text' AND atom {operator} ?", [value])]
    if _NUMBER.fullmatch(value):
        tests.append((number, [float(value)]))
    if value.casefold() in ("true", "false") and operator == "=":
        tests.append((truth, [value.casefold()]))
    return tests
