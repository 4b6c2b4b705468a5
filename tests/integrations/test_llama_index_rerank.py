"""`ReasonIRRerank`: scores by the store they come from, LlamaIndex's models as ours, nothing lost and nothing changed."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import chromadb
import pytest
from llama_index.core import MockEmbedding, QueryBundle, Settings, StorageContext, VectorStoreIndex
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    CompletionResponseGen,
    LLMMetadata,
    TextBlock,
    ThinkingBlock,
)
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.llms import CustomLLM, MockLLM
from llama_index.core.schema import MetadataMode, NodeWithScore, TextNode
from llama_index.vector_stores.chroma import ChromaVectorStore

from llama_index.embeddings.reasonir import ReasonIREmbedding
from llama_index.postprocessor.reasonir import ReasonIRRerank
from llama_index.postprocessor.reasonir.llm import LlamaIndexTalk, open_chats
from reasonir_agent.bridge import run_sync
from reasonir_agent.errors import ChatError, InputError
from reasonir_agent.llm import ChatModel, Meter, open_chat_model
from reasonir_agent.testing import FakeEncoder, Reply, ScriptedChatServer

KEY = "hush-hush-4711"  # in no shape that `redact` knows
TEXTS = ["ducks on ice", "ice and water", "inflation and prices", "warm blood in cold feet"]
LIKED = "warm blood"


class Judge(CustomLLM):
    """Likes one text; waits where it is told to; fails where it is told to."""

    liked: str = LIKED
    wait: float = 0.0
    problem: str = ""
    api_key: str = KEY

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="judge")

    def complete(self, prompt: str, formatted: bool = False, **options: Any) -> CompletionResponse:
        threading_wait(self.wait)
        if self.problem:
            raise RuntimeError(self.problem)
        return CompletionResponse(text="Score: 5" if self.liked in prompt else "Score: 1")

    def stream_complete(self, prompt: str, formatted: bool = False, **options: Any) -> CompletionResponseGen:
        yield self.complete(prompt)


def threading_wait(seconds: float) -> None:
    import time

    time.sleep(seconds)


def nodes(scores: Sequence[float | None] = (0.9, 0.8, 0.7, 0.6)) -> list[NodeWithScore]:
    return [
        NodeWithScore(node=TextNode(id_=str(n), text=text, metadata={"file": f"{n}.md"}), score=score)
        for n, (text, score) in enumerate(zip(TEXTS, scores, strict=True))
    ]


def final(found: Sequence[NodeWithScore]) -> list[tuple[str, float]]:
    return [(node.node_id, round(node.score or 0.0, 6)) for node in found]


def part(node: NodeWithScore, name: str) -> float:
    return float(node.node.metadata[f"reasonir_{name}_score"])


@pytest.fixture
def encoder() -> FakeEncoder:
    return FakeEncoder()


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(Settings, "_embed_model", None)
    yield


def test_the_final_score_is_half_reranker_half_cosine() -> None:
    found = ReasonIRRerank(Judge(), store_scores="cosine").postprocess_nodes(nodes(), query_str="Why?")
    # 0.5 * 5/5 + 0.5 * 0.6 = 0.8; 0.5 * 1/5 + 0.5 * 0.9 = 0.55; ...
    assert final(found) == [("3", 0.8), ("0", 0.55), ("1", 0.5), ("2", 0.45)]
    assert [part(node, "retriever") for node in found] == [0.6, 0.9, 0.8, 0.7]
    assert [part(node, "reranker") for node in found] == [1.0, 0.2, 0.2, 0.2]


def test_weight_and_top_n() -> None:
    rerank = ReasonIRRerank(Judge(), store_scores="cosine", weight=0.0, top_n=2)
    assert final(rerank.postprocess_nodes(nodes(), query_str="Why?")) == [("0", 0.9), ("1", 0.8)]


def test_the_nodes_that_came_in_are_not_changed() -> None:
    given = nodes()
    before = [node.model_dump_json() for node in given]
    found = ReasonIRRerank(Judge(), store_scores="cosine").postprocess_nodes(given, query_str="Why?")
    assert [node.model_dump_json() for node in given] == before
    assert {node.node_id for node in found} == {node.node_id for node in given}
    assert found[0].node is not given[3].node


def test_the_parts_are_shown_to_no_model() -> None:
    found = ReasonIRRerank(Judge(), store_scores="cosine").postprocess_nodes(nodes(), query_str="Why?")[0].node
    for mode in (MetadataMode.LLM, MetadataMode.EMBED):
        assert found.get_content(mode) == f"file: 3.md\n\n{TEXTS[3]}"
    assert found.metadata["file"] == "3.md"


def test_a_node_that_comes_twice_is_kept_twice() -> None:
    given = [*nodes(), nodes()[3]]
    found = ReasonIRRerank(Judge(), store_scores="cosine").postprocess_nodes(given, query_str="Why?")
    assert [node.node_id for node in found] == ["3", "3", "0", "1", "2"]


@pytest.mark.parametrize("space", ["cosine", "l2", "ip"])
def test_chromas_scores_are_inverted_to_the_encoders_cosines(tmp_path: Path, space: str) -> None:
    encoder = FakeEncoder()
    client = chromadb.PersistentClient(path=str(tmp_path))
    collection = client.create_collection("nodes", embedding_function=None, configuration={"hnsw": {"space": space}})
    store = ChromaVectorStore(chroma_collection=collection)
    index = VectorStoreIndex(
        [TextNode(id_=str(n), text=text) for n, text in enumerate(TEXTS)],
        embed_model=ReasonIREmbedding.from_encoder(encoder),
        storage_context=StorageContext.from_defaults(vector_store=store),
    )
    given = index.as_retriever(similarity_top_k=4).retrieve("cold ducks")
    encoder.encoded.clear()
    found = ReasonIRRerank(Judge(), vector_store=store).postprocess_nodes(given, query_str="cold ducks")
    query = encoder.encode_queries(["cold ducks"])[0]
    for node in found:
        cosine = float(FakeEncoder().encode_documents([node.text])[0] @ query)
        (came,) = [one.score for one in given if one.node_id == node.node_id]
        assert came == pytest.approx(math.exp(-(2 - 2 * cosine) if space == "l2" else -(1 - cosine)), abs=1e-5)
        assert part(node, "retriever") == pytest.approx(cosine, abs=1e-5)
    assert encoder.encoded == []
    kind = "exp_distance_l2" if space == "l2" else "exp_distance"
    said = ReasonIRRerank(Judge(), store_scores=kind).postprocess_nodes(given, query_str="cold ducks")
    assert final(said) == final(found)


def test_llama_indexs_own_store_gives_cosines(encoder: FakeEncoder) -> None:
    embed_model = ReasonIREmbedding.from_encoder(encoder)
    index = VectorStoreIndex([TextNode(id_=str(n), text=t) for n, t in enumerate(TEXTS)], embed_model=embed_model)
    given = index.as_retriever(similarity_top_k=4).retrieve("cold ducks")
    rerank = ReasonIRRerank(Judge(), vector_store=index.vector_store)
    found = rerank.postprocess_nodes(given, query_str="cold ducks")
    assert {node.node_id: part(node, "retriever") for node in found} == {
        node.node_id: pytest.approx(node.score) for node in given
    }


def test_scores_of_an_unknown_store_are_not_believed_and_nodes_are_encoded_again(encoder: FakeEncoder) -> None:
    given = nodes((17.0, 12.0, 3.0, 1.0))
    embed_model = ReasonIREmbedding.from_encoder(encoder)
    found = ReasonIRRerank(Judge(), embed_model=embed_model).postprocess_nodes(given, query_str="cold ducks")
    query = encoder.encode_queries(["cold ducks"])[0]
    assert encoder.encoded == [node.node.get_content(MetadataMode.EMBED) for node in given]
    for node in found:
        text = node.node.get_content(MetadataMode.EMBED)
        assert part(node, "retriever") == pytest.approx(float(encoder.encode_documents([text])[0] @ query), abs=1e-6)


def test_the_embedding_of_the_settings_encodes_again(encoder: FakeEncoder) -> None:
    Settings.embed_model = ReasonIREmbedding.from_encoder(encoder)
    ReasonIRRerank(Judge()).postprocess_nodes(nodes(), query_str="cold ducks")
    assert len(encoder.encoded) == 4


def test_another_embedding_model_may_encode_again() -> None:
    rerank = ReasonIRRerank(Judge(), embed_model=MockEmbedding(embed_dim=3), store_scores="encode")
    assert [part(node, "retriever") for node in rerank.postprocess_nodes(nodes(), query_str="Why?")] == pytest.approx(
        [1.0] * 4
    )


def test_what_is_encoded_again_is_the_rewrite_and_what_is_judged_the_question(encoder: FakeEncoder) -> None:
    with ScriptedChatServer(["Score: 3"]) as server:
        chat = open_chat_model("openai:scripted", base_url=server.base_url)
        rerank = ReasonIRRerank(chat, embed_model=ReasonIREmbedding.from_encoder(encoder))
        bundle = QueryBundle("Why?", custom_embedding_strs=[TEXTS[3]])
        found = rerank.postprocess_nodes([nodes()[3]], bundle)
        assert "Why?" in server.prompts()[0]
    expected = encoder.encode_queries([TEXTS[3]])[0] @ encoder.encode_documents([f"file: 3.md\n\n{TEXTS[3]}"])[0]
    assert part(found[0], "retriever") == pytest.approx(float(expected), abs=1e-6)


def test_without_anything_to_encode_with_ranks_stand_in() -> None:
    found = ReasonIRRerank(Judge(liked="none")).postprocess_nodes(nodes((17.0, 12.0, 3.0, 1.0)), query_str="Why?")
    assert [part(node, "retriever") for node in found] == [1.0, 0.75, 0.5, 0.25]
    found = ReasonIRRerank(Judge(liked="none"), store_scores="ranks").postprocess_nodes(nodes(), query_str="Why?")
    assert [part(node, "retriever") for node in found] == [1.0, 0.75, 0.5, 0.25]


def test_scores_that_cannot_be_what_they_are_said_to_be_are_refused() -> None:
    with pytest.raises(InputError, match="score 17, which is no cosine"):
        ReasonIRRerank(Judge(), store_scores="cosine").postprocess_nodes(nodes((17.0, 1, 1, 1)), query_str="Why?")
    with pytest.raises(InputError, match="needs an embed_model"):
        ReasonIRRerank(Judge(), store_scores="encode").postprocess_nodes(nodes(), query_str="Why?")


async def test_the_asynchronous_method_gives_the_same_and_leaves_the_loop_free() -> None:
    rerank = ReasonIRRerank(Judge(wait=0.1), store_scores="cosine")
    work = asyncio.create_task(rerank.apostprocess_nodes(nodes(), query_str="Why?"))
    turns = 0
    while not work.done():
        await asyncio.sleep(0.01)
        turns += 1
    assert turns > 5  # CustomLLM's own `achat` would have held the loop
    assert final(await work) == final(rerank.postprocess_nodes(nodes(), query_str="Why?"))


async def test_a_model_with_an_asynchronous_client_is_awaited_on_the_callers_loop() -> None:
    seen: list[asyncio.AbstractEventLoop | None] = []

    class Both(MockLLM):
        def chat(self, messages: Sequence[ChatMessage], **options: Any) -> ChatResponse:
            with pytest.raises(RuntimeError):  # in a worker thread, where no loop runs
                asyncio.get_running_loop()
            seen.append(None)
            return ChatResponse(message=ChatMessage(content="Score: 2"))

        async def achat(self, messages: Sequence[ChatMessage], **options: Any) -> ChatResponse:
            seen.append(asyncio.get_running_loop())
            return ChatResponse(message=ChatMessage(content="Score: 2"))

    rerank = ReasonIRRerank(Both(), store_scores="cosine")
    asynchronous = await rerank.apostprocess_nodes(nodes(), query_str="Why?")
    synchronous = await asyncio.to_thread(rerank.postprocess_nodes, nodes(), None, "Why?")
    assert seen == [asyncio.get_running_loop()] * 4 + [None] * 4
    assert final(asynchronous) == final(synchronous)


def test_a_model_that_is_asynchronous_inside_does_not_wait_for_itself() -> None:
    class Inside(Judge):
        """As a user writes it around an asynchronous client; its requests need the loop's shared threads."""

        def complete(self, prompt: str, formatted: bool = False, **options: Any) -> CompletionResponse:
            return CompletionResponse(text=run_sync(asyncio.to_thread(lambda: "Score: 2")))

    many = [NodeWithScore(node=TextNode(id_=str(n), text="x"), score=0.5) for n in range(64)]
    rerank = ReasonIRRerank(Inside(), store_scores="cosine", concurrency=64, top_n=64)
    assert len(rerank.postprocess_nodes(many, query_str="Why?")) == 64


