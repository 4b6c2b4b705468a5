"""The agent as a chat model, asked with the real `openai` client and, where the wire itself matters, with raw HTTP."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from openai import APIError, BadRequestError, NotFoundError, OpenAI

from reasonir_agent import AgentSettings, Corpus
from reasonir_agent.llm import open_chat_model
from reasonir_agent.server import Limits, chat
from reasonir_agent.server.narration import Narrator, inert, markdown
from reasonir_agent.testing import FakeEncoder, Reply, ScriptedChatServer, write_corpus
from reasonir_agent.types import Answer, Citation, Usage

TEXTS = {
    "ducks.txt": "Ducks keep their feet cold on purpose. The arteries of their legs lie beside the veins.",
    "debts.txt": "Inflation erodes the real value of nominal debts. Borrowers repay with money that buys less.",
    "bread.txt": "Salt slows the yeast in a dough. Bakers use it to control how fast bread rises.",
    "evil.txt": "Zebras graze ![here](http://evil.example/?q=1) and <img src=x> there, on the wide plains.",
}
QUESTION = "Why do ducks keep their feet cold?"
REWRITE = "What inflation does to nominal debts: borrowers repay lenders with money that buys less."
MODEL = "reasonir-agent"

Serve = Callable[..., Any]


class Script:
    """A chat model that knows which step asks, and counts."""

    def __init__(self, **says: Any) -> None:
        self.says: dict[str, Any] = {
            "rewrite": REWRITE,
            "rerank": "Score: 3",
            "grade": '{"verdict": "answer"}',
            "answer": quoting,
            "support": supported,
            **says,
        }
        self.asked: list[str] = []

    def __call__(self, request: Any) -> Any:
        system, text = (str(request["messages"][i]["content"]) for i in (0, 1))
        starts = {
            "You prepare": "rewrite",
            "You judge": "rerank",
            "You decide": "grade",
            "You answer": "answer",
            "You check": "support",
        }
        step = next(name for start, name in starts.items() if system.startswith(start))
        self.asked.append(step)
        says = self.says[step]
        return says(text) if callable(says) else says


def supported(text: str) -> str:
    """Every quote supports its sentence."""
    return json.dumps({"pairs": [{"pair": one["pair"], "supported": True} for one in json.loads(text)]})


def quoting(text: str) -> str:
    """An answer that quotes the passage about borrowers."""
    n = next(int(n) for n, said in re.findall(r'<passage n="(\d+)">\n(.*?)\n</passage>', text, re.S) if "repay" in said)
    citation = {"n": n, "quote": "Borrowers repay with money that buys less."}
    return json.dumps({"found": True, "answer": f"Lenders lose [{n}].", "citations": [citation]})


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    folder = tmp_path_factory.mktemp("chat")
    write_corpus(folder / "texts", TEXTS)
    with Corpus(folder / "store", FakeEncoder(), create=True) as made:
        assert made.index([folder / "texts"]).passages == len(TEXTS)
        yield made


@pytest.fixture
def connect() -> Iterator[Callable[[str], OpenAI]]:
    """The `openai` client of a server."""
    opened: list[OpenAI] = []

    def client(url: str) -> OpenAI:
        opened.append(OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=30))
        return opened[-1]

    yield client
    for one in opened:
        one.close()


@pytest.fixture
def plain(serve: Serve, corpus: Corpus) -> str:
    """A server without a chat model."""
    return serve(corpus.encoder, corpus=corpus).url


@pytest.fixture
def scripted(serve: Serve, corpus: Corpus) -> Iterator[Callable[..., str]]:
    """A server whose chat model is a script."""
    opened: list[ScriptedChatServer] = []

    def start(script: Script, *, concurrency: int = 8, limits: Limits | None = None) -> str:
        opened.append(ScriptedChatServer(script).__enter__())
        model = open_chat_model(
            "openai:test", base_url=opened[-1].base_url, max_retries=0, timeout=30.0, concurrency=concurrency
        )
        return serve(corpus.encoder, corpus=corpus, chat=model, limits=limits).url

    yield start
    for one in opened:
        one.close()


def said_by_user(text: Any) -> list[Any]:
    return [{"role": "user", "content": text}]


def events(url: str, body: dict[str, Any]) -> list[str]:
    """The lines of a streamed reply that are not empty."""
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        return [line for line in reply.read().decode().splitlines() if line]


def refused(url: str, body: dict[str, Any]) -> tuple[int, str]:
    """Status and sentence of a request that is refused."""
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=30)
    with error.value as reply:
        return reply.code, json.load(reply)["error"]["message"]


def hang_up_after(url: str, body: dict[str, Any], *, line: str | None, when: Callable[[], bool]) -> None:
    """Send a request, read up to a line (None: nothing), wait for something, and close the connection."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.request("POST", "/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    if line is not None:
        reply = connection.getresponse()
        while line not in reply.readline().decode():
            pass
    until(when)
    connection.close()
    if line is not None:
        reply.close()


