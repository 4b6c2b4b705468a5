"""All parts inside LlamaIndex's own: Chroma on disk, query engines, pipelines, agents; and its traps, shown."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chromadb
import pytest
from llama_index.core import Document, Settings, StorageContext, VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent, ReActAgent
from llama_index.core.base.llms.types import ChatMessage, CompletionResponse, CompletionResponseGen, LLMMetadata
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.query_engine import RetrieverQueryEngine, TransformQueryEngine
from llama_index.core.schema import MetadataMode, TextNode
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.tools import QueryEngineTool
from llama_index.vector_stores.chroma import ChromaVectorStore

from llama_index.embeddings.reasonir import PlainText, ReasonIREmbedding
from llama_index.postprocessor.reasonir import ReasonIRRerank
from llama_index.retrievers.reasonir import ReasonIRQueryTransform, ReasonIRRetriever
from reasonir_agent.config import AgentSettings
from reasonir_agent.testing import FakeEncoder

TEXTS = {
    "ducks.md": "Ducks keep warm blood out of their feet by countercurrent exchange.",
    "ice.md": "Ice floats because water is densest at four degrees.",
    "prices.md": "Prices rise when supply falls and demand is constant.",
}
QUESTION = "How do ducks keep their feet warm on ice?"
REWRITE = "Countercurrent exchange keeps warm blood out of the feet of birds on ice."
ANSWER = "By countercurrent exchange."


class Scripted(CustomLLM):
    """Rewrites, scores, answers and reasons by what the prompt is; keeps every prompt."""

    _prompts: list[str] = PrivateAttr(default_factory=list)
    _say: Callable[[str], str] | None = PrivateAttr(default=None)

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="scripted", context_window=8000)

    def complete(self, prompt: str, formatted: bool = False, **options: Any) -> CompletionResponse:
        self._prompts.append(prompt)
        if self._say is not None:
            return CompletionResponse(text=self._say(prompt))
        if "Score: N" in prompt:
            return CompletionResponse(text="Score: 5" if "Ducks keep" in prompt else "Score: 0")
        return CompletionResponse(text=REWRITE if "in three steps" in prompt else ANSWER)

    def stream_complete(self, prompt: str, formatted: bool = False, **options: Any) -> CompletionResponseGen:
        done = self.complete(prompt)
        yield CompletionResponse(text=done.text, delta=done.text)

    def asked(self, part: str) -> list[str]:
        return [prompt for prompt in self._prompts if part in prompt]


@pytest.fixture
def store(tmp_path: Path) -> ChromaVectorStore:
    client = chromadb.PersistentClient(path=str(tmp_path / "chroma"))
    collection = client.create_collection("nodes", embedding_function=None, configuration={"hnsw": {"space": "cosine"}})
    return ChromaVectorStore(chroma_collection=collection)


@pytest.fixture
def embedding() -> ReasonIREmbedding:
    return ReasonIREmbedding.from_encoder(FakeEncoder())


def documents() -> list[Document]:
    return [Document(id_=name, text=text, metadata={"file": name}) for name, text in TEXTS.items()]


@pytest.fixture
def index(store: ChromaVectorStore, embedding: ReasonIREmbedding) -> VectorStoreIndex:
    pipeline = IngestionPipeline(transformations=[SentenceSplitter(), PlainText(), embedding], vector_store=store)
    pipeline.run(documents=documents())
    return VectorStoreIndex.from_vector_store(store, embed_model=embedding)


def files(found: Any) -> list[str]:
    return [str(node.node.metadata["file"]) for node in found]


def test_a_pipeline_fills_chroma_with_the_texts_alone_and_the_index_is_searched(index: VectorStoreIndex) -> None:
    assert index._embed_model.encoder.encoded == list(TEXTS.values())  # type: ignore[attr-defined]
    assert files(ReasonIRRetriever(index, similarity_top_k=2).retrieve("prices and demand"))[0] == "prices.md"
    assert files(index.as_retriever(similarity_top_k=1).retrieve("prices and demand")) == ["prices.md"]


async def test_the_settings_reach_the_index_and_the_engine(
    store: ChromaVectorStore, embedding: ReasonIREmbedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_embed_model", "_llm", "_prompt_helper"):
        monkeypatch.setattr(Settings, name, None)
    Settings.embed_model, Settings.llm = embedding, Scripted()
    context = StorageContext.from_defaults(vector_store=store)
    index = VectorStoreIndex.from_documents(documents(), storage_context=context, insert_batch_size=2048)
    engine = index.as_query_engine(similarity_top_k=3, node_postprocessors=[ReasonIRRerank(Settings.llm, top_n=1)])
    assert files(engine.query(QUESTION).source_nodes) == ["ducks.md"]
    assert files((await engine.aquery(QUESTION)).source_nodes) == ["ducks.md"]


async def test_a_query_engine_of_all_three_parts(index: VectorStoreIndex) -> None:
    llm = Scripted()
    retriever = ReasonIRRetriever(index, similarity_top_k=3, llm=llm, rerank=False)
    engine = RetrieverQueryEngine.from_args(retriever, llm=llm, node_postprocessors=[ReasonIRRerank(llm, top_n=1)])
    for response in (engine.query(QUESTION), await engine.aquery(QUESTION)):
        assert str(response) == ANSWER
        assert files(response.source_nodes) == ["ducks.md"]
        node = response.source_nodes[0]
        cosine = node.node.metadata["reasonir_retriever_score"]
        assert node.score == pytest.approx(0.5 + 0.5 * max(0.0, cosine))
    assert len(llm.asked("in three steps")) == 2
    assert len(llm.asked("Score: N")) == 6
    (answered, _) = [one for one in llm._prompts if "Score: N" not in one and "in three steps" not in one]
    assert TEXTS["ducks.md"] in answered
    assert QUESTION in answered
    assert "reasonir_" not in answered


def test_a_transform_before_llama_indexs_own_retriever(index: VectorStoreIndex) -> None:
    llm = Scripted()
    rerank = ReasonIRRerank(llm, top_n=3, vector_store=index.vector_store)
    engine = index.as_query_engine(llm=llm, similarity_top_k=3, node_postprocessors=[rerank])
    response = TransformQueryEngine(engine, query_transform=ReasonIRQueryTransform(llm)).query(QUESTION)
    encoder = FakeEncoder()
    rewrite = encoder.encode_queries([REWRITE])[0]
    for node in response.source_nodes:  # the cosine is the rewrite's, the question is judged
        expected = float(encoder.encode_documents([node.text])[0] @ rewrite)
        assert node.node.metadata["reasonir_retriever_score"] == pytest.approx(expected, abs=1e-5)
    assert all(QUESTION in prompt for prompt in llm.asked("Score: N"))


def test_a_tool_is_called_with_its_input(index: VectorStoreIndex) -> None:
    llm = Scripted()
    engine = RetrieverQueryEngine.from_args(ReasonIRRetriever(index, similarity_top_k=1), llm=llm)
    tool = QueryEngineTool.from_defaults(engine, name="corpus", description="Facts about birds.")
    output = tool.call(input=QUESTION)
    assert output.content == ANSWER
    assert files(output.raw_output.source_nodes) == ["ducks.md"]


# the agents' workflows look at every attribute of a pydantic class, the deprecated ones too
@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")
@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince211")
async def test_a_function_agent_calls_the_query_engine(index: VectorStoreIndex) -> None:
    llm = Scripted()
    settings = AgentSettings(rerank_depth=3)
    engine = RetrieverQueryEngine.from_args(ReasonIRRetriever(index, llm=llm, settings=settings), llm=llm)
    tool = QueryEngineTool.from_defaults(engine, name="corpus", description="Facts about birds.")
    agent = FunctionAgent(tools=[tool], llm=MockFunctionCallingLLM(response_generator=calling), streaming=False)
    output = await agent.run(QUESTION)
    (called,) = output.tool_calls
    assert called.tool_name == "corpus"
    assert called.tool_output.content == ANSWER
    assert files(called.tool_output.raw_output.source_nodes)[0] == "ducks.md"
    assert str(output) == f"The corpus says: {ANSWER}"


def calling(messages: Any, **options: Any) -> ChatMessage:
    """A model that calls the tool once and then repeats what it said."""
    from llama_index.core.base.llms.types import TextBlock, ToolCallBlock

    if messages[-1].role.value == "tool":
        return ChatMessage(role="assistant", blocks=[TextBlock(text=f"The corpus says: {messages[-1].content}")])
    call = ToolCallBlock(tool_call_id="1", tool_name="corpus", tool_kwargs={"input": QUESTION})
    return ChatMessage(role="assistant", blocks=[call])


@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")
@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince211")
@pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning")
async def test_a_reasoning_agent_calls_the_query_engine(index: VectorStoreIndex) -> None:
    llm = Scripted()
    engine = RetrieverQueryEngine.from_args(ReasonIRRetriever(index, similarity_top_k=1), llm=llm)
    tool = QueryEngineTool.from_defaults(engine, name="corpus", description="Facts about birds.")
    thinker = Scripted()
    thinker._say = lambda prompt: (
        f"Thought: I know.\nAnswer: {ANSWER}"
        if f"Observation: {ANSWER}" in prompt
        else f'Thought: I must look.\nAction: corpus\nAction Input: {{"input": "{QUESTION}"}}'
    )
    output = await ReActAgent(tools=[tool], llm=thinker, streaming=False).run(QUESTION)
    assert str(output) == ANSWER
    assert len(thinker._prompts) == 2


def test_scores_over_chroma_are_no_cosines(index: VectorStoreIndex) -> None:
    found = index.as_retriever(similarity_top_k=3).retrieve(QUESTION)
    encoder = FakeEncoder()
    query = encoder.encode_queries([QUESTION])[0]
    for node in found:
        cosine = float(encoder.encode_documents([node.text])[0] @ query)
        assert node.score == pytest.approx(math.exp(-(1 - cosine)), abs=1e-5)
        assert node.score != pytest.approx(cosine, abs=1e-2)
    cosines = [node.node.metadata["reasonir_retriever_score"] for node in ReasonIRRetriever(index).retrieve(QUESTION)]
    expected = [float(row @ query) for row in encoder.encode_documents(list(TEXTS.values()))]
    assert sorted(cosines) == pytest.approx(sorted(expected), abs=1e-5)


def test_adding_again_keeps_the_old_text_and_update_ref_doc_replaces_it(
    store: ChromaVectorStore, embedding: ReasonIREmbedding
) -> None:
    context = StorageContext.from_defaults(vector_store=store)
    index = VectorStoreIndex([], storage_context=context, embed_model=embedding)
    index.insert_nodes([TextNode(id_="1", text="old text")])
    index.insert_nodes([TextNode(id_="1", text="new text")])
    assert [node.text for node in store.get_nodes(None)] == ["old text"]  # the trap
    store.delete_nodes(["1"])
    index.insert_nodes([TextNode(id_="1", text="new text")])
    assert [node.text for node in store.get_nodes(None)] == ["new text"]
    store.delete_nodes(["1"])

    index.insert(Document(id_="notes.md", text="old notes"))
    index = VectorStoreIndex.from_vector_store(store, embed_model=embedding)  # another process
    index.refresh_ref_docs([Document(id_="notes.md", text="new notes")])
    assert sorted(node.text for node in store.get_nodes(None)) == ["new notes", "old notes"]  # the trap's sister
    index.update_ref_doc(Document(id_="notes.md", text="new notes"))
    assert [node.text for node in store.get_nodes(None)] == ["new notes"]
    found = ReasonIRRetriever(index).retrieve("notes")
    assert [node.text for node in found] == ["new notes"]


def test_a_pipeline_with_a_document_store_replaces_what_changed(
    store: ChromaVectorStore, embedding: ReasonIREmbedding
) -> None:
    pipeline = IngestionPipeline(
        transformations=[SentenceSplitter(), PlainText(), embedding],
        vector_store=store,
        docstore=SimpleDocumentStore(),
        docstore_strategy=DocstoreStrategy.UPSERTS,
    )
    pipeline.run(documents=[Document(id_="a", text="old a"), Document(id_="b", text="b")])
    pipeline.run(documents=[Document(id_="a", text="new a"), Document(id_="b", text="b")])
    assert sorted(node.text for node in store.get_nodes(None)) == ["b", "new a"]
    assert embedding.encoder.encoded == ["old a", "b", "new a"]  # type: ignore[attr-defined]


@pytest.mark.slow
def test_more_nodes_than_chroma_takes_at_once_need_a_batch_size(
    store: ChromaVectorStore, embedding: ReasonIREmbedding, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    many = [TextNode(id_=str(n), text=f"node {n}", embedding=[1.0, float(n)]) for n in range(5471)]
    context = StorageContext.from_defaults(vector_store=store)
    with pytest.raises(chromadb.errors.InternalError, match="Batch size of 5471"):  # LlamaIndex cuts at 41,665 only
        VectorStoreIndex(many, storage_context=context, embed_model=embedding, insert_batch_size=10_000)
    VectorStoreIndex(many, storage_context=context, embed_model=embedding, insert_batch_size=2048)
    assert store.client.count() == 5471


def test_what_was_embedded_with_metadata_is_encoded_again_with_it(
    store: ChromaVectorStore, embedding: ReasonIREmbedding
) -> None:
    context = StorageContext.from_defaults(vector_store=store)
    VectorStoreIndex.from_documents(documents(), storage_context=context, embed_model=embedding)
    (stored, *_) = store.get_nodes(None)
    assert stored.get_content(MetadataMode.EMBED) in embedding.encoder.encoded  # type: ignore[attr-defined]
    assert stored.get_content(MetadataMode.EMBED).startswith("file: ")
