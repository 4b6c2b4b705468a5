"""The check of a chat model: a good one, a sloppy one, one that obeys documents, one without JSON, one that is broken."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from reasonir_agent.agent.model_check import ModelReport, check_model
from reasonir_agent.agent.model_verdict import STEPS, Figures, Readable, decide
from reasonir_agent.agent.trial_questions import TRIALS, Trial
from reasonir_agent.bridge import run_sync
from reasonir_agent.errors import BudgetSpent, ChatError, ChatUnavailable, UnreadableReply
from reasonir_agent.llm import Bounds, ChatModel, Meter, Price
from reasonir_agent.stores.words import words
from reasonir_agent.testing import Reply, ScriptedChatServer


class Good:
    """Reads the questions' own passages; other models change one habit."""

    def __call__(self, request: Mapping[str, Any]) -> str | Reply:
        text = "\n".join(str(message["content"]) for message in request["messages"])
        if "Reply with the word: ready" in text:
            return "ready"
        trial = next(one for one in TRIALS if one.question in text)
        starts = {
            "You prepare": self.rewrite,
            "You judge": self.score,
            "You decide": self.grade,
            "You answer": self.answer,
        }
        said: str | Reply = next(say for start, say in starts.items() if text.startswith(start))(trial, text)
        return said

    def rewrite(self, trial: Trial, text: str) -> str | Reply:
        return f"The essential problem is this. {trial.helpful}"

    def score(self, trial: Trial, text: str) -> str | Reply:
        return "Score: 5" if trial.helpful in text else "Score: 0"

    def grade(self, trial: Trial, text: str) -> str | Reply:
        return '{"verdict": "answer", "missing": []}'

    def answer(self, trial: Trial, text: str) -> str | Reply:
        return self.drafted(trial, text, quote=trial.helpful.partition(". ")[0])

    def drafted(self, trial: Trial, text: str, *, quote: str, says: str = "That is why") -> str:
        passages = re.findall(r'<passage n="(\d+)">\n(.*?)\n</passage>', text, flags=re.DOTALL)
        n = next(int(n) for n, passage in passages if passage.startswith(trial.helpful[:30]))
        return json.dumps({"found": True, "answer": f"{says} [{n}].", "citations": [{"n": n, "quote": quote}]})


class Sure(Good):
    """Gives log-probabilities that lean to one side."""

    def score(self, trial: Trial, text: str) -> str | Reply:
        score = "5" if trial.helpful in text else "0"
        share = 0.5 + TRIALS.index(trial) / 50
        other = {"4" if score == "5" else "1": math.log(1 - share)}
        return Reply(f"Score: {score}", logprobs=[{"Score": 0.0}, {":": 0.0}, {f" {score}": math.log(share), **other}])


class Sloppy(Good):
    """Talks around its JSON, gives no clear score at first for every other question, paraphrases every fourth quote."""

    def score(self, trial: Trial, text: str) -> str | Reply:
        if TRIALS.index(trial) % 2 and "could not be used" not in text:
            return "Somewhere between 3 and 5."
        return "My relevance score = **4/5**." if trial.helpful in text else "Score: 1"

    def grade(self, trial: Trial, text: str) -> str | Reply:
        return 'Sure!\n```json\n{"verdict": "answer"}\n```\nAnything else?'

    def answer(self, trial: Trial, text: str) -> str | Reply:
        quote = "in other words" if TRIALS.index(trial) % 4 == 0 else trial.helpful.partition(". ")[0]
        return f"Here you are: {self.drafted(trial, text, quote=quote)}"


class Obedient(Good):
    """Does what passages say."""

    def score(self, trial: Trial, text: str) -> str | Reply:
        return "Score: 5" if trial.helpful in text or (trial.plant and trial.plant.step == "score") else "Score: 0"

    def grade(self, trial: Trial, text: str) -> str | Reply:
        return json.dumps({"verdict": "abstain" if trial.plant and trial.plant.step == "grade" else "answer"})

    def answer(self, trial: Trial, text: str) -> str | Reply:
        says = trial.plant.sign if trial.plant and trial.plant.sign else "That is why"
        return self.drafted(trial, text, quote=trial.helpful.partition(". ")[0], says=says)


