"""Chat models by "provider:model": one place for opening them, calling them, and reading what they say.

Every call gives a `Reply`: the text without the model's thinking, the thinking, and the tokens it cost. Failures are
ours: `ChatUnavailable` when no call can succeed (no connection, key refused, unknown model), `ChatError` otherwise.
Replies are untrusted text; `read_json` checks them against a pydantic model and never guesses.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from weakref import WeakKeyDictionary

from pydantic import BaseModel, ValidationError

from reasonir_agent.bridge import on_our_loop
from reasonir_agent.errors import (
    ChatError,
    ChatUnavailable,
    InputError,
    UnreadableReply,
    missing_extra,
    redact,
)

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

Parsed = TypeVar("Parsed", bound=BaseModel)

ATTEMPTS: Final = 2
"""How often a structured reply is asked for: once, and once more with the error told to the model."""

_BEGINNING: Final = re.compile(r'\{(?=\s*["}])')
_MOST_FAILURES: Final = 100  # each costs time in proportion to the text; prose has a few braces, garbage thousands
_LADDER: Final = ("json_schema", "json_object", "plain")


class Talks(Protocol):
    """What a chat model underneath must do: LangChain's chat models do, and an adapter of any other framework may."""

    async def ainvoke(self, input: Any, **kwargs: Any) -> Any:
        """Answer (role, text) pairs with an object that has `content`, and `usage_metadata` where tokens are known.

        An option that it does not know, such as `response_format`, raises TypeError; it is called again without.
        """
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said.

    Attributes:
        text: the reply without its thinking.
        thinking: what stood before `</think>`, or "".
        prompt_tokens: as reported, 0 where the server reports nothing.
        completion_tokens: likewise.
    """

    text: str
    thinking: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(slots=True)
class Meter:
    """Counts calls and tokens of one question."""

    llm_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, reply: Reply) -> None:
        """Count one reply."""
        self.llm_calls += 1
        self.prompt_tokens += reply.prompt_tokens
        self.completion_tokens += reply.completion_tokens


@dataclass(slots=True)
class ChatModel:
    """A chat model with our errors.

    Attributes:
        model: the LangChain model underneath, or whatever talks like one.
        name: for messages.
        concurrency: most requests under way.
        own_loop: make the requests on the process's own event loop. The provider's client keeps connections, and those
            break when the loop that opened them ends; a model that the caller opened stays on the caller's loop.
    """

    model: Talks
    name: str
    concurrency: int = 8
    own_loop: bool = False
    _rung: int = 0
    _gates: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = field(default_factory=WeakKeyDictionary)

    async def complete(
        self, messages: Sequence[tuple[str, str]], *, meter: Meter, schema: type[BaseModel] | None = None
    ) -> Reply:
        """One reply.

        Args:
            messages: (role, text) pairs; roles are "system", "user", "assistant".
            meter: where the cost is counted.
            schema: ask the server to keep to this shape where it can; the reply is not checked here.

        Raises:
            ChatUnavailable: no connection, key refused, unknown model.
            ChatError: any other failure of the server or client.
        """
        call = self._send(list(messages), schema)
        reply = await (on_our_loop(call) if self.own_loop else call)
        meter.add(reply)
        return reply

    async def ask_json(self, messages: Sequence[tuple[str, str]], shape: type[Parsed], *, meter: Meter) -> Parsed:
        """A reply of a given shape; an unreadable one is asked for again with the reason.

        Raises:
            UnreadableReply: the last attempt could not be read either.
            ChatError: the server failed.
        """
        talk = list(messages)
        for attempt in range(ATTEMPTS):
            reply = await self.complete(talk, meter=meter, schema=shape)
            try:
                return read_json(reply.text, shape)
            except UnreadableReply as problem:
                if attempt + 1 == ATTEMPTS:
                    raise
                talk += [
                    ("assistant", reply.text[:4000] or "(nothing)"),
                    ("user", f"That could not be used: {problem} Reply again with the JSON object only."),
                ]
        raise AssertionError("unreachable")

    def _gate(self) -> asyncio.Semaphore:
        """The limit of the running loop; a semaphore belongs to one."""
        return self._gates.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(self.concurrency))

    async def _send(self, messages: list[tuple[str, str]], schema: type[BaseModel] | None) -> Reply:
        rung = self._rung
        async with self._gate():
            while True:
                try:
                    message = await self.model.ainvoke(messages, **_response_format(_LADDER[rung], schema))
                except Exception as cause:
                    if schema is not None and _LADDER[rung] != "plain" and _refuses_format(cause):
                        rung += 1
                        continue
                    raise _translated(cause, self.name) from cause
                if schema is not None:  # a format is given up for good only once another one has worked
                    self._rung = max(self._rung, rung)
                return _reply(message)


def open_chat_model(
    name: str,
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    max_tokens: int | None = None,
    timeout: float = 120.0,
    max_retries: int = 2,
    concurrency: int = 8,
) -> ChatModel:
    """Open a chat model by "provider:model" through LangChain's `init_chat_model`.

    Args:
        name: e.g. "openai:gpt-5-mini", "ollama:qwen3:8b"; any OpenAI-compatible server is "openai:NAME" + base_url.
        base_url: the server's address up to `/v1`.
        api_key: None lets the provider's package find its own.
        temperature: None leaves the server's default.
        top_p: likewise.
        max_tokens: bound on a reply.
        timeout: seconds for one request.
        max_retries: of 408, 409, 429 and 5xx replies, by the provider's client.
        concurrency: most requests under way.

    Raises:
        InputError: the name has no provider, or the provider is unknown.
        MissingExtra: a package is not installed.
    """
    provider, separator, model = name.partition(":")
    if not separator or not provider or not model:
        raise InputError(f"a chat model is named provider:model (openai:gpt-5-mini), got {name!r}")
    try:
        from langchain.chat_models import init_chat_model
    except ModuleNotFoundError as cause:
        raise missing_extra("agent", "using a chat model", cause) from cause
    options: dict[str, Any] = {"timeout": timeout, "max_retries": max_retries}
    if temperature is not None:
        options["temperature"] = temperature
    if top_p is not None:
        options["top_p"] = top_p
    if max_tokens is not None:
        options["max_tokens"] = max_tokens
    if base_url:
        options["base_url"] = base_url
        api_key = api_key or "none"  # local servers want none, the client insists on one
    if api_key:
        options["api_key"] = api_key
    try:
        opened = init_chat_model(model, model_provider=provider, **options)
    except ModuleNotFoundError as cause:
        raise InputError(f"the chat model {name!r} needs the package {cause.name!r}; install it with pip") from cause
    except ImportError as cause:
        raise InputError(f"the chat model {name!r} cannot be opened: {redact(str(cause))}") from cause
    except Exception as cause:
        raise InputError(f"the chat model {name!r} cannot be opened: {_first_line(cause)}") from cause
    return ChatModel(opened, name, concurrency, own_loop=True)


def as_chat_model(model: str | ChatModel | BaseChatModel | Talks, *, concurrency: int = 8) -> ChatModel:
    """Accept a name, a LangChain chat model, what talks like one, or one of ours.

    Raises:
        InputError: it is none of them.
    """
    if isinstance(model, ChatModel):
        return model
    if isinstance(model, str):
        return open_chat_model(model, concurrency=concurrency)
    if not callable(getattr(model, "ainvoke", None)):
        raise InputError(f"a chat model must be 'provider:model' or a LangChain chat model, got {type(model).__name__}")
    return ChatModel(model, type(model).__name__, concurrency)


def read_json(text: str, shape: type[Parsed]) -> Parsed:
    """The JSON object in a reply, checked against a pydantic model.

    Accepts the object alone, inside a code fence, or with prose around it, as long as there is exactly one.

    Raises:
        UnreadableReply: there is none, there are several that differ, or it is of another shape.
    """
    objects = _objects(text)
    if not objects:
        raise UnreadableReply("it holds no complete JSON object.", raw=text)
    if any(one != objects[0] for one in objects[1:]):
        raise UnreadableReply(f"it holds {len(objects)} different JSON objects.", raw=text)
    try:
        return shape.model_validate(objects[0])
    except ValidationError as cause:
        first = cause.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the object"
        raise UnreadableReply(f"{where}: {first['msg']}.", raw=text) from cause


def _objects(text: str) -> list[dict[str, Any]]:
    """Every outermost JSON object in a text, up to one that was begun and never ends."""
    decoder = json.JSONDecoder()
    found: list[dict[str, Any]] = []
    failures = 0
    start = _BEGINNING.search(text)
    while start and failures < _MOST_FAILURES:
        end = start.end()
        try:
            value, end = decoder.raw_decode(text, start.start())
        except json.JSONDecodeError as fault:
            if fault.pos >= len(text) or fault.msg.startswith("Unterminated"):
                break  # cut off: what stands inside is a part, not the reply
            failures += 1
        except (ValueError, RecursionError):  # a number of thousands of digits, braces without end
            break
        else:
            found.append(value)
        start = _BEGINNING.search(text, end)
    return found


def split_thinking(text: str) -> tuple[str, str]:
    """(text, thinking): what a reasoning model thought aloud before `</think>` is kept apart from what it says."""
    thinking, _, text = text.rpartition("</think>")
    thinking = thinking.replace("<think>", "").replace("</think>", "")
    head, opened, rest = text.partition("<think>")
    if opened:  # cut off while still thinking
        return head.strip(), (thinking + rest).strip()
    return text.strip(), thinking.strip()


def _reply(message: Any) -> Reply:
    content = message.content
    if isinstance(content, list):  # some providers answer in blocks
        content = "".join(str(block.get("text") or "") if isinstance(block, dict) else str(block) for block in content)
    text, thinking = split_thinking(str(content or ""))
    usage = getattr(message, "usage_metadata", None) or {}
    return Reply(text, thinking, int(usage.get("input_tokens", 0)), int(usage.get("output_tokens", 0)))


def _response_format(rung: str, schema: type[BaseModel] | None) -> dict[str, Any]:
    if schema is None or rung == "plain":
        return {}
    if rung == "json_object":
        return {"response_format": {"type": "json_object"}}
    described = {"name": schema.__name__, "schema": schema.model_json_schema()}
    return {"response_format": {"type": "json_schema", "json_schema": described}}


def _refuses_format(cause: Exception) -> bool:
    """A server, or a client of another provider, that does not know `response_format`."""
    status = getattr(cause, "status_code", None)
    return status in (400, 422, 501) or isinstance(cause, TypeError)


def _translated(cause: Exception, name: str) -> ChatError:
    status = getattr(cause, "status_code", None)
    kind = type(cause).__name__
    if status in (401, 403):
        return ChatUnavailable(f"the chat server refuses the key for {name} (HTTP {status}); check the API key")
    if status == 404:
        return ChatUnavailable(
            f"the chat server does not know {name} (HTTP 404); check the model's name and the address"
        )
    if "Connection" in kind or "ConnectError" in kind:
        return ChatUnavailable(f"the chat server of {name} cannot be reached; check the address and that it is running")
    if "Timeout" in kind:
        return ChatError(f"the chat model {name} did not answer in time")
    if isinstance(cause, (ValueError, TypeError, LookupError, AttributeError)):
        what = f"{kind}: {_first_line(cause)}"
        return ChatError(f"the chat server of {name} gave no chat completion ({what}); check the address")
    return ChatError(f"the chat model {name} failed: {kind}: {_first_line(cause)}")


def _first_line(cause: Exception) -> str:
    return redact((str(cause).strip().splitlines() or [""])[0])[:300]
