"""Negatives for every (query, positive) pair of a judged set: what `reasonir-trainer mine` does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal

from reasonir_agent.errors import InputError
from reasonir_agent.types import Encoder
from reasonir_trainer.mining.bm25 import WordRanks
from reasonir_trainer.mining.encoder import VectorRanks, document_vector, threshold
from reasonir_trainer.mining.triplets import Triplet

FIRST_RANK: Final = 20
"""First BM25 rank that is taken, counted over the documents that are no positive."""

MARGIN: Final = 0.95
"""Share of the positive's similarity that a negative may reach (NV-Retriever's best)."""

_DEEPEST: Final = 200
"""Candidates of BM25 that are held against the threshold for one query, each at the cost of one encoding."""

By = Literal["bm25", "encoder"]


def mine(
    corpus: Mapping[str, str],
    queries: Mapping[str, str],
    positives: Mapping[str, set[str]],
    *,
    negatives: int = 1,
    first_rank: int | None = None,
    by: By = "bm25",
    encoder: Encoder | None = None,
    margin: float = MARGIN,
) -> Iterator[Triplet]:
    """Mine negatives for every (query, positive) pair.

    Args:
        corpus: id -> text.
        queries: id -> text.
        positives: query id -> ids of its positives.
        negatives: how many for each pair; fewer where the corpus runs out.
        first_rank: first rank that is taken, counted from 1 over the documents that are no positive (by BM25) or that
            pass the threshold too (by an encoder); None is 20 by BM25 and 1 by an encoder.
        by: what ranks.
        encoder: needed to rank by one; by BM25 it adds the threshold and the similarities.
        margin: share of the least similarity of the query's positives that a negative may reach, up to 1; without an
            encoder there is no threshold, since BM25's score of a positive says little about it.

    Raises:
        InputError: a positive or a query is unknown, the corpus is empty, or there is no encoder to rank by.
    """
    miner = _miner(corpus, by, encoder, margin, first_rank)
    for query_id, gold in positives.items():
        if query_id not in queries:
            raise InputError(f"qrels name the query {query_id!r}, which is not among the queries")
        missing = sorted(gold - corpus.keys())
        if missing:
            raise InputError(f"qrels name the document {missing[0]!r}, which is not in the corpus")
        if not gold:
            continue
        found = miner.find(queries[query_id], gold, negatives)
        for positive in sorted(gold):
            yield Triplet(
                query_id,
                queries[query_id],
                positive,
                corpus[positive],
                found.ids,
                [corpus[one] for one in found.ids],
                found.ranks,
                found.similarities,
                None if found.positives is None else found.positives[positive],
            )


def _miner(
    corpus: Mapping[str, str], by: By, encoder: Encoder | None, margin: float, first_rank: int | None
) -> _ByWords | _ByVectors:
    """What finds negatives, once it is clear that it can."""
    if not corpus:
        raise InputError("the corpus holds no documents")
    if not 0 < margin <= 1:
        raise InputError(f"the margin must be above 0 and at most 1, got {margin}")
    if first_rank is not None and first_rank < 1:
        raise InputError(f"ranks count from 1, got {first_rank}")
    ids = list(corpus)
    if by == "bm25":
        return _ByWords(ids, corpus, encoder, margin, first_rank or FIRST_RANK)
    if encoder is None:
        raise InputError("mining by an encoder needs one: name it (--encoder minilm)")
    return _ByVectors(ids, corpus, encoder, margin, first_rank or 1)


@dataclass(frozen=True, slots=True)
class _Found:
    """Negatives of one query; similarities by an encoder, where there is one."""

    ids: list[str]
    ranks: list[int]
    similarities: list[float] | None
    positives: dict[str, float] | None


class _ByWords:
    """By BM25, with a threshold where there is an encoder."""

    def __init__(
        self, ids: Sequence[str], corpus: Mapping[str, str], encoder: Encoder | None, margin: float, first_rank: int
    ) -> None:
        self._ids, self._corpus, self._encoder = ids, corpus, encoder
        self._margin, self._first_rank = margin, first_rank
        self._ranks = WordRanks(corpus[one] for one in ids)

    def find(self, query: str, gold: set[str], count: int) -> _Found:
        ranked = (one for one in map(self._ids.__getitem__, self._ranks.ranked(query)) if one not in gold)
        candidates = ((rank, one) for rank, one in enumerate(ranked, start=1) if rank >= self._first_rank)
        if self._encoder is None:
            chosen = list(islice(candidates, count))
            return _Found([one for _, one in chosen], [rank for rank, _ in chosen], None, None)
        vector = self._encoder.encode_queries([query])[0]
        near = {one: float(vector @ document_vector(self._encoder, self._corpus[one])) for one in sorted(gold)}
        bound = threshold(min(near.values()), self._margin)
        found: list[tuple[int, str, float]] = []
        for rank, one in islice(candidates, _DEEPEST):
            similarity = float(vector @ document_vector(self._encoder, self._corpus[one]))
            if similarity <= bound:
                found.append((rank, one, similarity))
            if len(found) == count:
                break
        return _Found([one for _, one, _ in found], [rank for rank, _, _ in found], [s for _, _, s in found], near)


class _ByVectors:
    """By an encoder."""

    def __init__(
        self, ids: Sequence[str], corpus: Mapping[str, str], encoder: Encoder, margin: float, first_rank: int
    ) -> None:
        self._ids, self._corpus, self._margin, self._first_rank = ids, corpus, margin, first_rank
        self._ranks = VectorRanks((corpus[one] for one in ids), encoder)
        self._numbers = {one: number for number, one in enumerate(ids)}

    def find(self, query: str, gold: set[str], count: int) -> _Found:
        texts = {one: self._corpus[one] for one in sorted(gold)}
        found = self._ranks.mine(
            query,
            list(texts.values()),
            negatives=count,
            margin=self._margin,
            first_rank=self._first_rank,
            excluded=[self._numbers[one] for one in gold],
        )
        return _Found(
            [self._ids[one.number] for one in found.negatives],
            [one.rank for one in found.negatives],
            [one.similarity for one in found.negatives],
            {one: found.positives[text] for one, text in texts.items()},
        )
