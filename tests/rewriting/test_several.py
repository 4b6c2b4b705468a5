"""Several rewrites of one question: they differ, a failed one is told, the others are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from reasonir_agent.errors import BudgetSpent, ChatUnavailable
from reasonir_agent.llm import Bounds, ChatModel, Meter
from reasonir_agent.rewriting import ANGLES, Rewrites, rewrite_several
from reasonir_agent.testing import Reply, ScriptedChatServer
from reasonir_agent.types import Passage

Open = Callable[..., ChatModel]
QUESTION = "Why do ducks not freeze to the ice?"


def angle_of(request: Mapping[str, Any]) -> int:
    """Number of the angle in a request; 0 is the plain one."""
    user = request["messages"][1]["content"]
    return next((number for number, angle in enumerate(ANGLES) if angle and user.endswith(angle)), 0)


def text_of(number: int) -> str:
    return f"A long text from the angle {number}."


async def several(
    open_chat: Open, script: Any, *, meter: Meter | None = None, **how: Any
) -> tuple[Rewrites, list[Any]]:
    with ScriptedChatServer(script) as server:
        options = {"count": 1, "words": 100, **how}
        made = await rewrite_several(QUESTION, open_chat(server), meter=meter or Meter(), **options)
    return made, server.requests


async def test_each_takes_an_angle_of_its_own_and_the_first_is_plain(open_chat: Open) -> None:
    made, requests = await several(open_chat, lambda request: text_of(angle_of(request)), count=4)
    assert made == Rewrites([text_of(number) for number in range(4)], [])
    assert sorted(angle_of(request) for request in requests) == [0, 1, 2, 3]
    prompts = {request["messages"][1]["content"] for request in requests}
    assert len({prompt.split("Write the text only.")[0] for prompt in prompts}) == 1  # what they share stands first


async def test_they_are_made_at_the_same_time(open_chat: Open) -> None:
    with ScriptedChatServer(lambda request: Reply(text_of(angle_of(request)), delay=0.1)) as server:
        await rewrite_several(QUESTION, open_chat(server), count=3, words=100, meter=Meter())
    assert server.most_at_once == 3


async def test_doubles_are_removed(open_chat: Open) -> None:
    made, _ = await several(open_chat, lambda request: text_of(angle_of(request) % 2), count=4)
    assert made.texts == [text_of(0), text_of(1)]


async def test_a_failed_one_is_told_and_the_others_are_used(open_chat: Open) -> None:
    said = {0: Reply("broken", status=500), 1: text_of(1), 2: "hm."}
    made, _ = await several(open_chat, lambda request: said[angle_of(request)], count=3)
    assert made.texts == [text_of(1)]
    broken, empty = (str(problem) for problem in made.problems)
    assert "500" in broken
    assert empty == "the rewritten query is empty."


async def test_when_all_fail_there_are_only_problems(open_chat: Open) -> None:
    made, _ = await several(open_chat, ["hm."], count=2)
    assert (made.texts, len(made.problems)) == ([], 2)


async def test_one_search_for_each_missing_fact(open_chat: Open) -> None:
    def script(request: Mapping[str, Any]) -> str:
        user = request["messages"][1]["content"]
        return next(f"A long text about {fact} alone." for fact in ("heat", "ice") if f"missing: {fact}" in user)

    evidence = [Passage.make("a", 0, 5, "Rete.")]
    made, requests = await several(open_chat, script, count=3, missing=["heat", "ice"], evidence=evidence)
    assert made.texts == ["A long text about heat alone.", "A long text about ice alone."]
    assert len(requests) == 2
    assert all("<passage>\nRete.\n</passage>" in request["messages"][1]["content"] for request in requests)


async def test_of_several_the_first_is_told_as_it_comes(open_chat: Open) -> None:
    pieces: list[str | None] = []
    made, _ = await several(open_chat, lambda request: text_of(angle_of(request)), count=3, on_text=pieces.append)
    assert "".join(piece or "" for piece in pieces) == made.texts[0]


async def test_what_the_budget_does_not_allow_is_a_problem_that_names_the_bound(open_chat: Open) -> None:
    meter = Meter(bounds=Bounds(calls=2))
    made, requests = await several(open_chat, lambda r: text_of(angle_of(r)), count=4, meter=meter)
    assert (len(made.texts), len(requests), meter.llm_calls) == (2, 2, 2)
    assert [type(problem) for problem in made.problems] == [BudgetSpent] * 2
    assert "2 calls" in str(made.problems[0])


async def test_a_server_that_is_gone_is_an_error(open_chat: Open) -> None:
    with ScriptedChatServer() as server:
        chat = open_chat(server)
    with pytest.raises(ChatUnavailable, match="cannot be reached"):
        await rewrite_several(QUESTION, chat, count=2, words=100, meter=Meter())


async def test_a_mistake_of_ours_is_not_swallowed(open_chat: Open) -> None:
    with pytest.raises(AttributeError):
        await several(open_chat, [text_of(0)], count=2, evidence=["no passage"])
