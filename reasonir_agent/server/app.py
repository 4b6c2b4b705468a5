"""The application: routers, middleware in their order, /health, /metrics and the OpenAPI page.

A request passes, from outside in: `Observer` (counts), `Catcher` (answers failures), `Guard` (who), `Gate` (how much),
then the routes. The page at /docs loads its scripts from a public CDN; /openapi.json needs nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Response
from pydantic import BaseModel
from starlette.middleware import Middleware

from reasonir_agent._version import __version__
from reasonir_agent.encoder import EncoderWarning
from reasonir_agent.server import chat, embeddings, models, rerank, search
from reasonir_agent.server.limits import OPEN_PATHS, Gate
from reasonir_agent.server.metrics import CONTENT_TYPE, Observer
from reasonir_agent.server.problems import Catcher, ErrorReply, install
from reasonir_agent.server.security import LOOPBACK_NAMES, Guard
from reasonir_agent.server.services import Services

_ABOUT: Final = (
    "Embeddings and reranking by a retriever for questions that need reasoning, search over an indexed corpus, and "
    "answers with checked citations. `/v1/*` speaks OpenAI's protocol (embeddings, chat completions, models) and "
    "Cohere's and Jina's (rerank)."
)
_ANYWHERE: Final = {"403": "The Host or Origin header names somebody else.", "500": "A failure inside."}
_GATED: Final = {
    "400": "Wrong input.",
    "408": "The body came too slowly.",
    "413": "Larger than the limits.",
    "503": "Overloaded; Retry-After says when to come again.",
    "504": "It took too long.",
}
"""Replies that any route behind the gate may give, beside its own."""


class Health(BaseModel):
    """The server's state.

    Attributes:
        status: "ok".
        encoder: name of the encoder.
        dim: length of its vectors.
        passages: of the corpus, None without one.
        chat: name of the chat model, None without one.
        version: of reasonir-agent.
    """

    status: str
    encoder: str
    dim: int
    passages: int | None
    chat: str | None
    version: str


def create_app(
    services: Services, *, token: str | None = None, hosts: Collection[str] | None = LOOPBACK_NAMES
) -> FastAPI:
    """Build the application.

    Args:
        services: what the routes work with.
        token: the bearer token that everything but /health wants; None for none.
        hosts: names that the Host header may have; None for any, right only where a token is set.
    """
    app = FastAPI(
        title="reasonir-agent",
        version=__version__,
        description=_ABOUT,
        lifespan=_lifespan(services),
        middleware=[
            Middleware(Observer, metrics=services.metrics),
            Middleware(Catcher),
            Middleware(Guard, token=token, hosts=hosts),
            Middleware(Gate, limits=services.limits),
        ],
    )
    install(app)
    for part in (embeddings, models, rerank, chat, search):
        app.include_router(part.router(services))
    app.include_router(_state(services))
    _describe_failures(app, needs_token=token is not None)
    return app


def _lifespan(services: Services) -> Any:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # cut and empty texts are counted by the metrics; a line in the log for each request would tell nobody more
        warnings.filterwarnings("ignore", category=EncoderWarning)
        yield
        services.batcher.close()

    return lifespan


def _state(services: Services) -> APIRouter:
    router = APIRouter(tags=["state"])

    @router.get("/health", summary="What is served")
    async def health() -> Health:
        """Answers without a token, and when everything else is busy."""
        return Health(
            status="ok",
            encoder=services.encoder_name,
            dim=services.encoder.dim,
            passages=None if services.corpus is None else services.corpus.size,
            chat=None if services.chat is None else services.chat.name,
            version=__version__,
        )

    @router.get(
        "/metrics",
        summary="Counters for Prometheus",
        response_class=Response,
        responses={200: {"content": {CONTENT_TYPE: {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        """Requests, texts, tokens, batches, queue and failures in Prometheus' text format."""
        return Response(services.metrics.exposition(), media_type=CONTENT_TYPE)

    return router


def _describe_failures(app: FastAPI, *, needs_token: bool) -> None:
    """Put the common failures into the OpenAPI page: wrong input is 400 here, where the framework would say 422."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema:
            return app.openapi_schema
        page = plain()
        schemas = page.setdefault("components", {}).setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        reply = ErrorReply.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(reply.pop("$defs"))
        schemas["ErrorReply"] = reply
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorReply"}}}
        for path, operations in page["paths"].items():
            for operation in operations.values():
                replies = operation["responses"]
                replies.pop("422", None)
                for status, words in {**_ANYWHERE, **({} if path in OPEN_PATHS else _GATED)}.items():
                    replies.setdefault(status, {"description": words, "content": content})
                if needs_token and path != "/health":
                    replies["401"] = {"description": "Token missing or wrong.", "content": content}
                    operation["security"] = [{"token": []}]
        if needs_token:
            page["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        return page

    app.openapi = described  # type: ignore[method-assign]
