"""One list of candidates out of two kinds of evidence. Fusion chooses and orders; it is no measure of relevance.

Each score is scaled to [0, 1] over the candidates of this one question, then weighted. The best passage of a question
that the corpus cannot answer gets 1.0 too: whether anything was found at all is read off the raw cosine.
"""

from __future__ import annotations

from collections.abc import Mapping


def fuse(dense: Mapping[str, float], lexical: Mapping[str, float], *, lexical_weight: float) -> list[tuple[str, float]]:
    """Rank the union of two sets of candidates.

    Args:
        dense: cosine of every candidate.
        lexical: BM25 of the candidates that share a word; the others count as 0.
        lexical_weight: 0 (dense alone) to 1 (lexical alone).

    Returns:
        (id, fused score in [0, 1]), best first; equal scores in order of cosine, then of id.
    """
    cosine = _scaled(dense)
    words = _scaled({one: lexical.get(one, 0.0) for one in dense})
    fused = {one: (1 - lexical_weight) * cosine[one] + lexical_weight * words[one] for one in dense}
    return sorted(fused.items(), key=lambda pair: (-pair[1], -dense[pair[0]], pair[0]))


def _scaled(scores: Mapping[str, float]) -> dict[str, float]:
    if not scores:
        return {}
    low, high = min(scores.values()), max(scores.values())
    if high <= low:
        return dict.fromkeys(scores, 0.0)
    return {one: (score - low) / (high - low) for one, score in scores.items()}
