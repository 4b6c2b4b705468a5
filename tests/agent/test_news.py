"""What goes on inside the steps, told live, and what each step did and cost, told afterwards."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from reasonir_agent import AgentSettings, Corpus, ask, ask_async, build_agent, search
from reasonir_agent.testing import Reply, ScriptedChatServer

STEPS = ["rewrite", "retrieve", "rerank", "grade", "answer"]


class TestNews:
    """What goes on inside the steps."""

    def expected(self, news: list[Mapping[str, Any]], rewrite: str, answer: str) -> None:
        rewritten = [one["text"] for one in news if one["kind"] == "rewrite"]
        assert len(rewritten) > 3 and "".join(rewritten) == rewrite
        scored = [(one["done"], one["of"]) for one in news if one["kind"] == "rerank"]
        assert scored == [(n, 6) for n in range(1, 7)]
        written = [one["text"] for one in news if one["kind"] == "answer"]
        assert "".join(written) == answer
        kinds = [one["kind"] for one in news]
        assert kinds == sorted(kinds, key=["rewrite", "rerank", "answer"].index)

    async def test_a_graph_tells_it_by_its_custom_stream(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str, rewrite: str
    ) -> None:
        with ScriptedChatServer(model()) as server:
            graph = build_agent(store=corpus, encoder=corpus.encoder, chat_model=open_chat(server), stream_replies=True)
            there = [part async for part in graph.astream({"question": question}, stream_mode=["custom", "values"])]
            here = list(graph.stream({"question": question}, stream_mode=["custom", "values"]))
        for parts in (here, there):
            news = [part for mode, part in parts if mode == "custom"]
            self.expected(news, rewrite, parts[-1][1]["answer"])

    async def test_ask_tells_it_on_the_callers_loop(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str, rewrite: str
    ) -> None:
        news: list[Mapping[str, Any]] = []
        threads: set[int] = set()

        def on_news(one: dict[str, Any]) -> None:
            news.append(one)
            threads.add(threading.get_ident())

        with ScriptedChatServer(model()) as server:
            answer = await ask_async(question, store=corpus, chat_model=open_chat(server), on_news=on_news)
        self.expected(news, rewrite, answer.answer)
        assert threads == {threading.get_ident()}
        assert any(request.get("stream") for request in server.requests)

    def test_the_synchronous_faces_tell_it_too(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str, rewrite: str
    ) -> None:
        news: list[Mapping[str, Any]] = []
        told: list[str] = []
        with ScriptedChatServer(model()) as server:
            chat = open_chat(server)
            answer = ask(
                question, store=corpus, chat_model=chat, on_news=news.append, on_step=lambda step, _: told.append(step)
            )
            found: list[Mapping[str, Any]] = []
            search(question, store=corpus, chat_model=chat, on_news=found.append)
        self.expected(news, rewrite, answer.answer)
        assert told == STEPS
        assert {one["kind"] for one in found} == {"rewrite", "rerank"}

    def test_nobody_watching_means_no_stream(self, corpus: Corpus, model: Any, open_chat: Any, question: str) -> None:
        with ScriptedChatServer(model()) as server:
            ask(question, store=corpus, chat_model=open_chat(server))
        assert not any(request.get("stream") for request in server.requests)

    def test_a_reply_that_breaks_off_is_told_to_be_void(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str, rewrite: str
    ) -> None:
        said = model(rewrite=[Reply("A first text that breaks off.", drop=True), rewrite])
        news: list[Mapping[str, Any]] = []
        with ScriptedChatServer(said) as server:
            chat = open_chat(server, max_retries=1)
            chat.pause = _no_pause
            ask(question, store=corpus, chat_model=chat, on_news=news.append)
        told = [one["text"] for one in news if one["kind"] == "rewrite"]
        begin = told.index(None)
        assert begin > 0 and "".join(told[begin + 1 :]) == rewrite


async def _no_pause(seconds: float) -> None:
    """Waiting costs nothing here."""


def test_the_trace_says_what_each_step_cost(corpus: Corpus, model: Any, open_chat: Any, question: str) -> None:
    settings = AgentSettings(prompt_price=1.0, completion_price=2.0)
    with ScriptedChatServer(model()) as server:
        answer = ask(question, store=corpus, chat_model=open_chat(server), settings=settings)
    assert [line["calls"] for line in answer.trace] == [1, 0, 6, 1, 2]
    for name in ("seconds", "prompt_tokens", "completion_tokens", "cost"):
        assert sum(line[name] for line in answer.trace) == pytest.approx(getattr(answer.usage, name))
    assert answer.usage.cost == pytest.approx(
        (answer.usage.prompt_tokens + 2 * answer.usage.completion_tokens) / 1_000_000
    )
    assert json.loads(json.dumps(answer.trace)) == answer.trace
    assert "trace" not in answer.as_json()
