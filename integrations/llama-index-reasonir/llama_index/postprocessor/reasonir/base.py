"""`ReasonIRRerank`: a node postprocessor that scores nodes with a chat model and interpolates with the retriever's cosine.

Every node that comes in is scored, one request each; the first `top_n` go out. Nodes are copied, never changed. The
final score is the node's `score`; its parts stand in metadata that neither the language model nor the embedding is
shown (`reasonir_retriever_score`, `reasonir_reranker_score`). Where too many scores fail, order and scores stay as they
came, and a warning says why.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import llama_index.core.instrumentation as instrument
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import ConfigDict, Field, PrivateAttr
from llama_index.core.callbacks import CBEventType, EventPayload
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.core.settings import Settings
from llama_index.core.vector_stores.types import BasePydanticVectorStore

from llama_index.embeddings.reasonir import ReasonIREmbedding
from llama_index.postprocessor.reasonir.llm import Chats, Model, open_chats
from llama_index.postprocessor.reasonir.scores import StoreScores, check_kind, cosines_of, scored, text_of
from reasonir_agent.bridge import run_sync
from reasonir_agent.errors import InputError
from reasonir_agent.llm import ChatModel
from reasonir_agent.reranking import ChatReranker, Judged, judge
from reasonir_agent.reranking.prompt import DEFAULT_CRITERIA
from reasonir_agent.types import Hit, Passage

_dispatcher = instrument.get_dispatcher(__name__)  # type: ignore[attr-defined]  # they re-export it without saying so


class ReasonIRRerank(BaseNodePostprocessor):
    """Reranks nodes with a chat model: weight x reranker score + (1 - weight) x cosine.

    Args:
        llm: a LlamaIndex LLM, "provider:model", a LangChain chat model, or a `reasonir_agent` chat model.
        top_n: nodes that go out.
        weight: of the reranker's score, 0 to 1.
        store_scores: what the nodes' scores are: "cosine", "exp_distance" (LlamaIndex over Chroma in cosine space),
            "exp_distance_l2" (over Chroma's default space), "encode" (encode query and nodes again), "ranks" (only the
            order counts). "auto" takes the cosines of `ReasonIRRetriever`, or those of `vector_store` where its scores
            are known (Chroma, LlamaIndex's own), else encodes again with `embed_model`, else takes the ranks.
        vector_store: where the nodes come from, for "auto".
        embed_model: encodes again; None is `Settings.embed_model` where that is a `ReasonIREmbedding`.
        criteria: what counts as relevant; `reasonir_agent.reranking.TASK_CRITERIA` has some for tasks.
        concurrency: requests under way at the same time.

    Raises:
        InputError: an argument cannot be used, or there is no query to rerank for.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", hide_input_in_errors=True)

    llm_name: str | None = Field(default=None, description="provider:model, where the model was given by name.")
    top_n: int = Field(default=8, description="Nodes that go out.", gt=0)
    weight: float = Field(default=0.5, description="Weight of the reranker's score.", ge=0, le=1)
    store_scores: StoreScores = Field(default="auto", description="What the nodes' scores are.")
    criteria: str = Field(default=DEFAULT_CRITERIA, description="What counts as relevant.")
    concurrency: int = Field(default=8, description="Requests under way at the same time.", gt=0)

    _chats: Chats = PrivateAttr()
    _vector_store: BasePydanticVectorStore | None = PrivateAttr(default=None)
    _embed_model: BaseEmbedding | None = PrivateAttr(default=None)

    def __init__(
        self,
        llm: Model | None = None,
        *,
        vector_store: BasePydanticVectorStore | None = None,
        embed_model: BaseEmbedding | None = None,
        **fields: Any,
    ) -> None:
        check_kind(fields.get("store_scores", "auto"))
        if isinstance(llm, str):
            fields["llm_name"] = llm
        super().__init__(**fields)
        chosen = llm if llm is not None else self.llm_name
        if chosen is None:
            raise InputError("llm is needed: a LlamaIndex LLM or 'provider:model'")
        self._chats = open_chats(chosen, concurrency=self.concurrency)
        self._vector_store, self._embed_model = vector_store, embed_model

    @classmethod
    def class_name(cls) -> str:
        """Name in serialised form."""
        return "ReasonIRRerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _query(query_bundle)
        if not nodes:
            return []
        with self._told(nodes, query) as done:
            hits, by_passage = self._hits(nodes, query)
            judged = run_sync(self._judge(query.query_str, hits, self._chats.waiting))
            return done(self._nodes(judged, by_passage))

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _query(query_bundle)
        if not nodes:
            return []
        with self._told(nodes, query) as done:
            hits, by_passage = await asyncio.to_thread(self._hits, nodes, query)
            judged = await self._judge(query.query_str, hits, self._chats.awaited)
            return done(self._nodes(judged, by_passage))

    def _hits(self, nodes: Sequence[NodeWithScore], query: QueryBundle) -> tuple[list[Hit], dict[int, NodeWithScore]]:
        """Hits in the order of the nodes, and the node of each passage object (one node may come twice)."""
        embed_model = self._embed_model
        if embed_model is None and isinstance(Settings._embed_model, ReasonIREmbedding):
            embed_model = Settings._embed_model
        cosines = cosines_of(nodes, query, kind=self.store_scores, store=self._vector_store, embed_model=embed_model)
        hits, by_passage = [], {}
        for node, cosine in zip(nodes, cosines, strict=True):
            text = text_of(node.node)
            passage = Passage(node.node_id, node.node.ref_doc_id or "", 0, len(text), text)
            hits.append(Hit(passage, cosine))
            by_passage[id(passage)] = node
        return hits, by_passage

    async def _judge(self, question: str, hits: Sequence[Hit], chat: ChatModel) -> Judged:
        return await judge(question, hits, ChatReranker(chat, self.criteria), weight=self.weight)

    def _nodes(self, judged: Judged, by_passage: dict[int, NodeWithScore]) -> list[NodeWithScore]:
        for warning in judged.warnings:
            warnings.warn(warning, UserWarning, stacklevel=4)
        pairs = [(by_passage[id(hit.passage)], hit) for hit in judged.hits[: self.top_n]]
        return [scored(node, hit.final_score if judged.usable else node.score, hit) for node, hit in pairs]

    @contextmanager
    def _told(
        self, nodes: list[NodeWithScore], query: QueryBundle
    ) -> Iterator[Callable[[list[NodeWithScore]], list[NodeWithScore]]]:
        """Tell LlamaIndex's listeners that reranking begins, and with what it ended."""
        name = self._chats.waiting.name
        _dispatcher.event(ReRankStartEvent(query=query, nodes=nodes, top_n=self.top_n, model_name=name))
        payload: dict[str, Any] = {
            EventPayload.NODES: nodes,
            EventPayload.MODEL_NAME: name,
            EventPayload.QUERY_STR: query.query_str,
            EventPayload.TOP_K: self.top_n,
        }
        with self.callback_manager.event(CBEventType.RERANKING, payload=payload) as event:

            def done(found: list[NodeWithScore]) -> list[NodeWithScore]:
                event.on_end(payload={EventPayload.NODES: found})
                _dispatcher.event(ReRankEndEvent(nodes=found))
                return found

            yield done


def _query(query_bundle: QueryBundle | None) -> QueryBundle:
    if query_bundle is None or not query_bundle.query_str.strip():
        raise InputError("a question is needed to rerank for: postprocess_nodes(nodes, query_str=...)")
    return query_bundle
