"""A conversation: what stands alone, what is kept, and what a turn that was cut off costs when it is finished."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from reasonir_agent.agent.conversation import Conversation, total
from reasonir_agent.agent.follow_up import understand
from reasonir_agent.agent.sessions import Session
from reasonir_agent.bridge import run_sync
from reasonir_agent.config import AgentSettings
from reasonir_agent.corpus import Corpus
from reasonir_agent.errors import ChatUnavailable, InputError, StoreError
from reasonir_agent.llm import ChatModel, Meter
from reasonir_agent.rewriting import Turn
from reasonir_agent.testing import Reply, ScriptedChatServer

T = TypeVar("T")
FIRST, FOLLOW_UP, ALONE = "What does inflation do to debts?", "And who gains from that?", "Who gains from inflation?"


class Script:
    """The agent's scripted model that also makes questions stand alone."""

    def __init__(self, model: Any, alone: str | Reply = ALONE) -> None:
        self.model, self.alone = model, alone
        self.followed: list[str] = []

    def __call__(self, request: Mapping[str, Any]) -> str | Reply:
        if str(request["messages"][0]["content"]).startswith("You are given a conversation"):
            self.followed.append(str(request["messages"][1]["content"]))
            return self.alone
        said: str | Reply = self.model(request)
        return said


def holding(file: Path, corpus: Corpus, work: Callable[[Conversation], Coroutine[Any, Any, T]], **options: Any) -> T:
    """Open a conversation, work with it, close it: as one process would."""

    async def run() -> T:
        session = await Session.open(file)
        try:
            return await work(Conversation(session, corpus, **options))
        finally:
            await session.close()

    return run_sync(run())


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not happened():  # noqa: ASYNC110 - it happens in the server's thread
            await asyncio.sleep(0.01)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "chats" / "one.sqlite"


def rows(file: Path, table: str) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])


def test_a_follow_up_is_asked_as_a_question_that_stands_alone(
    file: Path, corpus: Corpus, model: Any, open_chat: Callable[..., ChatModel]
) -> None:
    script, news, steps = Script(model()), [], []

    async def talk(conversation: Conversation) -> None:
        first = await conversation.say(FIRST)
        assert (first.message, first.answer.question, script.followed) == (FIRST, FIRST, [])
        second = await conversation.say(FOLLOW_UP)
        assert (second.message, second.answer.question) == (FOLLOW_UP, ALONE)
        assert second.answer.usage.llm_calls == first.answer.usage.llm_calls + 1  # the one that made it stand alone
        assert total([first, second])["llm_calls"] == len(server.requests)
        assert await conversation.turns() == [first, second]
        assert await conversation.turns(1) == [second]

    with ScriptedChatServer(script) as server:
        told = {"on_news": news.append, "on_step": lambda step, update: steps.append(step)}
        holding(file, corpus, talk, chat=open_chat(server), **told)
    assert FIRST in script.followed[0] and "So it is [1]." in script.followed[0] and FOLLOW_UP in script.followed[0]
    assert ALONE in script.model.texts["answer"][1] and FOLLOW_UP not in script.model.texts["answer"][1]
    assert [one["text"] for one in news if one["kind"] == "question"] == [FIRST, ALONE]
    assert {one["kind"] for one in news} == {"question", "rewrite", "rerank", "answer"}
    assert steps == ["rewrite", "retrieve", "rerank", "grade", "answer"] * 2


def test_without_a_model_each_message_is_a_question(file: Path, corpus: Corpus, question: str) -> None:
    async def talk(conversation: Conversation) -> None:
        await conversation.say("What is salt for in a dough?")
        found = await conversation.say(question)
        assert found.answer.question == question
        assert "blood" in found.answer.answer
        assert found.answer.hits[0].passage.text.startswith("Ducks")

    holding(file, corpus, talk)


def test_what_was_said_is_there_after_the_process(file: Path, corpus: Corpus, question: str) -> None:
    async def say(conversation: Conversation) -> Any:
        return await conversation.say(question)

    async def turns(conversation: Conversation) -> Any:
        assert await conversation.interrupted() is None
        with pytest.raises(InputError, match="is finished"):
            await conversation.finish()
        return await conversation.turns()

    kept = [holding(file, corpus, say), holding(file, corpus, say)]
    assert holding(file, corpus, turns) == kept
    assert file.stat().st_mode & 0o077 == 0
    assert (rows(file, "checkpoints"), rows(file, "writes")) == (2, 0)  # one a turn, whatever it took


