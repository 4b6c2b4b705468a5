"""LangChain's OpenAI client with a short way for the calls that come by the hundred: a reranker's, and those for data.

A call through LangChain and the typed OpenAI client takes about 3 ms of one core, half of it for callbacks that nobody
listens to and for objects that are read once. The short way makes the same request (the same body, connections, key,
time-outs) and reads the reply's JSON itself. It is taken for a whole reply, with log-probabilities or a format or
without. Streams and the Responses API go LangChain's way, and so does every call that somebody listens to: LangGraph's
`stream_mode="messages"`, tracing, callbacks, a cache.

A reply of a given format that was cut off or filtered is a reply here, whose `finish_reason` says so, as it is without a
format; the typed client raises instead, and where LangChain's way is taken the reply is taken out of that error.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, Final, cast

from langchain_core.callbacks import AsyncCallbackManager, AsyncCallbackManagerForLLMRun
from langchain_core.globals import get_llm_cache
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langchain_openai import ChatOpenAI
from openai import ContentFilterFinishReasonError, LengthFinishReasonError

_KNOWN: Final = {"logprobs", "top_logprobs", "response_format"}
"""Options of a call that may take the short way."""


class DirectChatOpenAI(ChatOpenAI):
    """A `ChatOpenAI` whose simple calls take the short way."""

    async def ainvoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """One reply, as `ChatOpenAI.ainvoke` gives it; failures are those of the openai package."""
        if (
            stop is not None
            or not kwargs.keys() <= _KNOWN
            or not isinstance(kwargs.get("response_format", {}), dict)
            or self._is_watched(config)
        ):
            return await super().ainvoke(input, config, stop=stop, **kwargs)
        body = self._get_request_payload(input, **kwargs)
        if "messages" not in body or body.get("stream") or "extra_body" in body:  # the Responses API has another body
            return await super().ainvoke(input, config, **kwargs)
        said = await self.root_async_client.post("/chat/completions", body=body, cast_to=bytes)
        return self._read(json.loads(said))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        """LangChain's way; what was cut off or filtered comes as a reply."""
        try:
            return await super()._agenerate(messages, stop, run_manager, **kwargs)
        except (LengthFinishReasonError, ContentFilterFinishReasonError) as ended:
            if ended.completion is None:
                raise
            return self._create_chat_result(ended.completion)

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        """LangChain's way; all of a reply that was cut off or filtered has come when the client raises."""
        try:
            async for piece in super()._astream(*args, **kwargs):
                yield piece
        except (LengthFinishReasonError, ContentFilterFinishReasonError):
            return

    def _is_watched(self, config: RunnableConfig | None) -> bool:
        """Whether somebody listens to this call, or it may be answered without one."""
        if self.cache or self.rate_limiter is not None or get_llm_cache() is not None:
            return True
        callbacks = ensure_config(config).get("callbacks")
        return bool(AsyncCallbackManager.configure(callbacks, self.callbacks, self.verbose).handlers)

    def _read(self, given: Any) -> AIMessage:
        if isinstance(given, dict):
            given.setdefault("choices", None)  # as the typed client has it; a server without is told apart by that
        result = self._create_chat_result(given)
        first = result.generations[0]
        message = cast(AIMessage, first.message)
        message.additional_kwargs["refusal"] = given["choices"][0]["message"].get("refusal")
        message.response_metadata = {**(result.llm_output or {}), **(first.generation_info or {})}
        return message
