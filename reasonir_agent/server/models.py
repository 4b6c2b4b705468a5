"""`/v1/models`: both roads of the encoder, the rerankers and, where there is a store, the agent as a chat model. In OpenAI's shape.

Each of the encoder's models carries the field `reasonir` with its fingerprint, role, dimension and window: a remote encoder
of this package reads it, finds both models, and knows that the vectors may stand beside local ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel

from reasonir_agent.server.problems import Problem, documented, shown
from reasonir_agent.server.rerank import model_names as rerankers
from reasonir_agent.server.services import AGENT_MODEL

if TYPE_CHECKING:
    from reasonir_agent.server.batching import Role
    from reasonir_agent.server.services import Services


class RoleInfo(BaseModel):
    """What a remote encoder of this package needs to know of a model.

    Attributes:
        fingerprint: what makes its vectors comparable.
        role: which road its texts take.
        dim: length of a vector.
        window: tokens that one forward pass reads.
    """

    fingerprint: dict[str, Any]
    role: Literal["query", "document"]
    dim: int
    window: int


class Model(BaseModel):
    """One model, in OpenAI's shape; `reasonir` stands at the encoder's models only."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "reasonir-agent"
    reasonir: RoleInfo | None = None


class Models(BaseModel):
    """All models of this server."""

    object: Literal["list"] = "list"
    data: list[Model]


def router(services: Services) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1", tags=["models"])
    known = Models(data=_models(services))  # once, before the first request: the fingerprint hashes the weights

    @routes.get("/models", summary="The models of this server", response_model_exclude_none=True)
    async def models() -> Models:
        """Both roads of the encoder, the rerankers and, where there is a store, the agent."""
        return known

    @routes.get(
        "/models/{name:path}",
        summary="One model",
        response_model_exclude_none=True,
        responses=documented(404),
    )
    async def model(name: str) -> Model:
        """One of the models that /v1/models lists."""
        for one in known.data:
            if one.id == name:
                return one
        raise unknown_model(name, services)

    return routes


def names(services: Services) -> dict[str, Role | None]:
    """The models and their roles; None are the rerankers and the agent."""
    name = services.encoder_name
    found: dict[str, Role | None] = {f"{name}-query": "query", f"{name}-document": "document"}
    found |= dict.fromkeys(rerankers(services))
    return found if services.corpus is None else {**found, AGENT_MODEL: None}


def unknown_model(model: object, services: Services, *, embeds: bool = False) -> Problem:
    """404 in words for a model that is not here, 400 where none was named.

    Args:
        model: what was asked for.
        services: what there is.
        embeds: whether an embedding model was wanted; only those are named then.
    """
    there = ", ".join(name for name, role in names(services).items() if role is not None or not embeds)
    if model is None:
        return Problem(400, f"a model must be named; there are {there}", param="model")
    return Problem(404, f"there is no model {shown(model)}; there are {there}", param="model", code="model_not_found")


def _models(services: Services) -> list[Model]:
    encoder = services.encoder
    fingerprint = encoder.fingerprint.as_json()

    def info(role: Role | None) -> RoleInfo | None:
        if role is None:
            return None
        return RoleInfo(fingerprint=fingerprint, role=role, dim=encoder.dim, window=encoder.window)

    return [Model(id=name, reasonir=info(role)) for name, role in names(services).items()]
