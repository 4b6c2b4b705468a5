"""Mixes of two sources of our synthesis on the tiny base: the table, going on, and what stands at its head."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reasonir_agent.errors import InputError
from reasonir_trainer.cli import main
from reasonir_trainer.training.ablation import Ablated, Row, ablate, config_of, make_ablation
from reasonir_trainer.training.ablation_table import HEAD, draw, table
from reasonir_trainer.training.evaluating import measure, open_held_out
from reasonir_trainer.training.live import LiveEncoder
from reasonir_trainer.training.model import load_base
from tests.trainer.data_sets import row

MIXES = {"VL": ["vl"], "HQ": ["hq"], "both": ["vl", "hq"]}


@pytest.fixture
def asked(settings: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """One synthesis run as two sources by kind, and a held-out set with rewritten queries."""
    rows = [row(number, "vl" if number % 2 else "hq") for number in range(1, 25)]
    data = tmp_path / "data" / "synthesis"
    data.mkdir()
    (data / "data.jsonl").write_text("".join(one.model_dump_json() + "\n" for one in rows))
    held_out = Path(settings["evaluation"]["sets"][0]["path"])
    queries = [json.loads(line) for line in (held_out / "queries.jsonl").read_text().splitlines()]
    rewritten = [json.dumps({"id": one["id"], "rewritten": f"{one['text']} moon"}) for one in queries]
    (tmp_path / "rewritten.jsonl").write_text("\n".join(rewritten))
    sources = [{"path": str(data), "name": kind, "splits": [kind]} for kind in ("vl", "hq")]
    sets = [{"path": str(held_out), "name": "held-out", "rewritten": str(tmp_path / "rewritten.jsonl")}]
    return {**settings, "sources": sources, "steps": 4, "evaluation": {"sets": sets, "every": 2}, "mixes": MIXES}


@pytest.mark.slow
def test_every_mix_is_trained_measured_and_not_trained_again(
    asked: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "ablation.yaml"
    file.write_text(json.dumps(asked))
    with pytest.raises(SystemExit) as left:
        main(["ablate", str(file)])
    said = capsys.readouterr().out
    assert left.value.code == 0 and said.startswith(HEAD)
    found = json.loads((tmp_path / "run" / "ablation.json").read_text())
    assert found["scripted"] and found["models"] == ["openai:scripted"]
    assert [one["mix"] for one in found["rows"]] == ["base", "VL", "HQ", "both"]
    assert [one["examples"] for one in found["rows"]] == [{}, {"vl": 12}, {"hq": 12}, {"vl": 12, "hq": 12}]
    assert (tmp_path / "run" / "ablation.txt").read_text().rstrip() in said
    for one in found["rows"][1:]:  # the values are those of the weights of the last step
        lines = [
            json.loads(line) for line in (tmp_path / "run" / one["mix"] / "history.jsonl").read_text().splitlines()
        ]
        assert lines[-1] == {"step": 4, "ndcg@10": one["ndcg@10"]}
        assert set(one["ndcg@10"]) == {"held-out", "held-out (rewritten)"}
    stamps = {one: one.stat().st_mtime_ns for one in (tmp_path / "run").rglob("*.safetensors")}
    with pytest.raises(SystemExit):
        main(["ablate", str(file), "--json"])
    assert json.loads(capsys.readouterr().out) == found | {"out": str(tmp_path / "run")}
    assert stamps == {one: one.stat().st_mtime_ns for one in (tmp_path / "run").rglob("*.safetensors")}
    with pytest.raises(InputError, match="differs in learning_rate"):
        ablate(make_ablation(asked | {"learning_rate": 0.5}))


def test_a_mix_that_cannot_be_trained_is_told_before_another_one_is(asked: dict[str, Any], tmp_path: Path) -> None:
    plain = tmp_path / "data" / "first.jsonl"
    graded = [
        json.loads(line) | {"positive_grade": 5, "negative_grades": [1]} for line in plain.read_text().splitlines()
    ]
    (tmp_path / "data" / "graded.jsonl").write_text("\n".join(map(json.dumps, graded)))
    sources = [{"path": str(tmp_path / "data" / f"{name}.jsonl"), "name": name} for name in ("graded", "first")]
    mixes = {"grades": ["graded"], "none": ["first"]}
    with pytest.raises(InputError, match="no source has a query with a graded negative"):
        ablate(make_ablation(asked | {"sources": sources, "mixes": mixes, "loss": {"distill": 0.5}}))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_mix_that_was_stopped_goes_on(asked: dict[str, Any]) -> None:
    class Stop(Exception):
        pass

    def stop(name: str, progress: Any) -> None:
        if name == "HQ" and progress.step == 3:
            raise Stop

    whole = ablate(make_ablation(asked | {"output": asked["output"] + "-whole"}))
    with pytest.raises(Stop):
        ablate(make_ablation(asked), stop)
    begun: list[tuple[str, int]] = []
    assert ablate(make_ablation(asked), lambda name, one: begun.append((name, one.step))) == whole
    assert begun[0] == ("HQ", 3)  # the step after the checkpoint of step 2


def test_a_set_with_rewritten_queries_is_measured_twice(asked: dict[str, Any]) -> None:
    ablation = make_ablation(asked)
    held_out = open_held_out(ablation.config.evaluation.sets)
    assert [one.name for one in held_out] == ["held-out", "held-out (rewritten)"]
    plain, rewritten = (one.split for one in held_out)
    assert plain.queries.keys() == rewritten.queries.keys()
    assert all(rewritten.queries[name] == f"{text} moon" for name, text in plain.queries.items())
    encoder = LiveEncoder(load_base(config_of(ablation, "VL")))
    both = measure(encoder, held_out)
    assert both == {**measure(encoder, held_out[:1]), **measure(encoder, held_out[1:])}


def test_averages_and_the_head(tmp_path: Path) -> None:
    rows = [
        Row("base", {}, {"a": 0.2, "a (rewritten)": 0.4, "b": 0.4}),
        Row("both", {"x": 1000, "y": 234}, {"a": 0.3, "a (rewritten)": 0.5, "b": 0.5}),
    ]
    text = table(Ablated(rows, ["openai:gpt-5-mini"], 100, 7))
    assert text.splitlines() == [
        "mix   examples  original  rewritten     a  a (rewritten)     b",
        "base         –      30.0       40.0  20.0           40.0  40.0",
        "both     1,234      40.0       50.0  30.0           50.0  50.0",
        "",
        "nDCG@10 x 100, dense, averages over sets; 100 steps each, seed 7, weights of the last step",
    ]
    assert HEAD not in draw(Ablated(rows, [], 1, 0)) and HEAD in draw(Ablated(rows, ["openai:scripted"], 1, 0))
    assert table(Ablated(rows, ["openai:scripted"], 1, 0)).startswith(HEAD)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mixes": {}}, "mixes must name the sources of each mix"),
        ({"mixes": {"VL": ["vll"]}}, "the mix 'VL' names 'vll', but the sources are vl, hq"),
        ({"mixes": {"VL": "vl"}}, "the mix 'VL' must be a list of different sources, got 'vl'"),
        ({"mixes": {"../x": ["vl"]}}, "a mix is named by letters, digits and hyphens"),
        ({"mixes": {"base": ["vl"]}}, "and not 'base'"),
        ({"evaluation": {}}, "an ablation measures nothing without evaluation.sets"),
        ({"push_to": "me/x"}, "push_to is no setting of an ablation"),
    ],
)
def test_mistakes_are_sentences(asked: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_ablation(asked | changes)


def test_train_does_not_take_mixes(make: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="mixes is no setting"):
        make(mixes=MIXES)