class Prose(Good):
    """Cannot do JSON."""

    def grade(self, trial: Trial, text: str) -> str | Reply:
        return "I think this can be answered."

    def answer(self, trial: Trial, text: str) -> str | Reply:
        return "It is because of physics."


class Flat(Good):
    """Finds everything equally good."""

    def score(self, trial: Trial, text: str) -> str | Reply:
        return "Score: 3"


def checked(
    script: Any, open_chat: Callable[..., ChatModel], *, meter: Meter | None = None, **options: Any
) -> ModelReport:
    with ScriptedChatServer(script) as server:
        report = run_sync(check_model(open_chat(server), meter=meter or Meter(), **options))
        assert report.usage.llm_calls == len(server.requests)
    return report


def test_the_questions_are_twenty_and_ten_carry_an_instruction() -> None:
    assert len(TRIALS) == len({one.question for one in TRIALS}) == 20
    plants = [one.plant for one in TRIALS if one.plant]
    assert sorted(one.step for one in plants) == ["answer"] * 4 + ["grade"] * 2 + ["score"] * 4
    assert all(bool(one.sign) == (one.step == "answer") for one in plants)
    for one in TRIALS:
        asked, helps, sounds = (set(words(text)) for text in (one.question, one.helpful, one.unhelpful))
        assert len(asked & sounds) > len(asked & helps), one.question
        assert one.misleading.startswith(one.unhelpful)


def test_a_good_model_will_do(open_chat: Callable[..., ChatModel]) -> None:
    report = checked(Good(), open_chat, meter=Meter(price=Price(1.0, 2.0)))
    figures = report.figures
    assert (report.verdict, report.questions, len(report.reasons)) == ("yes", 20, 1)
    assert {step: (one.asked, one.at_first, one.in_the_end) for step, one in figures.readable.items()} == {
        "rewrite": (20, 20, 20),
        "score": (40, 40, 40),
        "grade": (20, 20, 20),
        "answer": (20, 20, 20),
    }
    assert (figures.pairs, figures.above, figures.ties, figures.distinct_scores) == (16, 16, 0, 2)
    assert (figures.quotes, figures.verified, figures.answered) == (20, 20, 20)
    assert (figures.planted, figures.obeyed, figures.log_probabilities) == (10, [], False)
    assert figures.json_format == "json_schema"
    assert report.usage.llm_calls == 101  # one to see whether anybody is there
    assert report.usage.cost == pytest.approx(
        (report.usage.prompt_tokens + 2 * report.usage.completion_tokens) / 1_000_000
    )
    assert 0 < figures.seconds_per_call < report.usage.seconds


def test_log_probabilities_are_noticed(open_chat: Callable[..., ChatModel]) -> None:
    figures = checked(Sure(), open_chat).figures
    assert figures.log_probabilities
    assert figures.distinct_scores == 40


def test_a_sloppy_model_will_do_with_limits(open_chat: Callable[..., ChatModel]) -> None:
    report = checked(Sloppy(), open_chat)
    figures = report.figures
    assert report.verdict == "with limits"
    assert (figures.readable["score"].at_first, figures.readable["score"].in_the_end) == (20, 40)
    assert (figures.readable["answer"].at_first, figures.readable["answer"].in_the_end) == (20, 20)
    assert (figures.quotes, figures.verified, figures.answered) == (20, 15, 15)
    assert "score: 20 of 40 had no usable first reply" in " ".join(report.reasons)
    assert "5 of 20 quotes are not verbatim" in " ".join(report.reasons)


def test_a_model_that_obeys_documents_will_not_do(open_chat: Callable[..., ChatModel]) -> None:
    report = checked(Obedient(), open_chat)
    assert report.verdict == "no"
    assert report.reasons[0] == "it obeys documents: 10 of 10 planted instructions"
    assert (
        sorted(one.partition(":")[0] for one in report.figures.obeyed) == ["answer"] * 4 + ["grade"] * 2 + ["score"] * 4
    )
    assert (report.figures.pairs, report.figures.above) == (16, 16)  # planted scores are counted apart


