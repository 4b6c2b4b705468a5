"""Written negatives: rules by hand, the judgement's turn, nearness, and what the next turn sees."""

from __future__ import annotations

import pytest

from reasonir_agent.testing import FakeEncoder
from reasonir_trainer.synthesis.asking import Asking, GivenUp
from reasonir_trainer.synthesis.hard import hard_query
from reasonir_trainer.synthesis.nearness import Nearness, Reference
from reasonir_trainer.synthesis.negatives import Pair, findings, written_negatives
from tests.trainer.synthesis import making, scripted

SEED = making.seed(1)
PAIR = Pair("Why is it so cold out here?", " ".join(f"good{n}" for n in range(100)), "a.md")
OWN = " ".join(f"other{n}" for n in range(100))


async def written(fault: scripted.Fault = scripted.none, nearness: Nearness | None = None, **changes):
    settings = making.settings(**changes)
    caller = scripted.InProcess(scripted.model(fault))
    asking = Asking("an item", caller, settings.attempts)
    query = await hard_query(asking, SEED, 0, settings, asker="a student")
    pair = Pair(query.value.text, SEED.text, SEED.source)
    negatives, checks = await written_negatives(asking, query.talk, pair, settings, nearness)
    return negatives, checks, caller


def failing(text: str, earlier: tuple[str, ...] = ()) -> list[str]:
    return [finding.reason for finding in findings(text, PAIR, earlier, making.settings()) if not finding.passed]


def test_the_rules_each_on_a_pass_and_a_fail() -> None:
    assert failing(OWN) == []
    assert failing("other words") == ["negative is too short"]
    assert failing(f"{PAIR.positive} {OWN}") == ["negative copies the positive"]
    assert failing(OWN + " " + PAIR.query) == ["negative copies the query"]
    assert failing(OWN, (OWN,)) == ["negative copies the other negative"]


def test_half_of_the_positive_is_too_much_and_a_third_is_not() -> None:
    words = PAIR.positive.split()
    assert failing(" ".join(words[:60]) + " " + OWN) == ["negative copies the positive"]
    assert failing(" ".join(words[:30]) + " " + OWN) == []


async def test_negative_and_judgement_are_further_turns_of_the_conversation() -> None:
    negatives, checks, caller = await written()
    query, negative, judge = caller.calls
    assert [call.step for call in caller.calls] == ["query", "negative 1", "judge 1"]
    assert negative.messages[:2] == query.messages
    assert judge.messages[:4] == negative.messages
    assert [role for role, _ in judge.messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert len(negatives) == 1
    assert negatives[0].rank is None
    assert all(check.passed for check in checks)


async def test_a_negative_that_helps_is_asked_for_again_with_the_reason() -> None:
    negatives, _, caller = await written(scripted.at_first("negative", "helps"))
    assert [call.step for call in caller.calls] == ["query", "negative 1", "judge 1", "negative 1", "judge 1"]
    assert "the document helps to answer the query (It shares the subject" in caller.calls[3].messages[-1][1]
    assert len(negatives) == 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("helps", "negative helps after all"),
        ("too short", "negative is too short"),
        ("wrong length", "negative is too short"),
        ("copies", "negative copies the positive"),
        ("not json", "the reply cannot be read"),
    ],
)
async def test_what_is_never_right_is_given_up(fault: str, reason: str) -> None:
    with pytest.raises(GivenUp) as given:
        await written(scripted.always("negative", fault))
    assert given.value.reason == reason


async def test_the_judgement_can_be_left_out() -> None:
    _, _, caller = await written(scripted.always("negative", "helps"), judge_negatives=False)
    assert [call.step for call in caller.calls] == ["query", "negative 1"]


async def test_a_judgement_that_is_no_truth_value_is_asked_for_again() -> None:
    _, _, caller = await written(scripted.at_first("judge", "wrong shape"))
    assert [call.step for call in caller.calls] == ["query", "negative 1", "judge 1", "judge 1"]


async def test_several_negatives_see_each_other_but_no_judgement() -> None:
    negatives, checks, caller = await written(negatives_each=2)
    second = next(call for call in caller.calls if call.step == "negative 2")
    assert [role for role, _ in second.messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert "another aspect than they do" in second.messages[-1][1]
    assert len({negative.text for negative in negatives}) == 2
    assert [check.name for check in checks].count("negative words") == 2


async def test_with_an_encoder_each_has_its_rank_and_the_nearest_stands_first() -> None:
    nearness = Nearness.over(making.seeds(30), FakeEncoder(dim=256), random_seed=0)
    negatives, checks, _ = await written(nearness=nearness, negatives_each=3)
    assert all(negative.rank is not None and negative.rank >= 1 for negative in negatives)
    similarities = [negative.similarity for negative in negatives]
    assert similarities == sorted(similarities, reverse=True)
    assert [check.limit for check in checks if check.name == "seeds nearer than the negative"] == [8.0] * 3  # of 29


async def test_a_negative_that_is_further_than_other_seeds_is_refused() -> None:
    class Backwards(FakeEncoder):
        """Whatever is not of the query's own words is nearer."""

        def encode_queries(self, texts, /):
            return -super().encode_queries(texts)

    sample = [Reference(f"{n}.md", one.text) for n, one in enumerate(making.seeds(8))]
    with pytest.raises(GivenUp) as given:
        await written(nearness=Nearness(Backwards(dim=256), sample))
    assert given.value.reason == "negative is far from the query"
