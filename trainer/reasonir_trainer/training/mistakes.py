"""What is wrong with the settings of a YAML file, as one sentence in YAML's words: a list, settings, a whole number.

The first mistake is told and how many more there are. A name that is no setting goes before the rest, for a misspelt one is
missing under its right name too.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, get_args

import yaml
from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_LONGEST: Final = 80
_UNKNOWN: Final = ("extra_forbidden", "invalid_key")
_KINDS: Final[Mapping[str, str]] = {
    "missing": "must be given",
    **dict.fromkeys(_UNKNOWN, "is no setting"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    "string_type": "must be text",
    "path_type": "must be a path",
    "literal_error": "must be {expected}",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be {ge:g} or more",
    "less_than": "must be below {lt:g}",
    "less_than_equal": "must be at most {le:g}",
}


def sentence(cause: ValidationError, model: type[BaseModel]) -> str:
    """What is wrong, without the place of the file and the full stop.

    Args:
        cause: of the settings.
        model: that they were checked by.
    """
    errors = sorted(cause.errors(include_url=False), key=lambda one: one["type"] not in _UNKNOWN)
    more = {1: "", 2: ", and 1 more setting is wrong"}.get(
        len(errors), f", and {len(errors) - 1} more settings are wrong"
    )
    return _mistake(errors[0], model) + more


def _mistake(error: ErrorDetails, model: type[BaseModel]) -> str:
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] in _UNKNOWN:
        return f"{name} is no setting{_meant(error['loc'], model)}"
    if error["type"] == "missing" or not name:
        return f"{name} {_what(error, model)}".strip()
    return f"{name} {_what(error, model)}, got {_shown(error['input'])}"


def _what(error: ErrorDetails, model: type[BaseModel]) -> str:
    value, kind = error["input"], error["type"]
    if kind in ("tuple_type", "model_type"):
        inner = _at(model, error["loc"])
        example: Any = {"path": value} if isinstance(value, str) and inner and "path" in inner.model_fields else value
        if kind == "tuple_type":
            return "must be a list" + ("" if value is None else _such_as([example]))
        return "must be settings (name: value)" + (_such_as(example) if isinstance(example, dict) else "")
    if kind in _KINDS:
        return _KINDS[kind].format(**error.get("ctx", {}))
    said = error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return said[:1].lower() + said[1:]


def _meant(place: tuple[int | str, ...], model: type[BaseModel]) -> str:
    """The setting that somebody may have meant: of this name elsewhere, or of one like it at this place."""
    name, here = str(place[-1]), _at(model, place[:-1])
    found = [full for full in _names(model) if full.rpartition(".")[2] == name][:2]
    if not found and here is not None:
        found = difflib.get_close_matches(name, list(here.model_fields), n=1)
    return f" (perhaps {' or '.join(found)} is meant)" if found else ""


def _at(model: type[BaseModel], place: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The settings at a place, or whose list stands there; None where there is a plain value."""
    found: type[BaseModel] | None = model
    for part in place:
        if isinstance(part, str):
            found = None if found is None else _inner(found.model_fields[part].annotation)
    return found


def _inner(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for one in get_args(annotation) if (found := _inner(one)) is not None), None)


def _names(model: type[BaseModel], before: str = "") -> Iterator[str]:
    """Every setting by its dotted name."""
    for name, one in model.model_fields.items():
        yield before + name
        inner = _inner(one.annotation)
        if inner is not None:
            yield from _names(inner, f"{before}{name}.")


def _such_as(example: Any) -> str:
    shown = _flow(example)
    return f", such as {shown}" if len(shown) <= _LONGEST else ""


def _shown(value: Any) -> str:
    """A value as it stands in the file; a text in quotes."""
    if value is None:
        return "nothing"
    return f"{value!r:.{_LONGEST}}" if isinstance(value, str) else f"{_flow(value):.{_LONGEST}}"


def _flow(value: Any) -> str:
    try:
        text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf)
    except yaml.YAMLError:  # a Python object, which no file holds
        return repr(value)
    return text.strip().removesuffix("...").strip()