def test_a_query_is_needed() -> None:
    rerank = ReasonIRRerank(Judge())
    for query in (None, QueryBundle(" ")):
        with pytest.raises(InputError, match="a question is needed"):
            rerank.postprocess_nodes(nodes(), query)


def test_no_nodes_no_calls() -> None:
    with ScriptedChatServer() as server:
        rerank = ReasonIRRerank(open_chat_model("openai:scripted", base_url=server.base_url))
        assert rerank.postprocess_nodes([], query_str="Why?") == []
        assert server.requests == []


def test_events_are_emitted() -> None:
    met: list[Any] = []

    class Listener(BaseEventHandler):
        def handle(self, event: Any, **options: Any) -> None:
            met.append(event)

    root = get_dispatcher()
    listener = Listener()
    root.add_event_handler(listener)
    try:
        ReasonIRRerank(Judge(), store_scores="cosine", top_n=1).postprocess_nodes(nodes(), query_str="Why?")
    finally:
        root.event_handlers.remove(listener)
    start, end = (event for event in met if event.class_name() in ("ReRankStartEvent", "ReRankEndEvent"))
    assert (start.model_name, start.top_n, len(start.nodes), start.query.query_str) == ("judge", 1, 4, "Why?")
    assert [node.node_id for node in end.nodes] == ["3"]


