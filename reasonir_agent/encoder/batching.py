"""Which texts go through the network together, and what happens when memory runs out. Pure, no torch.

A batch costs rows x longest row. Sorting by length keeps padding out; a token budget, not a row count, bounds a batch,
so short texts travel in crowds and long ones alone. Out of memory halves the budget and goes on with what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reasonir_agent.errors import EncoderError

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix


class OutOfMemory(EncoderError, MemoryError):
    """A batch did not fit; the scheduler answers it, users see it only when a single text does not fit."""


@dataclass(frozen=True, slots=True)
class Row:
    """One sequence on its way through the network.

    Attributes:
        ids: token ids, special tokens included.
        pool_from: first position that is pooled; those before are only attended to.
    """

    ids: list[int]
    pool_from: int = 0


def plan(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Group row numbers into batches, longest first (the largest batch shows at once whether it fits).

    Args:
        lengths: tokens of each row.
        budget: most tokens of a batch, padding included; a longer row travels alone.
    """
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    batches: list[list[int]] = []
    for row in order:
        longest = lengths[batches[-1][0]] if batches else 0
        if batches and longest * (len(batches[-1]) + 1) <= budget:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches


def run(
    rows: Sequence[Row], forward: Callable[[list[Row]], FloatMatrix], *, dim: int, budget: int
) -> tuple[FloatMatrix, int]:
    """Send every row through `forward`; results are in the order of `rows`.

    Args:
        rows: the sequences.
        forward: gives float32 [rows of the batch, dim]; raises OutOfMemory when the batch does not fit.
        dim: length of a vector.
        budget: most tokens of a batch to begin with.

    Returns:
        the vectors [len(rows), dim] and the budget that fitted in the end.

    Raises:
        OutOfMemory: one row alone does not fit.
    """
    vectors = np.zeros((len(rows), dim), dtype=np.float32)
    waiting = plan([len(row.ids) for row in rows], budget)
    while waiting:
        batch = waiting.pop(0)
        try:
            vectors[batch] = forward([rows[number] for number in batch])
        except OutOfMemory:
            if len(batch) == 1:
                raise
            budget = max(1, min(budget, len(batch) * len(rows[batch[0]].ids)) // 2)
            left = sorted([*batch, *(number for later in waiting for number in later)])
            waiting = [[left[i] for i in group] for group in plan([len(rows[i].ids) for i in left], budget)]
    return vectors, budget


def pad(batch: Sequence[Row], *, pad_id: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right-pad a batch.

    Returns:
        ids [rows, tokens] int64, attention mask [rows, tokens] bool, pooling mask [rows, tokens] float32.
    """
    longest = max(len(row.ids) for row in batch)
    ids = np.full((len(batch), longest), pad_id, dtype=np.int64)
    attended = np.zeros((len(batch), longest), dtype=bool)
    pooled = np.zeros((len(batch), longest), dtype=np.float32)
    for number, row in enumerate(batch):
        ids[number, : len(row.ids)] = row.ids
        attended[number, : len(row.ids)] = True
        pooled[number, row.pool_from : len(row.ids)] = 1.0
    return ids, attended, pooled
