"""`ReasonIREmbedding`: roads, serialised form, cache, texts that reach the encoder, wrong input."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.core import Document, MockEmbedding, Settings, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import MetadataMode, TextNode
from llama_index.core.storage.kvstore import SimpleKVStore

from llama_index.embeddings.reasonir import PlainText, ReasonIREmbedding, plain
from reasonir_agent.encoder import EncoderWarning, ReasonIREncoder
from reasonir_agent.errors import EncoderError, EncoderMismatch, InputError
from reasonir_agent.testing import FakeEncoder, ScriptedChatServer

FOLDER = str(Path(__file__).resolve().parent.parent / "data" / "reasonir-tiny")
KEY = "hush-hush-4711"  # in no shape that `redact` knows


def embedding(**fields: Any) -> ReasonIREmbedding:
    return ReasonIREmbedding(model_name=FOLDER, device="cpu", dtype="float32", **fields)


class Counting(FakeEncoder):
    """Counts what is encoded, by road."""

    def __init__(self, name: str = "fake", **options: Any) -> None:
        super().__init__(name, **options)
        self.asked: list[str] = []

    def encode_queries(self, texts: Sequence[str], /) -> Any:
        self.asked += list(texts)
        return -super().encode_queries(texts)  # a query's vector is never its document's


def test_the_class_is_an_embedding_of_llama_index() -> None:
    assert BaseEmbedding in ReasonIREmbedding.__mro__


def test_queries_and_documents_take_separate_roads_byte_for_byte() -> None:
    ours, encoder = embedding(), ReasonIREncoder(FOLDER, device="cpu", dtype="float32")
    text = "  Supply falls\nwhile demand is constant.\t"
    np.testing.assert_allclose(ours.get_query_embedding(text), encoder.encode_queries([text])[0], atol=1e-6)
    np.testing.assert_allclose(ours.get_text_embedding(text), encoder.encode_documents([text])[0], atol=1e-6)
    assert not np.allclose(ours.get_query_embedding(text), ours.get_text_embedding(text), atol=1e-3)
    fake = FakeEncoder()
    ReasonIREmbedding.from_encoder(fake).get_text_embedding_batch([text])
    assert fake.encoded == [text]


async def test_asynchronous_methods_give_the_same() -> None:
    ours = embedding()
    assert await ours.aget_query_embedding("why") == ours.get_query_embedding("why")
    assert await ours.aget_text_embedding("a") == ours.get_text_embedding("a")
    assert await ours.aget_text_embedding_batch(["a", "b"]) == ours.get_text_embedding_batch(["a", "b"])


@pytest.mark.parametrize("method", ["aget_query_embedding", "aget_text_embedding", "aget_text_embedding_batch"])
async def test_asynchronous_methods_leave_the_loop_free(method: str) -> None:
    loop = asyncio.get_running_loop()

    class Waiting(FakeEncoder):
        """Encodes only once the loop has answered it, which a blocked loop never does."""

        def encode_queries(self, texts: Sequence[str], /) -> Any:
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(timeout=5)
            return super().encode_queries(texts)

        encode_documents = encode_queries

    ours = ReasonIREmbedding.from_encoder(Waiting())
    assert len(await getattr(ours, method)(["x"] if method.endswith("batch") else "x")) > 0


def test_a_batch_reaches_the_encoder_whole() -> None:
    sizes: list[int] = []

    class Sized(FakeEncoder):
        def encode_documents(self, texts: Sequence[str], /) -> Any:
            sizes.append(len(texts))
            return super().encode_documents(texts)

    ReasonIREmbedding.from_encoder(Sized()).get_text_embedding_batch([f"text {n}" for n in range(300)])
    assert sizes == [256, 44]


def test_it_survives_to_dict_without_weights() -> None:
    ours = embedding(query_instruction="Find it")
    before = ours.get_query_embedding("why")
    saved = json.loads(json.dumps(ours.to_dict()))
    again = ReasonIREmbedding.from_dict(saved)
    assert again.get_query_embedding("why") == before
    assert ReasonIREmbedding.from_json(ours.to_json()).get_query_embedding("why") == before
    assert len(json.dumps(saved)) < 1500


def test_it_survives_pickling_into_another_process() -> None:
    ours = embedding()
    before = ours.get_query_embedding("why")
    assert pickle.loads(pickle.dumps(ours)).get_query_embedding("why") == before


def test_an_encoder_that_was_handed_in_is_held_to_its_fingerprint() -> None:
    special = ReasonIREncoder(FOLDER, device="cpu", dtype="float32", query_instruction="Something else")
    saved = ReasonIREmbedding.from_encoder(special).to_dict() | {"model_name": FOLDER}
    with pytest.raises(EncoderMismatch, match="from_encoder"):
        ReasonIREmbedding.from_dict(saved).get_query_embedding("why")
    same = ReasonIREncoder(FOLDER, device="cpu", dtype="float32")
    saved = ReasonIREmbedding.from_encoder(same).to_dict() | {"model_name": FOLDER}
    assert len(ReasonIREmbedding.from_dict(saved).get_query_embedding("why")) == same.dim


def test_the_key_is_in_no_representation_and_the_server_gets_it() -> None:
    with ScriptedChatServer(api_key=KEY, embed=FakeEncoder().encode_documents) as server:
        ours = ReasonIREmbedding(model_name="served", base_url=server.base_url, api_key=KEY)
        assert len(ours.get_query_embedding("why")) == 64
        shown = [repr(ours), str(ours), str(ours.to_dict()), ours.to_json(), str(ours.to_payload())]
        assert "api_key" not in ours.to_dict()
        assert not [text for text in shown if KEY in text]
        again = ReasonIREmbedding.from_dict(ours.to_dict(), api_key=KEY)
        assert again.get_query_embedding("why") == ours.get_query_embedding("why")


def test_the_key_is_in_no_error() -> None:
    with ScriptedChatServer(api_key="another", embed=FakeEncoder().encode_documents) as server:
        ours = ReasonIREmbedding(model_name="served", base_url=server.base_url, api_key=KEY)
        with pytest.raises(EncoderError) as refused:
            ours.get_query_embedding("why")
    assert KEY not in str(refused.value)
    with pytest.raises(InputError, match="api_key") as address:
        ReasonIREmbedding(base_url=f"http://me:{KEY}@127.0.0.1:1/v1")
    assert KEY not in str(address.value)
    with pytest.raises(ValueError, match="api_key") as shape:
        ReasonIREmbedding(base_url="http://127.0.0.1:1/v1", api_key=[KEY])
    assert KEY not in str(shape.value)


def test_unknown_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="modle"):
        ReasonIREmbedding(modle="minilm")
    with pytest.raises(InputError, match="expected an encoder"):
        ReasonIREmbedding.from_encoder("minilm")  # type: ignore[arg-type]


def test_llama_indexs_cache_mixes_roles_and_ours_does_not() -> None:
    class Trapped(MockEmbedding):
        """LlamaIndex's own caching, over an encoder whose two roads differ."""

        def _get_query_embedding(self, query: str) -> list[float]:
            return [1.0, 0.0]

        def _get_text_embedding(self, text: str) -> list[float]:
            return [0.0, 1.0]

    trapped = Trapped(embed_dim=2, embeddings_cache=SimpleKVStore())
    trapped.get_text_embedding("ice")
    assert trapped.get_query_embedding("ice") == [0.0, 1.0]  # a document's vector for a query

    encoder, store = Counting(), SimpleKVStore()
    ours = ReasonIREmbedding.from_encoder(encoder, embeddings_cache=store)
    document, query = ours.get_text_embedding("ice"), ours.get_query_embedding("ice")
    assert query == [-x for x in document]
    assert ours.get_text_embedding_batch(["ice", "ducks", "ice"])[0] == document
    assert ours.get_query_embedding("ice") == query
    assert (encoder.encoded, encoder.asked) == (["ice", "ducks"], ["ice"])


