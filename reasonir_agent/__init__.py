"""Agentic search for questions that need reasoning.

The public names are loaded when they are first used (PEP 562): `import reasonir_agent` loads neither torch nor
langchain nor chromadb.

    from reasonir_agent import ReasonIREncoder, Corpus, build_agent, search, ask
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from reasonir_agent._version import __version__

if TYPE_CHECKING:
    from reasonir_agent.agent import AgentSettings as AgentSettings
    from reasonir_agent.agent import ask as ask
    from reasonir_agent.agent import ask_async as ask_async
    from reasonir_agent.agent import build_agent as build_agent
    from reasonir_agent.agent import search as search
    from reasonir_agent.agent import search_async as search_async
    from reasonir_agent.corpus import Corpus as Corpus
    from reasonir_agent.encoder import ReasonIREncoder as ReasonIREncoder

_HOMES = {
    "AgentSettings": "reasonir_agent.config",
    "Corpus": "reasonir_agent.corpus",
    "ReasonIREncoder": "reasonir_agent.encoder",
    "ask": "reasonir_agent.agent",
    "ask_async": "reasonir_agent.agent",
    "build_agent": "reasonir_agent.agent",
    "search": "reasonir_agent.agent",
    "search_async": "reasonir_agent.agent",
}

__all__ = [
    "AgentSettings",
    "Corpus",
    "ReasonIREncoder",
    "__version__",
    "ask",
    "ask_async",
    "build_agent",
    "search",
    "search_async",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_HOMES))
