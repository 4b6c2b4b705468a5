"""Every way of making a data set through the command line: encoders, mined negatives, grades, guards, pushing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reasonir_agent.testing import ScriptedChatServer
from reasonir_trainer.synthesis.rows import Row, Seed
from tests.trainer.synthesis.conftest import Call
from tests.trainer.synthesis.hub import TOKEN, Hub
from tests.trainer.synthesis.seeds.test_classifier import checkpoint

pytestmark = pytest.mark.usefixtures("server")

SHORT = 'shortest_words = 60\nlongest_words = 120\nleast_negative_words = 60\nfirst_rank = 2\nlanguages = ["en"]\n'


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """Settings with which texts are short."""
    file = tmp_path / "short.toml"
    file.write_text(SHORT)
    return file


def rows(folder: Path) -> list[Row]:
    lines = (folder / "data.jsonl").read_text(encoding="utf-8").splitlines()
    return [Row.model_validate_json(line) for line in lines]


def seeds(folder: Path) -> dict[str, Seed]:
    lines = (folder / "seeds.jsonl").read_text(encoding="utf-8").splitlines()
    return {one.id: one for one in map(Seed.model_validate_json, lines)}


def made(call: Call, *words: object) -> dict[str, Any]:
    code, out, err = call("synthesize", *words, "--json")
    assert code == 0, err
    told = json.loads(out)
    assert told["complete"] and not told["warnings"], told
    counts = told["data"]["pieces"]
    assert counts["pieces"] == sum(counts["dropped"].values()) + sum(counts["judged"].values()) + told["seeds"]
    return dict(told)


@pytest.mark.slow
def test_written_negatives_are_ranked_by_an_encoder(call: Call, documents: Path, tmp_path: Path, short: Path) -> None:
    made(call, documents, "--config", short, "--out", tmp_path / "a", "--varied", 0, "--encoder", "minilm")
    negatives = [one for row in rows(tmp_path / "a") for one in row.negatives]
    assert negatives and all(one.origin == "written" and one.rank and one.similarity for one in negatives)
    assert "rank" in (tmp_path / "a" / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["bm25", "encoder"])
def test_mined_negatives_are_seeds_of_other_documents(
    call: Call, documents: Path, tmp_path: Path, short: Path, way: str
) -> None:
    words = (documents, "--config", short, "--varied", 0, "--negatives", way, "--negatives-each", 2)
    made(call, *words, *(("--encoder", "minilm") if way == "encoder" else ()), "--out", tmp_path / "a")
    known, found = seeds(tmp_path / "a"), rows(tmp_path / "a")
    assert len(found) > 8 and any(len(row.negatives) == 2 for row in found)
    for row in found:
        for one in row.negatives:
            assert one.origin == way and one.text == known[one.source].text and one.rank
            assert known[one.source].source != row.seed.source
            assert way == "encoder" or one.rank >= 2


@pytest.mark.slow
def test_shards_with_mined_negatives_make_what_one_run_makes(
    call: Call, documents: Path, tmp_path: Path, short: Path
) -> None:
    words = (documents, "--config", short, "--varied", 0, "--negatives", "bm25")
    made(call, *words, "--out", tmp_path / "whole")
    assert call("synthesize", *words, "--out", tmp_path / "all", "--seeds-only")[0] == 0
    for number in (1, 2):
        assert call("synthesize", *words, "--out", tmp_path / "all", "--shard", f"{number}/2")[0] == 0
    assert call("merge", tmp_path / "all", "--out", tmp_path / "merged")[0] == 0
    for name in ("data.jsonl", "summary.json"):
        assert (tmp_path / "merged" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.slow
def test_grades_and_rewrites_stand_in_the_rows(call: Call, documents: Path, tmp_path: Path, short: Path) -> None:
    told = made(call, documents, "--config", short, "--out", tmp_path / "a", "--grade", "--rewrite")
    found = rows(tmp_path / "a")
    assert {row.kind for row in found} == {"hq", "vl"}
    assert told["data"]["graded"] == told["data"]["rewritten"] == len(found)
    for row in found:
        assert row.rewritten and 0 <= (row.positive_grade or 0) <= 5
        assert all(one.grade is not None for one in row.negatives)


def test_what_is_close_to_an_evaluation_set_is_left_out_and_counted(
    call: Call, documents: Path, tmp_path: Path, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (documents, "--config", short, "--varied", 0, "--negatives", "none")
    made(call, *words, "--out", tmp_path / "free")
    plain = {row.id: row for row in rows(tmp_path / "free")}
    by_size = sorted(plain.values(), key=lambda row: Path(row.seed.source).stat().st_size)
    other, known, taken = by_size[0], by_size[1], tmp_path / "data" / "mine"  # the smallest notes are one piece each
    gold = Path(other.seed.source)
    (taken / "corpus").mkdir(parents=True)
    (taken / "corpus" / gold.name).write_bytes(gold.read_bytes())
    question = {"id": "q1", "question": known.query.replace(", ", " - "), "gold_ids": [gold.stem]}
    (taken / "questions.jsonl").write_text(json.dumps(question) + "\n", encoding="utf-8")

    monkeypatch.setenv("REASONIR_DATA", str(tmp_path / "data"))  # found there by its name
    told = made(call, *words, "--exclude", "mine", "--out", tmp_path / "a")
    assert told["data"]["pieces"]["dropped"]["close to an evaluation set"] == 1
    close = told["data"]["rejected"]["query close to a query of an evaluation set"]
    missing = plain.keys() - {row.id for row in rows(tmp_path / "a")}
    assert {known.id, other.id} <= missing  # the script's other queries may be near to that one too
    assert len(missing) == 1 + close < len(plain)
    assert "`mine`" in (tmp_path / "a" / "README.md").read_text()
    assert call("merge", tmp_path / "a", "--out", tmp_path / "b")[0] == 0
    assert (tmp_path / "b" / "summary.json").read_bytes() == (tmp_path / "a" / "summary.json").read_bytes()

    with (taken / "questions.jsonl").open("a", encoding="utf-8") as more:
        more.write(json.dumps({**question, "id": "q2", "question": "Why is that?"}) + "\n")
    code, _, err = call("synthesize", *words, "--exclude", "mine", "--out", tmp_path / "a")
    assert code == 2 and "exclude: the data sets mine hold something else now" in err
    code, _, err = call("merge", tmp_path / "a", "--out", tmp_path / "c")
    assert code == 0 and "mine holds something else here" in err

    code, _, err = call("synthesize", *words, "--out", tmp_path / "a")
    assert code == 2 and "exclude: ['mine'] there, [] now" in err and "--force" in err
    code, _, err = call("synthesize", *words, "--out", tmp_path / "a", "--force")
    assert code == 0 and "exclude: ['mine'] there" in err
    assert (tmp_path / "a" / "data.jsonl").read_bytes() == (tmp_path / "free" / "data.jsonl").read_bytes()


@pytest.mark.slow
def test_a_classifier_judges_in_the_model_s_place(
    server: ScriptedChatServer, call: Call, documents: Path, tmp_path: Path
) -> None:
    folder = checkpoint(tmp_path / "model", scale=0.1)
    words = (documents, "--classifier", folder, "--least-quality", 0.01, "--hard", 1, "--seeds-only")
    code, _, err = call("synthesize", *words, "--out", tmp_path / "a")
    assert code == 0, err
    assert all(one.quality is not None and one.field for one in seeds(tmp_path / "a").values())
    assert not any('"quality":' in str(request["messages"]) for request in server.requests)


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of the hub's own library
def test_a_finished_data_set_is_pushed(
    hub: Hub, call: Call, documents: Path, tmp_path: Path, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    words = (documents, "--config", short, "--varied", 0, "--negatives", "none", "--most-seeds", 4)
    told = made(call, *words, "--out", tmp_path / "a", "--push", "me/set")
    assert told["pushed"] == f"{hub.address}/datasets/me/set" and hub.private == {"me/set": True}
    assert hub.files["data.parquet"] == (tmp_path / "a" / "data.parquet").read_bytes()