async def test_the_cache_tells_encoders_apart_and_serves_both_worlds() -> None:
    store = SimpleKVStore()
    one, other = Counting("one"), Counting("other")
    first = ReasonIREmbedding.from_encoder(one)
    first.embeddings_cache = store  # assigned later, as LlamaIndex allows
    vector = first.get_text_embedding("ice")
    assert ReasonIREmbedding.from_encoder(other, embeddings_cache=store).get_text_embedding("ice") != vector
    assert await first.aget_text_embedding_batch(["ice"]) == [vector]
    assert one.encoded == ["ice"]
    assert first.embeddings_cache is None  # nothing for LlamaIndex to look up
    assert "embeddings_cache" not in {key for key, value in first.to_dict().items() if value}


def test_a_damaged_value_in_the_cache_is_encoded_again() -> None:
    encoder, store = Counting(), SimpleKVStore()
    ours = ReasonIREmbedding.from_encoder(encoder, embeddings_cache=store)
    vector = ours.get_text_embedding("ice")
    (key,) = store.get_all("reasonir_embeddings")
    for damaged in ({"vector": [1.0]}, {"vector": "no"}, {}, {"vector": [None] * 64}):
        store.put(key, damaged, "reasonir_embeddings")
        assert ours.get_text_embedding("ice") == vector


