"""Data that cannot teach what is asked for, or that are measured on, are refused before anything is loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reasonir_agent.errors import InputError
from reasonir_trainer.data.examples import Candidate, Example, Source
from reasonir_trainer.training.checking import check_data
from reasonir_trainer.training.config import TrainingConfig
from reasonir_trainer.training.run import estimate_run, read_sources, train

Make = Callable[..., TrainingConfig]


@pytest.fixture
def without_base(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object) -> None:
        raise AssertionError("the base was loaded before the data were checked")

    monkeypatch.setattr("reasonir_trainer.training.run.load_base", load)


def graded(positive: float | None, *negatives: float | None) -> list[Source]:
    """Two sources: one without grades, one with an example of these grades."""
    bare = Example("1", "why", (Candidate("because"),), (Candidate("no"),))
    told = tuple(Candidate(f"no {number}", grade) for number, grade in enumerate(negatives))
    return [Source("bare", [bare]), Source("told", [bare, Example("2", "how", (Candidate("so", positive),), told)])]


@pytest.mark.usefixtures("without_base")
@pytest.mark.parametrize("begin", [train, estimate_run])
def test_distillation_without_grades_is_refused(make: Make, begin: Callable[[TrainingConfig], object]) -> None:
    with pytest.raises(
        InputError, match=r"loss\.distill is 0\.5, .* but no source has .* --grade.* set loss\.distill: 0"
    ):
        begin(make(loss={"distill": 0.5}))


@pytest.mark.parametrize(
    ("grades", "negatives"), [((5.0, 1.0), 1), ((5.0, None, 1.0), 1), ((None, 2.0, 1.0), 2), ((0.0, 0.0), 1)]
)
def test_two_graded_documents_in_a_batch_are_enough(
    make: Make, grades: tuple[float | None, ...], negatives: int
) -> None:
    check_data(make(loss={"distill": 0.5}, negatives=negatives), graded(*grades))


@pytest.mark.parametrize(
    ("grades", "negatives", "message"),
    [
        ((5.0,), 1, "no source has a query with a graded negative"),
        ((5.0, None), 1, "no source has a query with a graded negative"),
        ((None, 1.0), 1, "no source has a query with a graded negative"),
        ((5.0, 1.0), 0, "with negatives: 0 a batch has at most one of them; set negatives to 1 or more"),
        ((None, 2.0, 1.0), 1, "with negatives: 1 a batch has at most one of them; set negatives to 2 or more"),
    ],
)
def test_one_graded_document_in_a_batch_is_not_enough(
    make: Make, grades: tuple[float | None, ...], negatives: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check_data(make(loss={"distill": 0.5}, negatives=negatives), graded(*grades))
    check_data(make(negatives=negatives), graded(*grades))


def test_grades_of_a_source_that_is_never_drawn_do_not_count(make: Make, settings: dict[str, Any]) -> None:
    sources = [{**one, "weight": weight} for one, weight in zip(settings["sources"], (1, 0), strict=True)]
    with pytest.raises(InputError, match="no source has"):
        check_data(make(loss={"distill": 0.5}, sources=sources), graded(5.0, 1.0))


def learn_what_is_measured(settings: dict[str, Any], count: int) -> None:
    """Adds so many of the ten held-out queries to the first source, in capitals and with more space."""
    file = Path(settings["evaluation"]["sets"][0]["path"]) / "queries.jsonl"
    queries = [json.loads(line)["text"] for line in file.read_text().splitlines()][:count]
    with Path(settings["sources"][0]["path"]).open("a") as source:
        for query in queries:
            source.write(json.dumps({"anchor": query.upper().replace(" ", "  "), "positive": f"of {query}"}) + "\n")


@pytest.mark.usefixtures("without_base")
def test_training_on_what_is_measured_is_refused(make: Make, settings: dict[str, Any]) -> None:
    learn_what_is_measured(settings, 2)
    with pytest.raises(
        InputError,
        match=r"the source 'first' has 2 of the 10 queries of the evaluation set 'held-out', such as '.+'; .* --held-out",
    ):
        train(make())


def test_a_tenth_in_common_is_an_accident(make: Make, settings: dict[str, Any]) -> None:
    from reasonir_trainer.training.evaluating import open_held_out

    learn_what_is_measured(settings, 1)
    config = make()
    check_data(config, read_sources(config), open_held_out(config.evaluation.sets))


def test_a_source_that_is_never_drawn_may_hold_what_is_measured(make: Make, settings: dict[str, Any]) -> None:
    from reasonir_trainer.training.evaluating import open_held_out

    learn_what_is_measured(settings, 10)
    config = make(sources=[{**one, "weight": weight} for one, weight in zip(settings["sources"], (0, 1), strict=True)])
    check_data(config, read_sources(config), open_held_out(config.evaluation.sets))
