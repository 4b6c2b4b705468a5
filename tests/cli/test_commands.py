"""index, search and ask with the local encoder: what they print, and nothing else."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reasonir_agent import __version__
from reasonir_agent.testing import Reply, ScriptedChatServer, write_corpus

QUESTION = "Why do ducks not freeze to the ice?"
INDEX_KEYS = {"files", "passages", "encoded", "unchanged", "removed", "skipped", "seconds", "warnings"}
SEARCH_KEYS = {"question", "rewrites", "hits", "usage", "warnings"}
HIT_KEYS = {"id", "source", "start", "end", "heading", "text"}
HIT_KEYS |= {"dense_score", "lexical_score", "reranker_score", "final_score"}
USAGE_KEYS = {"llm_calls", "prompt_tokens", "completion_tokens", "cost", "seconds", "reranker_failures"}
CITATION_KEYS = {"n", "id", "source", "start", "end", "quote", "verified"}


def controls(text: str) -> list[str]:
    """Characters that a terminal may act on."""
    return [c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs")]


def test_index_counts_what_it_did_and_a_second_run_does_nothing(run: Any, work: Path, texts: dict[str, str]) -> None:
    write_corpus(work / "in", texts)
    (work / "in" / "blob.xyz").write_bytes(b"\0\1")
    first = run("index", "in", "--json", "--encoder", "minilm")
    assert first.code == 0
    found = first.json
    assert set(found) == INDEX_KEYS
    assert (found["files"], found["passages"], found["encoded"], found["unchanged"], found["removed"]) == (
        3,
        3,
        3,
        0,
        0,
    )
    assert [set(one) for one in found["skipped"]] == [{"path", "reason"}]
    assert found["skipped"][0]["path"] == "in/blob.xyz"
    assert (work / ".reasonir").is_dir()
    again = run("index", "in", "--json").json
    assert (again["encoded"], again["unchanged"]) == (0, 3)
    (work / "in" / "ducks.txt").unlink()
    plain = run("index", "in")
    assert plain.code == 0
    assert plain.out.startswith("2 passages of 2 files in .reasonir (0 new, 2 unchanged, 1 removed;")
    assert "skipped in/blob.xyz" in plain.err


def test_search_prints_the_hits(run: Any, indexed: Path) -> None:
    found = run("search", QUESTION, "--store", indexed / "store", "-k", 2)
    assert found.code == 0
    first, preview, second, *_ = found.out.splitlines()
    assert first.startswith(" 1  texts/ducks.txt:0-")
    assert "cosine 0." in first
    assert preview.strip().startswith("Ducks keep their feet cold")
    assert " 2  " in found.out
    assert " 3  " not in found.out
    assert second


def test_search_json_is_one_object_with_the_documented_keys(run: Any, indexed: Path, texts: dict[str, str]) -> None:
    found = run("search", QUESTION, "--store", indexed / "store", "--json").json
    assert set(found) == SEARCH_KEYS
    assert found["question"] == QUESTION
    assert (found["rewrites"], found["warnings"]) == ([], [])
    assert set(found["usage"]) == USAGE_KEYS
    assert len(found["hits"]) == 3
    for hit in found["hits"]:
        assert set(hit) == HIT_KEYS
        assert hit["text"] == texts[Path(hit["source"]).name][hit["start"] : hit["end"]]
    assert found["hits"][0]["source"] == "texts/ducks.txt"


def test_ask_answers_with_citations(run: Any, indexed: Path, texts: dict[str, str]) -> None:
    found = run("ask", QUESTION, "--store", indexed / "store", "--json")
    assert found.code == 0
    answer = found.json
    assert set(answer) == SEARCH_KEYS | {"answer", "abstained", "citations"}
    assert answer["abstained"] is False
    assert answer["citations"]
    for one in answer["citations"]:
        assert set(one) == CITATION_KEYS
        assert one["quote"] == texts[Path(one["source"]).name][one["start"] : one["end"]]
        assert f"[{one['n']}]" in answer["answer"]
    assert len(answer["warnings"]) == 1
    assert "--llm provider:model" in found.err or "--llm provider:model" in answer["warnings"][0]


def test_ask_prints_question_answer_sources_and_a_hint(run: Any, indexed: Path) -> None:
    found = run("ask", QUESTION, "--store", indexed / "store")
    assert found.code == 0
    assert QUESTION in found.out
    assert "[1] texts/ducks.txt:" in found.out
    assert "note: no chat model" in found.err
    assert "note:" not in found.out


def test_an_abstention_is_a_result(run: Any, indexed: Path) -> None:
    question = "Which zygote quaffs xylophone jelly?"
    found = run("ask", question, "--store", indexed / "store", "--json")
    assert found.code == 0
    assert (found.json["abstained"], found.json["citations"]) == (True, [])
    plain = run("ask", question, "--store", indexed / "store")
    assert plain.code == 0
    assert "no answer found" in plain.out
    assert "closest passages" in plain.out


@pytest.mark.parametrize("words", [("search",), ("ask",), ("search", "--json"), ("ask", "--json")])
def test_nothing_in_a_document_reaches_the_terminal_as_control_or_markup(
    run: Any, indexed: Path, words: tuple[str, ...], texts: dict[str, str]
) -> None:
    assert len(set(controls(texts["wild.txt"]))) == 5
    command, *options = words
    found = run(command, "Which escape sequences and markup do terminals obey?", "--store", indexed / "store", *options)
    assert found.code == 0
    assert "sequences" in found.out
    assert controls(found.out) == []
    assert controls(found.err) == []
    if options:
        assert texts["wild.txt"] in [hit["text"] for hit in found.json["hits"]]
    else:
        plain = " ".join(found.out.replace("│", " ").split())
        assert "[bold]thick[/bold]" in plain
        assert "[link=http://evil.example]here[/link]" in plain


def test_names_of_files_are_no_markup_and_no_controls(run: Any, work: Path) -> None:
    write_corpus(work / "in", {"[red]\x1b[31mname.txt": "Ducks on ice.", "x\x1b]0;title\x07.bin": "nothing"})
    indexed_ = run("index", "in", "--encoder", "minilm")
    found = run("search", "ducks on ice")
    for text in (indexed_.out, indexed_.err, found.out, found.err):
        assert controls(text) == []
    assert "[red]" in found.out
    assert "skipped in/x" in indexed_.err


def test_a_question_with_broken_characters_is_searched_with(run: Any, indexed: Path) -> None:
    found = run("search", "ducks \udcff on \x00 ice", "--store", indexed / "store", "--json")
    assert found.code == 0
    assert len(found.json["hits"]) == 3


def scripted(**says: Any) -> Callable[[Any], Any]:
    def script(request: Any) -> Any:
        system = request["messages"][0]["content"]
        steps = {"You prepare": "rewrite", "You judge": "rerank", "You decide": "grade", "You check": "support"}
        step = steps.get(" ".join(system.split()[:2]), "answer")
        usual = {
            "rewrite": "x" * 30,
            "rerank": "Score: 2",
            "grade": '{"verdict": "answer"}',
            "support": '{"pairs": [{"pair": 1, "supported": true}]}',
        }
        return says.get(step, usual.get(step, "{}"))

    return script


@pytest.mark.slow
def test_a_chat_model_is_used_as_the_options_and_the_environment_say(
    run: Any, indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = json.dumps({"found": True, "answer": "By exchange [1].", "citations": [{"n": 1, "quote": "Ducks keep"}]})

    def score(request: Any) -> Any:
        said = scripted(rewrite="Ducks and the counter-current exchange of heat in their legs.", answer=answer)(request)
        return "Score: 5" if said == "Score: 2" and "Ducks keep" in request["messages"][1]["content"] else said

    with ScriptedChatServer(score, api_key="sk-right-123456") as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-right-123456")
        found = run("ask", QUESTION, "--store", indexed / "store", "--llm", "openai:big", "--json")
        monkeypatch.setenv("REASONIR_LLM", "openai:from-environment")
        plain = run("ask", QUESTION, "--store", indexed / "store")
        searched = run("search", QUESTION, "--store", indexed / "store")
    assert {request["model"] for request in server.requests} == {"big", "from-environment"}
    assert found.code == plain.code == searched.code == 0
    assert found.json["answer"] == "By exchange [1]."
    assert found.json["usage"]["llm_calls"] == 7
    assert found.json["citations"][0]["quote"] == "Ducks keep"
    assert found.json["hits"][0]["reranker_score"] == 1.0
    assert found.json["warnings"] == []
    assert "searched with: Ducks and the counter-current exchange" in plain.out
    assert "7 model calls" in plain.out
    assert "reranker 1.00" in searched.out


def test_a_model_s_answer_reaches_the_terminal_without_controls(
    run: Any, indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "Red \x1b[31malert\x9b0m [bold]x[/bold] [1]."
    answer = json.dumps({"found": True, "answer": said, "citations": [{"n": 1, "quote": "Ducks"}]})
    with ScriptedChatServer(scripted(rewrite="ducks \x1b[2J on ice, ducks on ice", answer=answer)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        for options in ((), ("--json",)):
            found = run("ask", QUESTION, "--store", indexed / "store", "--llm", "openai:m", *options)
            assert controls(found.out + found.err) == []
            assert "[bold]x[/bold]" in found.out


def test_a_degraded_result_is_a_result(run: Any, indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Reply("broken", status=400)
    with ScriptedChatServer(scripted(rewrite=broken, rerank=broken, answer=broken)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        found = run("ask", QUESTION, "--store", indexed / "store", "--llm", "openai:m", "--json")
    assert found.code == 0
    assert len(found.json["warnings"]) == 3
    assert found.json["citations"]


def test_the_version_is_printed(run: Any) -> None:
    found = run("--version")
    assert (found.code, found.out) == (0, f"reasonir-agent {__version__}\n")


@pytest.mark.parametrize("words", [("--help",), ("index", "--help"), ("search", "--help"), ("ask", "--help")])
def test_help_is_a_result_and_says_the_defaults(run: Any, words: tuple[str, ...]) -> None:
    found = run(*words)
    assert found.code == 0
    assert "Usage" in found.out
    if len(words) == 2:
        assert "$REASONIR_STORE" in found.out