def until(what: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def test_the_agent_answers_as_a_model(scripted: Any, connect: Any) -> None:
    client = connect(scripted(Script()))
    reply = client.chat.completions.create(model=MODEL, messages=said_by_user(QUESTION))
    text = reply.choices[0].message.content
    (citation,) = reply.citations
    assert text.startswith(f"Lenders lose [{citation['n']}].\n\n**Sources**\n\n- [{citation['n']}] `")
    assert text.endswith("“Borrowers repay with money that buys less.”")
    assert TEXTS["debts.txt"][citation["start"] : citation["end"]] == citation["quote"]
    assert citation["source"].endswith("debts.txt") and citation["verified"] == "supported"
    assert reply.choices[0].finish_reason == "stop" and reply.object == "chat.completion" and reply.model == MODEL
    assert reply.reasonir["rewrites"] == [REWRITE] and reply.reasonir["abstained"] is False
    assert reply.reasonir["llm_calls"] == 1 + len(TEXTS) + 1 + 1 + 1 and len(reply.reasonir["hits"]) == len(TEXTS)
    assert reply.usage.prompt_tokens > 100 and reply.usage.completion_tokens > 10
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert reply.choices[0].message.reasoning_content.splitlines() == [
        f"searching with: {REWRITE}",
        "scoring 4 passages",
        "answering from 4 passages",
    ]


def test_streamed_the_steps_come_first_and_the_checked_answer_with_its_citations_last(
    scripted: Any, connect: Any
) -> None:
    client = connect(scripted(Script()))
    whole = client.chat.completions.create(model=MODEL, messages=said_by_user(QUESTION))
    stream = client.chat.completions.create(
        model=MODEL, messages=said_by_user(QUESTION), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    deltas = [chunk.choices[0].delta for chunk in chunks[:-1]]
    thinking = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    assert thinking == whole.choices[0].message.reasoning_content
    assert "".join(delta.content or "" for delta in deltas) == whole.choices[0].message.content
    assert deltas[0].role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 2) + ["stop"]
    assert chunks[-2].citations == whole.citations
    assert {**chunks[-2].reasonir, "seconds": 0} == {**whole.reasonir, "seconds": 0}
    assert chunks[-1].choices == [] and chunks[-1].usage == whole.usage
    assert len({chunk.id for chunk in chunks}) == 1 and chunks[0].id != whole.id


def test_the_rewrite_is_told_as_it_is_written_and_the_draft_never(scripted: Any, connect: Any) -> None:
    script = Script(support=lambda text: Reply(supported(text), delay=0.3))
    chunks = connect(scripted(script)).chat.completions.create(
        model=MODEL, messages=said_by_user(QUESTION), stream=True
    )
    deltas = [chunk.choices[0].delta for chunk in chunks]
    thinking = [getattr(delta, "reasoning_content", None) or "" for delta in deltas]
    pieces = thinking[: next(n for n, told in enumerate(thinking) if "scoring" in told)]
    assert sum(told != "" for told in pieces) > 5, "not piece by piece"
    assert "Lenders" not in "".join(thinking)
    assert [delta.content for delta in deltas if delta.content] == [deltas[-2].content]


def test_what_is_missing_and_the_next_rewrite_are_told(scripted: Any, connect: Any) -> None:
    missing = '{"verdict": "search", "missing": ["what lenders do"]}'
    url = scripted(
        Script(rewrite=lambda text: "Lenders and their loans." if "what lenders do" in text else REWRITE, grade=missing)
    )
    for stream in (False, True):
        said = connect(url).chat.completions.create(model=MODEL, messages=said_by_user(QUESTION), stream=stream)
        parts = [chunk.choices[0].delta for chunk in said] if stream else [said.choices[0].message]
        thinking = "".join(getattr(part, "reasoning_content", None) or "" for part in parts)
        assert thinking.splitlines() == [
            f"searching with: {REWRITE}",
            "scoring 4 passages",
            "still missing: what lenders do",
            "searching with: Lenders and their loans.",
            "scoring 4 passages",
            "answering from 4 passages",
        ]


def test_a_quote_that_supports_nothing_is_no_source() -> None:
    one, other = (Citation(n, f"id{n}", f"{n}.txt", 0, 5, f"words {n}", "unsupported") for n in (1, 2))
    answer = Answer("Why?", [], [], Usage(), answer="So it is [2].", citations=[one, replace(other, verified="quote")])
    assert markdown(answer) == "So it is [2].\n\n**Sources**\n\n- [2] `2.txt`, characters 0 to 5: “words 2”"
    assert markdown(replace(answer, citations=[one])) == "So it is [2]."


def narrated() -> tuple[Narrator, list[str]]:
    told: list[str] = []
    return Narrator(told.append, scores=True, depth=30, shown=8), told


@pytest.mark.parametrize(
    "text",
    [
        "Plain words.",
        "  two\n\nparagraphs \t and   spaces ",
        "![picture](http://evil.example) ! [a] !![b]",
        "<img src=x> < 3 <<img> a<",
        "温暖的血液！[x]",
        "ends with !",
        "",
    ],
)
def test_pieces_make_the_same_line_as_the_whole(text: str) -> None:
    (pieces, told), (whole, expected) = narrated(), narrated()
    whole.step("rewrite", {"rewrites": [text]})
    for character in text:
        pieces.news({"kind": "rewrite", "text": character})
    pieces.step("rewrite", {"rewrites": [text]})
    assert "".join(told).replace(": \n", ":\n") == "".join(expected)
    assert not re.search(r"!\[|<[A-Za-z/!?]", "".join(told))


def test_scores_are_told_in_tens_and_no_rewrite_twice() -> None:
    narrator, told = narrated()
    narrator.step("rewrite", {"rewrites": ["one", "two"]})
    narrator.step("retrieve", {"hits": [{}] * 100})
    for done in range(1, 26):
        narrator.news({"kind": "rerank", "done": done, "of": 30})
    narrator.step("rerank", {"hits": [{}] * 100, "warnings": ["some\nfailed"]})
    narrator.news({"kind": "answer", "text": "a draft"})
    narrator.step("grade", {"verdict": "search", "missing": ["this", "that"]})
    narrator.step("rewrite", {"rewrites": ["one", "two", "three"]})
    narrator.step("grade", {"verdict": "abstain", "missing": []})
    narrator.step("grade", {"verdict": "answer"})
    assert "".join(told).splitlines() == [
        "searching with: one",
        "searching with: two",
        "scoring 30 passages",
        "scored 10 of 30",
        "scored 20 of 30",
        "note: some failed",
        "still missing: this; that",
        "searching with: three",
        "the passages are from other fields",
        "answering from 8 passages",
    ]


def test_a_rewrite_that_begins_anew_or_cannot_be_used_is_told() -> None:
    narrator, told = narrated()
    for piece in ("bro", "ken", None, "second ", "try"):
        narrator.news({"kind": "rewrite", "text": piece})
    narrator.step("rewrite", {"rewrites": [], "warnings": ["the question could not be rewritten"]})
    assert "".join(told).splitlines() == [
        "searching with: broken",
        "searching with: second try",
        "searching with the question",
        "note: the question could not be rewritten",
    ]


def test_without_include_usage_there_is_no_chunk_without_a_choice(plain: str, connect: Any) -> None:
    chunks = list(connect(plain).chat.completions.create(model=MODEL, messages=said_by_user(QUESTION), stream=True))
    assert all(chunk.choices for chunk in chunks) and all(chunk.usage is None for chunk in chunks)


def test_the_wire_is_events_that_end_with_done(plain: str) -> None:
    lines = events(plain, {"model": MODEL, "messages": said_by_user(QUESTION), "stream": True})
    assert all(line.startswith("data: ") for line in lines) and lines[-1] == "data: [DONE]"
    assert json.loads(lines[0][6:])["object"] == "chat.completion.chunk"


def test_without_a_model_the_answer_is_extracted_and_it_is_said(plain: str, connect: Any) -> None:
    reply = connect(plain).chat.completions.create(model=MODEL, messages=said_by_user(QUESTION))
    assert "Ducks keep their feet cold on purpose. [1]" in reply.choices[0].message.content
    assert reply.usage.total_tokens == 0
    assert reply.reasonir["warnings"][0].startswith("no chat model")
    thinking = reply.choices[0].message.reasoning_content.splitlines()
    assert thinking[:3] == ["searching with the question", "found 4 passages", "answering from 4 passages"]
    assert thinking[3].startswith("note: no chat model")


def test_an_abstention_has_no_sources(plain: str, connect: Any) -> None:
    reply = connect(plain).chat.completions.create(model=MODEL, messages=said_by_user("Xylograph blorptastic?"))
    assert reply.reasonir["abstained"] is True and reply.citations == []
    assert "Sources" not in reply.choices[0].message.content


def test_the_last_user_message_is_the_question(scripted: Any, connect: Any) -> None:
    script = Script()
    heard: list[str] = []
    script.says["rewrite"] = lambda text: heard.append(text) or REWRITE
    connect(scripted(script)).chat.completions.create(
        model=MODEL,
        messages=[
            {"role": "system", "content": "Speak like a pirate."},
            {"role": "user", "content": "An earlier question?"},
            {"role": "assistant", "content": "An earlier answer."},
            {"role": "user", "content": [{"type": "text", "text": QUESTION}, {"type": "text", "text": "Really?"}]},
        ],
        temperature=0.9,
        max_tokens=5,
        stop=["x"],
        seed=1,
        user="somebody",
    )
    assert f"{QUESTION}\nReally?" in heard[0] and "earlier" not in heard[0] and "pirate" not in heard[0]


def test_a_quote_loads_no_picture_and_the_payload_keeps_the_words(plain: str, connect: Any) -> None:
    reply = connect(plain).chat.completions.create(model=MODEL, messages=said_by_user("Where do zebras graze?"))
    text = reply.choices[0].message.content
    shown = re.sub("`[^`]*`", "", text)  # a page shows code as it is
    assert "![" not in shown and "<img" not in shown and "http" not in shown
    assert "`Zebras graze ![here](http://evil.example/?q=1) and <img src=x> there, on the wide plains.`" in text
    assert "![here](http://evil.example/?q=1)" in reply.citations[0]["quote"]


@pytest.mark.parametrize("text", ["![a](b)", r"\![a](b)", "<img src=x>", r"\<b>", "<!-- x -->", "</p>", "<?php"])
def test_what_is_inert_has_no_active_signs(text: str) -> None:
    assert not re.search(r"!\[|<[A-Za-z/!?]", inert(text))


def test_ordinary_text_stays_as_it_is() -> None:
    assert inert("Wow! [1] a < b, 3<4, 5 > 4 [x](y) `code`") == "Wow! [1] a < b, 3<4, 5 > 4 [x](y) `code`"


@pytest.mark.parametrize(
    ("changed", "status", "words"),
    [
        ({"model": "gpt-5"}, 404, "there is no chat model 'gpt-5'; there is reasonir-agent"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "system", "content": "hello"}]}, 400, "role 'user'"),
        ({"messages": [{"role": "robot", "content": "hello"}]}, 400, "role"),
        ({"messages": said_by_user(" ")}, 400, "holds no text"),
        ({"messages": said_by_user(None)}, 400, "holds no text"),
        ({"messages": said_by_user([{"type": "image_url", "image_url": {"url": "data:"}}])}, 400, "image_url"),
        ({"n": 2}, 400, "leave out: n"),
        ({"tools": [{"type": "function"}]}, 400, "leave out: tools"),
        ({"response_format": {"type": "json_object"}}, 400, "leave out: response_format"),
        ({"logprobs": True, "modalities": ["text", "audio"]}, 400, "leave out: logprobs, modalities"),
        ({"stream": "yes"}, 400, "stream"),
        ({"messages": said_by_user("x" * 101)}, 413, "100 characters"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_done_is_refused_before_anything_is_sent(
    serve: Serve, corpus: Corpus, changed: dict[str, Any], status: int, words: str, stream: bool
) -> None:
    url = serve(corpus.encoder, corpus=corpus, limits=Limits(characters=100)).url
    body = {"model": MODEL, "messages": said_by_user(QUESTION), "stream": stream, **changed}
    said = refused(url, body)
    assert said[0] == status and words in said[1]


@pytest.mark.parametrize(
    "harmless",
    [{"n": 1}, {"tools": []}, {"response_format": {"type": "text"}}, {"logprobs": False}, {"modalities": ["text"]}],
)
def test_what_asks_for_nothing_else_is_accepted(plain: str, connect: Any, harmless: dict[str, Any]) -> None:
    assert connect(plain).chat.completions.create(model=MODEL, messages=said_by_user(QUESTION), **harmless).citations


def test_the_openai_client_knows_the_refusals(plain: str, connect: Any) -> None:
    with pytest.raises(NotFoundError, match="no chat model"):
        connect(plain).chat.completions.create(model="gpt-5", messages=said_by_user(QUESTION))
    with pytest.raises(BadRequestError, match="leave out: n"):
        connect(plain).chat.completions.create(model=MODEL, messages=said_by_user(QUESTION), n=3)


def test_the_agent_is_listed_where_there_is_a_store(plain: str, serve: Serve, connect: Any) -> None:
    assert MODEL in [model.id for model in connect(plain).models.list()]
    empty = serve(FakeEncoder()).url
    assert MODEL not in [model.id for model in connect(empty).models.list()]
    status, words = refused(empty, {"model": MODEL, "messages": said_by_user(QUESTION)})
    assert status == 501 and "--store" in words


def test_a_failure_after_the_stream_began_ends_it_in_words(scripted: Any, connect: Any) -> None:
    url = scripted(Script(rewrite=Reply("incorrect key sk-verysecret123", status=401)))
    body = {"model": MODEL, "messages": said_by_user(QUESTION), "stream": True}
    lines = events(url, body)
    error = json.loads(lines[-2][6:])["error"]
    assert "refuses the key" in error["message"] and error["type"] == "upstream_error"
    assert lines[-1] == "data: [DONE]"
    assert "Traceback" not in "".join(lines) and "verysecret" not in "".join(lines)
    with pytest.raises(APIError, match="refuses the key"):
        list(connect(url).chat.completions.create(**body))


@pytest.mark.slow
def test_a_question_that_takes_too_long_ends_in_words(scripted: Any) -> None:
    url = scripted(Script(rerank=Reply("Score: 3", delay=4)), limits=Limits(seconds=3.0))
    lines = events(url, {"model": MODEL, "messages": said_by_user(QUESTION), "stream": True})
    assert "longer than 2.85 seconds" in json.loads(lines[-2][6:])["error"]["message"]
    assert lines[-1] == "data: [DONE]"


def test_comments_keep_a_silent_connection_alive(scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "KEEP_ALIVE", 0.1)
    url = scripted(Script(rewrite=Reply(REWRITE, delay=0.55)))
    lines = events(url, {"model": MODEL, "messages": said_by_user(QUESTION), "stream": True})
    comments = [line for line in lines if line.startswith(":")]
    assert 3 <= len(comments) <= 10
    assert lines.index(comments[-1]) < next(n for n, line in enumerate(lines) if "searching with" in line)


@pytest.mark.slow
@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_stops_the_requests_to_the_chat_model(scripted: Any, stream: bool) -> None:
    """One score at a time, 0.4 s each: after the client has left during the first, nobody asks for the others."""
    script = Script(rerank=Reply("Score: 3", delay=0.4))
    url = scripted(script, concurrency=1)
    body = {"model": MODEL, "messages": said_by_user(QUESTION), "stream": stream}
    hang_up_after(url, body, line="scoring" if stream else None, when=lambda: script.asked.count("rerank") == 1)
    time.sleep(1.5)
    assert script.asked == ["rewrite", "rerank"]


@pytest.mark.slow
@pytest.mark.slow
def test_questions_beside_each_other_do_not_wait_for_one_another(scripted: Any) -> None:
    """A second question is rewritten before the first one goes on; one after the other, it would come behind its steps."""
    said = Script(rewrite=Reply(REWRITE, delay=1.0))
    url = scripted(said, concurrency=8)
    body = {"model": MODEL, "messages": said_by_user(QUESTION), "stream": True}

    async def all_of_them() -> list[list[str]]:
        return await asyncio.gather(*(asyncio.to_thread(events, url, body) for _ in range(4)))

    replies = asyncio.run(all_of_them())
    assert said.asked[:2] == ["rewrite", "rewrite"]
    assert all(reply[-1] == "data: [DONE]" and "Lenders lose" in "".join(reply) for reply in replies)


def test_the_servers_settings_hold(serve: Serve, corpus: Corpus, connect: Any) -> None:
    url = serve(corpus.encoder, corpus=corpus, settings=AgentSettings(k=2)).url
    reply = connect(url).chat.completions.create(model=MODEL, messages=said_by_user(QUESTION))
    assert len(reply.reasonir["hits"]) == 2
