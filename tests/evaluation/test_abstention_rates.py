"""Both error rates of abstention, counted by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reasonir_agent import Corpus
from reasonir_agent.agent.abstention import Evidence
from reasonir_agent.errors import InputError
from reasonir_agent.evaluation.abstention import AbstentionReport, measure
from reasonir_agent.evaluation.questions import GoldQuestion
from reasonir_agent.testing import FakeEncoder, write_corpus


def evidence(cosine: float, coverage: float = 1.0, *, understood: bool = True) -> Evidence:
    return Evidence(cosine, coverage, understood=understood, threshold=0.5)


REPORT = AbstentionReport(
    {
        "found": (True, evidence(0.9)),
        "just found": (True, evidence(0.5)),
        "missed": (True, evidence(0.22)),
        "no word shared": (True, evidence(0.9, 0.0)),
        "rightly silent": (False, evidence(0.1)),
        "wrongly answered": (False, evidence(0.7)),
    }
)


def test_each_rate_is_a_share_of_its_own_kind_of_question() -> None:
    assert REPORT.rates() == (2 / 4, 1 / 2)


def test_another_threshold_gives_other_rates() -> None:
    assert REPORT.rates(0.2) == (1 / 4, 1 / 2)
    assert REPORT.rates(0.0) == (1 / 4, 1.0)
    assert REPORT.rates(0.6) == (3 / 4, 1 / 2)


def test_the_cosine_says_nothing_about_a_script_that_is_not_understood() -> None:
    report = AbstentionReport(
        {
            "all words": (True, evidence(0.0, 1.0, understood=False)),
            "none": (False, evidence(1.0, 0.0, understood=False)),
        }
    )
    assert report.rates() == (0.0, 0.0)


def test_the_report_in_json_and_in_words() -> None:
    found = REPORT.as_json()
    assert json.loads(json.dumps(found))["answerable"] == 4
    assert (found["unanswerable"], found["silent_where_answerable"], found["answered_where_unanswerable"]) == (
        2,
        0.5,
        0.5,
    )
    assert {row["threshold"]: row["rates"] for row in found["sweep"]}[0.2] == (1 / 4, 1 / 2)
    assert [name for name, one in found["questions"].items() if one["answers"]] == [
        "found",
        "just found",
        "wrongly answered",
    ]
    lines = REPORT.lines()
    assert lines[0] == "4 answerable questions: 50.0% got silence"
    assert lines[1] == "2 unanswerable questions: 50.0% got an answer"
    assert [line.split() for line in lines if line.strip().startswith("0.20")] == [["0.20", "25.0%", "50.0%"]]


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    made = Corpus(tmp_path / "store", FakeEncoder(), create=True)
    made.index(write_corpus(tmp_path, {"duck.txt": "duck ice feet", "bond.txt": "bond yield price"}))
    return made


def test_measuring_weighs_every_question(corpus: Corpus) -> None:
    asked = [GoldQuestion("a", "duck ice feet", ("duck",)), GoldQuestion("b", "xylophone zygote quark", ())]
    report = measure(corpus, asked)
    corpus.close()
    assert report.rates() == (0.0, 0.0)
    answerable, found = report.evidence["a"]
    assert answerable
    assert found.cosine == pytest.approx(1.0, abs=1e-5)
    assert found.coverage == pytest.approx(1.0)
    assert report.evidence["b"][1].coverage == 0.0


@pytest.mark.parametrize("gold", [("duck",), ()])
def test_both_kinds_of_question_are_needed(corpus: Corpus, gold: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="both answerable and unanswerable"):
        measure(corpus, [GoldQuestion("a", "duck", gold), GoldQuestion("b", "ice", gold)])
    corpus.close()
