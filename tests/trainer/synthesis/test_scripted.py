"""The scripted model itself: a function of the request, which fills in any shape and breaks where it is told to."""

from __future__ import annotations

import json
from typing import Literal

import pytest
from pydantic import BaseModel

from reasonir_agent.testing import Reply
from reasonir_trainer.synthesis import prompts
from tests.trainer.synthesis import scripted


class Judged(BaseModel):
    quality: int
    field: Literal["biology", "law"]
    reason: str
    is_advertisement: bool


def request(text: str, shape: type[BaseModel] | None = None) -> dict:
    asked: dict = {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": text}]}
    if shape is not None:
        asked["response_format"] = {"json_schema": {"name": shape.__name__, "schema": shape.model_json_schema()}}
    return asked


HARD = request(prompts.hard_query("Ducks keep their feet warm.", words=12, asker="a student", number=0))


def test_the_same_request_has_the_same_reply_and_another_one_another() -> None:
    other = request(prompts.hard_query("Ducks keep their feet warm.", words=12, asker="a teacher", number=0))
    assert scripted.model()(HARD) == scripted.model()(HARD)
    assert scripted.model()(HARD) != scripted.model()(other)


@pytest.mark.parametrize("number", range(5))
def test_any_shape_is_filled_in(number: int) -> None:
    reply = scripted.model()(request(f"Judge this text {number}.", Judged))
    assert isinstance(reply, Reply)
    assert 0 <= Judged.model_validate_json(reply.text).quality <= 5


@pytest.mark.parametrize("fault", [one for one in scripted.FAULTS if one not in ("wrong length", "copies", "helps")])
def test_every_fault_of_a_query_changes_the_reply(fault: str) -> None:
    assert scripted.model(scripted.always("hard query", fault))(HARD) != scripted.model()(HARD)


def test_a_server_error_happens_once_for_each_request() -> None:
    script = scripted.model(scripted.always("hard query", "server error"))
    assert [script(HARD).status for _ in range(3)] == [500, 200, 200]


def test_faults_are_drawn_by_the_request() -> None:
    fault = scripted.sometimes(0.5, "not json")
    drawn = [fault("query", 1, str(n)) for n in range(200)]
    assert drawn == [fault("query", 1, str(n)) for n in range(200)]
    assert 70 < drawn.count("not json") < 130


def test_a_written_negative_has_a_low_grade() -> None:
    query = "Why does the pump slow down every night although nothing changes?"
    near, other = "pump nights although nothing", "osmosis drives water through membranes"
    grades = [
        json.loads(scripted.model()(request(prompts.grade(query, one)[1][1])).text)["grade"] for one in (near, other)
    ]
    assert grades[0] < grades[1]