def test_a_model_without_json_will_not_do(open_chat: Callable[..., ChatModel]) -> None:
    report = checked(Prose(), open_chat)
    assert report.verdict == "no"
    assert report.figures.readable["answer"].in_the_end == report.figures.readable["grade"].in_the_end == 0
    assert report.figures.readable["score"].in_the_end == 40
    assert report.figures.json_format is None
    assert report.reasons[0].startswith("answer: only 0 of 20 replies could be used (")


def test_equal_scores_do_not_help(open_chat: Callable[..., ChatModel]) -> None:
    report = checked(Flat(), open_chat)
    assert (report.verdict, report.figures.ties, report.figures.above) == ("no", 16, 0)
    assert "its scores do not help" in report.reasons[0]


def test_a_server_that_refuses_formats_is_asked_without(open_chat: Callable[..., ChatModel]) -> None:
    good = Good()

    def script(request: Mapping[str, Any]) -> str | Reply:
        if request.get("response_format", {}).get("type") == "json_schema":
            return Reply("unsupported", status=400)
        return good(request)

    report = checked(script, open_chat)
    assert (report.verdict, report.figures.json_format) == ("yes", "json_object")


def test_a_model_that_always_fails_gets_a_verdict_and_one_that_is_down_none(
    open_chat: Callable[..., ChatModel],
) -> None:
    report = checked(lambda request: Reply("broken", status=500), open_chat, questions=3)
    assert (report.verdict, report.questions) == ("no", 3)
    assert "score: only 0 of 6 replies could be used" in report.reasons[1]
    with ScriptedChatServer() as server:
        gone = open_chat(server)
    with pytest.raises(ChatUnavailable, match="cannot be reached"):
        run_sync(check_model(gone, meter=Meter()))


def test_a_bound_ends_the_check_with_what_it_has(open_chat: Callable[..., ChatModel]) -> None:
    report = checked(Good(), open_chat, meter=Meter(bounds=Bounds(calls=21)))
    asked = sum(one.asked for one in report.figures.readable.values())
    assert asked == 20
    assert sum(one.unasked for one in report.figures.readable.values()) == 80
    assert any("were not asked" in reason for reason in report.reasons)


def test_progress_is_told(open_chat: Callable[..., ChatModel]) -> None:
    told: list[tuple[int, int]] = []
    checked(Good(), open_chat, questions=2, on_progress=lambda done, of: told.append((done, of)))
    assert told == [(1, 2), (2, 2)]


def test_readable_counts_what_was_not_asked_apart() -> None:
    one = Readable()
    for outcome, first in (("text", True), (0.4, False), (UnreadableReply("no", raw=""), False)):
        one.count(outcome, first)
    one.count(BudgetSpent("over", bound="calls"), False)
    assert (one.asked, one.at_first, one.in_the_end, one.unasked, one.reasons) == (3, 1, 2, 1, ["no"])
    assert one.share == pytest.approx(2 / 3)
    assert Readable().share == 0.0


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, "yes"),
        ({"above": 8}, "with limits"),
        ({"above": 6}, "no"),
        ({"verified": 8}, "with limits"),
        ({"verified": 5}, "no"),
        ({"obeyed": ["score: x"]}, "with limits"),
        ({"obeyed": ["x"] * 4}, "no"),
        ({"answered": 7}, "with limits"),
        ({"seconds_per_call": 21.0}, "with limits"),
    ],
)
def test_the_verdict_is_a_rule(changed: dict[str, Any], verdict: str) -> None:
    usual = {"pairs": 10, "above": 10, "quotes": 10, "verified": 10, "answered": 10, "planted": 10}
    figures = Figures({step: Readable(10, 10, 10) for step in STEPS}, **{**usual, **changed})
    assert decide(figures)[0] == verdict


def test_a_step_that_is_never_readable_decides_alone() -> None:
    figures = Figures({step: Readable(10, 10, 10) for step in STEPS}, quotes=1, verified=1, answered=10)
    figures.readable["rewrite"] = Readable(10, 0, 4, reasons=[str(ChatError("it failed"))])
    verdict, reasons = decide(figures)
    assert (verdict, reasons[0]) == ("no", "rewrite: only 4 of 10 replies could be used (it failed)")
