"""`/search` and `/ask`: the JSON of the command line over HTTP, with and without a chat model."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reasonir_agent import AgentSettings, Corpus, ask, search
from reasonir_agent.cli.main import main
from reasonir_agent.llm import open_chat_model
from reasonir_agent.server import Limits
from reasonir_agent.testing import FakeEncoder, Reply, ScriptedChatServer, write_corpus

TEXTS = {
    "ducks.txt": "Ducks keep their feet cold on purpose. The arteries of their legs lie beside the veins.",
    "debts.txt": "Inflation erodes the real value of nominal debts. Borrowers repay with money that buys less.",
    "bread.md": "Salt slows the yeast in a dough. Bakers use it to control how fast bread rises.",
}
QUESTION = "Why do ducks keep their feet cold?"
REWRITE = "What inflation does to nominal debts: borrowers repay lenders with money that buys less."

Serve = Callable[..., Any]


def post(url: str, body: Any, *, status: int = 200) -> Any:
    """What a route says to some JSON."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            said, got = json.load(reply), reply.status
    except urllib.error.HTTPError as refused:
        with refused:
            said, got = json.load(refused), refused.code
    assert got == status, said
    return said


def timeless(result: dict[str, Any]) -> dict[str, Any]:
    return {**result, "usage": {**result["usage"], "seconds": 0}}


def script(request: Any) -> str:
    """Rewrites towards debts, scores everything 3, quotes the first words about borrowers."""
    system, text = (str(request["messages"][i]["content"]) for i in (0, 1))
    if system.startswith("You prepare searches"):
        return REWRITE
    if system.startswith("You judge how useful"):
        return "Score: 3"
    if system.startswith("You decide how"):
        return '{"verdict": "answer"}'
    if system.startswith("You check citations"):
        return json.dumps({"pairs": [{"pair": one["pair"], "supported": True} for one in json.loads(text)]})
    n = next(int(n) for n, said in re.findall(r'<passage n="(\d+)">\n(.*?)\n</passage>', text, re.S) if "repay" in said)
    return json.dumps({"found": True, "answer": f"So [{n}].", "citations": [{"n": n, "quote": "Borrowers repay"}]})


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    folder = tmp_path_factory.mktemp("search")
    write_corpus(folder / "texts", TEXTS)
    with Corpus(folder / "store", FakeEncoder(), create=True) as made:
        assert made.index([folder / "texts"]).passages == len(TEXTS)
        yield made


@pytest.fixture
def url(serve: Serve, corpus: Corpus) -> str:
    return serve(corpus.encoder, corpus=corpus).url


def test_search_says_what_the_library_says(url: str, corpus: Corpus) -> None:
    said = post(f"{url}/search", {"question": QUESTION, "k": 2})
    assert timeless(said) == timeless(search(QUESTION, store=corpus, settings=AgentSettings(k=2)).as_json())
    assert len(said["hits"]) == 2 and Path(said["hits"][0]["source"]).name == "ducks.txt"


def test_ask_says_what_the_library_says(url: str, corpus: Corpus) -> None:
    said = post(f"{url}/ask", {"question": QUESTION})
    assert timeless(said) == timeless(ask(QUESTION, store=corpus).as_json())
    quote = said["citations"][0]
    assert TEXTS["ducks.txt"][quote["start"] : quote["end"]] == quote["quote"]
    assert f"[{quote['n']}]" in said["answer"] and said["warnings"]


@pytest.mark.slow
def test_search_says_what_the_command_line_says(
    url: str, corpus: Corpus, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from reasonir_agent.cli import settings

    monkeypatch.setattr(settings.Choices, "open_corpus", lambda _: Corpus(corpus.store.folder, FakeEncoder()))
    with pytest.raises(SystemExit) as end:
        main(["search", QUESTION, "--json", "-k", "2"])
    assert end.value.code == 0
    assert timeless(json.loads(capsys.readouterr().out)) == timeless(
        post(f"{url}/search", {"question": QUESTION, "k": 2})
    )


def test_filters_are_those_of_the_command_line(url: str) -> None:
    said = post(f"{url}/search", {"question": QUESTION, "where": ["type=md"]})
    assert [Path(one["source"]).name for one in said["hits"]] == ["bread.md"]
    assert post(f"{url}/ask", {"question": QUESTION, "where": ["type=md"]})["hits"] == said["hits"]


def test_with_a_chat_model_questions_are_rewritten_unless_they_ask_not_to_be(serve: Serve, corpus: Corpus) -> None:
    with ScriptedChatServer(script) as server:
        chat = open_chat_model("openai:test", base_url=server.base_url, max_retries=0)
        url = serve(corpus.encoder, corpus=corpus, chat=chat).url
        told = post(f"{url}/ask", {"question": QUESTION})
        assert told["rewrites"] == [REWRITE] and told["usage"]["llm_calls"] == 1 + 3 + 1 + 1 + 1
        assert told["citations"][0]["quote"] == "Borrowers repay" and told["citations"][0]["verified"] == "supported"
        found = post(f"{url}/search", {"question": QUESTION, "rewrite": False, "k": 1})
        assert found["rewrites"] == [] and len(found["hits"]) == 1
        assert found["hits"][0]["reranker_score"] == pytest.approx(0.6)


@pytest.mark.parametrize("path", ["/search", "/ask"])
@pytest.mark.parametrize(
    ("changed", "status", "words"),
    [
        ({"question": " "}, 400, "a question is needed"),
        ({"question": 7}, 400, "question"),
        ({"k": 0}, 400, "k"),
        ({"k": 101}, 400, "100"),
        ({"k": True}, 400, "k"),
        ({"where": ["nonsense"]}, 400, "filter"),
        ({"where": ["colour=red"]}, 400, "colour"),
        ({"where": "type=text"}, 400, "where"),
        ({"question": "x" * 201}, 413, "200"),
    ],
)
def test_wrong_input_is_refused_in_words(
    serve: Serve, corpus: Corpus, path: str, changed: dict[str, Any], status: int, words: str
) -> None:
    url = serve(corpus.encoder, corpus=corpus, limits=Limits(characters=200)).url
    said = post(url + path, {"question": QUESTION, **changed}, status=status)
    assert words in said["error"]["message"]


@pytest.mark.parametrize("path", ["/search", "/ask"])
def test_without_a_store_a_sentence_says_how_to_start_with_one(serve: Serve, path: str) -> None:
    said = post(serve(FakeEncoder()).url + path, {"question": QUESTION}, status=501)
    assert "--store" in said["error"]["message"]


@pytest.mark.parametrize("path", ["/search", "/ask"])
def test_a_chat_server_that_refuses_the_key_is_told_without_the_key(serve: Serve, corpus: Corpus, path: str) -> None:
    with ScriptedChatServer([Reply("ok")], api_key="right") as server:
        chat = open_chat_model("openai:test", base_url=server.base_url, api_key="sk-wrongsecret123", max_retries=0)
        url = serve(corpus.encoder, corpus=corpus, chat=chat).url
        said = post(url + path, {"question": QUESTION}, status=502)
    assert "refuses the key" in said["error"]["message"] and "wrongsecret" not in json.dumps(said)
