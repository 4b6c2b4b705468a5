"""`POST /v1/rerank`: the shape of Cohere and Jina, which Open WebUI, Dify and LiteLLM speak.

Two models. `<encoder>-rerank` orders by the encoder's cosines. `reasonir-rerank` lets the chat model score every document
against the question and interpolates with the cosines, as the agent does. Every document of the request is in the
result when `top_n` is absent; none gets an invented score.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Final

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from reasonir_agent.errors import InputError
from reasonir_agent.llm import Meter
from reasonir_agent.reranking import ChatReranker, criteria_named, judge, retriever_scores
from reasonir_agent.server.problems import Problem, documented, shown
from reasonir_agent.server.services import Services
from reasonir_agent.types import Hit, Passage

MODEL: Final = "reasonir-rerank"
"""Name of ReasonIR-Rerank among the models; there when a chat model is."""


class _Request(BaseModel):
    model_config = ConfigDict(strict=True)


class RerankDocument(_Request):
    """A document as an object; other fields of it are ignored."""

    text: str = Field(description="The document's words.")


class RerankRequest(_Request):
    """What is to be ordered. Fields that are not listed (max_chunks_per_doc, rank_fields, truncate ...) are ignored."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "reasonir-mini-rerank",
                    "query": "Why do ducks not freeze to the ice?",
                    "documents": ["Their legs are a counter-current heat exchanger.", "Salt slows the yeast."],
                }
            ]
        }
    )

    model: str = Field(description=f'"<encoder>-rerank": cosines; "{MODEL}": scored by the chat model as well.')
    query: str = Field(description="The question; it is what documents are scored against.")
    documents: list[str | RerankDocument] = Field(min_length=1, description="The documents, texts or {text} objects.")
    top_n: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Number of results; null or absent: all."
    )
    return_documents: bool | None = Field(default=None, description="Repeat each document's text in its result.")


class RankedDocument(BaseModel):
    """A document's text."""

    text: str = Field(description="The document's words.")


class RankedResult(BaseModel):
    """One document's place."""

    index: int = Field(description="Place of the document in the request, counted from 0.")
    relevance_score: float = Field(
        description=f'What the results are ordered by: the cosine, -1 to 1; of "{MODEL}" the interpolated score, 0 to 1.'
    )
    document: RankedDocument | None = Field(
        default=None, description="The document, where return_documents asked for it."
    )


class RerankUsage(BaseModel):
    """Tokens of one request."""

    prompt_tokens: int = Field(description="Tokens that the encoder and the chat model read.")
    total_tokens: int = Field(description="These and the tokens that the chat model wrote.")


class RerankTokens(BaseModel):
    """The same in Cohere's words."""

    input_tokens: int = Field(description="Tokens that the encoder and the chat model read.")
    output_tokens: int = Field(description="Tokens that the chat model wrote.")


class RerankMeta(BaseModel):
    """Beside the results."""

    tokens: RerankTokens = Field(description="What the request cost.")
    warnings: list[str] = Field(description="Sentences about what was degraded; empty when nothing was.")


class RerankResponse(BaseModel):
    """The documents, best first."""

    id: str = Field(description="Id of this reply.")
    model: str = Field(description="The model that ordered.")
    results: list[RankedResult] = Field(description="Best first.")
    usage: RerankUsage = Field(description="What the request cost.")
    meta: RerankMeta = Field(description="Cost in Cohere's words, and warnings.")


def model_names(services: Services) -> list[str]:
    """The reranking models of a server."""
    return [f"{services.encoder_name}-rerank", *([] if services.chat is None else [MODEL])]