def test_one_failure_takes_the_mean_and_is_told() -> None:
    answers = {TEXTS[0]: Reply("down", status=400), TEXTS[1]: "Score: 4", TEXTS[2]: "Score: 0", TEXTS[3]: "Score: 2"}
    with ScriptedChatServer(lambda ask: next(a for t, a in answers.items() if t in str(ask["messages"]))) as server:
        rerank = ReasonIRRerank(open_chat_model("openai:s", base_url=server.base_url), store_scores="cosine")
        with pytest.warns(UserWarning, match="1 of 4 passages got no reranker score and took the mean"):
            found = rerank.postprocess_nodes(nodes(), query_str="Why?")
    assert part(next(node for node in found if node.node_id == "0"), "reranker") == pytest.approx(0.4)


def test_when_all_fail_order_and_scores_stay_and_the_key_is_not_shown() -> None:
    rerank = ReasonIRRerank(Judge(problem=f"the key {KEY} was refused"))
    with pytest.warns(UserWarning, match="the reranker is unusable: 4 of 4") as told:
        found = rerank.postprocess_nodes(nodes((17.0, 12.0, 3.0, 1.0)), query_str="Why?")
    assert final(found) == [("0", 17.0), ("1", 12.0), ("2", 3.0), ("3", 1.0)]
    assert "was refused" in str(told[0].message)
    assert KEY not in str(told[0].message)


