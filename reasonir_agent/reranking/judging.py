"""From a retriever's hits to their final order: scores by a reranker, interpolation, and what the user must be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from reasonir_agent.llm import Meter
from reasonir_agent.reranking.interpolation import interpolate
from reasonir_agent.reranking.reranker import ChatReranker
from reasonir_agent.types import Hit, Reranker


@dataclass(frozen=True, slots=True)
class Judged:
    """Hits after a reranker.

    Attributes:
        hits: all that came in, in their final order.
        failures: how many got no score.
        usable: whether the scores were believed; else the retriever's order stands.
        warnings: sentences for the user about what was degraded.
    """

    hits: list[Hit]
    failures: int
    usable: bool
    warnings: list[str]


async def judge(
    question: str, hits: Sequence[Hit], reranker: Reranker, *, weight: float, meter: Meter | None = None
) -> Judged:
    """Score hits against the original question and interpolate with the retriever's cosine.

    Args:
        question: as the user asked it, not the rewritten query.
        hits: in the retriever's order.
        reranker: gives 0 to 1 for each passage, or None.
        weight: of the reranker's score, 0 to 1.
        meter: where a chat model's calls are counted.
    """
    if not hits:
        return Judged([], 0, True, [])
    problems: list[str] = []
    if isinstance(reranker, ChatReranker):  # one for each question, so that counts and reasons are this question's
        reranker = replace(reranker, meter=meter or Meter(), problems=problems)
    scores = await reranker.score(question, [hit.passage for hit in hits])
    result = interpolate(hits, scores, weight=weight)
    return Judged(
        result.hits, result.failures, result.usable, _warnings(result.failures, len(hits), problems, result.usable)
    )


def _warnings(failures: int, asked: int, problems: Sequence[str], usable: bool) -> list[str]:
    reason = f" (first reason: {problems[0].rstrip('.')})" if problems else ""
    if not usable:
        return [
            f"the reranker is unusable: {failures} of {asked} passages got no score{reason}; the retriever's order stands"
        ]
    if failures:
        return [f"{failures} of {asked} passages got no reranker score and took the mean{reason}"]
    return []
