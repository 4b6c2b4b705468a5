"""The final score: w x reranker + (1 - w) x retriever, and what happens to passages without a reranker score.

The retriever's part is its raw cosine clipped to [0, 1], not a scaled one: with stored scores of a real 32B model on
BRIGHT this gives nDCG@10 .372 where min-max scaling gives .360 (benchmarks/rerank_replay.py). A passage whose score
could not be had takes the question's mean; no passage is ever lost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from reasonir_agent.types import Hit

USABLE_FAILURES: Final = 0.25
"""Share of failed scores above which the reranker is not believed and the retriever's order stands."""


@dataclass(frozen=True, slots=True)
class Reranked:
    """Hits in their final order, how many scores failed, and whether the reranker was used."""

    hits: list[Hit]
    failures: int
    usable: bool


def interpolate(hits: Sequence[Hit], scores: Sequence[float | None], *, weight: float) -> Reranked:
    """Order hits by reranker and retriever together.

    Args:
        hits: in the retriever's order.
        scores: 0 to 1 for each hit, None where none could be had.
        weight: w of the reranker.
    """
    known = [score for score in scores if score is not None]
    failures = len(scores) - len(known)
    if not known or failures > USABLE_FAILURES * len(scores):
        return Reranked(list(hits), failures, usable=not hits)
    mean = math.fsum(known) / len(known)  # exact, so that the order of the candidates decides nothing
    scored = []
    for hit, score in zip(hits, scores, strict=True):
        reranker = mean if score is None else score
        final = weight * reranker + (1 - weight) * _clipped(hit.dense_score)
        scored.append(Hit(hit.passage, hit.dense_score, hit.lexical_score, reranker, final))
    scored.sort(key=lambda hit: (-hit.final_score, -hit.dense_score, hit.passage.id))
    return Reranked(scored, failures, usable=True)


def behind(scored: Sequence[Hit], rest: Sequence[Hit], *, weight: float) -> list[Hit]:
    """Hits that were never asked about, for their places behind the scored ones; their order stays.

    Their final score is that of a reranker score of 0, and never above one that stands before it: whoever sorts by it
    must not bring them to the front.

    Args:
        scored: hits in their final order.
        rest: the others, in the retriever's order.
        weight: w of the reranker.
    """
    lowest = min((hit.final_score for hit in scored), default=1.0)
    placed = []
    for hit in rest:
        lowest = min(lowest, (1 - weight) * _clipped(hit.dense_score))
        placed.append(replace(hit, final_score=lowest))
    return placed


def _clipped(cosine: float) -> float:
    return min(1.0, max(0.0, cosine))