def test_the_key_is_in_no_representation() -> None:
    rerank = ReasonIRRerank(Judge())
    assert not [text for text in (repr(rerank), str(rerank), str(rerank.to_dict())) if KEY in text]


def test_to_dict_and_from_dict() -> None:
    saved = ReasonIRRerank(Judge(), top_n=3, weight=0.7, store_scores="ranks").to_dict()
    again = ReasonIRRerank.from_dict(saved, llm=Judge())
    assert (again.top_n, again.weight, again.store_scores) == (3, 0.7, "ranks")
    assert final(again.postprocess_nodes(nodes(), query_str="Why?"))[0][0] == "3"
    with pytest.raises(InputError, match="llm is needed"):
        ReasonIRRerank.from_dict(saved)


def test_a_model_by_name_survives_to_dict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    saved = ReasonIRRerank("openai:gpt-5-mini").to_dict()
    assert saved["llm_name"] == "openai:gpt-5-mini"
    assert KEY not in str(saved)
    assert ReasonIRRerank.from_dict(saved).llm_name == "openai:gpt-5-mini"


@pytest.mark.parametrize(
    ("llm", "fields", "message"),
    [
        (None, {}, "llm is needed"),
        (3, {}, "llm must be a LlamaIndex LLM or 'provider:model', got int"),
        ("gpt", {}, "provider:model"),
        (Judge(), {"store_scores": "euclid"}, "store_scores must be one of auto, cosine"),
        (Judge(), {"weight": 1.5}, "less than or equal to 1"),
        (Judge(), {"top_n": 0}, "greater than 0"),
        (Judge(), {"topn": 1}, "topn"),
    ],
)
def test_wrong_arguments_are_refused_in_words(llm: Any, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReasonIRRerank(llm, **fields)


class Answering(MockLLM):
    """Answers with one response."""

    _response: ChatResponse = PrivateAttr()

    def __init__(self, response: ChatResponse) -> None:
        super().__init__()
        self._response = response

    async def achat(self, messages: Sequence[ChatMessage], **options: Any) -> ChatResponse:
        assert [(m.role.value, m.content) for m in messages] == [("system", "s"), ("user", "u")]
        return self._response


def said(**response: Any) -> tuple[Any, Meter]:
    message = response.pop("message", ChatMessage(content="yes"))
    meter = Meter()
    chat = ChatModel(LlamaIndexTalk(Answering(ChatResponse(message=message, **response)), threads=0), "m")
    return run_sync(chat.complete([("system", "s"), ("user", "u")], meter=meter)), meter


@pytest.mark.parametrize(
    "response",
    [
        {"additional_kwargs": {"prompt_tokens": 7, "completion_tokens": 3}},
        {"raw": {"usage": {"prompt_tokens": 7, "completion_tokens": 3}}},
        {"raw": {"usage": {"input_tokens": 7, "output_tokens": 3}}},
        {"raw": {"prompt_eval_count": 7, "eval_count": 3}},
        {"raw": Reply()},
        {},
    ],
)
def test_tokens_are_counted_where_a_provider_tells_them(response: dict[str, Any]) -> None:
    reply, meter = said(**response)
    assert reply.text == "yes"
    known = (7, 3) if response and not isinstance(response.get("raw"), Reply) else (0, 0)
    assert (meter.prompt_tokens, meter.completion_tokens) == known


def test_thinking_is_kept_apart() -> None:
    reply, _ = said(message=ChatMessage(blocks=[ThinkingBlock(content="hm"), TextBlock(text="yes")]))
    assert (reply.text, reply.thinking) == ("yes", "hm")
    assert said(message=ChatMessage(blocks=[]))[0].text == ""


def test_a_reply_of_a_given_shape_falls_to_plain() -> None:
    from pydantic import BaseModel

    class Shape(BaseModel):
        n: int

    class Json(Judge):
        def complete(self, prompt: str, formatted: bool = False, **options: Any) -> CompletionResponse:
            return CompletionResponse(text='{"n": 3}')

    meter = Meter()
    chat = open_chats(Json()).awaited
    assert run_sync(chat.ask_json([("user", "u")], Shape, meter=meter)).n == 3
    assert meter.llm_calls == 3  # as a schema, as JSON, plain
    with pytest.raises(TypeError, match="response_format"):
        run_sync(LlamaIndexTalk(Json(), threads=1).ainvoke([("user", "u")], response_format={}))


def test_a_failing_model_is_an_error_of_ours() -> None:
    chat = open_chats(Judge(problem=f"no {KEY}")).waiting
    with pytest.raises(ChatError, match=r"judge failed: .*no \[secret\]") as failed:
        run_sync(chat.complete([("user", "u")], meter=Meter()))
    seen: BaseException | None = failed.value
    while seen is not None:
        assert KEY not in str(seen)
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
