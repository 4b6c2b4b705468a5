"""`/v1/embeddings`, in OpenAI's shape.

A question and a passage are encoded by separate roads, and OpenAI's request has no field for it. The road is therefore in
the model's name (`NAME-query`, `NAME-document`) or in `input_type`, as Cohere, NVIDIA and Jina call it; a request that
tells neither is refused, because a role cannot be guessed.

Texts reach the encoder byte for byte. As at OpenAI, an empty string is refused; a text without a single token for the
encoder (white space) gets a vector of zeros, as everywhere in this package, and is counted in /metrics. Token numbers are
refused: they are another model's. `dimensions` may be the encoder's own. `user` and unknown fields are ignored.
"""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from reasonir_agent.server.models import names, unknown_model
from reasonir_agent.server.problems import Problem, documented, kind_of, shown

if TYPE_CHECKING:
    from reasonir_agent.server.batching import Encoded, Role
    from reasonir_agent.server.services import Services
    from reasonir_agent.types import FloatMatrix

_ROLES: Final[dict[str, Role]] = {
    "query": "query",
    "search_query": "query",
    "document": "document",
    "search_document": "document",
    "passage": "document",
}
"""Values of `input_type`."""

_FORMATS: Final = ("float", "base64")


class Embedding(BaseModel):
    """One vector.

    Attributes:
        object: "embedding".
        index: number of its text in the request.
        embedding: the numbers, or their little-endian float32 bytes in base64.
    """

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(BaseModel):
    """Tokens of the texts, each counted alone."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(BaseModel):
    """The vectors, in the order of the texts."""

    object: Literal["list"]
    model: str
    data: list[Embedding]
    usage: EmbeddingUsage


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """A request that was understood."""

    texts: list[str]
    role: Role
    model: str
    as_base64: bool


def router(services: Services) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1", tags=["embeddings"])

    @routes.post(
        "/embeddings",
        summary="Texts to vectors",
        responses={200: {"model": Embeddings}, **documented(502)},
        response_class=Response,
        openapi_extra={"requestBody": _described(services)},
    )
    async def embeddings(request: Request) -> Response:
        """Unit vectors of questions (model `NAME-query`) or of passages (model `NAME-document`).

        With the model `NAME`, `input_type` says which: "query" or "search_query", "document", "search_document" or
        "passage". Of two equal texts the vectors are equal. A document longer than the encoder's window is cut there; a
        question never is.
        """
        wanted = read_request(read_object(await request.body()), services)
        found = await services.batcher.encode(wanted.texts, wanted.role)
        # numbers as text take 0.3 ms a vector: thousands of them would hold up everybody on the event loop
        body = written(found, wanted) if wanted.as_base64 else await asyncio.to_thread(written, found, wanted)
        return Response(body, media_type="application/json")

    return routes


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body.

    Raises:
        Problem: 400, it is none.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as cause:
        raise Problem(400, "the body is no JSON", code="invalid_json") from cause
    if not isinstance(found, dict):
        raise Problem(400, f"the body must be a JSON object, got {kind_of(found)}", code="invalid_json")
    return found


def read_request(given: dict[str, Any], services: Services) -> EmbeddingRequest:
    """Understand a request.

    Raises:
        Problem: 400 or 413, in words.
    """
    role = _role(given, services)
    chosen = given.get("encoding_format")
    if chosen is not None and chosen not in _FORMATS:
        raise Problem(400, f"encoding_format must be float or base64, got {shown(chosen)}", param="encoding_format")
    dimensions, dim = given.get("dimensions"), services.encoder.dim
    if dimensions is not None and (isinstance(dimensions, bool) or dimensions != dim):
        raise Problem(
            400,
            f"this encoder's vectors have {dim} numbers and cannot be shortened; got dimensions {shown(dimensions)}",
            param="dimensions",
        )
    texts = _texts(given.get("input"))
    services.limits.check_texts(texts, param="input")
    return EmbeddingRequest(texts, role, given["model"], chosen == "base64")


def written(found: Encoded, wanted: EmbeddingRequest) -> bytes:
    """The reply's body."""
    rows = _base64(found.vectors) if wanted.as_base64 else _numbers(found.vectors)
    data = ",".join(f'{{"object":"embedding","index":{i},"embedding":{row}}}' for i, row in enumerate(rows))
    usage = json.dumps({"prompt_tokens": found.tokens, "total_tokens": found.tokens})
    return f'{{"object":"list","model":{json.dumps(wanted.model)},"data":[{data}],"usage":{usage}}}'.encode()


