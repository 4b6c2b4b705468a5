"""The agent for a LangGraph server: `langgraph dev` in this folder, see README.md.

The server calls the factory for every run; encoder, store and graph are built once. Opening them reads files, which is
done in a thread, since the server refuses whatever blocks its event loop.

    REASONIR_STORE     folder of the store (made by: reasonir index PATH --store DIR)
    REASONIR_LLM       chat model as provider:model; without it answers are made of sentences from the passages
    OPENAI_BASE_URL, OPENAI_API_KEY    for openai:* models
"""

from __future__ import annotations

import asyncio
import os
import threading
from functools import cache
from typing import Any

from reasonir_agent import Corpus, ReasonIREncoder, build_agent
from reasonir_agent.llm import ChatModel, open_chat_model
from reasonir_agent.stores.encoders import stored_encoder

_lock = threading.Lock()


async def agent() -> Any:
    """The compiled graph; give it {"question": ...} and, with filters, {"where": ["type=pdf"]}."""
    return await asyncio.to_thread(_built)


def _built() -> Any:
    with _lock:  # two first runs at the same time build one graph
        return _build()


@cache
def _build() -> Any:
    folder = os.environ.get("REASONIR_STORE", ".reasonir")
    corpus = Corpus(folder, ReasonIREncoder(stored_encoder(folder)))
    return build_agent(store=corpus, encoder=corpus.encoder, chat_model=_chat_model())


def _chat_model() -> ChatModel | None:
    name = os.environ.get("REASONIR_LLM")
    if not name:
        return None
    is_openai = name.startswith("openai:")
    return open_chat_model(
        name,
        base_url=os.environ.get("OPENAI_BASE_URL") if is_openai else None,
        api_key=os.environ.get("OPENAI_API_KEY") if is_openai else None,
    )
