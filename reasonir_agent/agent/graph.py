"""The graph; the only place where edges exist.

    START -> rewrite -> retrieve -> rerank -> answer -> END

Every node has an asynchronous and a synchronous form, so `invoke`, `stream`, `ainvoke` and `astream` all work.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from reasonir_agent.agent.nodes import Steps, Update
from reasonir_agent.agent.sources import open_source
from reasonir_agent.agent.state import AgentState, Question
from reasonir_agent.bridge import run_sync
from reasonir_agent.config import AgentSettings
from reasonir_agent.errors import missing_extra
from reasonir_agent.llm import ChatModel, as_chat_model
from reasonir_agent.reranking import ChatReranker
from reasonir_agent.types import Encoder, PassageSource, Reranker

try:
    from langchain_core.runnables import RunnableLambda
    from langgraph.graph import END, START, StateGraph
except ModuleNotFoundError as cause:
    raise missing_extra("agent", "the agent", cause) from cause

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.vectorstores import VectorStore
    from langgraph.graph.state import CompiledStateGraph

    from reasonir_agent.stores import Store

STEPS = ("rewrite", "retrieve", "rerank", "answer")


def build_agent(
    *,
    store: str | Path | Store | PassageSource | VectorStore,
    encoder: Encoder,
    chat_model: str | ChatModel | BaseChatModel | None = None,
    reranker: Reranker | Literal["auto"] | None = "auto",
    settings: AgentSettings | None = None,
    until: Literal["rerank", "answer"] = "answer",
    checkpointer: Any = None,
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
    judge = (ChatReranker(chat) if chat else None) if reranker == "auto" else reranker
    steps = Steps(corpus, chat, judge, settings)
    graph: StateGraph[AgentState, None, Question, AgentState] = StateGraph(
        AgentState, input_schema=Question, output_schema=AgentState
    )
    names = STEPS[: STEPS.index(until) + 1]
    for name in names:
        step = getattr(steps, name)
        graph.add_node(name, _both_ways(name, _last(step) if name == until else step))
    for before, after in zip((START, *names), (*names, END), strict=True):
        graph.add_edge(before, after)
    return graph.compile(checkpointer=checkpointer, name="reasonir")


def _last(step: Callable[[AgentState], Awaitable[Update]]) -> Callable[[AgentState], Awaitable[Update]]:
    """The step, after which the filter is forgotten: a checkpointer would hand it to the thread's next question."""

    async def run(state: AgentState) -> Update:
        update = await step(state)
        return {**update, "where": []} if state.get("where") else update

    return run


def _both_ways(name: str, step: Callable[[AgentState], Awaitable[Update]]) -> RunnableLambda[AgentState, Update]:
    async def run(state: AgentState) -> Update:
        return await step(state)

    def run_here(state: AgentState) -> Update:
        return run_sync(run(state))

    return RunnableLambda(run_here, afunc=run, name=name)
