"""Failures as HTTP: one shape for every route, `{"error": {"message", "type", "param", "code"}}`, as OpenAI's clients read it.

    400  wrong input, whether a schema or our own check found it       401  token missing or wrong
    403  Host or Origin of somebody else                               404, 405  no such route
    408  the body came too slowly                                      413  larger than the limits
    500  a failure inside: one sentence, no traceback, no text of the request
    501  the route needs a store or a chat model that is not there     502  the chat model's or encoder's server failed
    503  overloaded, or the store is being written (Retry-After)       504  it took longer than the time-out

Wrong input is 400 everywhere, never 422: clients of OpenAI know no other.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

from reasonir_agent.errors import (
    ChatError,
    CheckpointError,
    EncoderError,
    EncoderMismatch,
    InputError,
    ReasonIRError,
    missing_extra,
    redact,
)
from reasonir_agent.stores.lock import StoreBusy

try:
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException
    from starlette.responses import JSONResponse
except ModuleNotFoundError as cause:
    raise missing_extra("serve", "the HTTP server", cause) from cause

if TYPE_CHECKING:
    from fastapi import FastAPI, Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

RETRY_AFTER: Final = 2
"""Seconds after which a client that found the server busy may come again."""

CLIENT_GONE: Final = 499
"""Status for a client that left before its answer; nobody reads it but the metrics."""

_log = logging.getLogger("reasonir_agent.server")


class ErrorBody(BaseModel):
    """What went wrong.

    Attributes:
        message: one sentence: what was expected, what came, what to do.
        type: kind of failure.
        param: the field that was wrong, where one was.
        code: a word for programs, where there is one.
    """

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorReply(BaseModel):
    """The reply of every route that failed."""

    error: ErrorBody


class Problem(ReasonIRError):
    """A failure with its HTTP status.

    Args:
        status: HTTP status.
        message: one sentence.
        kind: OpenAI's `type`.
        param: the field that is wrong.
        code: a word for programs.
        headers: further headers of the reply.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.param, self.code = status, kind, param, code
        self.headers = dict(headers or {})

    def as_json(self) -> dict[str, Any]:
        """The body of the reply."""
        message = redact(str(self)).encode("utf-8", "replace").decode()  # a lone surrogate has no bytes
        return {"error": {"message": message, "type": self.kind, "param": self.param, "code": self.code}}


def busy(message: str) -> Problem:
    """503 with Retry-After: the same request may succeed later."""
    return Problem(503, message, kind="overloaded_error", code="overloaded", headers={"Retry-After": str(RETRY_AFTER)})


def problem_of(error: Exception) -> Problem:
    """The reply that an error of ours, of the framework, or of nobody's deserves."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    if isinstance(error, HTTPException):
        return _http(error)
    if isinstance(error, StoreBusy):
        return busy(str(error))
    if isinstance(error, (ChatError, EncoderError)):
        return Problem(502, str(error), kind="upstream_error", code=type(error).__name__)
    if isinstance(error, InputError) and not isinstance(error, (EncoderMismatch, CheckpointError)):
        return Problem(400, str(error))
    if isinstance(error, ReasonIRError):  # the operator's to mend: a store, a checkpoint, a package
        return Problem(500, str(error), kind="server_error", code=type(error).__name__)
    _log.error("a request failed: %s at %s", type(error).__name__, _place(error))
    return Problem(500, f"the server failed inside ({type(error).__name__}); its log says where", kind="server_error")


def reply(problem: Problem) -> JSONResponse:
    """The problem as a response."""
    return JSONResponse(problem.as_json(), status_code=problem.status, headers=problem.headers)


def install(app: FastAPI) -> None:
    """Answer the errors that routes raise."""

    async def answer(_: Request, error: Exception) -> JSONResponse:
        return reply(problem_of(error))

    for kind in (ReasonIRError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, answer)


class Catcher:
    """Middleware that answers whatever nobody else did; nothing reaches the server's own traceback log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application; a reply that has begun is broken off, for there is no honest way to end it."""
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            problem = problem_of(error)
            if scope["type"] == "http" and not has_begun:
                await reply(problem)(scope, receive, send)


def kind_of(value: object) -> str:
    """What a JSON value is, for a message."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")


def shown(value: object) -> str:
    """A JSON value for a message: short, and of a large one only its kind."""
    return repr(value)[:80] if isinstance(value, (str, int, float)) else kind_of(value)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route for these statuses, all of the one shape."""
    return {status: {"model": ErrorReply, "description": HTTPStatus(status).phrase} for status in statuses}


def _invalid(error: RequestValidationError) -> Problem:
    first = error.errors()[0]
    where = [str(part) for part in first["loc"][1:]]  # the first part says whether body, path or header
    if first["type"] == "json_invalid":
        return Problem(400, "the body is no JSON", code="invalid_json")
    message = str(first["msg"]).removeprefix("Value error, ")
    param = ".".join(where) or None
    return Problem(400, f"{param or 'the request'}: {message}", param=param)


def _http(error: HTTPException) -> Problem:
    said = str(error.detail)
    words = (
        {
            404: "there is no such route; /openapi.json lists them",
            405: "this route knows no such method; /openapi.json lists them",
        }.get(error.status_code, said)
        if said == HTTPStatus(error.status_code).phrase
        else said
    )
    return Problem(error.status_code, words, headers=error.headers)


def _place(error: BaseException) -> str:
    """File and line where it was raised; never its text, which may quote the request."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"
