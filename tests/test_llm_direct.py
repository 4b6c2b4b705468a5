"""The short way of an OpenAI model: the same request and the same reply as LangChain's, and only where nobody listens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.globals import set_llm_cache
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from reasonir_agent import Corpus, build_agent
from reasonir_agent.errors import ChatError
from reasonir_agent.llm import ChatModel, Meter, open_chat_model
from reasonir_agent.llm.direct_openai import DirectChatOpenAI
from reasonir_agent.testing import FakeEncoder, Reply, ScriptedChatServer, write_corpus


class Shape(BaseModel):
    name: str


TALK = [("system", "be brief"), ("user", "hello"), ("assistant", "hm"), ("user", "grüß dich 你好 \x07")]


def opened(server: ScriptedChatServer, **options: Any) -> ChatModel:
    given = {"api_key": "sk-secret-123456", "max_retries": 0, "timeout": 5.0, **options}
    return open_chat_model("openai:test", base_url=server.base_url, **given)


def by_langchain(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(DirectChatOpenAI, "_is_watched", lambda self, config: True)


@pytest.fixture
def only_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """LangChain's own way is shut."""

    async def refused(*_: Any, **__: Any) -> Any:
        raise AssertionError("this took LangChain's way")

    monkeypatch.setattr(ChatOpenAI, "_agenerate", refused)


def body(**changed: Any) -> Reply:
    """A completion with some fields changed; None takes one away."""
    whole: dict[str, Any] = {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "four"}}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
        **changed,
    }
    return Reply(body=json.dumps({name: value for name, value in whole.items() if value is not None}).encode())


def message(**fields: Any) -> Reply:
    return body(choices=[{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **fields}}])


CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
REPLIES: dict[str, Reply | str] = {
    "plain": "Score: 4",
    "thinking": "<think>3? no</think>Score: 4",
    "log-probabilities": Reply("4", logprobs=[{"4": -0.5, "5": -1.0}]),
    "cut off": Reply("half a", finish="length"),
    "filtered": Reply("", finish="content_filter"),
    "refused": Reply("", message={"refusal": "I will not"}),
    "an unasked tool call": Reply("", finish="tool_calls", message={"tool_calls": [CALL]}),
    "reasoning beside the text": message(content="four", reasoning_content="two and two"),
    "null content": message(content=None),
    "content in blocks": message(content=[{"type": "text", "text": "fo"}, {"type": "text", "text": "ur"}]),
    "half a character": message(content="four \ud83d"),
    "no role": body(choices=[{"index": 0, "finish_reason": "stop", "message": {"content": "four"}}]),
    "no usage": body(usage=None),
    "no finish reason": body(choices=[{"index": 0, "message": {"role": "assistant", "content": "four"}}]),
    "two choices": body(
        choices=[
            {"index": n, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            for n, text in enumerate(("four", "five"))
        ]
    ),
    "a megabyte": "four " * 200_000,
    "no choices": body(choices=[]),
    "choices left out": body(choices=None),
    "an error in place of choices": body(choices=None, error={"message": "overloaded"}),
    "content of another kind": message(content=4),
    "a list": Reply(body=b"[1, 2]"),
    "a text": Reply(body=b'"four"'),
    "a web page": Reply(body=b"<html><body>Welcome</body></html>"),
    "no letters": Reply(body=b"\xff\xfe\x00\x01"),
    "nothing": Reply(body=b""),
    "half of it": Reply(body=b'{"id": "x", "choices": [{"index": 0, "mess'),
    "a bad request": Reply("too long", status=400),
    "a wrong key": Reply("no", status=401),
    "an unknown model": Reply("no", status=404),
    "too many": Reply("no", status=429, headers={"retry-after": "3600"}),
    "broken": Reply("no", status=500),
    "a lost connection": Reply(drop=True),
    "late": Reply("late", delay=30),
}


async def what_comes(server: ScriptedChatServer, **options: Any) -> Any:
    chat, meter = opened(server, timeout=0.3 if server.late else 30), Meter()  # type: ignore[attr-defined]
    try:
        reply = await chat.complete(TALK, meter=meter, **options)
    except ChatError as problem:
        told = str(problem).split(" failed: ")[0].split(" (")[0]  # the two clients name a failure differently
        return type(problem), told, meter, meter.carried(), server.requests[-1]
    return reply, meter, meter.carried(), server.requests[-1]


TRIPPED_OVER = {"content in blocks", "an error in place of choices", "content of another kind"}
"""Replies that the typed client fails on before LangChain can read them, where a format was asked for."""


@pytest.mark.parametrize(
    ("kind", "options"),
    [(kind, {"logprobs": 5}) for kind in REPLIES]
    + [(kind, {"schema": Shape}) for kind in REPLIES if kind not in TRIPPED_OVER],
)
async def test_the_short_way_gives_what_langchain_gives(
    kind: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedChatServer([REPLIES[kind]]) as server:
        server.late = kind == "late"  # type: ignore[attr-defined]
        short = await what_comes(server, **options)
        with monkeypatch.context() as patch:
            by_langchain(patch)
            assert await what_comes(server, **options) == short
    assert len(server.requests) >= 2


@pytest.mark.usefixtures("only_short")
@pytest.mark.parametrize("logprobs", [0, 20])
async def test_a_plain_call_takes_the_short_way(logprobs: int) -> None:
    with ScriptedChatServer(["hi"]) as server:
        assert (await opened(server).complete(TALK, meter=Meter(), logprobs=logprobs)).text == "hi"


@pytest.mark.parametrize("asked", [{"logprobs": 5}, {"schema": Shape}], ids=["scores", "format"])
@pytest.mark.parametrize(
    "options", [{}, {"temperature": 0.25, "top_p": 0.5, "max_tokens": 77}, {"api_key": None}], ids=str
)
async def test_the_request_is_the_same(
    options: dict[str, Any], asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedChatServer(["hi"]) as server:
        await opened(server, **options).complete(TALK, meter=Meter(), **asked)
        by_langchain(monkeypatch)
        await opened(server, **options).complete(TALK, meter=Meter(), **asked)
    first, second = server.requests
    assert first == second
    assert [(one["role"], one["content"]) for one in first["messages"]] == TALK


async def test_the_key_is_sent_and_checked() -> None:
    with ScriptedChatServer(["hi"], api_key="sk-secret-123456") as server:
        assert (await opened(server).complete(TALK, meter=Meter())).text == "hi"
        with pytest.raises(ChatError, match="refuses the key") as caught:
            await opened(server, api_key="sk-other-987654").complete(TALK, meter=Meter())
    assert "sk-other" not in str(caught.value)


@pytest.mark.usefixtures("only_short")
async def test_formats_go_the_short_way_and_are_read_by_us() -> None:
    with ScriptedChatServer(['{"name": "x"}']) as server:
        assert await opened(server).ask_json(TALK, Shape, meter=Meter()) == Shape(name="x")
    assert server.requests[0]["response_format"]["json_schema"]["name"] == "Shape"


@pytest.mark.usefixtures("only_short")
async def test_a_format_as_a_class_is_langchain_s_matter() -> None:
    with ScriptedChatServer(['{"name": "x"}']) as server, pytest.raises(AssertionError, match="took LangChain's way"):
        await opened(server).model.ainvoke(TALK, response_format=Shape)


@pytest.mark.parametrize("way", ["short", "langchain", "stream"])
@pytest.mark.parametrize("end", ["length", "content_filter"])
async def test_a_cut_reply_of_a_format_is_a_reply(way: str, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "langchain":
        by_langchain(monkeypatch)
    heard: list[str | None] = []
    with ScriptedChatServer([Reply('{"name": "x', finish=end)]) as server:
        on_text = heard.append if way == "stream" else None
        reply = await opened(server).complete(TALK, meter=Meter(), schema=Shape, on_text=on_text)
    assert (reply.text, reply.ended) == ('{"name": "x', end)
    assert len(server.requests) == 1


class Listener(AsyncCallbackHandler):
    def __init__(self) -> None:
        self.heard: list[str] = []

    async def on_llm_end(self, response: Any, **_: Any) -> None:
        self.heard.append(response.generations[0][0].text)


class TestWhoListensIsTold:
    async def test_callbacks_of_the_call(self) -> None:
        with ScriptedChatServer(["hi"]) as server:
            listener = Listener()
            await opened(server).model.ainvoke(TALK, config={"callbacks": [listener]})
        assert listener.heard == ["hi"]

    async def test_callbacks_of_the_run_around_it(self) -> None:
        """A model that was opened by its name makes its requests on a loop of its own; the context goes with them."""
        from langchain_core.runnables import RunnableLambda

        with ScriptedChatServer(["hi"]) as server:
            chat, listener = opened(server), Listener()

            async def step(_: str) -> str:
                return (await chat.complete(TALK, meter=Meter())).text

            await RunnableLambda(step).ainvoke("", config={"callbacks": [listener]})
        assert listener.heard == ["hi"]

    async def test_a_cache(self, _cache: None) -> None:
        with ScriptedChatServer(["hi", "other"]) as server:
            chat = opened(server)
            assert [(await chat.complete(TALK, meter=Meter())).text for _ in range(2)] == ["hi", "hi"]
        assert len(server.requests) == 1

    @pytest.fixture
    def _cache(self) -> Iterator[None]:
        set_llm_cache(InMemoryCache())
        yield
        set_llm_cache(None)

    async def test_langgraph_s_stream_of_messages(self, tmp_path: Path) -> None:
        write_corpus(tmp_path / "texts", {"a.txt": "Ducks keep their feet cold."})
        with ScriptedChatServer(["one two three"]) as server, Corpus(tmp_path / "s", FakeEncoder(), create=True) as c:
            c.index(tmp_path / "texts")
            agent = build_agent(store=c, encoder=c.encoder, chat_model=opened(server), until="rerank")
            parts = agent.astream({"question": "Why ducks?"}, stream_mode="messages")
            heard = [(str(piece.content), about["langgraph_node"]) async for piece, about in parts]  # type: ignore[union-attr]
        assert "".join(text for text, node in heard if node == "rewrite") == "one two three"
        assert "".join(text for text, node in heard if node == "rerank")
