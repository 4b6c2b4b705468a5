"""From a retriever's hits to their final order: scores in waves, interpolation, and what the user must be told.

The first wave asks about `depth` hits. While the last `WAVE` that were asked about hold one of the best `KEEP`, as many
again are asked about, up to `most`. Over the stored scores of a 32B model for ReasonIR's candidates on BRIGHT this takes
the first 30 from nDCG@10 .369 to .371 with 34 of 44 calls, all give .372 (benchmarks/rerank_replay.py).

Hits that have a score from an earlier round keep it, take part, and are not asked about again. No hit is lost: one
whose score failed takes the mean, one that was not asked about, or could not be paid for, stands behind the scored ones
in the retriever's order, and where over a quarter failed the whole order is the retriever's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from reasonir_agent.errors import BudgetSpent, ChatError, InputError
from reasonir_agent.llm import Meter
from reasonir_agent.reranking.interpolation import Reranked, behind, interpolate
from reasonir_agent.reranking.reranker import ChatReranker, Outcome
from reasonir_agent.spans import span
from reasonir_agent.types import Hit, Passage, Reranker

WAVE: Final = 10
KEEP: Final = 10

OnProgress = Callable[[int, int], None]
"""Told how many passages have been asked about, and of how many."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Hits after a reranker.

    Attributes:
        hits: all that came in, in their final order.
        failures: how many were asked about and got no score; those that could not be paid for are none.
        usable: whether the scores were believed; else the retriever's order stands.
        warnings: sentences for the user about what was degraded.
        scored: how many have a score of the reranker, earlier rounds' included.
    """

    hits: list[Hit]
    failures: int
    usable: bool
    warnings: list[str]
    scored: int = 0


async def judge(
    question: str,
    hits: Sequence[Hit],
    reranker: Reranker,
    *,
    weight: float,
    depth: int | None = None,
    most: int | None = None,
    meter: Meter | None = None,
    on_progress: OnProgress | None = None,
) -> Judged:
    """Score hits against the original question and interpolate with the retriever's cosine.

    Args:
        question: as the user asked it, not the rewritten query.
        hits: in the retriever's order; those with a reranker's score are not asked about.
        reranker: gives 0 to 1 for each passage, or None.
        weight: of the reranker's score, 0 to 1.
        depth: hits of the first wave; None asks about all.
        most: hits that are asked about at most; None stops after the first wave.
        meter: where a chat model's calls are counted and bounded.
        on_progress: told as passages are done.

    Raises:
        InputError: the reranker gives another number of scores than it was given passages.
    """
    if not hits:
        return Judged([], 0, True, [])
    known = _Known(list(hits), weight)
    asking = _Asking(question, reranker, meter, on_progress)
    with span("rerank", passages=len(hits), depth=depth) as note:
        await _in_waves(known, asking, len(hits) if depth is None else depth, most or 0)
        judged = known.result()
        note(scored=judged.scored, failures=judged.failures)
    return judged


async def _in_waves(known: _Known, asking: _Asking, depth: int, most: int) -> None:
    waiting = [place for place, hit in enumerate(known.hits) if hit.reranker_score is None]
    begin, upto = 0, min(depth, len(waiting))
    while begin < upto:
        wave = waiting[begin:upto]
        known.note(wave, await asking([known.hits[place].passage for place in wave], upto))
        if not known.asks_on(wave[-WAVE:]):
            break
        begin, upto = upto, min(upto + WAVE, max(depth, most), len(waiting))


@dataclass(slots=True)
class _Asking:
    """The calls of one question; `done` counts the passages that were asked about."""

    question: str
    reranker: Reranker
    meter: Meter | None
    tell: OnProgress | None
    done: int = 0
    of: int = 0

    async def __call__(self, passages: Sequence[Passage], of: int) -> Sequence[Outcome]:
        self.of = of
        if isinstance(self.reranker, ChatReranker):  # one for each question: it counts and tells for this one
            own = replace(self.reranker, meter=self.meter or Meter(), problems=[], on_scored=self._one_more)
            return await own.outcomes(self.question, passages)
        scores = await self.reranker.score(self.question, passages)
        if len(scores) != len(passages):
            raise InputError(f"a reranker must give a score for each of {len(passages)} passages, got {len(scores)}")
        for _ in passages:
            self._one_more()
        # what is no number from 0 to 1, NaN too, would ruin the order
        return [float(score) if score is not None and 0 <= score <= 1 else None for score in scores]

    def _one_more(self) -> None:
        self.done += 1
        if self.tell is not None:
            self.tell(self.done, self.of)


@dataclass(slots=True)
class _Known:
    """What is known of one question's hits, by their places in the retriever's order."""

    hits: list[Hit]
    weight: float
    scores: dict[int, float] = field(init=False)
    failed: dict[int, ChatError | None] = field(default_factory=dict)
    unpaid: dict[int, BudgetSpent] = field(default_factory=dict)
    asked: int = 0

    def __post_init__(self) -> None:
        self.scores = {n: hit.reranker_score for n, hit in enumerate(self.hits) if hit.reranker_score is not None}

    def note(self, places: Sequence[int], outcomes: Sequence[Outcome]) -> None:
        self.asked += len(places)
        for place, outcome in zip(places, outcomes, strict=True):
            if isinstance(outcome, BudgetSpent):
                self.unpaid[place] = outcome
            elif outcome is None or isinstance(outcome, ChatError):
                self.failed[place] = outcome
            else:
                self.scores[place] = outcome

    def asks_on(self, last: Sequence[int]) -> bool:
        """Whether it is worth asking about more: one of the last ones is among the best."""
        ranked, _ = self._ranked()
        best = {id(hit.passage) for hit in ranked.hits[:KEEP]}
        return ranked.usable and not self.unpaid and any(id(self.hits[place].passage) in best for place in last)

    def result(self) -> Judged:
        ranked, rest = self._ranked()
        usable = ranked.usable and bool(ranked.hits)
        hits = [*ranked.hits, *behind(ranked.hits, rest, weight=self.weight)] if usable else self.hits
        return Judged(hits, len(self.failed), usable, self._warnings(usable), len(self.scores) if usable else 0)

    def _ranked(self) -> tuple[Reranked, list[Hit]]:
        """Scored and failed hits by their final score, and the rest."""
        taking = sorted(self.scores.keys() | self.failed.keys())
        rest = [hit for place, hit in enumerate(self.hits) if place not in self.scores and place not in self.failed]
        scores = [self.scores.get(place) for place in taking]
        return interpolate([self.hits[place] for place in taking], scores, weight=self.weight), rest

    def _warnings(self, usable: bool) -> list[str]:
        return [*self._about_the_budget(usable), *self._about_failures(usable)]

    def _about_the_budget(self, usable: bool) -> list[str]:
        if not self.unpaid:
            return []
        scored = self.asked - len(self.unpaid) - len(self.failed)
        order = "the others stand behind them" if usable else "the retriever's order stands"
        spent = next(iter(self.unpaid.values()))
        return [f"{scored} of {self.asked} passages were scored ({spent}); {order}"]

    def _about_failures(self, usable: bool) -> list[str]:
        if not self.failed:
            return []
        first = next((problem for problem in self.failed.values() if problem is not None), None)
        reason = "" if first is None else f" (first reason: {str(first).rstrip('.')})"
        of = f"{len(self.failed)} of {self.asked} passages got no"
        if usable:
            return [f"{of} reranker score and took the mean{reason}"]
        return [f"the reranker is unusable: {of} score{reason}; the retriever's order stands"]
