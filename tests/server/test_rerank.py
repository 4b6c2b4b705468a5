"""`/v1/rerank` as Open WebUI, Dify, LiteLLM and Cohere's clients use it, over real HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from reasonir_agent.config import AgentSettings
from reasonir_agent.llm import open_chat_model
from reasonir_agent.server import Limits
from reasonir_agent.testing import FakeEncoder, Reply, ScriptedChatServer

QUERY = "why do ducks keep cold feet"
DOCUMENTS = ["bread rises with yeast", "ducks keep their feet cold", "cold water sinks", "why ducks swim"]

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


def asked(**changed: Any) -> dict[str, Any]:
    return {"model": "fake-rerank", "query": QUERY, "documents": DOCUMENTS, **changed}


def cosines(texts: list[str] = DOCUMENTS) -> list[float]:
    """Of the query and each text, by the encoder itself."""
    encoder = FakeEncoder()
    return [float(one) for one in encoder.encode_documents(texts) @ encoder.encode_queries([QUERY])[0]]


def by_document(**scores: str) -> Callable[[Any], Any]:
    """What the chat model says about the passage that holds a word; "Score: 0" about the others."""

    def script(request: Any) -> Any:
        shown = str(request["messages"][1]["content"]).split("<passage>")[1]
        return next((said for word, said in scores.items() if word in shown), "Score: 0")

    return script


@pytest.fixture
def url(serve: Serve) -> str:
    """A server without a chat model."""
    return serve(FakeEncoder()).url


@pytest.fixture
def judged(serve: Serve) -> Any:
    """A server whose chat model follows a script: script -> (address, scripted server)."""
    opened: list[ScriptedChatServer] = []

    def start(script: Any, **settings: Any) -> tuple[str, ScriptedChatServer]:
        chat_server = ScriptedChatServer(script).__enter__()
        opened.append(chat_server)
        chat = open_chat_model("openai:test", base_url=chat_server.base_url, max_retries=0, timeout=5.0)
        return serve(FakeEncoder(), chat=chat, settings=AgentSettings(**settings)).url, chat_server

    yield start
    for one in opened:
        one.close()


def test_every_document_comes_back_best_first_with_its_cosine(url: str) -> None:
    said = post(f"{url}/v1/rerank", asked())
    expected = cosines()
    order = sorted(range(len(DOCUMENTS)), key=lambda i: -expected[i])
    assert order[0] == 1 and order[-1] == 0  # by hand: the second shares most words, the first none
    assert [one["index"] for one in said["results"]] == order
    assert [one["relevance_score"] for one in said["results"]] == pytest.approx([expected[i] for i in order], abs=1e-5)
    assert said["model"] == "fake-rerank" and said["id"]
    assert said["meta"]["warnings"] == []
    tokens = sum(len(text.split()) for text in (QUERY, *DOCUMENTS))
    assert said["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    assert said["meta"]["tokens"] == {"input_tokens": tokens, "output_tokens": 0}
    assert "document" not in said["results"][0]


def test_open_webui_gets_a_score_for_each_document_in_its_order(url: str) -> None:
    """It sends all documents with top_n, sorts the results by index, and reads one score for each."""
    said = post(f"{url}/v1/rerank", asked(top_n=len(DOCUMENTS)))
    scores = [one["relevance_score"] for one in sorted(said["results"], key=lambda one: one["index"])]
    assert scores == pytest.approx(cosines(), abs=1e-5)


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank", "/rerank"])
def test_the_paths_that_clients_build(url: str, path: str) -> None:
    """Dify adds /rerank to what the user typed; LiteLLM's Cohere roads are /v1/rerank and /v2/rerank."""
    assert len(post(url + path, asked())["results"]) == len(DOCUMENTS)


def test_documents_may_be_objects_and_are_repeated_on_request(url: str) -> None:
    documents = [{"text": text, "title": "ignored"} for text in DOCUMENTS[:2]] + DOCUMENTS[2:]
    said = post(f"{url}/v1/rerank", asked(documents=documents, return_documents=True, top_n=2, max_chunks_per_doc=3))
    assert [one["document"] for one in said["results"]] == [{"text": DOCUMENTS[i["index"]]} for i in said["results"]]
    assert len(said["results"]) == 2
    assert post(f"{url}/v1/rerank", asked())["results"][:2] == [
        {"index": one["index"], "relevance_score": one["relevance_score"]} for one in said["results"]
    ]


def test_more_results_than_documents_are_all_of_them(url: str) -> None:
    assert len(post(f"{url}/v1/rerank", asked(top_n=1000))["results"]) == len(DOCUMENTS)


