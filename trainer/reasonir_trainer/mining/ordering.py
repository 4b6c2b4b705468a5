"""Numbers of documents by their scores, best first, sorted only as far as they are taken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reasonir_agent.types import FloatMatrix

_SORTED_AT_ONCE: Final = 256


def best_first(scores: FloatMatrix, among: NDArray[np.int64]) -> Iterator[int]:
    """Numbers of documents in the order of a full stable sort: by score, then by number.

    Args:
        scores: of all documents, float32 [documents].
        among: numbers of those that are ranked, rising.
    """
    rest = among
    while len(rest):
        best = np.ones(len(rest), dtype=bool)
        if len(rest) > _SORTED_AT_ONCE:
            best = scores[rest] >= np.partition(scores[rest], -_SORTED_AT_ONCE)[-_SORTED_AT_ONCE]
        chosen = rest[best]
        yield from chosen[np.argsort(-scores[chosen], kind="stable")].tolist()
        rest = rest[~best]
