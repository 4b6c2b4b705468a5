"""Long queries: overlapping windows, combined into one vector. Nothing of a query is ever cut silently.

A rewritten query of 527 tokens (the median of real ones) is longer than MiniLM's window of 256. Its body is read in
windows that overlap by a quarter, each with the prefix and the special tokens. The query's vector is the first window's
plus the mean of all windows', at length one: what stands first weighs more, and nothing is lost. On BRIGHT's LeetCode
with MiniLM, over original and two kinds of rewritten queries, this gave nDCG@10 .244 on average; the mean alone .236,
the first window alone .239, the best window (which needs a search for each) .240 (`benchmarks/windows.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from reasonir_agent.encoder.pooling import normalised
from reasonir_agent.encoder.tokens import Tokens
from reasonir_agent.errors import InputError

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

OVERLAP: Final = 0.25
"""Share of a window that the next one reads again."""

RULE: Final = "first-and-mean-of-windows/overlap-0.25"
"""Name of the rule; part of the fingerprint, since it shapes the vectors of long queries."""

MOST_WINDOWS: Final = 4096
"""A query of more windows than this is a mistake (a file passed as a question), not a question."""


def cut(tokens: Tokens, window: int) -> list[int]:
    """Ids of a document, cut to the window; head and tail stay.

    Raises:
        InputError: the prefix leaves no room.
    """
    return [*tokens.head, *tokens.body[: _room(tokens, window)], *tokens.tail]


def windows(tokens: Tokens, window: int) -> list[list[int]]:
    """Ids of a query as one or more windows that together hold every token of the body.

    Raises:
        InputError: the prefix leaves no room, or the query is longer than any question.
    """
    room = _room(tokens, window)
    if len(tokens.body) <= room:
        return [[*tokens.head, *tokens.body, *tokens.tail]]
    step = max(1, room - int(room * OVERLAP))
    starts = range(0, len(tokens.body) - room + step, step)
    if len(starts) > MOST_WINDOWS:
        raise InputError(
            f"a query may have up to {MOST_WINDOWS * step:,} tokens, got {len(tokens.body):,}; "
            "pass the question, not a file"
        )
    return [[*tokens.head, *tokens.body[start : start + room], *tokens.tail] for start in starts]


def _room(tokens: Tokens, window: int) -> int:
    """Tokens of the body that fit between head and tail."""
    room = window - len(tokens.head) - len(tokens.tail)
    if room < 1:
        raise InputError(
            f"the prefix takes {len(tokens.head)} of the window's {window} tokens and leaves no room for the text"
        )
    return room


def weights(counts: Sequence[int]) -> list[float]:
    """What each window's unit vector counts in its query's sum.

    Args:
        counts: number of windows of each query, in order; 1 / n for each of n, and 1 more for the first of several.
    """
    return [1.0 / n + (n > 1 and number == 0) for n in counts for number in range(n)]


def combined(parts: FloatMatrix, owners: Sequence[int], count: int) -> FloatMatrix:
    """One unit vector for each text from the unit vectors of its windows, by the rule.

    Args:
        parts: float32 [windows, dim], the windows of a text one after the other.
        owners: number of the text that each window belongs to.
        count: how many texts; one without windows gets zeros.
    """
    vectors: FloatMatrix = np.zeros((count, parts.shape[1]), dtype=np.float32)
    belongs = np.asarray(owners, dtype=np.intp)
    counts = np.bincount(belongs, minlength=count)
    np.add.at(vectors, belongs, parts * np.asarray(weights(counts.tolist()), dtype=np.float32)[:, None])
    windowed = counts > 1
    vectors[windowed] = normalised(vectors[windowed])
    return vectors
