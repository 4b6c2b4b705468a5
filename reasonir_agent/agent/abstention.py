"""Has anything been found at all? Without a model, two kinds of raw evidence decide.

A fused or scaled score cannot tell: the best of bad passages gets 1.0 as well. So the raw cosine of the best hit must
reach the encoder's threshold, and the best hits must hold a share of the question's telling words (each weighted by
how rare it is in the corpus). A question in a script that the encoder does not know has a meaningless cosine and is
decided by its words alone. Both error rates are printed by `reasonir evaluate abstention`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from reasonir_agent.stores.lexical import words
from reasonir_agent.stores.store import Store
from reasonir_agent.types import Encoder, Hit

COVERAGE_FLOOR: Final = 0.05
"""Least share of the question's telling words that one of the best hits must hold."""

COVERAGE_ALONE: Final = 0.12
"""The share that is asked for when the cosine says nothing about this question."""

UNKNOWN_LIMIT: Final = 0.10
"""Share of unknown tokens above which an encoder does not understand a question."""

BEST: Final = 5
"""Hits that are looked at."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for an answer.

    Attributes:
        cosine: best cosine among the first hits.
        coverage: best weighted share of the question's words among them, 0 to 1.
        understood: whether the encoder knows the question's script.
        threshold: least cosine of the encoder; None where it was never calibrated.
    """

    cosine: float
    coverage: float
    understood: bool
    threshold: float | None

    @property
    def suffices(self) -> bool:
        """Whether to answer."""
        if not self.understood:
            return self.coverage >= COVERAGE_ALONE
        if self.threshold is not None and self.cosine < self.threshold:
            return False
        return self.coverage >= COVERAGE_FLOOR


def weigh(question: str, hits: Sequence[Hit], store: Store, encoder: Encoder) -> Evidence:
    """Measure the evidence that the hits hold for a question."""
    best = list(hits[:BEST])
    terms = sorted(set(words(question)))
    rarity = store.rarity(terms)
    total = sum(rarity.values()) or 1.0
    shares = [sum(rarity[term] for term in set(words(hit.passage.text)) & set(terms)) / total for hit in best]
    return Evidence(
        cosine=max((hit.dense_score for hit in best), default=0.0),
        coverage=max(shares, default=0.0),
        understood=encoder.unknown_share([question]) <= UNKNOWN_LIMIT,
        threshold=encoder.abstain_below,
    )
