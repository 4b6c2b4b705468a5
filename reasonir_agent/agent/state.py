"""What travels through the graph. JSON-native values only, so that any checkpointer can keep it under strict msgpack.

Hits are ids and scores; the texts come from the store when they are needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, NotRequired, TypedDict

from reasonir_agent.types import Hit, Passage

_SUMMED: Final = ("llm_calls", "prompt_tokens", "completion_tokens", "seconds", "reranker_failures")


ANEW: Final = "anew"
"""In place of an update: what a thread's last question left behind is forgotten."""


def add_usage(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    """Join what two steps cost; `{"anew": ...}` begins a new question. A cost that is partly unknown is unknown."""
    if ANEW in right:
        return {}
    total = {name: left.get(name, 0) + right.get(name, 0) for name in _SUMMED}
    parts = [usage for usage in (left, right) if usage.get("llm_calls") or usage.get("cost") is not None]
    costs = [usage.get("cost") for usage in parts]
    known = [cost for cost in costs if cost is not None]
    return {**total, "cost": sum(known) if known and len(known) == len(costs) else None}


def add_items(left: list[Any], right: list[Any] | str) -> list[Any]:
    """Append; `ANEW` begins a new question."""
    return [] if isinstance(right, str) else left + right


class Question(TypedDict):
    """What the graph is given.

    Attributes:
        question: as the user asked it.
        where: filters as the user writes them, for example ["type=pdf", "date>=2024"]. On a thread whose last run was
            broken off, give [] for none: that run's filters are still there.
    """

    question: str
    where: NotRequired[list[str]]


class AgentState(TypedDict, total=False):
    """Everything that the steps leave behind.

    Attributes:
        question: as the user asked it.
        where: its filters; empty after the last step, so that the next question of a thread starts without.
        rewrites: the long reasoning queries of all rounds; empty when the question itself was searched with.
        round: how often was searched.
        searches: what the current round searches with: lists of forms, each list one search.
        missing: what the last grading found missing; drives the next rewrites.
        verdict: of the last grading: "answer", "search" or "abstain".
        hits: [{id, dense_score, lexical_score, reranker_score, final_score}], best first.
        answer: the text, with [n] for its citations.
        abstained: whether the corpus holds no answer.
        citations: [{n, id, source, start, end, quote, verified}].
        usage: calls, tokens, seconds, failures.
        warnings: sentences for the user about what was degraded.
        trace: what each step did, in order: {step, round, seconds, calls, prompt_tokens, completion_tokens, cost}, and
            of "rewrite" {rewrites, missing}, of "retrieve" and "rerank" {ranks: [{id, dense, reranker, final}]}, of
            "grade" {verdict, missing}, of "answer" {abstained}.
        estimates: what the bounds count beside `usage`, see `Meter.carried`.
    """

    question: str
    where: list[str]
    rewrites: list[str]
    round: int
    searches: list[list[str]]
    missing: list[str]
    verdict: str
    hits: list[dict[str, Any]]
    answer: str
    abstained: bool
    citations: list[dict[str, Any]]
    usage: Annotated[dict[str, Any], add_usage]
    warnings: Annotated[list[str], add_items]
    trace: Annotated[list[dict[str, Any]], add_items]
    estimates: dict[str, float]


def pack_hits(hits: Sequence[Hit]) -> list[dict[str, Any]]:
    """Hits as the state keeps them."""
    return [
        {
            "id": hit.passage.id,
            "dense_score": hit.dense_score,
            "lexical_score": hit.lexical_score,
            "reranker_score": hit.reranker_score,
            "final_score": hit.final_score,
        }
        for hit in hits
    ]


def unpack_hits(packed: Sequence[Mapping[str, Any]], passages: Mapping[str, Passage]) -> list[Hit]:
    """Hits with their passages; one whose passage has left the store since is left out."""
    return [
        Hit(
            passages[one["id"]],
            one["dense_score"],
            one["lexical_score"],
            one["reranker_score"],
            one["final_score"],
        )
        for one in packed
        if one["id"] in passages
    ]