def test_an_interrupted_turn_is_finished_and_no_step_is_paid_for_twice(
    file: Path, corpus: Corpus, model: Any, quoting: Any, open_chat: Callable[..., ChatModel]
) -> None:
    scripted = model(answer=Reply("", delay=5.0))
    script = Script(scripted)

    async def cut_off(conversation: Conversation) -> None:
        work = asyncio.create_task(conversation.say(FIRST))
        await until(lambda: scripted.asked["answer"] > 0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    async def go_on(conversation: Conversation) -> Any:
        assert await conversation.interrupted() == FIRST
        assert await conversation.turns() == []
        exchange = await conversation.finish()
        assert await conversation.interrupted() is None
        assert await conversation.turns() == [exchange]
        return exchange

    with ScriptedChatServer(script) as server:
        chat = open_chat(server)
        holding(file, corpus, cut_off, chat=chat)
        before = dict(scripted.asked)
        scripted.says["answer"] = quoting("Borrowers repay")
        exchange = holding(file, corpus, go_on, chat=chat)
    assert exchange.answer.answer == "So it is [1]."
    assert before["rewrite"] == scripted.asked["rewrite"] == 1
    assert before["rerank"] == scripted.asked["rerank"] == 6
    assert scripted.asked["answer"] == before["answer"] + 1


def test_a_turn_cut_off_while_it_was_understood_is_finished_with_its_history(
    file: Path, corpus: Corpus, model: Any, open_chat: Callable[..., ChatModel]
) -> None:
    script = Script(model())

    async def cut_off(conversation: Conversation) -> None:
        await conversation.say(FIRST)
        script.alone = Reply("", delay=5.0)
        work = asyncio.create_task(conversation.say(FOLLOW_UP))
        await until(lambda: bool(script.followed))
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        script.alone = ALONE

    with ScriptedChatServer(script) as server:
        chat = open_chat(server)
        holding(file, corpus, cut_off, chat=chat)
        found = holding(file, corpus, lambda conversation: conversation.finish(), chat=chat)
    assert found.answer.question == ALONE
    assert len(script.followed) == 2 and script.followed[0] == script.followed[1]


def test_a_new_message_gives_an_unfinished_turn_up(
    file: Path, corpus: Corpus, model: Any, open_chat: Callable[..., ChatModel]
) -> None:
    script = Script(model(rewrite=Reply("no", status=401)))

    async def talk(conversation: Conversation) -> None:
        with pytest.raises(ChatUnavailable):
            await conversation.say("lost?")
        assert await conversation.interrupted() == "lost?"
        script.model.says["rewrite"] = "Inflation and debts: what borrowers repay buys less."
        await conversation.say(FIRST)
        assert [one.message for one in await conversation.turns()] == [FIRST]
        script.model.says["rewrite"] = Reply("no", status=401)
        with pytest.raises(ChatUnavailable):
            await conversation.say("lost again?")
        await conversation.drop()
        assert await conversation.interrupted() is None
        assert [one.message for one in await conversation.turns()] == [FIRST]

    with ScriptedChatServer(script) as server:
        holding(file, corpus, talk, chat=open_chat(server))


def test_a_message_that_cannot_be_made_to_stand_alone_is_asked_as_it_is(
    file: Path, corpus: Corpus, model: Any, open_chat: Callable[..., ChatModel]
) -> None:
    async def talk(conversation: Conversation) -> None:
        await conversation.say(FIRST)
        found = await conversation.say(FOLLOW_UP)
        assert found.answer.question == FOLLOW_UP
        assert "could not be made a question that stands alone" in found.answer.warnings[0]

    with ScriptedChatServer(Script(model(), alone="   ")) as server:
        holding(file, corpus, talk, chat=open_chat(server))


def test_the_bounds_of_a_turn_hold_for_understanding_it_too(
    file: Path, corpus: Corpus, model: Any, quoting: Any, open_chat: Callable[..., ChatModel]
) -> None:
    async def talk(conversation: Conversation) -> None:
        first = await conversation.say(FIRST)
        assert first.answer.usage.llm_calls == len(server.requests) == 10
        second = await conversation.say(FOLLOW_UP)
        assert second.answer.usage.llm_calls == len(server.requests) - 10 <= 10
        assert len(script.followed) == 1

    # an answer that has to be repaired, by one that has to be judged again, takes all that it may
    tries = [
        quoting("Borrowers repay", answer=f"{said} [1]. Lenders lose what they had hoped to gain.")
        for said in ("So it is", "So it was with them")
    ]
    script = Script(model(answer=tries * 2))
    with ScriptedChatServer(script) as server:
        holding(file, corpus, talk, chat=open_chat(server), settings=AgentSettings(max_calls=10))


async def test_an_unreachable_server_is_no_reason_to_ask_something_else(open_chat: Callable[..., ChatModel]) -> None:
    with ScriptedChatServer() as server:
        chat = open_chat(server)
    with pytest.raises(ChatUnavailable):
        await understand(FOLLOW_UP, [Turn(FIRST, "less")], chat, meter=Meter())
    assert await understand(FOLLOW_UP, [], chat, meter=Meter()) == (FOLLOW_UP, [])


def test_empty_messages_are_refused_and_half_characters_are_kept_out(file: Path, corpus: Corpus) -> None:
    async def talk(conversation: Conversation) -> None:
        with pytest.raises(InputError, match="a question is needed"):
            await conversation.say("  ")
        assert (await conversation.say("salt \ud800 in bread?")).message == "salt ? in bread?"

    holding(file, corpus, talk)


def test_a_conversation_is_open_in_one_process_at_a_time_and_an_empty_one_leaves_no_file(file: Path) -> None:
    async def twice() -> None:
        session = await Session.open(file)
        with pytest.raises(StoreError, match="open in another process"):
            await Session.open(file)
        await session.close()

    run_sync(twice())
    assert not file.exists()


def test_files_of_something_else_are_left_as_they_are(tmp_path: Path) -> None:
    other, garbage = tmp_path / "other.sqlite", tmp_path / "garbage.sqlite"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE bills (id INTEGER)")
    garbage.write_bytes(b"no database " * 100)
    for file, problem in ((other, "a database of something else"), (garbage, "file is not a database")):
        before = file.read_bytes()
        with pytest.raises(StoreError, match=problem):
            run_sync(Session.open(file))
        assert file.read_bytes() == before


def test_a_conversation_grows_with_what_was_said_not_with_how_often(file: Path, corpus: Corpus, question: str) -> None:
    async def say(conversation: Conversation) -> None:
        for _ in range(12):
            await conversation.say(question)

    holding(file, corpus, say)
    with closing(sqlite3.connect(file)) as connection:
        sizes = [row[0] for row in connection.execute("SELECT LENGTH(checkpoint) FROM checkpoints ORDER BY thread_id")]
    assert len(sizes) == 12
    assert max(sizes[8:]) - min(sizes[8:]) < 50  # a message refers to a few turns at most
