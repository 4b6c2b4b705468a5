"""Whole items: rows and rejections, the same for the same replies; over real HTTP with every kind of broken reply."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from reasonir_agent.errors import BudgetSpent
from reasonir_agent.llm import ChatModel, Meter, Reply, open_chat_model
from reasonir_agent.testing import FakeEncoder, ScriptedChatServer
from reasonir_trainer.synthesis import prompts
from reasonir_trainer.synthesis.calling import Call
from reasonir_trainer.synthesis.items import Tools, make
from reasonir_trainer.synthesis.lengths import distribution
from reasonir_trainer.synthesis.rows import Kind, Outcome, Rejected, Row, Seed, item_id
from reasonir_trainer.synthesis.settings import SynthesisSettings
from reasonir_trainer.synthesis.word_runs import count_words
from tests.trainer.synthesis import making, scripted

SEEDS = making.seeds(12)
FULL = {"grade": True, "rewrite": True, "encoder": "fake", "negatives_each": 2}


class Live:
    """Asks a model at once."""

    def __init__(self, model: ChatModel) -> None:
        self.model, self.meter = model, Meter()

    async def reply(self, call: Call) -> Reply:
        return await self.model.complete(call.messages, meter=self.meter, schema=call.shape)


async def one(
    kind: Kind, fault: scripted.Fault = scripted.none, *, seed: Seed = SEEDS[0], number: int = 0, **changes
) -> tuple[Outcome, scripted.InProcess]:
    settings = making.settings(**changes)
    caller = scripted.InProcess(scripted.model(fault))
    return await make(seed, kind, number, settings, caller, tools(settings)), caller


def tools(settings: SynthesisSettings) -> Tools:
    return Tools.over(SEEDS, settings, FakeEncoder(dim=256) if settings.encoder else None)


async def test_a_hard_item_has_its_seed_as_positive() -> None:
    row, caller = await one("hq", **FULL)
    assert isinstance(row, Row)
    assert (row.id, row.kind, row.positive) == (item_id(SEEDS[0], "hq", 0), "hq", SEEDS[0].text)
    assert row.seed.source == "0.md"
    assert len(row.negatives) == 2
    assert all(count_words(negative.text) >= 60 for negative in row.negatives)
    assert all(0 <= grade <= 5 for grade in [row.positive_grade, *(negative.grade for negative in row.negatives)])
    assert len(row.rewritten) > 100
    assert [call.step for call in caller.calls] == (
        ["query", "negative 1", "judge 1", "negative 2", "judge 2", "grade positive", "grade 1", "grade 2", "rewrite"]
    )
    assert row.made.attempts == len(caller.calls)
    assert row.made.model == "openai:scripted"
    assert row.made.prompts == prompts.VERSION
    assert row.made.requested_query_words == 0
    assert all(check.passed for check in row.made.checks)


async def test_a_varied_item_tells_what_was_asked_for() -> None:
    row, _ = await one("vl", **FULL)
    assert isinstance(row, Row)
    assert row.positive != SEEDS[0].text
    assert abs(count_words(row.query) / row.made.requested_query_words - 1) <= 0.35
    assert abs(count_words(row.positive) / row.made.requested_positive_words - 1) <= 0.35
    assert distribution([row]).items == 1


async def test_the_graders_do_not_see_the_conversation() -> None:
    _row, caller = await one("hq", **FULL)
    graded = [call for call in caller.calls if call.step.startswith("grade")]
    assert all(len(call.messages) == 2 for call in graded)
    assert all(call.messages[0][1] == prompts.GRADER for call in graded)


@pytest.mark.parametrize("kind", ["hq", "vl"])
async def test_the_same_replies_make_the_same_row_alone_and_among_others(kind: Kind) -> None:
    settings = making.settings(**FULL)
    script = scripted.model(scripted.sometimes(0.15, "not json", "wrong length", "helps"))
    shared = tools(settings)
    caller = scripted.InProcess(script)
    together = await asyncio.gather(*(make(seed, kind, 0, settings, caller, shared) for seed in SEEDS))
    alone = [await make(seed, kind, 0, settings, scripted.InProcess(script), tools(settings)) for seed in SEEDS[::-1]]
    assert [row.model_dump_json() for row in together] == [row.model_dump_json() for row in alone[::-1]]
    assert {type(row) for row in together} >= {Row}


async def test_several_items_of_a_seed_differ() -> None:
    rows = [(await one("hq", number=number))[0] for number in range(4)]
    assert len({row.query for row in rows if isinstance(row, Row)}) == 4


async def test_a_rejection_tells_reason_example_and_calls() -> None:
    outcome, caller = await one("hq", scripted.always("hard query", "mentions"))
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "query mentions the document"
    assert outcome.example.startswith("According to the passage")
    assert outcome.attempts == len(caller.calls) == 3
    assert (outcome.id, outcome.seed) == (item_id(SEEDS[0], "hq", 0), SEEDS[0].id)


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({"negatives": "none"}, ["query"]),
        ({"negatives_each": 0}, ["query"]),
        ({"negatives": "bm25", "first_rank": 1}, ["query"]),
        ({"judge_negatives": False}, ["query", "negative 1"]),
        ({"negatives": "none", "grade": True}, ["query", "grade positive"]),
    ],
)
async def test_only_what_is_asked_for_is_called(changes: dict, steps: list[str]) -> None:
    row, caller = await one("hq", **changes)
    assert isinstance(row, Row)
    assert [call.step for call in caller.calls] == steps


async def test_a_bound_of_the_run_passes_through() -> None:
    class Spent:
        async def reply(self, call: Call) -> Reply:
            raise BudgetSpent("no money left", bound="money")

    with pytest.raises(BudgetSpent):
        await make(SEEDS[0], "hq", 0, making.settings(), Spent(), Tools())


@pytest.mark.parametrize(
    ("fault", "step", "reason"),
    [
        ("wrong shape", "grade", "the reply cannot be read"),
        ("empty", "rewrite", "the reply cannot be read"),
        ("cut off", "rewrite", "the reply was cut off"),
        ("filtered", "rewrite", "the model refused"),
    ],
)
async def test_grades_and_rewrites_are_held_against_their_rules(fault: str, step: str, reason: str) -> None:
    rejected, _ = await one("hq", scripted.always(step, fault), grade=True, rewrite=True)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == reason
    row, _ = await one("hq", scripted.at_first(step, fault), grade=True, rewrite=True)
    assert isinstance(row, Row)


@pytest.mark.slow
async def test_over_http_every_kind_of_broken_reply_is_survived() -> None:
    broken = ("not json", "wrong shape", "wrong length", "mentions", "too short", "statement", "overlaps", "copies")
    broken += ("helps", "refuses", "empty", "server error", "thinking", "cut off", "filtered")
    settings = making.settings(**FULL)
    shared = tools(settings)
    with ScriptedChatServer(scripted.model(scripted.sometimes(0.3, *broken))) as server:
        model = open_chat_model("openai:scripted", base_url=server.base_url, api_key="none", max_retries=2)
        live = Live(model)
        jobs = [make(seed, kind, 0, settings, live, shared) for seed in SEEDS for kind in ("hq", "vl")]
        outcomes = await asyncio.gather(*jobs)
        assert server.most_at_once > 1
    reasons = Counter(outcome.reason if isinstance(outcome, Rejected) else "row" for outcome in outcomes)
    assert reasons["row"] >= 12, reasons
    assert any(row.made.attempts > 9 for row in outcomes if isinstance(row, Row))
