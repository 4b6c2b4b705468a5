"""A rewriter that speaks real HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reasonir_agent.llm import ChatModel, open_chat_model
from reasonir_agent.testing import ScriptedChatServer


@pytest.fixture
def open_chat() -> Callable[..., ChatModel]:
    def opened(server: ScriptedChatServer, **options: Any) -> ChatModel:
        return open_chat_model("openai:test", base_url=server.base_url, **{"max_retries": 0, "timeout": 5.0, **options})

    return opened