def _base64(vectors: FloatMatrix) -> list[str]:
    return [f'"{base64.b64encode(row.tobytes()).decode()}"' for row in vectors.astype("<f4")]


def _numbers(vectors: FloatMatrix) -> list[str]:
    return [json.dumps(row) for row in vectors.tolist()]


def _role(given: dict[str, Any], services: Services) -> Role:
    name, model, said = services.encoder_name, given.get("model"), given.get("input_type")
    if said is not None and (not isinstance(said, str) or said not in _ROLES):
        raise Problem(400, f"input_type must be one of {', '.join(_ROLES)}; got {shown(said)}", param="input_type")
    by_type = None if said is None else _ROLES[said]
    if model == name:
        if by_type is None:
            raise Problem(
                400,
                f"the model {name} encodes questions and passages differently and cannot guess which these are: use the "
                f"model {name}-query or {name}-document, or send input_type",
                param="input_type",
            )
        return by_type
    role = names(services).get(model) if isinstance(model, str) else None
    if role is None:
        raise unknown_model(model, services, embeds=True)
    if by_type not in (None, role):
        raise Problem(
            400, f"the model {model} contradicts input_type {said!r}; send one of the two", param="input_type"
        )
    return role


def _texts(given: object) -> list[str]:
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list):
        raise _wrong_input(f"input must be a text or a list of texts, got {kind_of(given)}")
    if not given:
        raise _wrong_input("input is an empty list; send at least one text")
    for number, text in enumerate(given):
        if isinstance(text, (int, list)) and not isinstance(text, bool):
            raise _wrong_input("input must be texts; token numbers are another model's and mean nothing here")
        if not isinstance(text, str):
            raise _wrong_input(f"input must be a text or a list of texts, got {kind_of(text)} at input[{number}]")
        if not text:
            raise _wrong_input(f"an empty text has no vector, got one at input[{number}]; leave it out")
    return given


def _wrong_input(message: str) -> Problem:
    return Problem(400, message, param="input")


def _described(services: Services) -> dict[str, Any]:
    """The request body for the OpenAPI page: as narrow as what is accepted."""
    name, limits = services.encoder_name, services.limits
    text = {"type": "string", "minLength": 1, "maxLength": limits.characters}
    common: dict[str, Any] = {
        "input": {
            "description": "A text, or a list of texts.",
            "anyOf": [text, {"type": "array", "items": text, "minItems": 1, "maxItems": limits.texts}],
        },
        "encoding_format": {"enum": [*_FORMATS, None], "description": "Numbers, or float32 bytes in base64."},
        "dimensions": {"enum": [services.encoder.dim, None], "description": "The encoder's own, or nothing."},
        "user": {"description": "Ignored."},
    }
    by_name = [
        _variant(common, f"{name}-{role}", [*(said for said, its in _ROLES.items() if its == role), None], ())
        for role in ("query", "document")
    ]
    by_type = _variant(common, name, list(_ROLES), ("input_type",))
    schema = {"title": "EmbeddingRequest", "anyOf": [*by_name, by_type]}
    example = {"model": f"{name}-query", "input": ["Why do ducks not freeze to the ice?"]}
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


def _variant(
    common: dict[str, Any], model: str, input_types: list[str | None], required: tuple[str, ...]
) -> dict[str, Any]:
    properties = {"model": {"enum": [model]}, **common, "input_type": {"enum": input_types}}
    return {"type": "object", "required": ["model", "input", *required], "properties": properties}
