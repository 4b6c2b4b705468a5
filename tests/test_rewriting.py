"""From a question to a long reasoning query."""

from __future__ import annotations

import pytest

from reasonir_agent.errors import ChatError, UnreadableReply
from reasonir_agent.llm import ChatModel, Meter, Reply, open_chat_model
from reasonir_agent.rewriting import rewrite, usable_text
from reasonir_agent.testing import Reply as Scripted
from reasonir_agent.testing import ScriptedChatServer

QUESTION = "Why do {ducks} not freeze to the ice? 100%"
LONG = "The essential problem is heat loss through bare feet; counter-current exchange keeps them cold."


def chat(server: ScriptedChatServer) -> ChatModel:
    return open_chat_model("openai:test", base_url=server.base_url, max_retries=0, timeout=5)


async def test_the_prompt_holds_the_question_and_the_length() -> None:
    with ScriptedChatServer([LONG]) as server:
        meter = Meter()
        assert await rewrite(QUESTION, chat(server), words=123, meter=meter) == LONG
    system, user = server.requests[0]["messages"]
    assert (system["role"], user["role"]) == ("system", "user")
    assert f"Question:\n{QUESTION}\n" in user["content"]
    assert "about 123 words" in user["content"]
    assert meter.llm_calls == 1
    assert meter.completion_tokens > 10


async def test_the_thinking_is_left_out_when_there_is_a_text() -> None:
    with ScriptedChatServer([f"<think>what could they mean, I wonder</think>\n{LONG}\n"]) as server:
        assert await rewrite(QUESTION, chat(server), words=50, meter=Meter()) == LONG


@pytest.mark.parametrize("said", [f"<think>{LONG}</think>", f"<think>{LONG}", f"<think>{LONG}</think>Done."])
async def test_a_model_that_only_thought_is_taken_at_its_thinking(said: str) -> None:
    with ScriptedChatServer([said]) as server:
        assert await rewrite(QUESTION, chat(server), words=50, meter=Meter()) == LONG


@pytest.mark.parametrize("said", ["", "   \n", "OK.", "<think></think>", "<think>hm</think>ok"])
async def test_next_to_nothing_is_unreadable_and_counted(said: str) -> None:
    with ScriptedChatServer([said]) as server:
        meter = Meter()
        with pytest.raises(UnreadableReply, match="empty"):
            await rewrite(QUESTION, chat(server), words=50, meter=meter)
    assert meter.llm_calls == 1


async def test_a_failing_server_is_a_chat_error() -> None:
    with ScriptedChatServer([Scripted("broken", status=500)]) as server, pytest.raises(ChatError, match="500"):
        await rewrite(QUESTION, chat(server), words=50, meter=Meter())


def test_twenty_characters_are_enough() -> None:
    assert usable_text(Reply("x" * 20)) == "x" * 20
    with pytest.raises(UnreadableReply) as caught:
        usable_text(Reply("x" * 19))
    assert caught.value.raw == "x" * 19
