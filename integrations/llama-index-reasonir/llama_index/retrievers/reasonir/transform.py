"""`ReasonIRQueryTransform`: searches with a rewritten query, and leaves the question to the reranker and the answer."""

from __future__ import annotations

import warnings
from typing import Any

from llama_index.core.indices.query.query_transform.base import BaseQueryTransform
from llama_index.core.prompts.mixin import PromptDictType
from llama_index.core.schema import QueryBundle, QueryType

from llama_index.postprocessor.reasonir.llm import Model, open_chats
from reasonir_agent.bridge import run_sync
from reasonir_agent.errors import ChatError, InputError
from reasonir_agent.llm import ChatModel, Meter
from reasonir_agent.rewriting import rewrite

WORDS = 350
"""Length that a rewrite is asked for, as in the agent."""


class ReasonIRQueryTransform(BaseQueryTransform):
    """Rewrites the question into a long reasoning query that is embedded in its place.

    `query_str` stays the question, so the reranker and the language model see what the user asked. A rewrite that fails
    is warned about, and the question is searched with as it is.

    Args:
        llm: a LlamaIndex LLM, "provider:model", a LangChain chat model, or a `reasonir_agent` chat model.
        words: length to ask for.

    Raises:
        InputError: the model's name cannot be used.

    Example:
        >>> TransformQueryEngine(engine, query_transform=ReasonIRQueryTransform(llm))     # doctest: +SKIP
    """

    def __init__(self, llm: Model, *, words: int = WORDS) -> None:
        self._chats, self._words = open_chats(llm), words

    def _get_prompts(self) -> PromptDictType:
        return {}

    def _update_prompts(self, prompts_dict: PromptDictType) -> None:
        """There are no prompts to change: they are the rewriting's own."""

    def _run(self, query_bundle: QueryBundle, metadata: dict[str, Any]) -> QueryBundle:
        text, warning = run_sync(rewritten_or_reason(question_of(query_bundle), self._chats.waiting, self._words))
        return _with(query_bundle, text, warning)

    async def arun(self, query_bundle_or_str: QueryType) -> QueryBundle:
        """The same without holding up the event loop, which LlamaIndex's `TransformQueryEngine` does.

        Raises:
            InputError: the question is empty.
        """
        bundle = QueryBundle(query_bundle_or_str) if isinstance(query_bundle_or_str, str) else query_bundle_or_str
        text, warning = await rewritten_or_reason(question_of(bundle), self._chats.awaited, self._words)
        return _with(bundle, text, warning)


def _with(bundle: QueryBundle, text: str | None, warning: str | None) -> QueryBundle:
    if warning is not None:
        warnings.warn(warning, UserWarning, stacklevel=3)
    return bundle if text is None else QueryBundle(bundle.query_str, custom_embedding_strs=[text])


async def rewritten_or_reason(question: str, chat: ChatModel, words: int) -> tuple[str | None, str | None]:
    """The rewrite, or a sentence that says why there is none."""
    try:
        return await rewrite(question, chat, words=words, meter=Meter()), None
    except ChatError as problem:
        reason = str(problem).rstrip(".")
        return None, f"the question could not be rewritten ({reason}); it was searched with as it is"


def question_of(bundle: QueryBundle) -> str:
    """The question.

    Raises:
        InputError: it is empty.
    """
    if not isinstance(bundle.query_str, str) or not bundle.query_str.strip():
        raise InputError(f"a question is needed, got {bundle.query_str!r}")
    return bundle.query_str
