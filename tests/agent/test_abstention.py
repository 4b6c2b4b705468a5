"""When to be silent without a model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from reasonir_agent import Corpus, ReasonIREncoder
from reasonir_agent.agent.abstention import COVERAGE_ALONE, COVERAGE_FLOOR, Evidence, threshold_for, weigh
from reasonir_agent.evaluation.abstention import measure
from reasonir_agent.evaluation.questions import GoldQuestion, read_questions
from reasonir_agent.testing import FakeEncoder, write_corpus

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


def test_the_threshold_grows_by_seven_hundredths_with_each_factor_of_ten() -> None:
    assert threshold_for(0.3, 100) == pytest.approx(0.3)
    assert threshold_for(0.3, 10_000) == pytest.approx(0.44)
    assert threshold_for(0.3, 1) == threshold_for(0.3, 30) < 0.3
    assert threshold_for(None, 100) is None


@pytest.mark.parametrize(
    ("evidence", "answers"),
    [
        (Evidence(cosine=0.5, coverage=0.2, understood=True, threshold=0.3), True),
        (Evidence(cosine=0.2, coverage=0.9, understood=True, threshold=0.3), False),
        (Evidence(cosine=0.9, coverage=COVERAGE_FLOOR / 2, understood=True, threshold=0.3), False),
        (Evidence(cosine=0.2, coverage=0.2, understood=True, threshold=None), True),
        (Evidence(cosine=0.9, coverage=COVERAGE_ALONE / 2, understood=False, threshold=0.3), False),
        (Evidence(cosine=0.0, coverage=COVERAGE_ALONE, understood=False, threshold=0.3), True),
    ],
)
def test_cosine_and_words_must_both_speak_for_an_answer(evidence: Evidence, answers: bool) -> None:
    assert evidence.suffices is answers


def test_coverage_is_the_weighted_share_of_the_questions_words(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path / "store", FakeEncoder(), create=True)
    corpus.index(write_corpus(tmp_path / "texts", ["duck ice", "duck pond", "bond yield"]))
    everything = weigh("duck ice", corpus.search("duck ice"), corpus.store, corpus.encoder)
    nothing = weigh("zebra stripes", corpus.search("zebra stripes"), corpus.store, corpus.encoder)
    rarity = corpus.store.rarity(["duck", "zebra"])
    half = weigh("duck zebra", corpus.search("duck zebra"), corpus.store, corpus.encoder)
    assert everything.coverage == pytest.approx(1.0)
    assert nothing.coverage == 0.0
    assert half.coverage == pytest.approx(rarity["duck"] / (rarity["duck"] + rarity["zebra"]))
    assert rarity["zebra"] > rarity["duck"]


def test_rates_count_both_kinds_of_error(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path / "store", FakeEncoder(), create=True)
    corpus.index(write_corpus(tmp_path / "texts", ["duck ice", "bond yield"]))
    asked = [
        GoldQuestion("found", "duck ice", ("0",)),
        GoldQuestion("lost", "quantum zebra", ("1",)),
        GoldQuestion("rightly silent", "violin lesson", ()),
        GoldQuestion("wrongly answered", "bond yield", ()),
    ]
    report = measure(corpus, asked)
    assert report.rates() == (0.5, 0.5)
    assert report.rates(threshold=2.0) == (1.0, 0.0)


@pytest.mark.slow
def test_on_the_examples_most_unanswerable_questions_get_silence_and_most_others_an_answer(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path / "store", ReasonIREncoder("minilm"), create=True)
    corpus.index([EXAMPLES / "corpus"])
    report = measure(corpus, read_questions(EXAMPLES / "questions.jsonl"))
    silent, answered = report.rates()
    always = replace(next(iter(report.evidence.values()))[1], cosine=1.0, coverage=1.0, understood=True)
    assert always.suffices
    assert silent <= 0.25, json.dumps(report.as_json()["questions"], indent=1)
    assert answered <= 0.30, json.dumps(report.as_json()["questions"], indent=1)
