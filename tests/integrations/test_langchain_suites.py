"""LangChain's own suites, nothing overridden or skipped."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import (
    EmbeddingsIntegrationTests,
    RetrieversIntegrationTests,
    ToolsIntegrationTests,
    VectorStoreIntegrationTests,
)
from langchain_tests.unit_tests import EmbeddingsUnitTests, ToolsUnitTests

from langchain_reasonir import ReasonIREmbeddings, ReasonIRRetriever, reasonir_search_tool
from reasonir_agent.testing import FakeEncoder
from tests.integrations.langchain_scene import QUESTION, TINY, chroma, in_memory


@cache
def minilm() -> ReasonIREmbeddings:
    """The suite asks a text for itself; an encoder with random weights would not find it by its road for questions."""
    return ReasonIREmbeddings(model="minilm")


@pytest.mark.slow
class TestEmbeddingsUnit(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return ReasonIREmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return TINY


@pytest.mark.slow
class TestEmbeddingsIntegration(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return ReasonIREmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return TINY


class TestRetriever(RetrieversIntegrationTests):
    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return ReasonIRRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"vectorstore": in_memory(FakeEncoder())}

    @property
    def retriever_query_example(self) -> str:
        return QUESTION


class Tool:
    @property
    def tool_constructor(self) -> BaseTool:
        return reasonir_search_tool(vectorstore=in_memory(FakeEncoder()))

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"query": QUESTION}


class TestToolUnit(Tool, ToolsUnitTests):
    pass


class TestToolIntegration(Tool, ToolsIntegrationTests):
    pass


@pytest.mark.slow
class TestChromaWithOurEmbeddings(VectorStoreIntegrationTests):
    @staticmethod
    def get_embeddings() -> Embeddings:
        return minilm()

    @pytest.fixture
    def vectorstore(self) -> Iterator[VectorStore]:
        with chroma(self.get_embeddings()) as store:
            yield store
