"""`ReasonIRRetriever`: our search over a LlamaIndex `VectorStoreIndex`: rewrite, find by meaning and by words, rerank.

The index stays where it is; nothing is written. What is fused, and how, is `reasonir_agent.stores.borrowed`; scores and
prompts are the agent's. A node's `score` is the final score; its parts stand in metadata that neither the language
model nor the embedding is shown (`reasonir_retriever_score` is the cosine).
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Sequence

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks.base import CallbackManager
from llama_index.core.indices.vector_store.base import VectorStoreIndex
from llama_index.core.schema import BaseNode, NodeWithScore, QueryBundle

from llama_index.embeddings.reasonir import ReasonIREmbedding
from llama_index.postprocessor.reasonir.llm import Model, open_chats
from llama_index.postprocessor.reasonir.scores import scored
from llama_index.retrievers.reasonir.nodes import IndexNodes
from llama_index.retrievers.reasonir.transform import question_of, rewritten_or_reason
from reasonir_agent.bridge import run_sync
from reasonir_agent.config import AgentSettings
from reasonir_agent.errors import InputError
from reasonir_agent.llm import ChatModel
from reasonir_agent.reranking import ChatReranker, judge
from reasonir_agent.reranking.prompt import DEFAULT_CRITERIA
from reasonir_agent.stores.borrowed import BorrowedCorpus
from reasonir_agent.types import Hit


class ReasonIRRetriever(BaseRetriever):
    """Retrieves nodes of an index that was embedded with `ReasonIREmbedding`.

    Args:
        index: the index.
        similarity_top_k: nodes that come out.
        llm: rewrites and reranks: a LlamaIndex LLM, "provider:model", a LangChain chat model, or a `reasonir_agent` chat
            model; None does neither.
        settings: how to work (`rewrite`, `rewrite_words`, `rerank_depth`, `rerank_most`, `rerank_weight`, `concurrency`); None is
            `AgentSettings()`. Its `k` is `similarity_top_k` here.
        rerank: whether the model reranks; False where `ReasonIRRerank` follows as a postprocessor.
        words: whether BM25 takes part. It needs all nodes: from the document store, from a vector store that lists them
            (Chroma), or from `nodes`; a store that cannot is searched by meaning alone, with a warning.
        nodes: all nodes of the index, where neither has them.
        embed_model: in place of the index's own.
        criteria: what counts as relevant.
        callback_manager: LlamaIndex's.

    Raises:
        InputError: the index was not made with `ReasonIREmbedding`, or an argument cannot be used.
    """

    def __init__(
        self,
        index: VectorStoreIndex,
        *,
        similarity_top_k: int = 8,
        llm: Model | None = None,
        settings: AgentSettings | None = None,
        rerank: bool = True,
        words: bool = True,
        nodes: Sequence[BaseNode] | None = None,
        embed_model: ReasonIREmbedding | None = None,
        criteria: str = DEFAULT_CRITERIA,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        super().__init__(callback_manager=callback_manager)
        if similarity_top_k < 1:
            raise InputError(f"similarity_top_k must be 1 or more, got {similarity_top_k}")
        self._k, self._settings, self._criteria = similarity_top_k, settings or AgentSettings(), criteria
        self._nodes = IndexNodes(index, nodes)
        self._chats = None if llm is None else open_chats(llm, concurrency=self._settings.concurrency)
        self._rerank = rerank and self._chats is not None
        self._corpus = self._borrowed(_own_embedding(index, embed_model), words=words, fixed=nodes is not None)

    def _borrowed(self, embedding: ReasonIREmbedding, *, words: bool, fixed: bool) -> BorrowedCorpus:
        source = self._nodes
        if words and not source.can_list:
            warnings.warn(
                f"{source.name} cannot list its nodes, so words are not used; give nodes=, or words=False",
                UserWarning,
                stacklevel=4,
            )
            words = False
        return BorrowedCorpus(
            embedding.encoder,
            source.nearest,
            name=source.name,
            fetch=source.fetch,
            vectors=source.vectors,
            passages=None if not words else source.listed() if fixed else source.listed,
            size=source.count if source.can_count else None,
        )

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        chat = self._chats.waiting if self._chats else None
        nodes, told = run_sync(self._search(query_bundle, chat))
        _warn(told)
        return nodes

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        chat = self._chats.awaited if self._chats else None
        nodes, told = await self._search(query_bundle, chat)
        _warn(told)
        return nodes

    async def _search(self, bundle: QueryBundle, chat: ChatModel | None) -> tuple[list[NodeWithScore], list[str]]:
        """The nodes in their final order, and what the user must be told."""
        question, settings = question_of(bundle), self._settings
        queries, told = await self._queries(bundle, chat)
        reranks = chat is not None and self._rerank
        depth = max(self._k, settings.rerank_depth, settings.rerank_most) if reranks else self._k
        hits = await asyncio.to_thread(self._corpus.find, queries, depth, rewritten=queries != [question])
        if chat is not None and self._rerank:
            judged = await judge(
                question,
                hits,
                ChatReranker(chat, self._criteria),
                weight=settings.rerank_weight,
                depth=settings.rerank_depth,
                most=settings.rerank_most,
            )
            hits, told = judged.hits, told + judged.warnings
        return await asyncio.to_thread(self._with_nodes, hits[: self._k]), told

    async def _queries(self, bundle: QueryBundle, chat: ChatModel | None) -> tuple[list[str], list[str]]:
        """What is searched with, and what the user must be told; a query that was rewritten before is not again."""
        question = bundle.query_str
        given = bundle.custom_embedding_strs
        if given and given != [question]:
            return list(given), []
        if chat is None or not self._settings.rewrite:
            return [question], []
        text, warning = await rewritten_or_reason(question, chat, self._settings.rewrite_words)
        return [text or question], [warning] if warning else []

    def _with_nodes(self, hits: Sequence[Hit]) -> list[NodeWithScore]:
        """The nodes of hits; one that is gone from the store by now is left out."""
        nodes = self._nodes.nodes([hit.passage.id for hit in hits])
        found = [(nodes[hit.passage.id], hit) for hit in hits if hit.passage.id in nodes]
        return [scored(NodeWithScore(node=node), hit.final_score, hit) for node, hit in found]


def _own_embedding(index: VectorStoreIndex, embed_model: ReasonIREmbedding | None) -> ReasonIREmbedding:
    chosen = embed_model if embed_model is not None else index._embed_model
    if not isinstance(chosen, ReasonIREmbedding):
        raise InputError(
            f"the index must be embedded with ReasonIREmbedding, and it uses {type(chosen).__name__}; embed it anew, or "
            "give embed_model= where it was filled with ours"
        )
    return chosen


def _warn(told: Sequence[str]) -> None:
    for sentence in told:
        warnings.warn(sentence, UserWarning, stacklevel=4)
