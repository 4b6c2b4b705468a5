"""Ranks and cosines by the local encoder: by hand, and the same however items are scheduled."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest

from reasonir_agent.errors import EncoderError
from reasonir_agent.testing import FakeEncoder
from reasonir_trainer.synthesis.nearness import Nearness, Reference, document_of
from tests.trainer.synthesis import making, scripted

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

SEEDS = making.seeds(20)


class Known(FakeEncoder):
    """Vectors by hand: "30" is the unit vector at 30 degrees."""

    def _encode(self, texts: Sequence[str]) -> FloatMatrix:
        angles = np.radians([float(text) for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


class Counting(FakeEncoder):
    """Counts how many texts go through together."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def _encode(self, texts: Sequence[str]) -> FloatMatrix:
        self.sizes.append(len(texts))
        return super()._encode(texts)


class Failing(FakeEncoder):
    def _encode(self, texts: Sequence[str]) -> FloatMatrix:
        raise EncoderError("the encoder broke")


async def test_ranks_by_hand() -> None:
    sample = [Reference("a.md", "10"), Reference("b.md", "40"), Reference("own.md", "1")]
    found = await Nearness(Known(dim=2), sample).compare("0", ["5", "60", "30"], source="own.md#page=2")
    assert found.sample == 2  # not the seed of the item's own document
    assert [near.rank for near in found.documents] == [1, 5, 3]  # 5, 10, 30, 40, 60
    assert [near.nearer for near in found.documents] == [0, 2, 1]
    assert found.documents[2].similarity == pytest.approx(np.cos(np.radians(30)), abs=1e-6)


async def test_many_at_once_give_what_one_by_one_gives() -> None:
    draw = random.Random(0)
    asked = [(scripted.text(draw, 30), [scripted.text(draw, 90) for _ in range(3)], one.source) for one in SEEDS]
    nearness = Nearness.over(SEEDS, FakeEncoder(window=64), random_seed=0, size=8)
    together = await asyncio.gather(*(nearness.compare(q, d, source=s) for q, d, s in asked))
    alone = [
        await Nearness.over(SEEDS, FakeEncoder(window=64), random_seed=0, size=8).compare(q, d, source=s)
        for q, d, s in reversed(asked)
    ]
    assert together == alone[::-1]


async def test_texts_are_encoded_once_and_each_on_its_own() -> None:
    encoder = Counting()
    nearness = Nearness.over(SEEDS, encoder, random_seed=0, size=4)
    await asyncio.gather(*(nearness.compare("why?", ["a", "b"], source="x") for _ in range(10)))
    assert encoder.sizes == [1] * (1 + 2 + 4)


def test_the_sample_depends_on_the_seeds_alone() -> None:
    def sample(of: list, number: int) -> set[str]:
        return {one.text for one in Nearness.over(of, FakeEncoder(), random_seed=number, size=5)._sample}

    assert sample(SEEDS, 0) == sample(SEEDS[::-1], 0)
    assert sample(SEEDS, 0) != sample(SEEDS, 1)


async def test_without_other_seeds_only_the_documents_are_ranked() -> None:
    found = await Nearness(Known(dim=2), []).compare("0", ["5", "2"], source="a.md")
    assert [near.rank for near in found.documents] == [2, 1]
    assert found.sample == 0


async def test_a_failure_reaches_everyone_who_waits_and_the_next_may_ask_again() -> None:
    nearness = Nearness(Failing(), [])
    asked = await asyncio.gather(
        *(nearness.compare("why?", ["a"], source="x") for _ in range(3)), return_exceptions=True
    )
    assert [str(one) for one in asked] == ["the encoder broke"] * 3
    with pytest.raises(EncoderError):
        await nearness.compare("why?", ["a"], source="x")


async def test_an_item_that_is_cancelled_leaves_the_others_their_vectors() -> None:
    nearness = Nearness.over(SEEDS, FakeEncoder(), random_seed=0, size=4)
    first = asyncio.create_task(nearness.compare("why?", ["a"], source="x"))
    second = asyncio.create_task(nearness.compare("why?", ["a"], source="x"))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).sample == 4
    assert first.cancelled() or await asyncio.wait([first])


@pytest.mark.parametrize(
    ("source", "document"), [("a.pdf#page=3", "a.pdf"), ("t.csv#id=7", "t.csv#id=7"), ("a.md", "a.md")]
)
def test_pages_are_one_document_and_records_are_several(source: str, document: str) -> None:
    assert document_of(source) == document
