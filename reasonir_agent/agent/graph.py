"""The graph; the only place where edges exist.

    START -> begin -> rewrite -> retrieve -> rerank -> grade -+-> answer -> finish -> END
                         ^                                   |
                         +------ something is missing -------+

Every node has an asynchronous and a synchronous form, so `invoke`, `stream`, `ainvoke` and `astream` all work; with
`stream_mode="custom"` they tell what happens inside a step (see `nodes.Tell`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from reasonir_agent.agent.nodes import Steps, Tell, Update
from reasonir_agent.agent.sources import open_source
from reasonir_agent.agent.state import AgentState, Question
from reasonir_agent.bridge import run_sync
from reasonir_agent.config import AgentSettings
from reasonir_agent.errors import missing_extra
from reasonir_agent.llm import ChatModel, as_chat_model
from reasonir_agent.reranking import ChatReranker, criteria_named
from reasonir_agent.spans import span
from reasonir_agent.types import Encoder, PassageSource, Reranker

try:
    from langchain_core.runnables import RunnableLambda
    from langgraph.config import get_stream_writer
    from langgraph.graph import END, START, StateGraph
except ModuleNotFoundError as cause:
    raise missing_extra("agent", "the agent", cause) from cause

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.vectorstores import VectorStore
    from langgraph.graph.state import CompiledStateGraph

    from reasonir_agent.stores import Store

STEPS = ("begin", "rewrite", "retrieve", "rerank", "grade", "answer", "finish")
_SEARCH_ONLY = ("begin", "rewrite", "retrieve", "rerank", "finish")


def build_agent(
    *,
    store: str | Path | Store | PassageSource | VectorStore,
    encoder: Encoder,
    chat_model: str | ChatModel | BaseChatModel | None = None,
    reranker: Reranker | Literal["auto"] | None = "auto",
    settings: AgentSettings | None = None,
    until: Literal["rerank", "answer"] = "answer",
    checkpointer: Any = None,
    stream_replies: bool = False,
) -> CompiledStateGraph[AgentState, None, Question, AgentState]:
    """Build the agent as a compiled LangGraph graph.

    Args:
        store: folder of a store, a corpus that is open already, or a LangChain vector store (read only, and what is
            lost there stands in `VectorStoreCorpus`).
        encoder: the encoder that the store was made with.
        chat_model: "provider:model", a LangChain chat model, or None to work without one.
        reranker: "auto" scores with the chat model when there is one; None leaves the retriever's order.
        settings: how to work; None is `AgentSettings()`.
        until: the last step; "rerank" makes a graph that searches and does not answer.
        checkpointer: a LangGraph checkpointer, to resume and to look back.
        stream_replies: ask the chat model for streams and tell its replies piece by piece with `stream_mode="custom"`.

    Returns:
        a graph; invoke it with {"question": ...}, or with filters: {"question": ..., "where": ["type=pdf"]}. Its state
        is JSON-native, see `AgentState`.

    Raises:
        StoreError: there is no store.
        EncoderMismatch: the store was made with another encoder.
        InputError: the chat model's name cannot be used.
    """
    settings = settings or AgentSettings()
    corpus = open_source(store, encoder)
    chat = None if chat_model is None else as_chat_model(chat_model, concurrency=settings.concurrency)
    if reranker == "auto":
        reranker = ChatReranker(chat, criteria_named(settings.rerank_criteria)) if chat else None
    steps = Steps(corpus, chat, reranker, settings, streams=stream_replies)
    graph: StateGraph[AgentState, None, Question, AgentState] = StateGraph(
        AgentState, input_schema=Question, output_schema=AgentState
    )
    names = _SEARCH_ONLY if until == "rerank" else STEPS
    for name in names:
        graph.add_node(name, _both_ways(name, getattr(steps, name)))
    for before, after in zip((START, *names), (*names, END), strict=True):
        if before != "grade":
            graph.add_edge(before, after)
    if "grade" in names:
        graph.add_conditional_edges("grade", _next_step, ["rewrite", "answer"])
    return graph.compile(checkpointer=checkpointer, name="reasonir")


def _next_step(state: AgentState) -> Literal["rewrite", "answer"]:
    return "rewrite" if state["verdict"] == "search" else "answer"


def _both_ways(name: str, step: Callable[[AgentState, Tell], Awaitable[Update]]) -> RunnableLambda[AgentState, Update]:
    async def run(state: AgentState) -> Update:
        write, loop = get_stream_writer(), asyncio.get_running_loop()
        with span("step", step=name):
            # a model's pieces come from the thread of its connections
            return await step(state, _teller(loop, write))

    def run_here(state: AgentState) -> Update:
        return run_sync(run(state))

    return RunnableLambda(run_here, afunc=run, name=name)


def _teller(loop: asyncio.AbstractEventLoop, write: Callable[[Any], None]) -> Tell:
    home = threading.get_ident()

    def tell(news: dict[str, Any]) -> None:
        if threading.get_ident() == home:
            write(news)
        else:
            with suppress(RuntimeError):  # the loop has ended: nobody watches any more
                loop.call_soon_threadsafe(write, news)

    return tell
