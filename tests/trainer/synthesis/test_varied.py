"""Varied items: lengths that were asked for, misses told and dropped."""

from __future__ import annotations

import pytest

from reasonir_trainer.synthesis.asking import Asking, GivenUp
from reasonir_trainer.synthesis.lengths import Length, requested
from reasonir_trainer.synthesis.varied import positive_findings, query_findings, varied_pair
from reasonir_trainer.synthesis.word_runs import count_words
from tests.trainer.synthesis import making, scripted

SEED = making.seed(1)
WANTED = Length(100, 65, 135)


async def made(fault: scripted.Fault = scripted.none, **changes):
    settings = making.settings(**changes)
    caller = scripted.InProcess(scripted.model(fault))
    asking = Asking("an item", caller, settings.attempts)
    return await varied_pair(asking, SEED, 0, settings, asker="a student"), caller, settings


async def test_both_parts_have_the_lengths_that_the_item_draws() -> None:
    said, caller, settings = await made()
    pair = said.value
    assert pair.query_length == requested("an item", "query", settings)
    assert pair.positive_length == requested("an item", "positive", settings)
    assert pair.query_length.holds(count_words(pair.query))
    assert pair.positive_length.holds(count_words(pair.positive))
    assert f"Write a query of {pair.query_length.words} words" in caller.calls[0].messages[1][1]
    assert all(check.passed for check in pair.checks)
    assert next(check.name for check in pair.checks) == "query length missed by"


async def test_the_positive_is_asked_for_in_the_next_turn() -> None:
    said, caller, _ = await made()
    query, positive = caller.calls
    assert positive.messages[:2] == query.messages
    assert [role for role, _ in positive.messages] == ["system", "user", "assistant", "user"]
    assert said.talk[:4] == positive.messages
    assert said.talk[4][0] == "assistant"


@pytest.mark.parametrize("step", ["varied query", "positive"])
async def test_a_missed_length_is_told_and_asked_for_again(step: str) -> None:
    said, caller, _ = await made(scripted.at_first(step, "wrong length"))
    assert len(caller.calls) == 3
    told = next(call.messages[-1][1] for call in caller.calls if call.attempt == 2)
    wanted = said.value.query_length if step == "varied query" else said.value.positive_length
    assert f"{wanted.words} are needed ({wanted.least} to {wanted.most}): write a longer one" in told


@pytest.mark.parametrize(
    ("step", "reason"), [("varied query", "query misses its length"), ("positive", "positive misses its length")]
)
async def test_a_length_that_is_always_missed_is_dropped(step: str, reason: str) -> None:
    with pytest.raises(GivenUp) as given:
        await made(scripted.always(step, "wrong length"))
    assert given.value.reason == reason


def failing(found) -> list[str]:
    return [finding.reason for finding in found if not finding.passed]


def test_the_rules_for_a_query_each_on_a_pass_and_a_fail() -> None:
    settings = making.settings()
    good = "My pump slowed down. " * 25 + "Why?"  # 101 words
    assert failing(query_findings(good, WANTED, settings)) == []
    assert failing(query_findings("My pump slowed down. " * 16, WANTED, settings)) == [
        "query misses its length",
        "query asks nothing",
    ]
    assert failing(query_findings("According to the passage, why? " * 20, WANTED, settings)) == [
        "query mentions the document"
    ]
    assert failing(query_findings("With the above in mind, why? " * 17, WANTED, settings)) == []


def test_chinese_lengths_are_counted_in_characters() -> None:
    settings = making.settings()
    assert failing(query_findings("为什么水泵夜里变慢？" * 11, WANTED, settings)) == []  # 9 characters each
    assert failing(query_findings("为什么水泵夜里变慢？" * 3, WANTED, settings)) == ["query misses its length"]


def test_a_positive_that_retells_the_query_is_refused() -> None:
    settings = making.settings()
    query = " ".join(f"word{n}" for n in range(100))
    other = " ".join(f"other{n}" for n in range(100))
    assert failing(positive_findings(other, query, WANTED, settings)) == []
    assert failing(positive_findings(query, query, WANTED, settings)) == ["positive repeats the query"]
