"""The agent: rewrite, retrieve, rerank, answer. Only this package imports langgraph, and only when a graph is built.

state.py       what travels through the graph: JSON-native, ids and scores, no texts of passages
nodes.py       one function a step, state -> partial update
spending.py    what a question may cost, carried from step to step
grading.py     answer, search again, or give up
gathering.py   one list of candidates out of several searches and rounds
sources.py     what is searched, out of what the caller gave: a folder, a corpus, a LangChain vector store
graph.py       the only place where edges exist; `build_agent`
answering.py   an answer by a chat model, its citations checked and repaired once
extractive.py  an answer without a model: the best sentences, each with its citation
abstention.py  whether anything was found at all, without a model; looked_for.py: what an abstention says
citations.py   is the quote in the passage, and where; statements.py: which sentences must have one
support.py     does the quote support its sentence
harmless.py    what an answer may show; draft_stream.py: while it is still being written
follow_up.py   a message of a conversation as a question that stands alone
conversation.py, sessions.py   a conversation, and what of it survives a kill
model_check.py                 will this model do? trial_questions.py, model_verdict.py
api.py         `search` and `ask`, and both for asynchronous programs
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from reasonir_agent.config import AgentSettings

if TYPE_CHECKING:
    from reasonir_agent.agent.api import ask as ask
    from reasonir_agent.agent.api import ask_async as ask_async
    from reasonir_agent.agent.api import search as search
    from reasonir_agent.agent.api import search_async as search_async
    from reasonir_agent.agent.graph import build_agent as build_agent

_HOMES = {"ask": "api", "ask_async": "api", "build_agent": "graph", "search": "api", "search_async": "api"}

__all__ = ["AgentSettings", "ask", "ask_async", "build_agent", "search", "search_async"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
