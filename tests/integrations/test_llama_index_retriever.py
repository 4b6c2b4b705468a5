"""`ReasonIRRetriever` and `ReasonIRQueryTransform`: our native order over LlamaIndex's stores."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import chromadb
import pytest
from llama_index.core import MockEmbedding, QueryBundle, StorageContext, VectorStoreIndex
from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, TextNode
from llama_index.core.vector_stores.simple import SimpleVectorStore
from llama_index.vector_stores.chroma import ChromaVectorStore

from llama_index.embeddings.reasonir import ReasonIREmbedding
from llama_index.postprocessor.reasonir import ReasonIRRerank
from llama_index.retrievers.reasonir import ReasonIRQueryTransform, ReasonIRRetriever
from reasonir_agent import Corpus, search
from reasonir_agent.config import AgentSettings
from reasonir_agent.errors import InputError, StoreError
from reasonir_agent.llm import open_chat_model
from reasonir_agent.testing import FakeEncoder, Reply, ScriptedChatServer
from reasonir_agent.types import Hit

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples" / "corpus"
QUESTIONS = [
    "How can drilling a hole at the end of a crack stop it from growing?",
    "Why do two threads that never share a variable slow each other down?",
    "ethylene",
]
REWRITE = "Stress concentration: a notch crowds the lines of force, and a sharp crack tip raises the local stress."


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    with Corpus(tmp_path_factory.mktemp("store"), FakeEncoder(), create=True) as corpus:
        corpus.index(sorted(EXAMPLES.glob("[a-f]*.md")))
        yield corpus


@pytest.fixture(scope="module")
def nodes(corpus: Corpus) -> list[TextNode]:
    """The corpus's own passages, under their ids."""
    hits = corpus.find(["ice"], corpus.size)
    assert len(hits) == corpus.size > 25
    return [TextNode(id_=hit.passage.id, text=hit.passage.encoded_text) for hit in hits]


def chroma(folder: Path, space: str = "cosine") -> ChromaVectorStore:
    client = chromadb.PersistentClient(path=str(folder))
    return ChromaVectorStore(
        chroma_collection=client.get_or_create_collection(
            "nodes", embedding_function=None, configuration={"hnsw": {"space": space}}
        )
    )


def index_of(nodes: Sequence[TextNode], store: Any = None, encoder: Any = None) -> VectorStoreIndex:
    return VectorStoreIndex(
        [node.model_copy() for node in nodes],
        embed_model=ReasonIREmbedding.from_encoder(encoder or FakeEncoder()),
        storage_context=StorageContext.from_defaults(vector_store=store) if store else None,
    )


def ids(found: Sequence[NodeWithScore]) -> list[str]:
    return [node.node_id for node in found]


def assert_same(found: Sequence[NodeWithScore], hits: Sequence[Hit]) -> None:
    assert ids(found) == [hit.passage.id for hit in hits]
    assert [node.score for node in found] == pytest.approx([hit.final_score for hit in hits], abs=1e-4)
    cosines = [node.node.metadata["reasonir_retriever_score"] for node in found]
    assert cosines == pytest.approx([hit.dense_score for hit in hits], abs=1e-5)
    words = [node.node.metadata["reasonir_lexical_score"] for node in found]
    assert words == pytest.approx([hit.lexical_score for hit in hits], abs=1e-4)


@pytest.mark.parametrize("kind", ["own", "cosine", "l2", "ip"])
def test_the_order_is_that_of_our_own_corpus(corpus: Corpus, nodes: list[TextNode], tmp_path: Path, kind: str) -> None:
    retriever = ReasonIRRetriever(
        index_of(nodes, None if kind == "own" else chroma(tmp_path, kind)), similarity_top_k=12
    )
    for question in QUESTIONS:
        assert_same(retriever.retrieve(question), corpus.search(question, 12))
    by_meaning = ReasonIRRetriever(retriever._nodes._index, similarity_top_k=12, words=False)
    assert any(ids(by_meaning.retrieve(q)) != ids(retriever.retrieve(q)) for q in QUESTIONS)  # words do take part


def script(request: Mapping[str, Any]) -> str:
    prompt = str(request["messages"])
    if "Score: N" not in prompt:
        return REWRITE
    return f"Score: {len(prompt) % 6}"  # many ties, as with a real model


