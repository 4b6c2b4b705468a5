"""A call as a line of a batch's input, and a line of its output as a reply. Read as the live way reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

from reasonir_agent.errors import redact
from reasonir_agent.llm import Reply
from reasonir_agent.llm.replies import as_reply
from reasonir_trainer.synthesis.calling import Call

ENDPOINT: Final = "/v1/chat/completions"
_LASTING: Final = (400, 401, 403, 404, 413, 422)


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """What every request of a run says beside its messages.

    Attributes:
        model: name of the model at the server.
        temperature: None leaves the server's default.
        reply_tokens: bound on a reply; None sets none.
    """

    model: str
    temperature: float | None = None
    reply_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A request of a batch that got no reply.

    Attributes:
        message: why, in the server's words.
        is_lasting: whether the same request would fail again.
    """

    message: str
    is_lasting: bool


def as_request(call: Call, options: ModelOptions, *, plain: bool = False) -> dict[str, Any]:
    """A call as an object of the input file.

    Args:
        call: what is asked.
        options: of the run.
        plain: leave out the shape of the reply, for servers that refuse it.
    """
    messages = [{"role": role, "content": text} for role, text in call.messages]
    body: dict[str, Any] = {"model": options.model, "messages": messages}
    if options.temperature is not None:
        body["temperature"] = options.temperature
    if options.reply_tokens is not None:
        body["max_completion_tokens"] = options.reply_tokens
    if call.shape is not None and not plain:
        described = {"name": call.shape.__name__, "schema": call.shape.model_json_schema()}
        body["response_format"] = {"type": "json_schema", "json_schema": described}
    return {"custom_id": call.key, "method": "POST", "url": ENDPOINT, "body": body}


def read_output(content: bytes) -> Iterator[tuple[str, Reply | Refused]]:
    """(key, reply or refusal) of every line of an output or error file; lines that say nothing are passed over."""
    for line in content.split(b"\n"):  # and not by splitlines: texts hold separators of other kinds
        try:
            found = json.loads(line)
            key, response = str(found["custom_id"]), found.get("response") or {}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
        yield key, _read(response, found.get("error"))


def _read(response: Any, error: Any) -> Reply | Refused:
    answer = response if isinstance(response, dict) else {}
    status, body = answer.get("status_code"), answer.get("body")
    told = error
    if isinstance(body, dict):
        try:
            if status == 200:
                return as_reply(_message(body))
        except (KeyError, TypeError, IndexError, AttributeError):
            pass
        told = error or body.get("error")
    message = told.get("message") if isinstance(told, dict) else None
    return Refused(redact(str(message or f"no chat completion (HTTP {status})"))[:300], status in _LASTING)


def _message(body: dict[str, Any]) -> Any:
    """A completion in the words of LangChain's messages, so that one piece of code reads both."""
    choice, usage = body["choices"][0], body.get("usage") or {}
    said = choice["message"]
    return SimpleNamespace(
        content=said.get("content") or "",
        usage_metadata={"input_tokens": usage.get("prompt_tokens"), "output_tokens": usage.get("completion_tokens")},
        response_metadata={"finish_reason": choice.get("finish_reason")},
        additional_kwargs={"refusal": said.get("refusal")},
    )
