"""`POST /search` and `POST /ask`: the agent over JSON, with exactly what `reasonir search --json` and `ask --json` print.

They work as the server was started: with a chat model questions are rewritten and passages reranked, without one they are
searched as they are. Nothing here blocks the event loop, and a client that leaves stops its requests to the chat model.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Final

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from reasonir_agent.agent.api import ask_async, search_async
from reasonir_agent.config import AgentSettings
from reasonir_agent.server.problems import documented
from reasonir_agent.server.results import AnswerBody, SearchBody
from reasonir_agent.server.services import Services

MOST_HITS: Final = 100
"""With a chat model every one of them is scored by a request of its own."""


class QuestionRequest(BaseModel):
    """A question, and how to search for it."""

    model_config = ConfigDict(
        strict=True,
        json_schema_extra={"examples": [{"question": "Why do ducks not freeze to the ice?", "k": 8}]},
    )

    question: str = Field(description="The question, as a person would ask it.")
    k: Annotated[int, Field(ge=1, le=MOST_HITS)] | None = Field(
        default=None, description="Number of passages; null or absent: as the server was started."
    )
    where: list[str] | None = Field(
        default=None,
        description="Filters over the documents' metadata; all must hold.",
        examples=[["type=pdf", "date>=2024-03", "source=notes/*"]],
    )
    rewrite: bool | None = Field(
        default=None,
        description="Whether the chat model rewrites the question into a long query first; null or absent: as the server "
        "was started. Without a chat model nothing is rewritten.",
    )

    def settings(self, usual: AgentSettings) -> AgentSettings:
        """The server's settings with what this request changes."""
        return replace(
            usual,
            k=usual.k if self.k is None else self.k,
            rewrite=usual.rewrite if self.rewrite is None else self.rewrite,
        )


def router(services: Services) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["search"])

    @routes.post("/search", summary="Find passages that help with a question", responses=documented(501, 502))
    async def search(request: QuestionRequest) -> SearchBody:
        """Passages, best first. With a chat model the question is rewritten and the passages are reranked."""
        corpus = services.need_corpus()
        _check_size(request, services)
        result = await search_async(
            request.question,
            store=corpus,
            chat_model=services.chat,
            settings=request.settings(services.settings),
            where=request.where or (),
        )
        return SearchBody.of(result)

    @routes.post("/ask", summary="Answer a question from the corpus", responses=documented(501, 502))
    async def ask(request: QuestionRequest) -> AnswerBody:
        """An answer with citations that were checked, or an abstention.

        Without a chat model the answer is made of sentences from the passages. `warnings` says what was degraded.
        """
        corpus = services.need_corpus()
        _check_size(request, services)
        answer = await ask_async(
            request.question,
            store=corpus,
            chat_model=services.chat,
            settings=request.settings(services.settings),
            where=request.where or (),
        )
        return AnswerBody.of(answer)

    return routes


def _check_size(request: QuestionRequest, services: Services) -> None:
    services.limits.check_texts([request.question], param="question")
    services.limits.check_texts(request.where or (), param="where")
