"""`search` and `ask`: one question, one result, with the texts in it.

`search_async` and `ask_async` are the same for asynchronous programs: nothing blocks the event loop, and cancelling one
cancels its requests to the chat model.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from reasonir_agent.agent.sources import open_source
from reasonir_agent.agent.state import unpack_hits
from reasonir_agent.bridge import run_sync
from reasonir_agent.config import AgentSettings
from reasonir_agent.stores.filters import parse_where
from reasonir_agent.types import Answer, Citation, Encoder, Hit, PassageSource, SearchResult, Usage, Where

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.vectorstores import VectorStore

    from reasonir_agent.llm import ChatModel

OnStep = Callable[[str, Mapping[str, Any]], None]
"""Told after each step: its name ("rewrite", "retrieve", "rerank", "answer") and what it left in the `AgentState`."""


def search(
    question: str,
    *,
    store: str | Path | PassageSource | VectorStore,
    encoder: Encoder | None = None,
    chat_model: str | ChatModel | BaseChatModel | None = None,
    settings: AgentSettings | None = None,
    where: Sequence[str] = (),
) -> SearchResult:
    """Search a store with one question; with a chat model, rewritten and reranked.

    Args:
        question: as a person would ask it.
        store: folder of a store, an open corpus, or a LangChain vector store (read only, and what is lost there
            stands in `VectorStoreCorpus`).
        encoder: None opens the one that the store was made with.
        chat_model: "provider:model", a LangChain chat model, or None.
        settings: None is `AgentSettings()`.
        where: filters over the documents' metadata, for example ["type=pdf", "date>=2024"]; all must hold.

    Raises:
        InputError: the question is empty, or a filter cannot be read.
        StoreError: there is no store.
        ChatUnavailable: the chat server cannot be reached or refuses the key.
    """
    settings = settings or AgentSettings()
    wanted = parse_where(where)
    corpus = open_source(store, encoder)
    if chat_model is None:
        return _search_alone(question, corpus, settings, wanted)
    return run_sync(_run(question, corpus, chat_model, settings, "rerank", where))


async def search_async(
    question: str,
    *,
    store: str | Path | PassageSource | VectorStore,
    encoder: Encoder | None = None,
    chat_model: str | ChatModel | BaseChatModel | None = None,
    settings: AgentSettings | None = None,
    where: Sequence[str] = (),
) -> SearchResult:
    """`search` for asynchronous programs; arguments and errors as there."""
    settings = settings or AgentSettings()
    wanted = parse_where(where)
    corpus = await asyncio.to_thread(open_source, store, encoder)
    if chat_model is None:
        return await asyncio.to_thread(_search_alone, question, corpus, settings, wanted)
    return await _run(question, corpus, chat_model, settings, "rerank", where)


def ask(
    question: str,
    *,
    store: str | Path | PassageSource | VectorStore,
    encoder: Encoder | None = None,
    chat_model: str | ChatModel | BaseChatModel | None = None,
    settings: AgentSettings | None = None,
    where: Sequence[str] = (),
) -> Answer:
    """Ask one question and get an answer with checked citations, or an abstention.

    Arguments and errors as for `search`.
    """
    parse_where(where)
    corpus = open_source(store, encoder)
    return _answer(run_sync(_run(question, corpus, chat_model, settings or AgentSettings(), "answer", where)))


async def ask_async(
    question: str,
    *,
    store: str | Path | PassageSource | VectorStore,
    encoder: Encoder | None = None,
    chat_model: str | ChatModel | BaseChatModel | None = None,
    settings: AgentSettings | None = None,
    where: Sequence[str] = (),
    on_step: OnStep | None = None,
) -> Answer:
    """`ask` for asynchronous programs; arguments and errors as there.

    Args:
        on_step: told after each step, on the caller's event loop; for showing progress.
    """
    parse_where(where)
    corpus = await asyncio.to_thread(open_source, store, encoder)
    return _answer(await _run(question, corpus, chat_model, settings or AgentSettings(), "answer", where, on_step))


def _search_alone(question: str, corpus: PassageSource, settings: AgentSettings, where: Where) -> SearchResult:
    """Without a chat model: no graph is needed for one step, and none is imported."""
    began = time.perf_counter()
    hits = corpus.find([question], settings.k, where=where)
    return SearchResult(question, [], hits, Usage(seconds=time.perf_counter() - began))


async def _run(
    question: str,
    corpus: PassageSource,
    chat_model: str | ChatModel | BaseChatModel | None,
    settings: AgentSettings,
    until: Literal["rerank", "answer"],
    where: Sequence[str],
    on_step: OnStep | None = None,
) -> SearchResult:
    from reasonir_agent.agent.graph import build_agent

    graph = build_agent(store=corpus, encoder=corpus.encoder, chat_model=chat_model, settings=settings, until=until)
    state: dict[str, Any] = {}
    parts: AsyncIterator[Any] = graph.astream(
        {"question": question, "where": list(where)}, stream_mode=["values", "updates"]
    )
    async for kind, news in parts:
        if kind == "values":
            state = news
        elif on_step is not None:
            for step, update in news.items():
                on_step(step, update)
    hits = await asyncio.to_thread(_hits, corpus, state["hits"])
    common = (question, state["rewrites"], hits, Usage(**state["usage"]), state["warnings"])
    if until == "rerank":
        return SearchResult(*common)
    return Answer(
        *common,
        answer=state["answer"],
        abstained=state["abstained"],
        citations=[Citation(**one) for one in state["citations"]],
    )


def _hits(corpus: PassageSource, packed: Sequence[Mapping[str, Any]]) -> list[Hit]:
    return unpack_hits(packed, corpus.passages([one["id"] for one in packed]))


def _answer(result: SearchResult) -> Answer:
    assert isinstance(result, Answer)
    return result
