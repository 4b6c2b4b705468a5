"""What several formats ask of a record beyond ids and texts: lists of texts, numbers."""

from __future__ import annotations

from reasonir_agent.evaluation.datasets.records import Record


def texts(record: Record, name: str) -> list[str]:
    """The list of texts in a field.

    Raises:
        InputError: there is no such list.
    """
    found = record.fields.get(name)
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise record.problem(f"must have a list of texts in its field {name!r}")
    return list(found)


def number(record: Record, name: str) -> float | None:
    """The number in a field; None where the field is missing or null.

    Raises:
        InputError: it holds something else.
    """
    found = record.fields.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise record.problem(f"must have a number in its field {name!r}, got {found!r:.40}")
    return float(found)


def numbers(record: Record, name: str, count: int) -> list[float | None]:
    """As many numbers as asked for, each of which may be null; all None where the field is missing.

    Raises:
        InputError: it holds something else.
    """
    found = record.fields.get(name)
    if found is None:
        return [None] * count
    if not isinstance(found, list) or len(found) != count:
        raise record.problem(f"must have {count} numbers in its field {name!r}")
    for one in found:
        if one is not None and (isinstance(one, bool) or not isinstance(one, int | float)):
            raise record.problem(f"must have numbers in its field {name!r}, got {one!r:.40}")
    return [None if one is None else float(one) for one in found]
