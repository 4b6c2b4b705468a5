"""One list of candidates out of several searches and earlier rounds.

Searches take turns by rank, since their fused scores do not compare. A passage that an earlier round scored keeps its
score and is not paid for again; it stays in the list, before the new ones. Where no round could score anything, the
earlier list takes its turns too: the new searches are for what it lacks, not in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

from reasonir_agent.types import Hit


def gather_hits(before: Sequence[Hit], found: Sequence[Sequence[Hit]], depth: int) -> list[Hit]:
    """Join what was found.

    Args:
        before: hits of earlier rounds, best first.
        found: hits of each search of this round, best first.
        depth: most hits beside those that were scored before.

    Returns:
        each passage once, with the highest cosine that any search gave it.
    """
    kept = {hit.passage.id: hit for hit in before if hit.reranker_score is not None}
    joined: dict[str, Hit] = dict(kept)
    for rank in zip_longest(*found) if kept else zip_longest(before, *found):
        for hit in rank:
            if hit is not None:
                joined[hit.passage.id] = _joined(joined.get(hit.passage.id), hit)
    for hit in before:
        joined.setdefault(hit.passage.id, hit)
    return list(joined.values())[: len(kept) + depth]


def _joined(known: Hit | None, found: Hit) -> Hit:
    if known is None:
        return found
    lexical = [score for score in (known.lexical_score, found.lexical_score) if score is not None]
    return replace(
        known,
        dense_score=max(known.dense_score, found.dense_score),
        lexical_score=max(lexical) if lexical else None,
    )