def test_a_cache_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="key-value store"):
        ReasonIREmbedding(embeddings_cache={})


def test_metadata_lines_are_embedded_unless_the_nodes_are_plain() -> None:
    node = TextNode(text="  body\n", metadata={"title": "T", "secret": 1})
    encoder = FakeEncoder()
    ours = ReasonIREmbedding.from_encoder(encoder)
    ours([node])
    assert encoder.encoded == ["title: T\nsecret: 1\n\n  body"]  # the trap
    encoder.encoded.clear()
    ours(plain([node]))
    ours(plain([node], keep=["title"]))
    assert encoder.encoded == ["  body\n", "title: T\n\n  body"]
    assert node.excluded_embed_metadata_keys == []
    assert "title: T" in plain([node])[0].get_content(MetadataMode.LLM)


def test_plain_text_in_a_pipeline_and_over_documents() -> None:
    encoder = FakeEncoder()
    ours = ReasonIREmbedding.from_encoder(encoder)
    documents = [Document(text="Ducks float. Ice floats.", metadata={"file": "a.md"})]
    pipeline = IngestionPipeline(transformations=[SentenceSplitter(), PlainText(), ours])
    (node,) = pipeline.run(documents=documents)
    VectorStoreIndex.from_documents(plain(documents), embed_model=ours)
    assert encoder.encoded == ["Ducks float. Ice floats."] * 2
    assert node.metadata == {"file": "a.md"}
    assert PlainText.from_dict(PlainText(keep=["file"]).to_dict()).keep == ["file"]


def test_it_is_the_embed_model_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "_embed_model", None)
    Settings.embed_model = embedding()
    texts = ["ducks on ice", "def f(x):\n    return x**2", "inflation and prices"]
    index = VectorStoreIndex.from_documents([Document(text=text) for text in texts])
    found = index.as_retriever(similarity_top_k=1).retrieve("def f(x):\n    return x**2")
    assert found[0].text == texts[1]


def test_wrong_input_is_refused_in_words() -> None:
    ours = embedding()
    assert ours.get_text_embedding_batch([]) == []
    for wrong in ([None], ["a", None], ["a", 3]):
        with pytest.raises(InputError, match="expected texts, got"):
            ours.get_text_embedding_batch(wrong)
    with pytest.raises(InputError, match="expected texts, got NoneType"):
        ours.get_query_embedding(None)  # type: ignore[arg-type]
    ours.embeddings_cache = SimpleKVStore()
    with pytest.raises(InputError, match="at position 1"):
        ours.get_text_embedding_batch(["a", None])


@pytest.mark.slow
def test_a_text_of_ten_megabytes() -> None:
    ours, text = embedding(), "word " * 2_000_000
    with pytest.warns(EncoderWarning, match="cut"):
        assert len(ours.get_text_embedding(text)) == ours.encoder.dim
    with pytest.raises(InputError, match="not a file"):
        ours.get_query_embedding(text)


def test_an_empty_text_is_told() -> None:
    with pytest.warns(EncoderWarning, match="1 of 2 texts are empty"):
        assert not any(embedding().get_text_embedding_batch(["a", " "])[1])
