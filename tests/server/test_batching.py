"""Joined calls: the same vectors as alone, in order, and nobody pays for another's fault."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import numpy as np
import pytest

from reasonir_agent.errors import EncoderError, InputError
from reasonir_agent.server.batching import Batcher
from reasonir_agent.server.limits import Limits
from reasonir_agent.server.metrics import Metrics
from reasonir_agent.testing import FakeEncoder
from tests.server.conftest import HeldEncoder, until

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix


def _batcher(encoder: FakeEncoder, **limits: int) -> tuple[Batcher, Metrics]:
    metrics = Metrics()
    return Batcher(encoder, Limits(**limits), metrics), metrics


async def _begun(encoder: HeldEncoder, calls: int) -> None:
    await asyncio.to_thread(until, lambda: len(encoder.calls) >= calls)


async def test_an_idle_encoder_begins_at_once_and_what_comes_meanwhile_travels_together(held: HeldEncoder) -> None:
    batcher, metrics = _batcher(held)
    held.gate.clear()
    first = asyncio.ensure_future(batcher.encode_queries(["a"]))
    await _begun(held, 1)
    others = [asyncio.ensure_future(batcher.encode_queries([f"b{n}", f"c{n}"])) for n in range(5)]
    await asyncio.sleep(0.01)
    held.gate.set()
    await asyncio.gather(first, *others)
    assert held.calls == [
        ("query", ["a"]),
        ("query", ["b0", "c0", "b1", "c1", "b2", "c2", "b3", "c3", "b4", "c4"]),
    ]
    assert "reasonir_batch_requests_sum 6.0" in metrics.exposition().decode()
    batcher.close()


async def test_joined_is_what_alone_would_be() -> None:
    encoder = HeldEncoder(pause=0.002)
    batcher, metrics = _batcher(encoder, batch_texts=7, batch_characters=60)
    dice = random.Random(5)
    wanted = [
        (dice.choice(["query", "document"]), [f"w{dice.randrange(99)} {'x' * dice.randrange(14)}" for _ in range(n)])
        for n in [1, 1, 2, 3, 20, 1, 5, 8, 1, 1, 13, 2] * 4
    ]
    found = await asyncio.gather(*(batcher.encode(texts, role) for role, texts in wanted))  # type: ignore[arg-type]
    alone = HeldEncoder()
    for (role, texts), one in zip(wanted, found, strict=True):
        expected = alone.encode_queries(texts) if role == "query" else alone.encode_documents(texts)
        np.testing.assert_array_equal(one.vectors, expected)
        assert one.vectors.dtype == np.float32
        assert one.tokens == sum(encoder.count_tokens(texts))
    assert encoder.most_at_once == 1
    assert len(encoder.calls) < sum(len(texts) for _, texts in wanted) / 2, "nothing was joined"
    assert max(len(texts) for _, texts in encoder.calls) == 7
    assert all(sum(map(len, texts)) <= 60 for _, texts in encoder.calls)
    assert "reasonir_queue_texts 0.0" in metrics.exposition().decode()
    batcher.close()


async def test_a_text_longer_than_a_batch_goes_alone(held: HeldEncoder) -> None:
    batcher, _ = _batcher(held, batch_characters=10)
    found = await batcher.encode_documents(["a", "b" * 50, "c"])
    assert [texts for _, texts in held.calls] == [["a"], ["b" * 50], ["c"]]
    assert found.shape == (3, 8)
    batcher.close()


async def test_a_thousand_documents_do_not_stand_before_one_question(held: HeldEncoder) -> None:
    batcher, _ = _batcher(held, batch_texts=10)
    held.gate.clear()
    many = asyncio.ensure_future(batcher.encode_documents([f"text {n}" for n in range(100)]))
    await _begun(held, 1)
    few = asyncio.ensure_future(batcher.encode_documents(["small"]))
    question = asyncio.ensure_future(batcher.encode_queries(["why?"]))
    await asyncio.sleep(0)
    held.gate.set()
    await asyncio.gather(few, question)
    assert not many.done()
    place = next(n for n, (_, texts) in enumerate(held.calls) if "small" in texts)
    assert place <= 3
    assert held.calls[1] == ("query", ["why?"])
    vectors = await many
    np.testing.assert_array_equal(vectors, HeldEncoder().encode_documents([f"text {n}" for n in range(100)]))
    batcher.close()


async def test_a_bad_text_fails_its_own_request_only(held: HeldEncoder) -> None:
    batcher, metrics = _batcher(held)
    held.gate.clear()
    first = asyncio.ensure_future(batcher.encode_queries(["a"]))
    await _begun(held, 1)
    good = asyncio.ensure_future(batcher.encode_queries(["good"]))
    bad = asyncio.ensure_future(batcher.encode_queries(["well", "poison"]))
    good_too = asyncio.ensure_future(batcher.encode_queries(["good too"]))
    await asyncio.sleep(0)
    held.gate.set()
    with pytest.raises(InputError, match="poisoned"):
        await bad
    np.testing.assert_array_equal(await good, HeldEncoder().encode_queries(["good"]))
    assert (await good_too).shape == (1, 8)
    assert (await first).shape == (1, 8)
    assert held.calls[1] == ("query", ["good", "well", "poison", "good too"])
    assert 'reasonir_encoder_failures_total{error="InputError"} 1.0' in metrics.exposition().decode()
    batcher.close()


async def test_the_rest_of_a_failed_request_is_not_encoded(held: HeldEncoder) -> None:
    batcher, _ = _batcher(held, batch_texts=2)
    with pytest.raises(InputError):
        await batcher.encode_queries(["poison", "b", "c", "d", "e"])
    assert (await batcher.encode_queries(["next"])).shape == (1, 8)
    assert [texts for _, texts in held.calls] == [["poison", "b"], ["next"]]
    batcher.close()


async def test_texts_of_a_cancelled_request_are_dropped(held: HeldEncoder) -> None:
    batcher, metrics = _batcher(held)
    held.gate.clear()
    first = asyncio.ensure_future(batcher.encode_queries(["a"]))
    await _begun(held, 1)
    leaving = asyncio.ensure_future(batcher.encode_queries(["nobody", "waits"]))
    staying = asyncio.ensure_future(batcher.encode_queries(["b"]))
    await asyncio.sleep(0)
    leaving.cancel()
    held.gate.set()
    await asyncio.gather(first, staying)
    assert [texts for _, texts in held.calls] == [["a"], ["b"]]
    told = metrics.exposition().decode()
    assert "reasonir_texts_dropped_total 2.0" in told
    assert "reasonir_queue_texts 0.0" in told
    batcher.close()


async def test_a_request_cancelled_in_the_encoder_disturbs_nobody(held: HeldEncoder) -> None:
    batcher, _ = _batcher(held)
    held.gate.clear()
    first = asyncio.ensure_future(batcher.encode_queries(["a"]))
    await _begun(held, 1)
    second = asyncio.ensure_future(batcher.encode_queries(["b"]))
    await asyncio.sleep(0)
    first.cancel()
    held.gate.set()
    assert (await second).shape == (1, 8)
    batcher.close()


async def test_an_encoder_that_gives_too_few_vectors_is_found_out() -> None:
    class Short(FakeEncoder):
        def encode_queries(self, texts: list[str], /) -> FloatMatrix:  # type: ignore[override]
            return super().encode_queries(texts)[1:]

    batcher, _ = _batcher(Short())
    with pytest.raises(EncoderError, match="gave 1 vectors for 2 texts"):
        await batcher.encode_queries(["a", "b"])
    batcher.close()


async def test_no_texts_are_no_call(held: HeldEncoder) -> None:
    batcher, _ = _batcher(held)
    assert (await batcher.encode_documents([])).shape == (0, 8)
    assert held.calls == []
    batcher.close()


async def test_a_closed_batcher_says_so(held: HeldEncoder) -> None:
    batcher, _ = _batcher(held)
    batcher.close()
    with pytest.raises(EncoderError, match="shutting down"):
        await batcher.encode_queries(["a"])


def test_it_works_on_one_loop_after_another(held: HeldEncoder) -> None:
    batcher, _ = _batcher(held)
    for _ in range(3):
        assert asyncio.run(batcher.encode_queries(["a"])).shape == (1, 8)
    until(lambda: len(held.calls) == 3)
    batcher.close()
