"""`ReasonIREmbeddings`: separate roads, a free event loop, one encoder for many, and wrong input."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from langchain_core.load import dumpd

from langchain_reasonir import ReasonIREmbeddings
from langchain_reasonir.waiting import THREADS
from reasonir_agent.encoder import ReasonIREncoder
from reasonir_agent.encoder.encoder import EncoderWarning
from reasonir_agent.errors import InputError, ReasonIRError
from reasonir_agent.testing import FakeEncoder
from tests.integrations.langchain_scene import KEY, TINY


@pytest.fixture(scope="module")
def tiny() -> ReasonIREmbeddings:
    return ReasonIREmbeddings(**TINY)


@pytest.mark.slow
def test_queries_and_documents_take_separate_roads(tiny: ReasonIREmbeddings) -> None:
    encoder = ReasonIREncoder(TINY["model"], device="cpu", dtype="float32")
    text = "  Why?\n"
    np.testing.assert_allclose(tiny.embed_query(text), encoder.encode_queries([text])[0], atol=1e-6)
    np.testing.assert_allclose(tiny.embed_documents([text])[0], encoder.encode_documents([text])[0], atol=1e-6)
    assert not np.allclose(tiny.embed_query(text), tiny.embed_documents([text])[0], atol=1e-3)


def test_texts_arrive_byte_for_byte() -> None:
    encoder = FakeEncoder()
    texts = ["  two\n\nlines \t", "é", "\u00a0x"]
    ReasonIREmbeddings.from_encoder(encoder).embed_documents(texts)
    assert encoder.encoded == texts


class TestOneEncoderForMany:
    def test_it_is_shared_and_keeps_its_name(self) -> None:
        encoder = FakeEncoder("mine")
        first, second = ReasonIREmbeddings.from_encoder(encoder), ReasonIREmbeddings.from_encoder(encoder)
        assert first.encoder is encoder is second.encoder
        assert first.model == "mine"
        assert first.embed_query("a duck") == encoder.encode_queries(["a duck"])[0].tolist()

    def test_threads_that_ask_at_once_open_it_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        opened = []

        def slowly(self: ReasonIREmbeddings) -> FakeEncoder:
            opened.append(self)
            time.sleep(0.05)
            return FakeEncoder()

        monkeypatch.setattr(ReasonIREmbeddings, "_open", slowly)
        embeddings = ReasonIREmbeddings(model="any")
        with ThreadPoolExecutor(8) as pool:
            rows = list(pool.map(embeddings.embed_query, ["duck"] * 8))
        assert len(opened) == 1
        assert rows == [rows[0]] * 8


class SlowEncoder(FakeEncoder):
    """One batch at a time, as a real encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()
        self.threads: set[str] = set()

    def _encode(self, texts):  # type: ignore[no-untyped-def]
        self.threads.add(threading.current_thread().name)
        with self.lock:
            time.sleep(0.05)
            return super()._encode(texts)


class TestTheEventLoop:
    async def test_it_is_free_meanwhile(self) -> None:
        embeddings = ReasonIREmbeddings.from_encoder(SlowEncoder())
        work = asyncio.create_task(embeddings.aembed_documents(["a", "b"]))
        turns = 0
        while not work.done():
            await asyncio.sleep(0.001)
            turns += 1
        assert await work == embeddings.embed_documents(["a", "b"])
        assert turns > 3

    async def test_its_own_threads_are_not_occupied_by_those_who_wait(self) -> None:
        encoder = SlowEncoder()
        embeddings = ReasonIREmbeddings.from_encoder(encoder)
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(2, thread_name_prefix="of the loop") as pool:
            loop.set_default_executor(pool)
            waiting = [asyncio.create_task(embeddings.aembed_query(f"text {n}")) for n in range(40)]
            await asyncio.sleep(0.01)
            began = time.perf_counter()
            await asyncio.to_thread(lambda: None)
            assert time.perf_counter() - began < 1  # forty of them take 2 s
            assert len(await asyncio.gather(*waiting)) == 40
        assert len(encoder.threads) <= THREADS
        assert all(name.startswith("reasonir") for name in encoder.threads)


class TestSecrets:
    def test_a_key_is_in_no_representation_and_no_serialisation(self) -> None:
        embeddings = ReasonIREmbeddings(model="m", base_url=f"http://user:{KEY}@127.0.0.1:1/v1", api_key=KEY)
        shown = [repr(embeddings), str(embeddings), str(embeddings.model_dump()), embeddings.model_dump_json()]
        assert all(KEY not in one for one in [*shown, str(dumpd(embeddings))])
        assert "127.0.0.1" in repr(embeddings)

    @pytest.mark.parametrize("wrong", [{"modle": KEY}, {"max_tokens": KEY}, {"api_key": [KEY]}])
    def test_what_was_given_is_not_repeated_when_it_is_refused(self, wrong: dict[str, object]) -> None:
        with pytest.raises(ValueError, match=next(iter(wrong))) as caught:
            ReasonIREmbeddings(**wrong, base_url=KEY)
        assert KEY not in str(caught.value)

    @pytest.mark.slow
    def test_a_key_is_not_in_the_error_of_a_server_that_is_not_there(self) -> None:
        embeddings = ReasonIREmbeddings(model="m", base_url="http://127.0.0.1:9/v1", api_key=KEY)
        with pytest.raises(ReasonIRError) as caught:
            embeddings.embed_query("why?")
        assert KEY not in str(caught.value)


class TestWrongInput:
    def test_an_empty_batch_gives_an_empty_list(self, tiny: ReasonIREmbeddings) -> None:
        assert tiny.embed_documents([]) == []

    @pytest.mark.parametrize("texts", [["a", None], [None]])
    def test_none_among_the_texts_is_named_with_its_place(self, tiny: ReasonIREmbeddings, texts: list) -> None:
        with pytest.raises(InputError, match=f"expected texts, got NoneType at position {len(texts) - 1}"):
            tiny.embed_documents(texts)

    def test_one_text_in_place_of_a_list(self, tiny: ReasonIREmbeddings) -> None:
        with pytest.raises(InputError, match="put it into a list"):
            tiny.embed_documents("a text")  # type: ignore[arg-type]

    @pytest.mark.slow
    def test_a_text_of_10_mb_is_cut_as_a_document_and_refused_as_a_question(self, tiny: ReasonIREmbeddings) -> None:
        text = "ice " * 2_500_000
        with pytest.warns(EncoderWarning, match="1 of 1 documents are longer than the window"):
            (row,) = tiny.embed_documents([text])
        assert np.linalg.norm(row) == pytest.approx(1, abs=1e-4)
        with pytest.raises(InputError, match="may have up to 1,000,000 characters, got 10,000,000"):
            tiny.embed_query(text)
