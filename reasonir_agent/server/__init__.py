"""The servers: what others speak (OpenAI, Cohere and Jina, plain JSON) over one encoder, one corpus, one chat model.

services.py    what the routes work with; built once
app.py         the application: routers, errors, /health, /metrics, the OpenAPI page
batching.py    texts of many requests through one encoder, in common batches
limits.py      how much one request may ask, how many may be under way, how long one may take
security.py    who may ask: bearer token, Host and Origin
problems.py    failures as HTTP: one shape, one table
metrics.py     counters for Prometheus
embeddings.py  /v1/embeddings
models.py      /v1/models
rerank.py      /v1/rerank
chat.py        /v1/chat/completions; completions.py: its wire shapes, narration.py: what is shown while it works
search.py      /search and /ask; results.py: their shapes
running.py     uvicorn around it
mcp.py         the same corpus for assistants, over stdin and stdout

No request's text is ever logged. The environment is read by the command line only.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reasonir_agent.server.app import create_app as create_app
    from reasonir_agent.server.limits import Limits as Limits
    from reasonir_agent.server.services import Services as Services

_HOMES = {"create_app": "app", "Limits": "limits", "Services": "services"}

__all__ = ["Limits", "Services", "create_app"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
