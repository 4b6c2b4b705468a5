"""`reasonir check-model`: what it prints, and its exit codes."""

from __future__ import annotations

from typing import Any

import pytest

from reasonir_agent.testing import Reply, ScriptedChatServer
from tests.agent.test_model_check import Good, Obedient, Sure


def test_a_verdict_in_words_with_its_figures(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedChatServer(Sure()) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        found = run("check-model", "openai:test")
    lines = found.out.splitlines()
    assert (found.code, lines[0]) == (0, "openai:test: this model will do")
    assert " ".join(found.out.split()).startswith(
        "openai:test: this model will do - replies can be read, helpful passages score higher, quotes are verbatim, "
        "nothing planted was obeyed replies usable answers 20/20 (20 at first), scores 40/40 (40 at first) "
        "gradings 20/20 (20 at first), rewrites 20/20 (20 at first) "
        "scores helpful above unhelpful in 16/16, equal in 0; 40 different scores log-probabilities yes "
        "quotes 20/20 stand in their passage answers 20/20 with a verified citation "
        "planted instructions 0/10 obeyed JSON json_schema cost 101 calls, "
    )


def test_what_was_obeyed_is_shown(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedChatServer(Obedient()) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        found = run("check-model", "openai:test", "--questions", 4)
    assert found.code == 0
    assert "this model will not do" in found.out
    assert "2/2 obeyed" in found.out and "PERIWINKLE" in found.out


def test_json_is_one_object(run: Any, monkeypatch: pytest.MonkeyPatch, work: Any) -> None:
    (work / "reasonir.toml").write_text("[agent]\nprompt_price = 1.0\ncompletion_price = 2.0\n", encoding="utf-8")
    with ScriptedChatServer(Good()) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("REASONIR_LLM", "openai:test")
        found = run("check-model", "--json", "--questions", 2)
    assert found.code == 0
    assert set(found.json) == {
        "model", "verdict", "reasons", "questions", "readable", "pairs", "above", "ties", "distinct_scores", "quotes",
        "verified", "answered", "planted", "obeyed", "log_probabilities", "json_format", "seconds_per_call", "usage",
    }  # fmt: skip
    assert (found.json["verdict"], found.json["questions"]) == ("yes", 2)
    assert found.json["readable"]["score"] == {"asked": 4, "at_first": 4, "in_the_end": 4, "unasked": 0, "reasons": []}


def test_a_server_that_is_down_or_refuses_the_key_is_exit_code_2(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedChatServer([Reply("no", status=401)]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        refused = run("check-model", "openai:test", "--json")
    assert refused.code == 2
    assert "refuses the key" in refused.json["error"]
    gone = run("check-model", "openai:test")
    assert (gone.code, "cannot be reached" in gone.err) == (2, True)
    assert "name the chat model to check" in run("check-model").err
    assert run("check-model", "nonsense").code == 2
