"""Fixed texts by whose vectors an encoder is known again. Pure; the texts never change, their vectors lie in stores.

Two sets. `SAMPLE` is for fingerprints of remote encoders: short texts, sent at every open, kept as float16 in base64
(rounding moves a cosine by 1e-7). `PROBES` is for the doctor: chosen so that each known mistake of a server moves some
of their vectors (mistakes.py): questions and passages, line breaks inside and in front, Chinese, code, and two long texts
that part only behind their first 512 tokens.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

SAMPLE: Final = (
    "What makes the sky blue?",
    "Ducks stand on ice for hours: outgoing warm blood heats the blood that returns from their feet.",
    "def mean(values):\n    return sum(values) / len(values)",
)

_VERSION: Final = "probes-1/float16/"
"""Leads stored probe vectors; another text or order would be another version."""

_SHARED: Final = " ".join(
    [f"Day {day}: wind {day % 7}, tide {day % 5} ft, {day % 4} ships." for day in range(11, 28)]
    + [f"Take {n} g salt, {n % 9} eggs, {n % 8} figs; stir, bake." for n in range(32, 52)]
)
"""More than 512 tokens for every tokenizer, in as few characters as possible (1,500)."""

PROBES: Final = (
    "What makes the sky blue?",
    "\nwhy do my tomato plants wilt at noon although the soil is wet",
    "A crack's sharp tip concentrates the stress.\nA drilled hole is round, and lowers it.\n",
    "为什么冬天站在冰面上的鸭子不会冻伤双脚？",
    "for i in range(10):\n    total += prices[i] * (1 - discount)  # what if discount is None?",
    "Inflation erodes the real value of nominal debts: borrowers repay with money that buys less.",
    f"{_SHARED} " + "Enzymes lower the activation energy; heat unfolds proteins, and the rate of the cell falls. " * 3,
    f"{_SHARED} " + "The central bank raised its rate; bond prices fell, wages stood still, credit became dear. " * 3,
)
"""What the doctor asks."""

LONG: Final = (6, 7)
"""Numbers of the two that part only behind 512 tokens."""


def pack(vectors: FloatMatrix) -> str:
    """Vectors as a short text: float16, little-endian, in base64."""
    return _VERSION + base64.b64encode(np.ascontiguousarray(vectors, dtype="<f2").tobytes()).decode()


def unpack(packed: Any, *, dim: int) -> FloatMatrix | None:
    """Vectors of a text that `pack` made, float32 [n, dim]; None when it is none of this version and length."""
    if not isinstance(packed, str) or not packed.startswith(_VERSION) or dim < 1:
        return None
    try:
        data = base64.b64decode(packed.removeprefix(_VERSION), validate=True)
    except ValueError:
        return None
    if not data or len(data) % (2 * dim):
        return None
    vectors: FloatMatrix = np.frombuffer(data, dtype="<f2").astype(np.float32).reshape(-1, dim)
    return vectors


def agreement(stored: Any, given: Any, *, dim: int) -> float | None:
    """The least cosine between probe vectors of the same texts; None where one side has none."""
    one, other = unpack(stored, dim=dim), unpack(given, dim=dim)
    if one is None or other is None or one.shape != other.shape:
        return None
    silent = ~one.any(axis=1) & ~other.any(axis=1)  # zeros both times are no change
    return float(np.where(silent, 1.0, cosines(one, other)).min())


def cosines(one: FloatMatrix, other: FloatMatrix) -> FloatMatrix:
    """Cosine of each pair of rows, float32 [n]; 0 where a row is zero or not finite."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    products = (one * other).sum(axis=1)
    found: FloatMatrix = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    return np.nan_to_num(found)