def test_with_a_model_the_order_is_that_of_our_agent(corpus: Corpus, nodes: list[TextNode], tmp_path: Path) -> None:
    settings = AgentSettings(k=6, rerank_depth=10, rerank_most=10)
    index = index_of(nodes, chroma(tmp_path))
    with ScriptedChatServer(script) as server:
        chat = open_chat_model("openai:scripted", base_url=server.base_url)
        native = search(QUESTIONS[0], store=corpus, chat_model=chat, settings=settings)
        calls = len(server.requests)
        retriever = ReasonIRRetriever(index, similarity_top_k=6, llm=chat, settings=settings)
        found = retriever.retrieve(QUESTIONS[0])
        assert len(server.requests) == 2 * calls == 2 * 11
        assert sorted(server.prompts()[:calls]) == sorted(server.prompts()[calls:])  # the model is shown the same
        assert_same(found, native.hits)
        judged = [node.node.metadata["reasonir_reranker_score"] for node in found]
        assert judged == [hit.reranker_score for hit in native.hits]

        # the same in LlamaIndex's parts: transform, retriever, postprocessor
        bundle = ReasonIRQueryTransform(chat)(QUESTIONS[0])
        parts = ReasonIRRetriever(index, similarity_top_k=10).retrieve(bundle)
        reranked = ReasonIRRerank(chat, top_n=6).postprocess_nodes(parts, bundle)
        assert_same(reranked, native.hits)


async def test_the_asynchronous_retriever_gives_the_same_and_leaves_the_loop_free(nodes: list[TextNode]) -> None:
    def slowly(request: Mapping[str, Any]) -> Reply:
        return Reply(script(request), delay=0.1)

    with ScriptedChatServer(slowly) as server:
        chat = open_chat_model("openai:scripted", base_url=server.base_url)
        retriever = ReasonIRRetriever(index_of(nodes), llm=chat, settings=AgentSettings(rerank_depth=8))
        work = asyncio.create_task(retriever.aretrieve(QUESTIONS[0]))
        turns = 0
        while not work.done():
            await asyncio.sleep(0.01)
            turns += 1
        assert turns > 5
        assert ids(await work) == ids(await asyncio.to_thread(retriever.retrieve, QUESTIONS[0]))


def test_nodes_are_copies_and_the_parts_are_shown_to_no_model(nodes: list[TextNode]) -> None:
    index = index_of(nodes)
    found = ReasonIRRetriever(index).retrieve("ice")[0].node
    kept = index.docstore.get_node(found.node_id)
    assert "reasonir_retriever_score" in found.metadata
    assert "reasonir_retriever_score" not in kept.metadata
    assert found.get_content(MetadataMode.LLM) == found.get_content(MetadataMode.EMBED) == kept.get_content()


def test_metadata_lines_that_were_embedded_are_searched_and_judged(tmp_path: Path) -> None:
    made = [TextNode(id_=str(n), text="body", metadata={"title": t}) for n, t in enumerate(("ducks", "ice"))]
    index = index_of(made, chroma(tmp_path))
    with ScriptedChatServer(["Score: 3"]) as server:
        chat = open_chat_model("openai:scripted", base_url=server.base_url)
        settings = AgentSettings(rewrite=False)
        found = ReasonIRRetriever(index, similarity_top_k=2, llm=chat, settings=settings).retrieve("ducks")
        assert "title: ducks\n\nbody" in "".join(server.prompts())
    assert ids(found) == ["0", "1"]
    assert [node.node.metadata["title"] for node in found] == ["ducks", "ice"]


def test_what_is_added_and_deleted_later_is_found_and_is_not(nodes: list[TextNode], tmp_path: Path) -> None:
    for index in (index_of(nodes[:6]), index_of(nodes[:6], chroma(tmp_path))):
        retriever = ReasonIRRetriever(index, similarity_top_k=3)
        retriever.retrieve("ice")
        index.insert_nodes([TextNode(id_="new", text="A zyzzyva is a weevil of the palm.")])
        assert ids(retriever.retrieve("zyzzyva"))[0] == "new"
        index.delete_nodes(["new"], delete_from_docstore=True)
        assert "new" not in ids(retriever.retrieve("zyzzyva"))


def test_words_of_a_store_that_cannot_list_its_nodes(nodes: list[TextNode]) -> None:
    class Silent(SimpleVectorStore):
        """Keeps texts and finds by vector; lists nothing and tells no known kind of score."""

        stores_text: bool = True
        kept: ClassVar[dict[str, BaseNode]] = {}

        @classmethod
        def class_name(cls) -> str:
            return "Silent"

        def add(self, nodes: Sequence[BaseNode], **options: Any) -> list[str]:
            self.kept.update({node.node_id: node for node in nodes})
            return super().add(nodes)

        def query(self, query: Any, **options: Any) -> Any:
            found = super().query(query)
            found.nodes = [self.kept[one] for one in found.ids]
            found.similarities = [1000.0 - place for place in range(len(found.ids))]
            return found

        get_nodes = SimpleVectorStore.__mro__[1].get_nodes  # type: ignore[attr-defined]

    index = index_of(nodes, Silent())
    with pytest.warns(UserWarning, match="Silent cannot list its nodes, so words are not used"):
        without = ReasonIRRetriever(index)
    given = ReasonIRRetriever(index, nodes=nodes)
    native = ReasonIRRetriever(index_of(nodes))
    assert [ids(given.retrieve(q)) for q in QUESTIONS] == [ids(native.retrieve(q)) for q in QUESTIONS]
    by_meaning = ReasonIRRetriever(index_of(nodes), words=False)
    assert [ids(without.retrieve(q)) for q in QUESTIONS] == [ids(by_meaning.retrieve(q)) for q in QUESTIONS]


