"""Criteria of the user's own, from Python and from reasonir.toml, reach the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reasonir_agent.agent import search
from reasonir_agent.cli.settings import choose
from reasonir_agent.config import AgentSettings
from reasonir_agent.corpus import Corpus
from reasonir_agent.reranking import TASK_CRITERIA
from reasonir_agent.testing import ScriptedChatServer


@pytest.mark.parametrize("given", ["pony", "Only birds {count}; 100%."])
@pytest.mark.parametrize("is_stored", [False, True])
def test_they_stand_in_every_request_for_a_score(
    given: str,
    is_stored: bool,
    corpus: Corpus,
    model: Any,
    open_chat: Callable[..., Any],
    question: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = AgentSettings(rerank_criteria=given)
    if is_stored:
        (tmp_path / "reasonir.toml").write_text(f'[agent]\nrerank_criteria = "{given}"\n')
        monkeypatch.chdir(tmp_path)
        settings = choose().agent
    said = model()
    with ScriptedChatServer(said) as server:
        search(question, store=corpus, chat_model=open_chat(server), settings=settings)
    asked = [str(messages[0]["content"]) for messages in said.messages["rerank"]]
    assert len(asked) == 6
    assert all(TASK_CRITERIA.get(given, given) in system for system in asked)
