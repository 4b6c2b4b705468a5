"""`ReasonIRReranker`: a chat model scores documents against the question, interpolated with the retriever's cosine.

LangChain hands over documents without their scores. The cosine is read from a key of the metadata, else question and
documents are encoded again, else ranks stand in for it. No document is lost, none is changed: copies come back, with
`retriever_score`, `reranker_score` and `final_score` in their metadata.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import Embeddings
from pydantic import ConfigDict, Field, PrivateAttr

from langchain_reasonir.notices import Notice, RerankWarning, give
from langchain_reasonir.sharing import encoder_of
from langchain_reasonir.waiting import in_worker
from reasonir_agent.bridge import run_sync
from reasonir_agent.errors import InputError
from reasonir_agent.llm import ChatModel, as_chat_model
from reasonir_agent.reranking import ChatReranker, judge, retriever_scores
from reasonir_agent.stores.vector_store import as_passage
from reasonir_agent.types import Encoder, Hit

_ROUNDING = 1e-3  # what a cosine may exceed 1 by


class ReasonIRReranker(BaseDocumentCompressor):
    """Reranks documents with a chat model; for `ContextualCompressionRetriever`, or by itself.

    Attributes:
        llm: "provider:model", a LangChain chat model, or a `ChatModel` of reasonir_agent.
        top_n: documents that are returned; None returns all.
        weight: of the reranker's score in `final_score`, 0 to 1; the rest is the retriever's cosine.
        embeddings: `ReasonIREmbeddings` to encode with where the cosines are not known.
        encoder: the same, as an encoder.
        score_key: key of the metadata that holds the retriever's cosine; `ReasonIRRetriever` writes "dense_score".

    Raises:
        ValidationError: an argument cannot be used; it holds our sentence.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", hide_input_in_errors=True)

    llm: Any = Field(repr=False, exclude=True)
    top_n: int | None = Field(default=None, ge=1)
    weight: float = Field(default=0.5, ge=0, le=1)
    embeddings: Embeddings | None = Field(default=None, exclude=True)
    encoder: Any = Field(default=None, repr=False, exclude=True)
    score_key: str | None = "dense_score"

    _chat: ChatModel = PrivateAttr()

    def model_post_init(self, _: Any, /) -> None:
        """Open the chat model."""
        self._chat = as_chat_model(self.llm)
        if self.embeddings is not None and self.encoder is not None:
            raise InputError("give embeddings or encoder, not both")

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """The documents, best first.

        Args:
            documents: in the retriever's order.
            query: the question as it was asked.
            callbacks: not used.

        Raises:
            InputError: the question is empty.
        """
        found, notices = run_sync(self._rerank(documents, query))
        give(notices)
        return found

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """As `compress_documents`; the chat model is awaited, the encoder works in a thread."""
        found, notices = await self._rerank(documents, query)
        give(notices)
        return found

    async def _rerank(self, documents: Sequence[Document], query: str) -> tuple[list[Document], list[Notice]]:
        if not query.strip():
            raise InputError("a question is needed, got an empty text")
        if not documents:
            return [], []
        known, notices = self._known(documents)
        texts = [document.page_content for document in documents]
        cosines = await in_worker(self._scores, query, texts, known)
        passages = [as_passage(document) for document in documents]
        hits = [Hit(one, cosine, final_score=_clipped(cosine)) for one, cosine in zip(passages, cosines, strict=True)]
        judged = await judge(query, hits, ChatReranker(self._chat), weight=self.weight)
        notices += [(RerankWarning, sentence) for sentence in judged.warnings]
        places = {id(passage): place for place, passage in enumerate(passages)}  # two documents may be equal
        found = [_with_scores(documents[places[id(hit.passage)]], hit) for hit in judged.hits]
        return found[: self.top_n], notices

    def _known(self, documents: Sequence[Document]) -> tuple[list[float | None], list[Notice]]:
        """The cosines in the metadata; none, with a notice, when they cannot be cosines."""
        if self.score_key is None:
            return [], []
        given = [document.metadata.get(self.score_key) for document in documents]
        known = [float(one) if isinstance(one, (int, float)) and not isinstance(one, bool) else None for one in given]
        wrong = next((one for one in known if one is not None and not abs(one) <= 1 + _ROUNDING), None)
        if wrong is None:
            return known, []
        sentence = f"{self.score_key!r} in the metadata holds {wrong}, expected a cosine from -1 to 1; it is not used"
        return [], [(RerankWarning, sentence)]

    def _scores(self, query: str, texts: list[str], known: list[float | None]) -> list[float]:
        return retriever_scores(query, texts, known=known, encoder=self._encoder())

    def _encoder(self) -> Encoder | None:
        if self.embeddings is not None:
            return encoder_of(self.embeddings)
        encoder: Encoder | None = self.encoder
        return encoder


def _with_scores(document: Document, hit: Hit) -> Document:
    scores = {
        "retriever_score": _clipped(hit.dense_score),
        "reranker_score": hit.reranker_score,
        "final_score": hit.final_score,
    }
    return document.model_copy(update={"metadata": {**document.metadata, **scores}})


def _clipped(cosine: float) -> float:
    return min(1.0, max(0.0, cosine))
