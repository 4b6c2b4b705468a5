"""`search` and `ask`: one question, one result, with the texts in it. Asynchronous twins end in `_async`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from reasonir_agent.agent.sources import open_source
from reasonir_agent.agent.state import unpack_hits
from reasonir_agent.bridge import run_sync
from reasonir_agent.config import AgentSettings
from reasonir_agent.stores.filters import parse_where
from reasonir_agent.types import Answer, Citation, Encoder, PassageSource, SearchResult, Usage

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.vectorstores import VectorStore

    from reasonir_agent.llm import ChatModel


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
    if chat_model is None:  # no graph is needed for one step, and none is imported
        began = time.perf_counter()
        hits = corpus.find([question], settings.k, where=wanted)
        return SearchResult(question, [], hits, Usage(seconds=time.perf_counter() - began))
    return run_sync(_run(question, corpus, chat_model, settings, "rerank", where))


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
    answer = run_sync(_run(question, corpus, chat_model, settings or AgentSettings(), "answer", where))
    assert isinstance(answer, Answer)
    return answer


async def _run(
    question: str,
    corpus: PassageSource,
    chat_model: str | ChatModel | BaseChatModel | None,
    settings: AgentSettings,
    until: Literal["rerank", "answer"],
    where: Sequence[str],
) -> SearchResult:
    from reasonir_agent.agent.graph import build_agent

    graph = build_agent(store=corpus, encoder=corpus.encoder, chat_model=chat_model, settings=settings, until=until)
    state: dict[str, Any] = await graph.ainvoke({"question": question, "where": list(where)})
    hits = unpack_hits(state["hits"], corpus.passages([one["id"] for one in state["hits"]]))
    common = (question, state["rewrites"], hits, Usage(**state["usage"]), state["warnings"])
    if until == "rerank":
        return SearchResult(*common)
    return Answer(
        *common,
        answer=state["answer"],
        abstained=state["abstained"],
        citations=[Citation(**one) for one in state["citations"]],
    )
