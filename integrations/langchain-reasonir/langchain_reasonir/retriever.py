"""`ReasonIRRetriever`: rewrite, retrieve, fuse and rerank over any LangChain vector store.

The steps and their order are those of the agent, and so are the scores. Over Chroma and the vector store in memory, or
with `documents`, passages are found by meaning and by words; over others by meaning alone (`VectorStoreCorpus` says what
else is lost). A chat model that fails degrades the result and warns; without one the retriever searches, no more.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore
from pydantic import ConfigDict, Field, PrivateAttr

from langchain_reasonir.notices import Notice, RerankWarning, RewriteWarning, give
from langchain_reasonir.sharing import our_embeddings
from langchain_reasonir.waiting import in_worker
from reasonir_agent.bridge import run_sync
from reasonir_agent.config import AgentSettings
from reasonir_agent.errors import ChatError, ChatUnavailable, InputError
from reasonir_agent.llm import ChatModel, Meter, as_chat_model
from reasonir_agent.reranking import ChatReranker, judge
from reasonir_agent.rewriting import rewrite
from reasonir_agent.stores.vector_store import VectorStoreCorpus
from reasonir_agent.types import Hit

_SETTINGS = AgentSettings()


class ReasonIRRetriever(BaseRetriever):
    """Search for questions that need reasoning.

    The documents that it returns keep their metadata, and have `dense_score` (cosine), `lexical_score` (BM25, None where
    only meaning decides), `reranker_score` (0 to 1, None without a chat model) and `final_score` beside it.

    Attributes:
        vectorstore: filled by `ReasonIREmbeddings`.
        embeddings: the embeddings that filled it; None takes the vector store's own.
        llm: "provider:model", a LangChain chat model, or a `ChatModel` of reasonir_agent; None searches without.
        k: documents that are returned; `invoke(question, k=3)` asks for others.
        rewrite: whether the chat model rewrites the question into a long reasoning query.
        rewrite_words: length that the rewrite is asked for.
        rerank: whether the chat model scores what was found.
        rerank_depth: how many it scores at first.
        rerank_most: how many it scores at most, while the last ones still change the best ten.
        weight: of the reranker's score in `final_score`, 0 to 1; the rest is the cosine.
        documents: all documents of the store, for search by words where the store cannot list them.

    Raises:
        ValidationError: an argument cannot be used; it holds our sentence.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", hide_input_in_errors=True)

    vectorstore: VectorStore = Field(frozen=True, exclude=True)
    embeddings: Embeddings | None = Field(default=None, frozen=True, exclude=True)
    llm: Any = Field(default=None, frozen=True, repr=False, exclude=True)
    k: int = Field(default=_SETTINGS.k, ge=1)
    rewrite: bool = True
    rewrite_words: int = Field(default=_SETTINGS.rewrite_words, ge=1)
    rerank: bool = True
    rerank_depth: int = Field(default=_SETTINGS.rerank_depth, ge=1)
    rerank_most: int = Field(default=_SETTINGS.rerank_most, ge=1)
    weight: float = Field(default=_SETTINGS.rerank_weight, ge=0, le=1)
    documents: Sequence[Document] | None = Field(default=None, frozen=True, repr=False, exclude=True)

    _chat: ChatModel | None = PrivateAttr(default=None)
    _corpus: VectorStoreCorpus | None = PrivateAttr(default=None)

    def model_post_init(self, _: Any, /) -> None:
        """Check that the encoder is known, and open the chat model."""
        self._embeddings()
        self._chat = None if self.llm is None else as_chat_model(self.llm)

    def _embeddings(self) -> Any:
        return our_embeddings(self.vectorstore.embeddings if self.embeddings is None else self.embeddings)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        found, notices = run_sync(self._search(query, self.k if k is None else k))
        give(notices)
        return found

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        found, notices = await self._search(query, self.k if k is None else k)
        give(notices)
        return found

    async def _search(self, question: str, k: int) -> tuple[list[Document], list[Notice]]:
        if not isinstance(question, str) or not question.strip():
            raise InputError(f"a question is needed, got {question!r}")
        if k < 1:
            raise InputError(f"k must be 1 or more, got {k}")
        notices: list[Notice] = []
        chat = self._chat
        rewritten = None
        if chat is not None and self.rewrite:
            try:
                rewritten = await rewrite(question, chat, words=self.rewrite_words, meter=Meter())
            except ChatError as problem:
                chat = None if isinstance(problem, ChatUnavailable) else chat  # thirty more calls would fail too
                sentence = f"the question could not be rewritten ({problem}); it was searched with as it is"
                notices.append((RewriteWarning, sentence))
        judge_with = chat if self.rerank else None
        depth = k if judge_with is None else max(k, self.rerank_depth, self.rerank_most)
        hits = await in_worker(self._find, rewritten or question, depth, rewritten is not None)
        if judge_with is not None:
            judged = await judge(
                question,
                hits,
                ChatReranker(judge_with),
                weight=self.weight,
                depth=self.rerank_depth,
                most=self.rerank_most,
            )
            notices += [(RerankWarning, sentence) for sentence in judged.warnings]
            hits = judged.hits
        return await in_worker(self._documents, hits[:k]), notices

    def _find(self, query: str, depth: int, rewritten: bool) -> list[Hit]:
        vector = np.asarray([self._embeddings().embed_query(query)], dtype=np.float32)
        return self._open_corpus().find([query], depth, vectors=vector, rewritten=rewritten)

    def _documents(self, hits: Sequence[Hit]) -> list[Document]:
        documents = self._open_corpus().documents([hit.passage.id for hit in hits])
        return [_with_scores(documents[hit.passage.id], hit) for hit in hits if hit.passage.id in documents]

    def _open_corpus(self) -> VectorStoreCorpus:
        with _opening:
            if self._corpus is None:
                self._corpus = VectorStoreCorpus(self.vectorstore, self._embeddings().encoder, documents=self.documents)
            return self._corpus


_opening = threading.Lock()


def _with_scores(document: Document, hit: Hit) -> Document:
    scores = {
        "dense_score": hit.dense_score,
        "lexical_score": hit.lexical_score,
        "reranker_score": hit.reranker_score,
        "final_score": hit.final_score,
    }
    return document.model_copy(update={"metadata": {**document.metadata, **scores}})