def test_an_index_of_another_encoder_is_told(nodes: list[TextNode], tmp_path: Path) -> None:
    index = index_of(nodes, chroma(tmp_path))
    other = ReasonIREmbedding.from_encoder(FakeEncoder(dim=32))
    with pytest.raises(StoreError, match="vector of 32 numbers by the encoder 'fake'; it must have been filled"):
        ReasonIRRetriever(index, embed_model=other).retrieve("ice")
    with pytest.raises(StoreError, match="vector of 32 numbers"):
        ReasonIRRetriever(index_of(nodes), embed_model=other).retrieve("ice")
    same_size = ReasonIREmbedding.from_encoder(FakeEncoder("other"))
    with pytest.warns(UserWarning, match="filled with another encoder"):
        ReasonIRRetriever(index, embed_model=same_size).retrieve("ice")


def test_wrong_arguments_are_refused_in_words(nodes: list[TextNode]) -> None:
    index = index_of(nodes[:2])
    with pytest.raises(InputError, match="similarity_top_k must be 1 or more"):
        ReasonIRRetriever(index, similarity_top_k=0)
    with pytest.raises(InputError, match="must be a VectorStoreIndex, got str"):
        ReasonIRRetriever("index")  # type: ignore[arg-type]
    foreign = VectorStoreIndex([nodes[0].model_copy()], embed_model=MockEmbedding(embed_dim=3))
    with pytest.raises(InputError, match="must be embedded with ReasonIREmbedding, and it uses MockEmbedding"):
        ReasonIRRetriever(foreign)
    for question in ("", "  "):
        with pytest.raises(InputError, match="a question is needed"):
            ReasonIRRetriever(index).retrieve(question)
    with pytest.raises(InputError, match="llm must be"):
        ReasonIRRetriever(index, llm=3)  # type: ignore[arg-type]


def test_an_empty_index_gives_nothing(tmp_path: Path) -> None:
    assert ReasonIRRetriever(index_of([])).retrieve("ice") == []
    assert ReasonIRRetriever(index_of([], chroma(tmp_path))).retrieve("ice") == []


def test_the_rewrite_is_embedded_and_the_question_stays() -> None:
    with ScriptedChatServer([REWRITE]) as server:
        transform = ReasonIRQueryTransform(open_chat_model("openai:scripted", base_url=server.base_url))
        bundle = transform("Why a hole?")
        assert (bundle.query_str, bundle.embedding_strs) == ("Why a hole?", [REWRITE])
        assert transform.run(QueryBundle("Why a hole?")) == bundle
        assert asyncio.run(transform.arun("Why a hole?")) == bundle
        assert len(server.requests) == 3


@pytest.mark.parametrize("answer", [Reply("down", status=400), Reply("", drop=True), "short", Reply(body=b"garbage")])
def test_a_rewrite_that_fails_is_told_and_the_question_is_searched_with(nodes: list[TextNode], answer: Any) -> None:
    index = index_of(nodes)
    with ScriptedChatServer([answer]) as server:
        chat = open_chat_model("openai:scripted", base_url=server.base_url, max_retries=0)
        with pytest.warns(UserWarning, match="the question could not be rewritten") as told:
            bundle = ReasonIRQueryTransform(chat)(QUESTIONS[0])
        assert bundle.embedding_strs == [QUESTIONS[0]]
        with pytest.warns(UserWarning, match="the question could not be rewritten"):
            found = ReasonIRRetriever(index, llm=chat, rerank=False).retrieve(QUESTIONS[0])
    assert ids(found) == ids(ReasonIRRetriever(index).retrieve(QUESTIONS[0]))
    assert len(told) == 1


def test_a_query_that_was_rewritten_before_is_not_again(nodes: list[TextNode]) -> None:
    with ScriptedChatServer(["Score: 1"]) as server:
        chat = open_chat_model("openai:scripted", base_url=server.base_url)
        retriever = ReasonIRRetriever(index_of(nodes), llm=chat, settings=AgentSettings(rerank_depth=3))
        retriever.retrieve(QueryBundle(QUESTIONS[0], custom_embedding_strs=[REWRITE]))
        assert all("Score: N" in prompt and QUESTIONS[0] in prompt for prompt in server.prompts())
