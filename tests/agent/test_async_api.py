"""`search_async` and `ask_async`: the same results, a free event loop, progress, and cancelling that reaches the model."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pytest

from reasonir_agent import AgentSettings, Corpus, ask, ask_async, search, search_async
from reasonir_agent.errors import InputError
from reasonir_agent.testing import Reply, ScriptedChatServer


def without_times(result: Any) -> dict[str, Any]:
    """The result's JSON without how long it took."""
    said: dict[str, Any] = result.as_json()
    return {**said, "usage": {**said["usage"], "seconds": 0}}


async def test_without_a_model_both_faces_say_the_same(corpus: Corpus, question: str) -> None:
    found = await search_async(question, store=corpus, settings=AgentSettings(k=3))
    assert len(found.hits) == 3
    told = await ask_async(question, store=corpus)
    assert told.citations
    there = await asyncio.to_thread(search, question, store=corpus, settings=AgentSettings(k=3))
    assert without_times(found) == without_times(there)
    assert without_times(told) == without_times(await asyncio.to_thread(ask, question, store=corpus))


async def test_with_a_model_both_faces_say_the_same(corpus: Corpus, model: Any, open_chat: Any, question: str) -> None:
    with ScriptedChatServer(model()) as server:
        chat = open_chat(server)
        found = await search_async(question, store=corpus, chat_model=chat)
        told = await ask_async(question, store=corpus, chat_model=chat)
        assert without_times(found) == without_times(
            await asyncio.to_thread(search, question, store=corpus, chat_model=chat)
        )
        assert without_times(told) == without_times(
            await asyncio.to_thread(ask, question, store=corpus, chat_model=chat)
        )
    assert found.rewrites and told.answer and told.citations[0].quote == "Borrowers repay"


async def test_progress_is_told_step_by_step_on_the_callers_loop(
    corpus: Corpus, model: Any, open_chat: Any, question: str, rewrite: str
) -> None:
    steps: list[tuple[str, Mapping[str, Any], threading.Thread]] = []
    with ScriptedChatServer(model()) as server:
        answer = await ask_async(
            question,
            store=corpus,
            chat_model=open_chat(server),
            on_step=lambda name, update: steps.append((name, update, threading.current_thread())),
        )
    assert [name for name, _, _ in steps] == ["rewrite", "retrieve", "rerank", "grade", "answer"]
    assert steps[0][1]["rewrites"] == [rewrite]
    assert len(steps[1][1]["hits"]) == corpus.size
    assert steps[4][1]["answer"] == answer.answer
    assert {thread for _, _, thread in steps} == {threading.current_thread()}


async def test_cancelling_stops_the_requests_to_the_model(
    corpus: Corpus, model: Any, open_chat: Any, question: str
) -> None:
    """Two of six scores are asked for at a time; nobody asks for the other four after the question was given up."""
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[str] = asyncio.Queue()

    def slowly(text: str) -> Reply:
        loop.call_soon_threadsafe(arrived.put_nowait, text)
        return Reply("Score: 3", delay=0.3)

    said = model(rerank=slowly)
    with ScriptedChatServer(said) as server:
        work = asyncio.create_task(
            ask_async(question, store=corpus, chat_model=open_chat(server, concurrency=2, timeout=30.0))
        )
        for _ in range(2):
            await arrived.get()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        await asyncio.sleep(0.8)
        assert dict(said.asked) == {"rewrite": 1, "rerank": 2}


async def test_the_event_loop_stays_free(corpus: Corpus, question: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = corpus.store.search

    def slow(*given: Any, **named: Any) -> Any:
        time.sleep(0.3)
        return find(*given, **named)

    monkeypatch.setattr(corpus.store, "search", slow)
    work = asyncio.create_task(search_async(question, store=corpus))
    beats = 0
    while not work.done():
        await asyncio.sleep(0.01)
        beats += 1
    assert beats >= 10
    assert (await work).hits


@pytest.mark.parametrize("run", [search_async, ask_async])
async def test_wrong_input_is_refused_in_words(run: Any, corpus: Corpus) -> None:
    with pytest.raises(InputError, match="question"):
        await run(" ", store=corpus)
    with pytest.raises(InputError, match="filter"):
        await run("Why?", store=corpus, where=["nonsense"])
    assert asdict((await run("Why?", store=corpus)).usage)["llm_calls"] == 0
