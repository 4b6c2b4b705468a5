"""From a retriever's hits to their final order: scores in waves, interpolation, and what the user must be told.

The first wave scores `depth` hits. While a wave still changes the best `KEEP`, the next `WAVE` are scored, up to `most`.
(On stored scores of a 32B model over ReasonIR's top 100 of BRIGHT, nDCG@10 is .336 at depth 10, .362 at 20, .373 at 30
and .372 at 100.) Hits that have a score from an earlier round keep it. What was never scored stands behind what was, in
the retriever's order; no hit is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from reasonir_agent.errors import BudgetSpent, ChatError
from reasonir_agent.llm import Meter
from reasonir_agent.reranking.interpolation import interpolate
from reasonir_agent.reranking.reranker import ChatReranker
from reasonir_agent.types import Hit, Reranker

WAVE: Final = 10
KEEP: Final = 10

OnProgress = Callable[[int, int], None]
"""Told how many passages have been scored, and of how many."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Hits after a reranker.

    Attributes:
        hits: all that came in, in their final order.
        failures: how many were asked about and got no score.
        usable: whether the scores were believed; else the retriever's order stands.
        warnings: sentences for the user about what was degraded.
        scored: how many have a score of the reranker.
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
        hits: in the retriever's order; those with a reranker's score are not scored again.
        reranker: gives 0 to 1 for each passage, or None.
        weight: of the reranker's score, 0 to 1.
        depth: hits of the first wave; None scores all.
        most: hits that are scored at most; None scores the first wave alone.
        meter: where a chat model's calls are counted and bounded.
        on_progress: told as scores come in.
    """
    if not hits:
        return Judged([], 0, True, [])
    depth = len(hits) if depth is None else depth
    problems: list[ChatError] = []
    done = _Progress(on_progress, sum(hit.reranker_score is not None for hit in hits[:depth]))
    if isinstance(reranker, ChatReranker):  # one for each question, so that counts and reasons are this question's
        reranker = replace(reranker, meter=meter or Meter(), problems=problems, on_scored=done.one_more)
    waves = _Waves(question, list(hits), reranker, weight, problems, done)
    await waves.run(depth, max(depth, most or depth))
    return waves.result()


@dataclass(slots=True)
class _Progress:
    tell: OnProgress | None
    done: int
    of: int = 0

    def one_more(self) -> None:
        self.done += 1
        if self.tell is not None:
            self.tell(self.done, self.of)


@dataclass(slots=True)
class _Waves:
    """Scores of one question, wave by wave. `asked` is how many hits from the top were asked about."""

    question: str
    hits: list[Hit]
    reranker: Reranker
    weight: float
    problems: list[ChatError]
    progress: _Progress
    asked: int = 0
    scores: list[float | None] = field(init=False)

    def __post_init__(self) -> None:
        self.scores = [hit.reranker_score for hit in self.hits]

    async def run(self, depth: int, most: int) -> None:
        best: list[str] = []
        upto = min(depth, len(self.hits))
        while True:
            await self._score(upto)
            now = [hit.passage.id for hit in self._ordered().hits[:KEEP]]
            if now == best or self._spent() or upto >= min(most, len(self.hits)) or not self._believed():
                return
            best, upto = now, min(upto + WAVE, most, len(self.hits))

    async def _score(self, upto: int) -> None:
        places = [place for place in range(self.asked, upto) if self.scores[place] is None]
        self.progress.of = upto
        found = await self.reranker.score(self.question, [self.hits[place].passage for place in places])
        for place, score in zip(places, found, strict=True):
            self.scores[place] = score
        self.asked = upto

    def _ordered(self) -> Judged:
        asked = self.hits[: self.asked]
        failures = sum(score is None for score in self.scores[: self.asked])
        spent = self._spent()
        if (
            spent is not None
        ):  # those that could not be paid for did not fail; they stand behind, as others beyond depth
            known = [place for place in range(self.asked) if self.scores[place] is not None]
            ranked = interpolate([asked[p] for p in known], [self.scores[p] for p in known], weight=self.weight)
            rest = [hit for place, hit in enumerate(self.hits) if place not in set(known)]
            return Judged([*ranked.hits, *rest], 0, True, [], len(known))
        ranked = interpolate(asked, self.scores[: self.asked], weight=self.weight)
        scored = self.asked - failures if ranked.usable else 0
        return Judged([*ranked.hits, *self.hits[self.asked :]], failures, ranked.usable, [], scored)

    def _believed(self) -> bool:
        return self._ordered().usable

    def _spent(self) -> BudgetSpent | None:
        return next((one for one in self.problems if isinstance(one, BudgetSpent)), None)

    def result(self) -> Judged:
        found, spent = self._ordered(), self._spent()
        if spent is not None:
            warning = f"{found.scored} of {self.asked} passages were scored ({spent}); the others stand behind them"
            return replace(found, warnings=[warning])
        return replace(found, warnings=_warnings(found.failures, self.asked, self.problems, found.usable))


def _warnings(failures: int, asked: int, problems: Sequence[ChatError], usable: bool) -> list[str]:
    reason = f" (first reason: {str(problems[0]).rstrip('.')})" if problems else ""
    if not usable:
        return [
            f"the reranker is unusable: {failures} of {asked} passages got no score{reason}; the retriever's order stands"
        ]
    if failures:
        return [f"{failures} of {asked} passages got no reranker score and took the mean{reason}"]
    return []
