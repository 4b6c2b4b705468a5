"""LangChain's own suites over a tiny checkpoint, and what they do not ask."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from langchain_reasonir import ReasonIREmbeddings
from reasonir_agent.encoder import ReasonIREncoder

FOLDER = Path(__file__).resolve().parent.parent / "data" / "reasonir-tiny"
PARAMETERS = {"model": str(FOLDER), "device": "cpu", "dtype": "float32"}


class TestUnit(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return ReasonIREmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return PARAMETERS


class TestIntegration(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return ReasonIREmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return PARAMETERS


def test_queries_and_documents_take_separate_roads() -> None:
    embeddings, encoder = ReasonIREmbeddings(**PARAMETERS), ReasonIREncoder(FOLDER, device="cpu", dtype="float32")
    text = "  Why?\n"
    np.testing.assert_allclose(embeddings.embed_query(text), encoder.encode_queries([text])[0], atol=1e-6)
    np.testing.assert_allclose(embeddings.embed_documents([text])[0], encoder.encode_documents([text])[0], atol=1e-6)
    assert not np.allclose(embeddings.embed_query(text), embeddings.embed_documents([text])[0], atol=1e-3)


async def test_the_asynchronous_method_leaves_the_loop_free() -> None:
    embeddings = ReasonIREmbeddings(**PARAMETERS)
    embeddings.embed_query("warm")
    work = asyncio.create_task(embeddings.aembed_documents(["x " * 900] * 4))
    turns = 0
    while not work.done():
        await asyncio.sleep(0)
        turns += 1
    assert len(await work) == 4
    assert turns > 1


def test_the_key_is_in_no_representation() -> None:
    assert "hush" not in repr(ReasonIREmbeddings(model="m", base_url="http://127.0.0.1:1/v1", api_key="hush"))


def test_unknown_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="modle"):
        ReasonIREmbeddings(modle="minilm")
