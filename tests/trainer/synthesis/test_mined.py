"""Negatives mined among the seeds: ranks, the source left out, the threshold."""

from __future__ import annotations

import pytest

from reasonir_agent.testing import FakeEncoder
from reasonir_trainer.synthesis.asking import GivenUp
from reasonir_trainer.synthesis.mined import SeedMiner
from reasonir_trainer.synthesis.nearness import Nearness
from reasonir_trainer.synthesis.negatives import Pair
from reasonir_trainer.synthesis.rows import Seed
from tests.trainer.synthesis import making

QUERY = "ducks feet ice"


def seed(source: str, text: str) -> Seed:
    return Seed.of(source=source, start=0, end=len(text), heading="", text=text)


GOLD = seed("birds.pdf#page=1", "ducks keep warm feet on ice by exchange of heat")
SEEDS = [
    GOLD,
    seed("birds.pdf#page=9", "ducks ducks ice ice feet feet"),
    seed("pond.md", "ducks ice feet in winter when the pond is frozen"),
    seed("cream.md", "ice cream in summer, and nothing about birds at all"),
    seed("feet.md", "feet hurt on long walks over ice and stones"),
    seed("bonds.md", "bond markets and yields"),
]
PAIR = Pair(QUERY, GOLD.text, GOLD.source)


async def mined(**changes):
    settings = making.settings(**({"negatives": "bm25", "first_rank": 1, "negatives_each": 5} | changes))
    encoder = FakeEncoder(dim=256) if settings.encoder else None
    nearness = Nearness.over(SEEDS, encoder, random_seed=0) if encoder else None
    return await SeedMiner(SEEDS, settings, encoder=encoder, nearness=nearness).mine(PAIR)


async def test_by_words_the_document_of_the_seed_is_left_out_and_ranks_count_the_others() -> None:
    found = await mined()
    assert [negative.source for negative in found] == [SEEDS[2].id, SEEDS[4].id, SEEDS[3].id]
    assert [negative.rank for negative in found] == [1, 2, 3]
    assert {negative.origin for negative in found} == {"bm25"}
    assert found[0].similarity is None


async def test_mining_starts_at_the_first_rank() -> None:
    assert [negative.rank for negative in await mined(first_rank=2, negatives_each=1)] == [2]


async def test_with_an_encoder_what_is_as_near_as_the_positive_is_not_taken() -> None:
    encoder = FakeEncoder(dim=256)
    query, gold = encoder.encode_queries([QUERY])[0], encoder.encode_documents([GOLD.text])[0]
    near = {one.id: float(encoder.encode_documents([one.text])[0] @ query) for one in SEEDS}
    for margin in (1.0, 0.5):
        found = {one.source for one in await mined(encoder="fake", positive_margin=margin)}
        assert found == {one.id for one in SEEDS[2:5] if near[one.id] <= margin * float(gold @ query)}
    assert near[SEEDS[3].id] < 0.5 * float(gold @ query) < near[SEEDS[2].id] < float(gold @ query)


@pytest.mark.slow
async def test_by_the_encoder_the_threshold_and_the_source_hold() -> None:
    found = await mined(negatives="encoder", encoder="fake", positive_margin=1.0)
    encoder = FakeEncoder(dim=256)
    query, gold = encoder.encode_queries([QUERY])[0], encoder.encode_documents([GOLD.text])[0]
    cosines = {one.id: float(encoder.encode_documents([one.text])[0] @ query) for one in SEEDS[2:]}
    expected = sorted((one for one in cosines if cosines[one] <= float(gold @ query)), key=lambda one: -cosines[one])
    assert [negative.source for negative in found] == expected
    assert [negative.similarity for negative in found] == pytest.approx([cosines[one] for one in expected], abs=1e-5)
    assert {negative.origin for negative in found} == {"encoder"}


async def test_nothing_found_says_where_it_was_looked_for() -> None:
    with pytest.raises(GivenUp, match="6 seeds hold none for this query from BM25 rank 20 on") as given:
        await mined(first_rank=20)
    assert given.value.reason == "no negative was mined"


async def test_a_near_copy_of_the_positive_is_not_taken() -> None:
    copied = [*SEEDS, seed("copy.md", GOLD.text + " indeed")]
    settings = making.settings(negatives="bm25", first_rank=1, negatives_each=9)
    found = await SeedMiner(copied, settings).mine(PAIR)
    assert copied[-1].id not in {negative.source for negative in found}
