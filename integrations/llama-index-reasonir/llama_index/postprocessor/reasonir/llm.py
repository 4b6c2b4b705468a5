"""LlamaIndex's language models as chat models of ours.

A synchronous call uses the model's synchronous client in a worker thread: its asynchronous client belongs to the event
loop that the caller runs. An asynchronous call is awaited on the caller's loop, unless the model only pretends to be
asynchronous (`CustomLLM`), which would hold up that loop. The worker threads are the adapter's own: a model that is
itself asynchronous inside needs the loop's shared ones, and would wait for them forever if it sat in all of them.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ThinkingBlock
from llama_index.core.llms.custom import CustomLLM

from reasonir_agent.errors import InputError
from reasonir_agent.llm import ChatModel, Talks, as_chat_model

_COUNTS: Final = (
    ("prompt_tokens", "completion_tokens"),
    ("input_tokens", "output_tokens"),
    ("prompt_eval_count", "eval_count"),
)
"""What providers call the tokens that they read and wrote."""


Model = BaseLLM | ChatModel | Talks | str
"""A LlamaIndex LLM, one of our chat models, a LangChain chat model, or "provider:model"."""


@dataclass(frozen=True, slots=True)
class Chats:
    """One model for synchronous and for asynchronous callers."""

    waiting: ChatModel
    awaited: ChatModel


def open_chats(llm: Model, *, concurrency: int = 8) -> Chats:
    """The model that a user hands in, ready to be called from both worlds.

    Args:
        llm: see `Model`.
        concurrency: most requests under way.

    Raises:
        InputError: it is no model, or its name cannot be used.
    """
    if isinstance(llm, BaseLLM):
        name = llm.metadata.model_name or type(llm).__name__
        return Chats(
            ChatModel(LlamaIndexTalk(llm, threads=concurrency), name, concurrency),
            ChatModel(LlamaIndexTalk(llm, threads=concurrency if _only_pretends(llm) else 0), name, concurrency),
        )
    if not isinstance(llm, str | ChatModel) and not callable(getattr(llm, "ainvoke", None)):
        raise InputError(f"llm must be a LlamaIndex LLM or 'provider:model', got {type(llm).__name__}")
    chat = as_chat_model(llm, concurrency=concurrency)
    return Chats(chat, chat)


def _only_pretends(llm: BaseLLM) -> bool:
    """Whether its asynchronous method is `CustomLLM`'s, which calls the synchronous one; decorators hide which it is."""
    return inspect.unwrap(type(llm).achat) is inspect.unwrap(CustomLLM.achat)


@dataclass(frozen=True, slots=True)
class Said:
    """A reply in the shape that `reasonir_agent.llm` reads."""

    content: str
    usage_metadata: Mapping[str, int] | None


class LlamaIndexTalk:
    """A LlamaIndex LLM that answers (role, text) pairs.

    Args:
        llm: the model.
        threads: worker threads in which its synchronous method is called; 0 awaits the asynchronous one.
    """

    def __init__(self, llm: BaseLLM, *, threads: int) -> None:
        self._llm = llm
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="reasonir-llm") if threads else None

    async def ainvoke(self, input: Any, **kwargs: Any) -> Said:
        """Answer (role, text) pairs.

        Raises:
            TypeError: for any option; LlamaIndex has no common name for them.
        """
        if kwargs:
            raise TypeError(f"a LlamaIndex LLM takes no {', '.join(kwargs)}")
        messages = [ChatMessage(role=role, content=text) for role, text in input]
        try:
            if self._threads is None:
                response = await self._llm.achat(messages)
            else:
                call = partial(copy_context().run, self._llm.chat, messages)
                response = await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except Exception as cause:
            key = getattr(self._llm, "api_key", None)
            if isinstance(key, str) and key and key in str(cause):  # some servers repeat a refused key
                raise _Failed(str(cause).replace(key, "[secret]"), getattr(cause, "status_code", None)) from None
            raise
        return Said(_text(response), _usage(response))


class _Failed(Exception):
    """A failure whose text held the key; the original is not chained, since it would show it."""

    def __init__(self, message: str, status_code: int | None) -> None:
        super().__init__(message)
        self.status_code = status_code


def _text(response: ChatResponse) -> str:
    thinking = "".join(block.content or "" for block in response.message.blocks if isinstance(block, ThinkingBlock))
    said = response.message.content or ""
    return f"<think>{thinking}</think>{said}" if thinking else said


def _usage(response: ChatResponse) -> Mapping[str, int] | None:
    """Tokens, where the provider's package keeps them: beside the reply, or in what the server sent."""
    raw = response.raw
    for place in (response.additional_kwargs, _get(raw, "usage"), raw):
        for read, wrote in _COUNTS:
            counts = _get(place, read), _get(place, wrote)
            if all(isinstance(count, int) for count in counts):
                return {"input_tokens": counts[0], "output_tokens": counts[1]}
    return None


def _get(place: Any, name: str) -> Any:
    return place.get(name) if isinstance(place, Mapping) else getattr(place, name, None)
