"""Hard queries: every rule leads to another attempt with its reason; the seed is the positive."""

from __future__ import annotations

import pytest

from reasonir_trainer.synthesis.asking import Asking, GivenUp
from reasonir_trainer.synthesis.hard import findings, hard_query
from tests.trainer.synthesis import making, scripted

SEED = making.seed(1)


async def asked(fault: scripted.Fault = scripted.none, **changes):
    settings = making.settings(**changes)
    caller = scripted.InProcess(scripted.model(fault))
    asking = Asking("an item", caller, settings.attempts)
    return await hard_query(asking, SEED, 0, settings, asker="a student"), caller


async def test_a_good_query_passes_every_rule() -> None:
    said, caller = await asked()
    assert len(caller.calls) == 1
    assert len(said.value.checks) == 6
    assert all(check.passed for check in said.value.checks)
    assert SEED.text in caller.calls[0].messages[1][1]
    assert "a student" in caller.calls[0].messages[1][1]


@pytest.mark.parametrize(
    ("fault", "reason", "told"),
    [
        ("mentions", "query mentions the document", "According to the passage"),
        ("overlaps", "query can be looked up", "words in a row from the document"),
        ("too short", "query is too short", "at least 12 are needed"),
        ("statement", "query asks nothing", "a question or a task"),
        ("not json", "the reply cannot be read", "no complete JSON object"),
        ("wrong shape", "the reply cannot be read", "knowledge: Field required"),
        ("refuses", "the reply cannot be read", "no complete JSON object"),
        ("filtered", "the model refused", "declined"),
        ("cut off", "the reply was cut off", "cut off before its end"),
        ("empty", "the reply cannot be read", "no complete JSON object"),
    ],
)
async def test_what_is_refused_is_asked_for_again_with_the_reason_then_given_up(
    fault: str, reason: str, told: str
) -> None:
    said, caller = await asked(scripted.at_first("hard query", fault))
    assert [call.attempt for call in caller.calls] == [1, 2]
    assert told in caller.calls[1].messages[-1][1]
    assert all(check.passed for check in said.value.checks)
    with pytest.raises(GivenUp) as given:
        await asked(scripted.always("hard query", fault))
    assert given.value.reason == reason


async def test_thinking_and_a_code_fence_are_no_fault() -> None:
    said, caller = await asked(scripted.always("hard query", "thinking"))
    assert len(caller.calls) == 1
    assert said.value.text != "a draft"


def test_all_that_is_wrong_is_told_at_once() -> None:
    found = findings("According to the text.", SEED, making.settings())
    assert [finding.reason for finding in found if not finding.passed] == [
        "query is too short",
        "query asks nothing",
        "query mentions the document",
    ]


def test_the_limits_are_the_settings() -> None:
    query = "Why do ducks keep warm on glass?"
    loose = making.settings(least_query_words=5, most_overlap=1.0)
    assert all(finding.passed for finding in findings(query, SEED, loose))
    assert not all(finding.passed for finding in findings(query, SEED, making.settings(least_query_words=9)))
