"""Attempts: what is told, what is counted, what passes through."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from pydantic import BaseModel

from reasonir_agent.errors import BudgetSpent, ChatError, ChatUnavailable
from reasonir_agent.llm import Reply
from reasonir_trainer.synthesis.asking import Asking, GivenUp, Refused, Talk, Text
from reasonir_trainer.synthesis.calling import Call

TALK: Talk = (("system", "s"), ("user", "write"))


class Shape(BaseModel):
    word: Text


class Says:
    """Answers in turn with texts, replies or failures."""

    def __init__(self, answers: Sequence[str | Reply | Exception]) -> None:
        self.answers = list(answers)
        self.calls: list[Call] = []

    async def reply(self, call: Call) -> Reply:
        self.calls.append(call)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Reply(answer) if isinstance(answer, str) else answer


async def even(reply: Shape, _: Talk) -> str:
    if len(reply.word) % 2:
        raise Refused("odd word", f"{reply.word!r} has an odd length.", reply.word)
    return reply.word


async def ask(*answers: str | Reply | Exception, attempts: int = 3) -> tuple[object, Says, Asking]:
    says = Says(answers)
    asking = Asking("item", says, attempts)
    return await asking.json("step", TALK, Shape, even), says, asking


async def test_a_further_attempt_holds_the_refused_reply_and_the_reason() -> None:
    said, says, asking = await ask('{"word": "odd"}', "no JSON at all", '{"word": "even"}')
    assert said.value == "even"
    assert asking.calls == 3
    assert [call.attempt for call in says.calls] == [1, 2, 3]
    assert len({call.key for call in says.calls}) == 3
    assert says.calls[0].messages == TALK
    second, third = says.calls[1].messages, says.calls[2].messages
    assert second[:2] == TALK
    assert second[2] == ("assistant", '{"word": "odd"}')
    assert "'odd' has an odd length." in second[3][1]
    assert third[4] == ("assistant", "no JSON at all")
    assert "JSON object" in third[5][1]


async def test_the_conversation_goes_on_with_the_accepted_reply_alone() -> None:
    said, _, _ = await ask("nothing of use", '{"word": "even"}')
    assert said.talk == (*TALK, ("assistant", '{"word": "even"}'))


async def test_a_refused_reply_is_cut() -> None:
    _, says, _ = await ask("x" * 100_000, '{"word": "even"}')
    assert len(says.calls[1].messages[2][1]) == 4000


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("I'm sorry, I can't.", "the reply cannot be read"),
        ('{"word": 42}', "the reply cannot be read"),
        ('{"word": "odd"}', "odd word"),
        ("", "the reply cannot be read"),
        (Reply('{"word": "ev', ended="length"), "the reply was cut off"),
        (Reply("", ended="content_filter"), "the model refused"),
        (Reply('{"word": "even"}', ended="refusal"), "the model refused"),
    ],
)
async def test_the_last_reason_is_counted(answer: str | Reply, reason: str) -> None:
    with pytest.raises(GivenUp) as given:
        await ask(answer, answer, answer)
    assert given.value.reason == reason
    assert "step, attempt 3 of 3" in given.value.detail


async def test_a_whole_object_at_the_length_limit_is_taken() -> None:
    said, _, _ = await ask(Reply('{"word": "even"}', ended="length"))
    assert said.value == "even"


async def test_a_call_that_failed_for_good_ends_the_step() -> None:
    with pytest.raises(GivenUp) as given:
        await ask(ChatError("HTTP 500"))
    assert given.value.reason == "the model's server failed"
    assert "HTTP 500" in given.value.detail


@pytest.mark.parametrize("error", [ChatUnavailable("no connection"), BudgetSpent("no money", bound="money")])
async def test_what_is_not_about_the_item_passes_through(error: ChatError) -> None:
    with pytest.raises(type(error)):
        await ask(error)


async def test_texts_are_cleaned_of_what_no_file_holds() -> None:
    said, _, _ = await ask(json.dumps({"word": " \ud800a\0\r\nbcd\n"}))
    assert said.value == "\ufffda\nbcd"


async def test_a_step_within_a_step_gives_up_for_both() -> None:
    says = Says(['{"word": "even"}', "no", "no"])
    asking = Asking("item", says, 2)

    async def nested(reply: Shape, talk: Talk) -> str:
        inner = await asking.json("inner", (*talk, ("user", "and?")), Shape, even)
        return inner.value

    with pytest.raises(GivenUp, match="inner, attempt 2 of 2"):
        await asking.json("outer", TALK, Shape, nested)
    assert asking.calls == 3


async def test_plain_text_is_asked_for_as_text() -> None:
    says = Says(["", "good"])

    async def filled(reply: Reply) -> str:
        if not reply.text:
            raise Refused("empty", "it is empty.", "")
        return reply.text

    said = await Asking("item", says, 2).text("rewrite", TALK, filled)
    assert said.value == "good"
    assert "whole text only" in says.calls[1].messages[-1][1]
    assert says.calls[1].messages[-2] == ("assistant", "(nothing)")