def test_equal_documents_keep_their_order_and_empty_ones_are_not_lost(url: str) -> None:
    said = post(f"{url}/v1/rerank", asked(documents=["same words", "", "same words"]))
    scores = {one["index"]: one["relevance_score"] for one in said["results"]}
    assert scores[0] == scores[2] and scores[1] == 0
    places = [one["index"] for one in said["results"]]
    assert places.index(0) < places.index(2)


def test_with_a_chat_model_both_scores_are_interpolated(judged: Any) -> None:
    """By hand: 0.25 x (score / 5) + 0.75 x cosine, the cosine clipped to [0, 1]."""
    url, chat = judged(by_document(yeast="Score: 5", sinks="Score: 2"), rerank_weight=0.25)
    said = post(f"{url}/v1/rerank", asked(model="reasonir-rerank"))
    given = [5, 0, 2, 0]
    expected = [0.25 * score / 5 + 0.75 * max(0.0, cosine) for score, cosine in zip(given, cosines(), strict=True)]
    found = {one["index"]: one["relevance_score"] for one in said["results"]}
    assert [found[i] for i in range(4)] == pytest.approx(expected, abs=1e-5)
    assert [one["index"] for one in said["results"]] == sorted(range(4), key=lambda i: -expected[i])
    assert len(chat.requests) == 4 and all(QUERY in prompt for prompt in chat.prompts())
    assert said["meta"]["warnings"] == []
    assert said["meta"]["tokens"]["output_tokens"] == 4 * 3  # "Score", ":", "5"
    assert said["usage"]["total_tokens"] > said["usage"]["prompt_tokens"] > 100


def test_the_encoders_model_asks_no_chat_model(judged: Any) -> None:
    url, chat = judged("Score: 5")
    assert len(post(f"{url}/v1/rerank", asked())["results"]) == 4
    assert chat.requests == []


def test_an_empty_document_is_last_and_costs_no_request(judged: Any) -> None:
    url, chat = judged(["Score: 1"])
    said = post(f"{url}/v1/rerank", asked(model="reasonir-rerank", documents=[" ", *DOCUMENTS]))
    assert said["results"][-1] == {"index": 0, "relevance_score": 0.0}
    assert len(said["results"]) == 5 and len(chat.requests) == 4


def test_an_unusable_chat_model_leaves_the_cosines_and_says_so(judged: Any) -> None:
    url, _ = judged([Reply("no", status=500)])
    said = post(f"{url}/v1/rerank", asked(model="reasonir-rerank"))
    assert [one["relevance_score"] for one in said["results"]] == pytest.approx(sorted(cosines())[::-1], abs=1e-5)
    assert "the reranker is unusable: 4 of 4" in said["meta"]["warnings"][0]


def test_a_document_without_a_score_takes_the_mean_and_it_is_said(judged: Any) -> None:
    url, _ = judged(by_document(yeast="no idea", keep="Score: 3", sinks="Score: 3", swim="Score: 3"))
    said = post(f"{url}/v1/rerank", asked(model="reasonir-rerank"))
    found = {one["index"]: one["relevance_score"] for one in said["results"]}
    assert found[0] == pytest.approx(0.5 * 0.6 + 0.5 * max(0.0, cosines()[0]), abs=1e-5)
    assert said["meta"]["warnings"][0].startswith("1 of 4 passages got no reranker score")


@pytest.mark.parametrize(
    ("changed", "status", "words"),
    [
        ({"model": "rerank-v3.5"}, 404, "fake-rerank"),
        ({"model": "reasonir-rerank"}, 501, "--llm"),
        ({"documents": []}, 400, "documents"),
        ({"documents": [{"title": "no text"}]}, 400, "documents"),
        ({"documents": [None]}, 400, "documents"),
        ({"documents": "one text"}, 400, "documents"),
        ({"query": " "}, 400, "query"),
        ({"query": None}, 400, "valid string"),
        ({"top_n": 0}, 400, "top_n"),
        ({"top_n": "3"}, 400, "top_n"),
    ],
)
def test_wrong_input_is_refused_in_words(url: str, changed: dict[str, Any], status: int, words: str) -> None:
    said = post(f"{url}/v1/rerank", asked(**changed), status=status)
    assert words in said["error"]["message"]


def test_more_than_the_limits_is_refused(serve: Serve) -> None:
    url = serve(FakeEncoder(), limits=Limits(texts=3, characters=40)).url
    assert "up to 3 texts, got 4" in post(f"{url}/v1/rerank", asked(), status=413)["error"]["message"]
    said = post(f"{url}/v1/rerank", asked(documents=["x" * 41]), status=413)
    assert "documents[0]" in said["error"]["message"]
    said = post(f"{url}/v1/rerank", asked(query="x" * 41, documents=["x"]), status=413)
    assert "query[0]" in said["error"]["message"]
