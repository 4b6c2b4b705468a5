"""Hard negatives mined among the other seeds of a run, by BM25 or by the local encoder.

Seeds of the document that an item was made from are never taken. By an encoder, and by BM25 where there is one, a seed
that is nearer to the query than `positive_margin` allows is likely helpful and not taken (positive-aware threshold); by
words alone there is no threshold, since a good hard query shares few words with its positive.

What is found depends on the seeds and the query alone, not on other items. The index is built at the first question,
in a thread of its own, in which all questions are answered and all seeds are read: they may lie in a file that only one
may read at a time. Kept for each seed are its postings, or its vector and a hash; the texts are not.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Final

from reasonir_agent.types import Encoder
from reasonir_trainer.mining.bm25 import WordRanks
from reasonir_trainer.mining.encoder import Mined, VectorRanks, threshold
from reasonir_trainer.synthesis.asking import GivenUp
from reasonir_trainer.synthesis.nearness import Nearness, document_of
from reasonir_trainer.synthesis.negatives import MOST_SHARED, Pair
from reasonir_trainer.synthesis.rows import Negative, Origin, Seed
from reasonir_trainer.synthesis.settings import SynthesisSettings
from reasonir_trainer.synthesis.word_runs import shared_shingles

NONE_FOUND: Final = "no negative was mined"

_DEEPER: Final = 50
"""Candidates of BM25 that are looked at beyond those that are wanted."""


class SeedMiner:
    """Mines among seeds.

    Args:
        seeds: of the run.
        settings: which way, from which rank, with which margin.
        encoder: ranks; needed for the way "encoder".
        nearness: gives BM25 its threshold and its similarities.
    """

    def __init__(
        self,
        seeds: Sequence[Seed],
        settings: SynthesisSettings,
        *,
        encoder: Encoder | None = None,
        nearness: Nearness | None = None,
    ) -> None:
        self._seeds, self._settings, self._encoder, self._nearness = seeds, settings, encoder, nearness
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mining")
        self._numbers: defaultdict[str, list[int]] | None = None
        self._words: WordRanks | None = None
        self._vectors: VectorRanks | None = None

    async def mine(self, pair: Pair) -> list[Negative]:
        """Negatives of an item, hardest first; fewer than asked for where the seeds run out.

        Raises:
            GivenUp: there is none.
        """
        by_encoder = self._settings.negatives == "encoder"
        found = await (self._by_encoder(pair) if by_encoder else self._by_words(pair))
        if not found:
            first = f"from BM25 rank {self._settings.first_rank} on" if not by_encoder else "below the positive's bound"
            detail = (
                f"{len(self._seeds):,} seeds hold none for this query {first}; give more documents or a lower bound"
            )
            raise GivenUp(NONE_FOUND, detail, pair.query)
        return found

    async def _by_encoder(self, pair: Pair) -> list[Negative]:
        mined = await asyncio.get_running_loop().run_in_executor(self._thread, self._nearest, pair)
        return [_negative(seed, "encoder", one.rank, round(one.similarity, 6)) for one, seed in mined]

    async def _by_words(self, pair: Pair) -> list[Negative]:
        """By BM25; ranks count the seeds of other documents."""
        candidates = await asyncio.get_running_loop().run_in_executor(self._thread, self._ranked, pair)
        count = self._settings.negatives_each
        if self._nearness is None:
            return [_negative(seed, "bm25", rank, None) for rank, seed in candidates[:count]]
        positive = await self._nearness.compare(pair.query, [pair.positive], source=pair.source)
        bound = threshold(positive.documents[0].similarity, self._settings.positive_margin)
        found: list[Negative] = []
        for rank, seed in candidates:
            compared = await self._nearness.compare(pair.query, [seed.text], source=pair.source)
            similarity = compared.documents[0].similarity
            if similarity <= bound:
                found.append(_negative(seed, "bm25", rank, similarity))
            if len(found) == count:
                break
        return found

    def _nearest(self, pair: Pair) -> list[tuple[Mined, Seed]]:
        """Seeds by the encoder; in the miner's thread."""
        if self._vectors is None:
            assert self._encoder is not None
            self._vectors = VectorRanks((seed.text for seed in self._seeds), self._encoder)
        found = self._vectors.mine(
            pair.query,
            [pair.positive],
            negatives=self._settings.negatives_each,
            margin=self._settings.positive_margin,
            excluded=self._of_document(pair.source),
        )
        return [(one, self._seeds[one.number]) for one in found.negatives]

    def _ranked(self, pair: Pair) -> list[tuple[int, Seed]]:
        """Ranks and seeds that may be taken and are no near-copies of the positive; in the miner's thread."""
        if self._words is None:
            self._words = WordRanks(seed.text for seed in self._seeds)
        excluded = set(self._of_document(pair.source))
        others = (number for number in self._words.ranked(pair.query) if number not in excluded)
        first = self._settings.first_rank
        wanted = islice(enumerate(others, start=1), first - 1, first - 1 + self._settings.negatives_each + _DEEPER)
        ranked = ((rank, self._seeds[number]) for rank, number in wanted)
        kept = ((rank, seed) for rank, seed in ranked if shared_shingles(seed.text, pair.positive) <= MOST_SHARED)
        most = self._settings.negatives_each if self._nearness is None else None
        return list(islice(kept, most))

    def _of_document(self, source: str) -> list[int]:
        """Numbers of the seeds of a document; in the miner's thread."""
        if self._numbers is None:
            self._numbers = defaultdict(list)
            for number, seed in enumerate(self._seeds):
                self._numbers[document_of(seed.source)].append(number)
        return self._numbers.get(document_of(source), [])


def _negative(seed: Seed, origin: Origin, rank: int, similarity: float | None) -> Negative:
    return Negative(text=seed.text, origin=origin, source=seed.id, rank=rank, similarity=similarity)
