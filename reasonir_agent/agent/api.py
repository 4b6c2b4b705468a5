"""`search` and `ask`: one question, one result, with the texts in it.

`search_async` and `ask_async` are the same for asynchronous programs: nothing blocks the event loop, and cancelling one
cancels its requests to the chat model. Whoever wants to see the work going on gives `on_step` and `on_news`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from reasonir_agent.agent.sources import open_source
from reasonir_agent.agent.state import unpack_hits
from reasonir_agent.bridge import run_sync
from reasonir_agent.config import AgentSettings
from reasonir_agent.stores.filters import parse_where
from reasonir_agent.types import Answer, Citation, Encoder, PassageSource, SearchResult, Usage, Where

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.vectorstores import VectorStore

    from reasonir_agent.llm import ChatModel

OnStep = Callable[[str, Mapping[str, Any]], None]
"""Told after each step: its name ("rewrite", "retrieve", "rerank", "grade", "answer"; the first four again in each
further round) and what it left in the `AgentState`."""

OnNews = Callable[[dict[str, Any]], None]
"""Told what happens inside the steps:

    {"kind": "rewrite", "text": "..."}          the next piece of the rewritten query, as the model writes it
    {"kind": "rerank", "done": 7, "of": 30}     passages that were scored; `of` grows with a further wave
    {"kind": "answer", "text": "..."}           the next piece of the answer; it is a draft, nothing of it is checked yet

A text of None means that what came before it is void and the text begins anew.
"""

_TOLD: Final = ("rewrite", "retrieve", "rerank", "grade", "answer")


def search(
    question: str,
    *,
    store: str | Path | PassageSource | VectorStore,
    encoder: Encoder | None = None,
    chat_model: str | ChatModel | BaseChatModel | None = None,
    settings: AgentSettings | None = None,
    where: Sequence[str] = (),
    on_step: OnStep | None = None,
    on_news: OnNews | None = None,
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
        on_step: told after each step, from another thread; for showing progress.
        on_news: told what happens inside the steps, from another thread; with it the model's replies are streamed.

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
    return run_sync(_run(question, corpus, chat_model, settings, "rerank", where, on_step, on_news))


async def search_async(
    question: str,
    *,
    store: str | Path | PassageSource | VectorStore,
    encoder: Encoder | None = None,
    chat_model: str | ChatModel | BaseChatModel | None = None,
    settings: AgentSettings | None = None,
    where: Sequence[str] = (),
    on_step: OnStep | None = None,
    on_news: OnNews | None = None,
) -> SearchResult:
    """`search` for asynchronous programs; arguments and errors as there.

    Both `on_step` and `on_news` are called on the caller's event loop.
    """
    settings = settings or AgentSettings()
    wanted = parse_where(where)
    corpus = await asyncio.to_thread(open_source, store, encoder)
    if chat_model is None:
        return await asyncio.to_thread(_search_alone, question, corpus, settings, wanted)
    return await _run(question, corpus, chat_model, settings, "rerank", where, on_step, on_news)


def ask(
    question: str,
    *,
    store: str | Path | PassageSource | VectorStore,
    encoder: Encoder | None = None,
    chat_model: str | ChatModel | BaseChatModel | None = None,
    settings: AgentSettings | None = None,
    where: Sequence[str] = (),
    on_step: OnStep | None = None,
    on_news: OnNews | None = None,
) -> Answer:
    """Ask one question and get an answer with checked citations, or an abstention.

    Arguments and errors as for `search`.
    """
    parse_where(where)
    corpus = open_source(store, encoder)
    settings = settings or AgentSettings()
    return _answer(run_sync(_run(question, corpus, chat_model, settings, "answer", where, on_step, on_news)))


async def ask_async(
    question: str,
    *,
    store: str | Path | PassageSource | VectorStore,
    encoder: Encoder | None = None,
    chat_model: str | ChatModel | BaseChatModel | None = None,
    settings: AgentSettings | None = None,
    where: Sequence[str] = (),
    on_step: OnStep | None = None,
    on_news: OnNews | None = None,
) -> Answer:
    """`ask` for asynchronous programs; arguments and errors as there.

    Both `on_step` and `on_news` are called on the caller's event loop.
    """
    parse_where(where)
    corpus = await asyncio.to_thread(open_source, store, encoder)
    settings = settings or AgentSettings()
    return _answer(await _run(question, corpus, chat_model, settings, "answer", where, on_step, on_news))


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
    on_step: OnStep | None,
    on_news: OnNews | None,
) -> SearchResult:
    from reasonir_agent.agent.graph import build_agent

    graph = build_agent(
        store=corpus,
        encoder=corpus.encoder,
        chat_model=chat_model,
        settings=settings,
        until=until,
        stream_replies=on_news is not None,
    )
    state: dict[str, Any] = {}
    parts: AsyncIterator[Any] = graph.astream(
        {"question": question, "where": list(where)}, stream_mode=["values", "updates", "custom"]
    )
    async for kind, news in parts:
        if kind == "values":
            state = news
        elif kind == "custom" and on_news is not None:
            on_news(news)
        elif kind == "updates" and on_step is not None:
            for step in news.keys() & set(_TOLD):
                on_step(step, news[step])
    return await asyncio.to_thread(_result, corpus, state, until)


def _result(corpus: PassageSource, state: Mapping[str, Any], until: Literal["rerank", "answer"]) -> SearchResult:
    """The last state with the texts of its hits."""
    packed = state["hits"]
    hits = unpack_hits(packed, corpus.passages([one["id"] for one in packed]))
    usage = Usage(**state["usage"])
    common = (state["question"], state["rewrites"], hits, usage, state["warnings"], state["trace"])
    if until == "rerank":
        return SearchResult(*common)
    return Answer(
        *common,
        answer=state["answer"],
        abstained=state["abstained"],
        citations=[Citation(**one) for one in state["citations"]],
    )


def _answer(result: SearchResult) -> Answer:
    assert isinstance(result, Answer)
    return result