def router(services: Services) -> APIRouter:
    """The routes; the paths without `/v1` and with `/v2` are those that some clients build."""
    routes = APIRouter(tags=["rerank"])

    @routes.post("/rerank", include_in_schema=False, response_model_exclude_none=True)
    @routes.post("/v2/rerank", include_in_schema=False, response_model_exclude_none=True)
    @routes.post(
        "/v1/rerank",
        summary="Order documents by how much they help with a question",
        response_model_exclude_none=True,
        responses=documented(404, 501, 502),
    )
    async def rerank(request: RerankRequest) -> RerankResponse:
        """In the shape of Cohere and Jina: results are sorted, best first, and hold every document unless `top_n` is given.

        The model `<encoder>-rerank` orders by cosines. `reasonir-rerank` also asks the chat model, once for each
        document; a document without a readable score takes the mean of the others, and when more than a quarter have none
        the cosines stand: `meta.warnings` says so.
        """
        return await _Ranking(services, request).reply()

    return routes


class _Ranking:
    """One request on its way."""

    def __init__(self, services: Services, request: RerankRequest) -> None:
        self._services, self._request = services, request
        self._texts = [one if isinstance(one, str) else one.text for one in request.documents]
        self._meter = Meter()
        self._warnings: list[str] = []
        self._tokens = 0
        self._check()

    def _check(self) -> None:
        names = model_names(self._services)
        if self._request.model == MODEL and MODEL not in names:
            raise Problem(
                501,
                f"the model {MODEL!r} needs a chat model, and this server has none; start it with --llm provider:model, "
                f"or use {names[0]!r}",
                kind="not_available",
                param="model",
                code="no_chat_model",
            )
        if self._request.model not in names:
            raise Problem(
                404,
                f"there is no reranking model {shown(self._request.model)}; there is {' and '.join(names)}",
                param="model",
                code="model_not_found",
            )
        self._services.limits.check_texts([self._request.query], param="query")
        self._services.limits.check_texts(self._texts, param="documents")
        if not self._request.query.strip():
            raise InputError("a query is needed, got an empty text")

    async def reply(self) -> RerankResponse:
        """The documents, best first."""
        hits = await self._by_cosine()
        if self._request.model == MODEL:
            hits = await self._judged(hits)
        prompt, written = self._tokens + self._meter.prompt_tokens, self._meter.completion_tokens
        return RerankResponse(
            id=f"rerank-{uuid.uuid4().hex}",
            model=self._request.model,
            results=[self._result(hit) for hit in hits[: self._request.top_n]],
            usage=RerankUsage(prompt_tokens=prompt, total_tokens=prompt + written),
            meta=RerankMeta(tokens=RerankTokens(input_tokens=prompt, output_tokens=written), warnings=self._warnings),
        )

    async def _by_cosine(self) -> list[Hit]:
        query, documents = await asyncio.gather(
            self._services.batcher.encode([self._request.query], "query"),
            self._services.batcher.encode(self._texts, "document"),
        )
        self._tokens = query.tokens + documents.tokens
        cosines = (documents.vectors @ query.vectors[0]).tolist()
        scores = retriever_scores(self._request.query, self._texts, known=cosines)
        hits = [
            # ids in the order of the request, since equal scores are ordered by them
            Hit(Passage(f"{number:09d}", "", 0, len(text), text), score, final_score=score)
            for number, (text, score) in enumerate(zip(self._texts, scores, strict=True))
        ]
        return _best_first(hits)

    async def _judged(self, hits: Sequence[Hit]) -> list[Hit]:
        """Scored by the chat model; an empty document is not worth a request and gets 0."""
        assert self._services.chat is not None
        asked = [hit for hit in hits if hit.passage.text.strip()]
        empty = [replace(hit, final_score=0.0) for hit in hits if not hit.passage.text.strip()]
        judged = await judge(
            self._request.query,
            asked,
            ChatReranker(self._services.chat, criteria_named(self._services.settings.rerank_criteria)),
            weight=self._services.settings.rerank_weight,
            meter=self._meter,
        )
        self._warnings += judged.warnings
        return _best_first([*judged.hits, *empty])

    def _result(self, hit: Hit) -> RankedResult:
        document = RankedDocument(text=hit.passage.text) if self._request.return_documents else None
        return RankedResult(index=int(hit.passage.id), relevance_score=hit.final_score, document=document)


def _best_first(hits: Sequence[Hit]) -> list[Hit]:
    """By final score; equal ones stay in their order."""
    return sorted(hits, key=lambda hit: -hit.final_score)
