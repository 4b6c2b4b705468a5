"""Grades by a chat model: strict, in order, a shared negative once, failures told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from reasonir_agent.errors import ChatUnavailable
from reasonir_agent.llm import Reply as Said
from reasonir_agent.testing import Reply
from reasonir_trainer.mining import Triplet
from reasonir_trainer.mining.grading import Ungraded, grade, graded
from reasonir_trainer.synthesis.asking import Asking, GivenUp
from reasonir_trainer.synthesis.calling import Call
from tests.trainer.synthesis.scripted import InProcess


def triplet(query: str, positive: str, *negatives: str) -> Triplet:
    ids = [f"id of {text}" for text in negatives]
    return Triplet(query, f"Why {query}?", f"id of {positive}", positive, ids, list(negatives), [1] * len(negatives))


TRIPLETS = [
    triplet("a", "document 5", "document 1"),
    triplet("a", "document 4", "document 1"),
    triplet("b", "document 3"),
]


def by_number(request: Mapping[str, Any]) -> Reply:
    """The number that stands in the document."""
    asked = request["messages"][1]["content"]
    found = asked.split("<document>\ndocument ")[1].split("\n")[0]
    return Reply(json.dumps({"reason": "so it is", "grade": float(found)}))


async def collected(caller: Any, **options: Any) -> list[Triplet | Ungraded]:
    return [one async for one in graded(TRIPLETS, caller, **options)]


@pytest.mark.parametrize("at_once", [1, 2, 8])
async def test_every_triplet_comes_back_in_its_order_with_its_grades(at_once: int) -> None:
    caller = InProcess(by_number)
    found = await collected(caller, at_once=at_once)
    assert [(one.positive_id, one.positive_grade, one.grades) for one in found] == [
        ("id of document 5", 5.0, [1.0]),
        ("id of document 4", 4.0, [1.0]),
        ("id of document 3", 3.0, []),
    ]
    assert len(caller.calls) == 4  # "document 1" once
    assert found[0].as_json()["grades"] == [1.0]


@pytest.mark.parametrize(
    "said",
    ['{"reason": "r", "grade": 7}', '{"reason": "r", "grade": "4"}', '{"reason": "r", "grade": true}', "Grade: 4", "4"],
)
async def test_what_is_no_grade_is_asked_for_again_and_never_guessed(said: str) -> None:
    caller = InProcess(lambda _: Reply(said))
    with pytest.raises(GivenUp):
        await grade(Asking("q", caller, 2), "grade positive", "Why?", "Heat.")
    assert len(caller.calls) == 2


@pytest.mark.parametrize(("said", "value"), [("0", 0.0), ("5", 5.0), ("2.5", 2.5)])
async def test_numbers_from_0_to_5_are_grades(said: str, value: float) -> None:
    caller = InProcess(lambda _: Reply(f'{{"reason": "r", "grade": {said}}}'))
    assert await grade(Asking("q", caller, 1), "grade positive", "Why?", "Heat.") == value


async def test_what_cannot_be_graded_is_told_and_the_rest_goes_on() -> None:
    def script(request: Mapping[str, Any]) -> Reply:
        return Reply("no") if "document 5" in request["messages"][1]["content"] else by_number(request)

    found = await collected(InProcess(script), attempts=2)
    assert isinstance(found[0], Ungraded)
    assert found[0].reason == "the reply cannot be read"
    assert [one.positive_grade for one in found[1:]] == [4.0, 3.0]


async def test_a_server_that_is_gone_ends_the_work() -> None:
    class Gone:
        async def reply(self, call: Call) -> Said:
            raise ChatUnavailable("no connection")

    with pytest.raises(ChatUnavailable):
        await collected(Gone())
