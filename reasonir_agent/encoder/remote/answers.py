"""From the body of an answer to vectors, strictly: what cannot be used is an error, never a vector.

A server may send half a batch, an index twice, another order, vectors of two lengths, text for numbers. Only the order
is mended, because the indices say it; everything else is told. Vectors come as lists of numbers or as base64 of
little-endian float32.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from reasonir_agent.errors import EncoderError

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

_SHOWN: Final = 80


class UnusableAnswer(EncoderError):
    """An answer came with status 200, and nothing in it can be used."""


def read_vectors(body: str, count: int) -> FloatMatrix:
    """The vectors of an answer, float32 [count, dim], by their indices, as long as the server made them.

    Args:
        body: the answer's text.
        count: how many texts were sent.

    Raises:
        UnusableAnswer: it is no JSON, or does not hold one vector of finite numbers for each text.
    """
    found = read_object(body).get("data")
    if not isinstance(found, list):
        raise UnusableAnswer(f"gave an answer without vectors: {start_of(body)!r}")
    if len(found) != count:
        raise UnusableAnswer(f"gave {len(found)} vectors for {count} texts")
    rows = [_row(item) for item in _in_order(found)]
    lengths = sorted({len(row) for row in rows})
    if len(lengths) > 1 or not lengths[0]:
        raise UnusableAnswer(f"gave vectors of {' and '.join(map(str, lengths))} numbers in one answer")
    vectors: FloatMatrix = np.stack(rows)
    if not np.isfinite(vectors).all():
        raise UnusableAnswer("gave numbers that are not finite")
    return vectors


def read_object(body: str) -> dict[str, Any]:
    """The JSON object of an answer.

    Raises:
        UnusableAnswer: it is none.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise UnusableAnswer(f"gave no JSON: {start_of(body)!r}") from None
    if not isinstance(found, dict):
        raise UnusableAnswer(f"gave no JSON object: {start_of(body)!r}")
    return found


def start_of(body: str) -> str:
    """The beginning of an answer in one line, for a message."""
    words = " ".join(body[: 4 * _SHOWN].split())
    return words[:_SHOWN] + ("…" if len(words) > _SHOWN or len(body) > 4 * _SHOWN else "")


def _in_order(found: list[Any]) -> list[dict[str, Any]]:
    by_index = {item["index"]: item for item in found if isinstance(item, dict) and type(item.get("index")) is int}
    if set(by_index) != set(range(len(found))):  # one that came twice leaves another out
        indices = [item.get("index") if isinstance(item, dict) else None for item in found]
        raise UnusableAnswer(f"gave vectors with the indices {str(indices)[:_SHOWN]}, expected 0 to {len(found) - 1}")
    return [by_index[number] for number in range(len(found))]


def _row(item: dict[str, Any]) -> FloatMatrix:
    given = item.get("embedding")
    try:
        if isinstance(given, str):
            return np.frombuffer(base64.b64decode(given, validate=True), dtype="<f4").astype(np.float32)
        with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite, which is told
            row: FloatMatrix = np.asarray(given, dtype=np.float32)
    except (ValueError, TypeError, OverflowError):
        raise UnusableAnswer(f"gave something else than a vector: {start_of(str(given))!r}") from None
    if row.ndim != 1:
        raise UnusableAnswer(f"gave something else than a vector: {start_of(str(given))!r}")
    return row
