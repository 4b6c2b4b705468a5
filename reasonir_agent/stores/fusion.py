"""One list of candidates out of two kinds of evidence. Fusion chooses and orders; it is no measure of relevance.

Two rules, each for the queries that it was measured on (`reasonir evaluate retrieval`):

    evidence   for questions as they were asked:   (cosine - mean) / deviation  +  WORDS * coverage
    half       for rewritten queries:              half of the scaled cosine, half of the scaled BM25

`evidence` asks of each kind how much it says about this question. Mean and deviation are those of the question's cosines
over the corpus: how far a passage stands out. Coverage is a passage's BM25 as a share of what a passage could reach at
most: how much of what is rare in the question it holds. A question whose words are met nowhere together leaves the
order to the cosines, one that is found nearly whole is found by its words. `half` is the paper's (ReasonIR, arXiv
2504.20595): a rewritten query of hundreds of words covers no passage, and the order of its BM25 is worth as much.

The fused score is scaled to [0, 1] over the candidates of the one question. The best passage of a question that the
corpus cannot answer gets 1.0 too: whether anything was found at all is read off the raw cosine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from reasonir_agent.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reasonir_agent.types import FloatMatrix

Fusion = Literal["evidence", "half"]
FUSIONS: Final[tuple[Fusion, ...]] = ("evidence", "half")

WORDS: Final = 10.0
"""Deviations of the cosine that full coverage is worth. A passage that holds each of the question's words once covers
about half of what endless repetition would, so it is worth 5. Between 4 and 15 the development sets differ by a few
thousandths of nDCG@10; from 10 on a rare word alone finds the passage that holds it."""

HALF: Final = 0.5

_FLAT: Final = 1e-6
"""Cosines that deviate by less do not differ: they are rounded by a tenth of it, and that would be taken for evidence."""


@dataclass(frozen=True, slots=True)
class Background:
    """What one question's scores are measured against.

    Attributes:
        mean: of its cosines over the corpus.
        deviation: of its cosines over the corpus; 0 where they do not differ.
        most_words: the BM25 that no passage can exceed.
    """

    mean: float
    deviation: float
    most_words: float


def background(cosines: FloatMatrix, most_words: float) -> Background:
    """The background of a question by its cosines with the corpus, or with a fair sample of it."""
    if not len(cosines):
        return Background(0.0, 0.0, most_words)
    deviation = float(cosines.std())
    return Background(float(cosines.mean()), deviation if deviation > _FLAT else 0.0, most_words)


def by_evidence(cosines: FloatMatrix, words: FloatMatrix, against: Background) -> FloatMatrix:
    """Fused scores in [0, 1] of the candidates of one question.

    Args:
        cosines: of the candidates.
        words: their BM25, 0 where no word is shared.
        against: the question's background.
    """
    standing = (cosines - against.mean) / against.deviation if against.deviation > 0 else np.zeros_like(cosines)
    coverage = words / against.most_words if against.most_words > 0 else np.zeros_like(words)
    return _scaled(standing + np.float32(WORDS) * coverage)


def by_halves(cosines: FloatMatrix, words: FloatMatrix, *, lexical_weight: float = HALF) -> FloatMatrix:
    """Fused scores in [0, 1]: each kind scaled over the candidates, then weighted.

    Args:
        cosines: of the candidates.
        words: their BM25, 0 where no word is shared.
        lexical_weight: 0 (cosines alone) to 1 (words alone).
    """
    return np.float32(1 - lexical_weight) * _scaled(cosines) + np.float32(lexical_weight) * _scaled(words)


def in_order(fused: FloatMatrix, cosines: FloatMatrix) -> NDArray[np.intp]:
    """Places of the candidates, best first; equal scores in order of cosine, then as they were given."""
    return np.lexsort((-cosines, -fused))


def _scaled(scores: FloatMatrix) -> FloatMatrix:
    if not len(scores):
        return scores
    low, high = scores.min(), scores.max()
    if high <= low:
        return np.zeros_like(scores)
    found: FloatMatrix = (scores - low) / (high - low)
    return found


def shares(weights: Sequence[float] | None, count: int) -> FloatMatrix:
    """What each of several forms of a question counts, adding up to 1; float32 [count].

    Raises:
        InputError: another number of weights, a negative one, or none above 0.
    """
    if weights is None:
        return np.full(count, 1 / count, dtype=np.float32)
    try:
        given = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError):
        given = np.empty(0)
    largest = given.max(initial=0.0)
    if given.shape != (count,) or not (given >= 0).all() or not 0 < largest < np.inf:
        raise InputError(f"expected {count} weights of 0 or more, at least one above 0; got {list(weights)!r}")
    given = given / largest  # their sum may be beyond what a float holds
    shared: FloatMatrix = (given / given.sum()).astype(np.float32)
    return shared


@dataclass(frozen=True, slots=True)
class Forms:
    """Several forms of a question and what each counts."""

    texts: Sequence[str]
    shares: FloatMatrix  # float32 [forms], adding up to 1

    def weighted(self) -> list[tuple[str, float]]:
        """(text, share) of each form."""
        return list(zip(self.texts, self.shares.tolist(), strict=True))
