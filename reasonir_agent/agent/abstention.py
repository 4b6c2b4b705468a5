"""Has anything been found at all? Without a model, two kinds of raw evidence decide.

A fused or scaled score cannot tell: the best of bad passages gets 1.0 as well. So the raw cosine of the best hit must
reach a threshold. The encoder's own holds for a corpus of 100 passages; the best of many unrelated passages comes
closer than the best of few, by 0.08 for each factor of ten (measured with MiniLM on 30 to 12,000 passages of
textbooks and questions from elsewhere), so the threshold grows with the corpus, a little slower than that. And the
best hits must hold a share of the question's telling words, each weighted by how rare it is in the corpus. A question
in a script that the encoder does not know has a meaningless cosine and is decided by its words alone. Both error rates
are printed by `reasonir evaluate abstention`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from reasonir_agent.stores.language import UNKNOWN_LIMIT
from reasonir_agent.stores.words import words
from reasonir_agent.types import Encoder, Hit, PassageSource

COSINE_PER_DECADE: Final = 0.07
"""What a corpus ten times larger adds to the threshold."""

COVERAGE_FLOOR: Final = 0.05
"""Least share of the question's telling words that one of the best hits must hold."""

COVERAGE_ALONE: Final = 0.12
"""The share that is asked for when the cosine says nothing about this question."""

BEST: Final = 5
"""Hits that are looked at."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for an answer.

    Attributes:
        cosine: best cosine among the first hits.
        coverage: best weighted share of the question's words among them, 0 to 1.
        understood: whether the encoder knows the question's script.
        threshold: least cosine for a corpus of this size; None where the encoder was never calibrated.
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


def weigh(question: str, hits: Sequence[Hit], source: PassageSource, encoder: Encoder) -> Evidence:
    """Measure the evidence that the hits hold for a question; `source` knows its size and how rare words are."""
    best = list(hits[:BEST])
    terms = sorted(set(words(question)))
    rarity = source.rarity(terms)
    total = sum(rarity.values()) or 1.0
    shares = [sum(rarity[term] for term in set(words(hit.passage.text)) & set(terms)) / total for hit in best]
    return Evidence(
        cosine=max((hit.dense_score for hit in best), default=0.0),
        coverage=max(shares, default=0.0),
        understood=encoder.unknown_share([question]) <= UNKNOWN_LIMIT,
        threshold=threshold_for(encoder.abstain_below, source.size),
    )


def threshold_for(abstain_below: float | None, passages: int) -> float | None:
    """The least cosine that is evidence in a corpus of so many passages.

    Args:
        abstain_below: the encoder's threshold for 100 passages; None stays None.
        passages: size of the corpus; below 30 it counts as 30.
    """
    if abstain_below is None:
        return None
    return abstain_below + COSINE_PER_DECADE * math.log10(max(passages, 30) / 100)
