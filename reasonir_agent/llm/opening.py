"""Chat models by name, and those that the caller has already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from reasonir_agent.errors import InputError, missing_extra, redact
from reasonir_agent.llm.failures import first_line
from reasonir_agent.llm.meter import Price
from reasonir_agent.llm.model import DEFAULT_REPLY_TOKENS, ChatModel, Talks

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


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
    price: Price | None = None,
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
        max_retries: of 408, 409, 429 and 5xx replies and of broken connections; each counts as a call.
        concurrency: most requests under way.
        price: for the cost of a question, and for a bound on it.

    Raises:
        InputError: the name has no provider, or the provider is unknown.
        MissingExtra: a package is not installed.
    """
    provider, separator, model = name.partition(":")
    if not separator or not provider or not model:
        raise InputError(f"a chat model is named provider:model (openai:gpt-5-mini), got {name!r}")
    try:
        import langchain  # noqa: F401
    except ModuleNotFoundError as cause:
        raise missing_extra("agent", "using a chat model", cause) from cause
    options: dict[str, Any] = {"timeout": timeout, "max_retries": 0}  # we retry: each attempt must fit the budget
    if temperature is not None:
        options["temperature"] = temperature
    if top_p is not None:
        options["top_p"] = top_p
    if max_tokens is not None:
        options["max_tokens"] = max_tokens
    if provider == "openai":
        options["stream_usage"] = True
    if base_url:
        options["base_url"] = base_url
        api_key = api_key or "none"  # local servers want none, the client insists on one
    if api_key:
        options["api_key"] = api_key
    try:
        opened = _opened(provider, model, options)
    except ModuleNotFoundError as cause:
        raise InputError(f"the chat model {name!r} needs the package {cause.name!r}; install it with pip") from cause
    except ImportError as cause:
        raise InputError(f"the chat model {name!r} cannot be opened: {redact(str(cause))}") from cause
    except Exception as cause:
        raise InputError(f"the chat model {name!r} cannot be opened: {first_line(cause)}") from cause
    return ChatModel(
        opened,
        name,
        concurrency,
        own_loop=True,
        max_retries=max_retries,
        reply_tokens=max_tokens or DEFAULT_REPLY_TOKENS,
        price=price,
        tells_ends=provider == "openai",
        secrets=_secrets(opened),
    )


def _opened(provider: str, model: str, options: Mapping[str, Any]) -> BaseChatModel:
    if provider == "openai":
        from reasonir_agent.llm.direct_openai import DirectChatOpenAI

        return DirectChatOpenAI(model=model, **options)
    from langchain.chat_models import init_chat_model

    opened: BaseChatModel = init_chat_model(model, model_provider=provider, **options)
    return opened


def as_chat_model(model: str | ChatModel | BaseChatModel | Talks, *, concurrency: int = 8) -> ChatModel:
    """Accept a name, a LangChain chat model, what talks like one, or one of ours.

    A model that the caller opened retries by its own client, unseen by the budget.

    Raises:
        InputError: it is none of them.
    """
    if isinstance(model, ChatModel):
        return model
    if isinstance(model, str):
        return open_chat_model(model, concurrency=concurrency)
    if not callable(getattr(model, "ainvoke", None)):
        raise InputError(f"a chat model must be 'provider:model' or a LangChain chat model, got {type(model).__name__}")
    return ChatModel(model, type(model).__name__, concurrency, secrets=_secrets(model))


def _secrets(model: object) -> tuple[str, ...]:
    """The keys that a LangChain model holds, wherever it found them."""
    held = (getattr(model, name, None) for name in getattr(type(model), "model_fields", {}))
    return tuple(one.get_secret_value() for one in held if isinstance(one, SecretStr))
