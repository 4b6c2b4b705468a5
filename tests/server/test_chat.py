"""The agent as a chat model, asked with the real `openai` client and, where the wire itself matters, with raw HTTP."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from openai import APIError, BadRequestError, NotFoundError

from reasonir_agent import AgentSettings, Corpus
from reasonir_agent.server import Limits, chat
from reasonir_agent.testing import FakeEncoder, Reply
from tests.server.chatting import MODEL, QUESTION, REWRITE, TEXTS, Script, said_by_user, supported

Serve = Callable[..., Any]


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


def until(what: Callable[[], bool], seconds: float = 30.0) -> None:
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
            "searching again for: what lenders do",
            "searching with: Lenders and their loans.",
            "nothing was found that is new",
            "answering from 4 passages",
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


def test_a_quote_loads_no_picture_and_the_payload_keeps_the_words(plain: str, connect: Any) -> None:
    reply = connect(plain).chat.completions.create(model=MODEL, messages=said_by_user("Where do zebras graze?"))
    text = reply.choices[0].message.content
    shown = re.sub("`[^`]*`", "", text)  # a page shows code as it is
    assert "![" not in shown and "<img" not in shown and "http" not in shown
    assert "`Zebras graze ![here](http://evil.example/?q=1) and <img src=x> there, on the wide plains.`" in text
    assert "![here](http://evil.example/?q=1)" in reply.citations[0]["quote"]


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
    url = scripted(Script(rerank=Reply("Score: 3", delay=60)), limits=Limits(seconds=2.0))
    lines = events(url, {"model": MODEL, "messages": said_by_user(QUESTION), "stream": True})
    assert "longer than 1.9 seconds" in json.loads(lines[-2][6:])["error"]["message"]
    assert lines[-1] == "data: [DONE]"


def test_comments_keep_a_silent_connection_alive(scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "KEEP_ALIVE", 0.1)
    url = scripted(Script(rewrite=Reply(REWRITE, delay=0.55)))
    lines = events(url, {"model": MODEL, "messages": said_by_user(QUESTION), "stream": True})
    comments = [line for line in lines if line.startswith(":")]
    assert 3 <= len(comments) <= 10
    assert lines.index(comments[-1]) < next(n for n, line in enumerate(lines) if "searching with" in line)


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_stops_the_requests_to_the_chat_model(scripted: Any, stream: bool) -> None:
    """One request at a time, and a score takes a minute: only where the first is given up and none of those that wait
    behind it is sent does a second question get its turn."""
    script = Script(rerank=Reply("Score: 3", delay=60))
    url = scripted(script, concurrency=1)
    body = {"model": MODEL, "messages": said_by_user(QUESTION), "stream": stream}
    hang_up_after(url, body, line="scoring" if stream else None, when=lambda: script.asked.count("rerank") == 1)
    hang_up_after(url, body, line=None, when=lambda: script.asked.count("rewrite") == 2)
    assert script.asked[:3] == ["rewrite", "rerank", "rewrite"]


@pytest.mark.slow
def test_questions_beside_each_other_do_not_wait_for_one_another(scripted: Any) -> None:
    """A second question is rewritten before the first one goes on; one after the other, it would come behind its steps."""
    said = Script(rewrite=Reply(REWRITE, delay=0.6))
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
