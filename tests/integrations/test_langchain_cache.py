"""The cache: role and encoder are in the key, damage is noticed, and LangChain's own trap is shown."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from langchain_classic.embeddings import CacheBackedEmbeddings
from langchain_classic.storage import LocalFileStore
from langchain_core.stores import InMemoryByteStore

from langchain_reasonir import CachedReasonIREmbeddings, ReasonIREmbeddings
from reasonir_agent.encoder.encoder import EncoderWarning
from reasonir_agent.errors import InputError, StoreError
from reasonir_agent.testing import FakeEncoder
from tests.integrations.langchain_scene import TINY

TEXT = "Why do ducks not freeze?"


class CountingEncoder(FakeEncoder):
    """Counts queries too, and gives them other vectors than documents."""

    def __init__(self, name: str = "fake") -> None:
        super().__init__(name)
        self.asked: list[str] = []

    def encode_queries(self, texts, /):  # type: ignore[no-untyped-def]
        self.asked += texts
        return -super().encode_queries(texts)


@pytest.fixture
def counting() -> CountingEncoder:
    return CountingEncoder()


@pytest.fixture
def kept() -> InMemoryByteStore:
    return InMemoryByteStore()


@pytest.fixture
def cached(counting: CountingEncoder, kept: InMemoryByteStore) -> CachedReasonIREmbeddings:
    return ReasonIREmbeddings.from_encoder(counting).cached(kept)


class TestTheTrapOfLangChainsOwnCache:
    @pytest.mark.slow
    def test_its_query_cache_hands_a_documents_vector_to_a_query(self) -> None:
        plain = ReasonIREmbeddings(**TINY)
        theirs = CacheBackedEmbeddings.from_bytes_store(
            plain,
            InMemoryByteStore(),
            namespace=plain.cache_namespace,
            query_embedding_cache=True,
            key_encoder="sha256",
        )
        (document,) = theirs.embed_documents([TEXT])
        assert theirs.embed_query(TEXT) == document
        assert not np.allclose(plain.embed_query(TEXT), document, atol=1e-3)

    @pytest.mark.slow
    def test_ours_does_not(self) -> None:
        plain = ReasonIREmbeddings(**TINY)
        ours = plain.cached(InMemoryByteStore())
        (document,) = ours.embed_documents([TEXT])
        for _ in range(2):
            assert ours.embed_query(TEXT) == pytest.approx(plain.embed_query(TEXT), abs=1e-6)
            assert ours.embed_documents([TEXT]) == [document]
        assert not np.allclose(ours.embed_query(TEXT), document, atol=1e-3)

    def test_the_namespace_keeps_encoders_apart_and_both_caches_can_share_a_store(
        self, kept: InMemoryByteStore
    ) -> None:
        first, second = (ReasonIREmbeddings.from_encoder(FakeEncoder(name)) for name in ("one", "two"))
        assert first.cache_namespace != second.cache_namespace
        for plain in (first, second):
            theirs = CacheBackedEmbeddings.from_bytes_store(
                plain, kept, namespace=plain.cache_namespace, key_encoder="sha256"
            )
            for embeddings in (theirs, plain.cached(kept), theirs):
                assert embeddings.embed_documents([TEXT]) == plain.embed_documents([TEXT])


def test_what_is_known_is_not_encoded_again(cached: CachedReasonIREmbeddings, counting: CountingEncoder) -> None:
    first = cached.embed_documents(["a", "b", "a"])
    assert counting.encoded == ["a", "b"]
    assert first == [first[0], first[1], first[0]]
    assert cached.embed_documents(["b", "c"])[0] == first[1]
    assert counting.encoded == ["a", "b", "c"]
    assert cached.embed_query("a") == cached.embed_query("a") == [-number for number in first[0]]
    assert counting.asked == ["a"]
    assert cached.embed_documents([]) == []


def test_vectors_come_back_bit_for_bit(cached: CachedReasonIREmbeddings) -> None:
    plain = cached.embeddings.embed_documents([TEXT])
    assert cached.embed_documents([TEXT]) == cached.embed_documents([TEXT]) == plain


def test_the_keys_say_encoder_and_role_and_the_values_are_float32(
    cached: CachedReasonIREmbeddings, kept: InMemoryByteStore, counting: CountingEncoder
) -> None:
    cached.embed_documents([TEXT])
    cached.embed_query(TEXT)
    keys = sorted(kept.yield_keys())
    assert [key.split("-")[1:4] for key in keys] == [
        [counting.fingerprint.id, "float32", role] for role in ("document", "query")
    ]
    assert TEXT not in "".join(keys)
    (value,) = kept.mget(keys[:1])
    assert value is not None
    stored = np.frombuffer(value[-4 * counting.dim :], dtype="<f4")
    np.testing.assert_array_equal(stored, counting.encode_documents([TEXT])[0])


def test_two_encoders_share_a_store_and_not_their_vectors(kept: InMemoryByteStore) -> None:
    for name in ("one", "two", "one"):
        plain = ReasonIREmbeddings.from_encoder(FakeEncoder(name))
        assert plain.cached(kept).embed_documents([TEXT]) == plain.embed_documents([TEXT])


@pytest.mark.parametrize("damage", ["cut", "flipped", "another's", "empty", "text", "infinite"])
def test_a_damaged_value_is_encoded_again(
    cached: CachedReasonIREmbeddings, kept: InMemoryByteStore, counting: CountingEncoder, damage: str
) -> None:
    first = cached.embed_documents(["a", "b"])
    keys = list(kept.yield_keys())
    value, other = kept.mget(keys)
    assert value is not None and other is not None
    infinite = np.full(counting.dim, np.inf, dtype="<f4").tobytes()
    damaged = {
        "cut": value[:-4],
        "flipped": value[:-1] + bytes([value[-1] ^ 1]),
        "another's": other,
        "empty": b"",
        "text": "no bytes",
        "infinite": value[: -len(infinite)] + infinite,
    }[damage]
    kept.mset([(keys[0], damaged)])  # type: ignore[list-item]
    assert cached.embed_documents(["a", "b"]) == first
    assert counting.encoded == ["a", "b", "a"]
    assert kept.mget(keys) == [value, other]  # and stored anew


async def test_the_asynchronous_methods_do_the_same(
    cached: CachedReasonIREmbeddings, counting: CountingEncoder
) -> None:
    rows = await cached.aembed_documents(["a", "b", "a"])
    assert rows == cached.embed_documents(["a", "b", "a"])
    assert await cached.aembed_query("a") == cached.embed_query("a") != rows[0]
    assert (counting.encoded, counting.asked) == (["a", "b"], ["a"])
    await asyncio.gather(*(cached.aembed_query("a") for _ in range(20)))
    assert counting.asked == ["a"]


def test_it_lives_on_in_files(counting: CountingEncoder, tmp_path: Path) -> None:
    plain = ReasonIREmbeddings.from_encoder(counting)
    first = plain.cached(LocalFileStore(tmp_path)).embed_documents(["a"])
    assert plain.cached(LocalFileStore(tmp_path)).embed_documents(["a"]) == first
    assert counting.encoded == ["a"]


@pytest.mark.slow
def test_any_text_has_a_key(kept: InMemoryByteStore) -> None:
    cached = ReasonIREmbeddings(**TINY).cached(kept)
    texts = ["\ud800", "\x00 x", "y" * 100_000]
    with pytest.warns(EncoderWarning):  # the last is cut
        first = cached.embed_documents(texts)
    assert cached.embed_documents(texts) == first


@pytest.mark.parametrize(("texts", "sentence"), [(["a", None], "NoneType at position 1"), ("a", "put it into a list")])
def test_what_is_no_list_of_texts_is_refused(cached: CachedReasonIREmbeddings, texts: list[str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        cached.embed_documents(texts)


def test_a_byte_store_that_fails_is_told_in_a_sentence(counting: CountingEncoder) -> None:
    class Broken(InMemoryByteStore):
        def mset(self, pairs):  # type: ignore[no-untyped-def]
            raise OSError("disk full")

    with pytest.raises(StoreError, match="writing the cache of vectors failed: OSError: disk full"):
        ReasonIREmbeddings.from_encoder(counting).cached(Broken()).embed_query("a")
