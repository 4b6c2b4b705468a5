"""`ReasonIREmbedding` in a real index, with a tiny checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding

from llama_index.embeddings.reasonir import ReasonIREmbedding
from reasonir_agent.encoder import ReasonIREncoder

FOLDER = str(Path(__file__).resolve().parent.parent / "data" / "reasonir-tiny")


def embedding() -> ReasonIREmbedding:
    return ReasonIREmbedding(model_name=FOLDER, device="cpu", dtype="float32")


def test_the_class_is_an_embedding_of_llama_index() -> None:
    assert BaseEmbedding in ReasonIREmbedding.__mro__


def test_queries_and_documents_take_separate_roads() -> None:
    ours, encoder = embedding(), ReasonIREncoder(FOLDER, device="cpu", dtype="float32")
    text = "Supply falls while demand is constant."
    np.testing.assert_allclose(ours.get_query_embedding(text), encoder.encode_queries([text])[0], atol=1e-6)
    np.testing.assert_allclose(ours.get_text_embedding(text), encoder.encode_documents([text])[0], atol=1e-6)


async def test_asynchronous_methods_give_the_same() -> None:
    ours = embedding()
    assert await ours.aget_query_embedding("why") == ours.get_query_embedding("why")
    assert await ours.aget_text_embedding_batch(["a", "b"]) == ours.get_text_embedding_batch(["a", "b"])


def test_it_survives_to_dict_without_weights() -> None:
    ours = embedding()
    before = ours.get_query_embedding("why")
    saved = ours.to_dict()
    assert all(isinstance(value, (str, int, float, bool, list, dict, type(None))) for value in saved.values())
    assert ReasonIREmbedding.from_dict(saved).get_query_embedding("why") == before


def test_an_index_finds_the_passage_with_the_same_text() -> None:
    texts = ["ducks on ice", "def f(x):\n    return x**2", "inflation and prices"]
    index = VectorStoreIndex.from_documents([Document(text=text) for text in texts], embed_model=embedding())
    found = index.as_retriever(similarity_top_k=1).retrieve("def f(x):\n    return x**2")
    assert found[0].text == texts[1]
