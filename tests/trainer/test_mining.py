"""BM25 negatives, checked by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reasonir_agent.errors import InputError
from reasonir_trainer.cli import main
from reasonir_trainer.mining import mine

CORPUS = {
    "gold": "ducks keep warm feet on ice",
    "two": "ducks ducks ice ice feet",
    "one": "ice cream in summer",
    "none": "bond markets and yields",
}
QUERIES = {"q": "ducks feet ice"}


def test_a_positive_is_never_a_negative_and_ranks_follow_bm25() -> None:
    (triplet,) = mine(CORPUS, QUERIES, {"q": {"gold"}}, negatives=5, first_rank=1)
    assert triplet.positive_id == "gold"
    assert triplet.negative_ids == ["two", "one"]  # "none" shares no word
    assert triplet.negatives == [CORPUS["two"], CORPUS["one"]]


def test_mining_starts_at_the_given_rank() -> None:
    (triplet,) = mine(CORPUS, QUERIES, {"q": {"gold"}}, negatives=5, first_rank=2)
    assert triplet.negative_ids == ["one"]


def test_every_positive_gets_a_triplet() -> None:
    found = list(mine(CORPUS, QUERIES, {"q": {"gold", "two"}}, first_rank=1))
    assert [triplet.positive_id for triplet in found] == ["gold", "two"]
    assert all(triplet.negative_ids == ["one"] for triplet in found)


@pytest.mark.parametrize(
    ("corpus", "queries", "positives", "named"),
    [
        ({}, QUERIES, {"q": {"gold"}}, "no documents"),
        (CORPUS, {}, {"q": {"gold"}}, "'q'"),
        (CORPUS, QUERIES, {"q": {"x"}}, "'x'"),
    ],
)
def test_unknown_ids_are_named(corpus: dict, queries: dict, positives: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        list(mine(corpus, queries, positives))


def write(folder: Path, qrels: str = "q\tgold\t1\n") -> list[str]:
    (folder / "corpus.jsonl").write_text("".join(json.dumps({"id": i, "text": t}) + "\n" for i, t in CORPUS.items()))
    (folder / "queries.jsonl").write_text(json.dumps({"id": "q", "text": QUERIES["q"]}) + "\n")
    (folder / "qrels.tsv").write_text(qrels)
    names = {"--corpus": "corpus.jsonl", "--queries": "queries.jsonl", "--qrels": "qrels.tsv", "--out": "out.jsonl"}
    return [word for option, name in names.items() for word in (option, str(folder / name))]


def test_the_command_writes_one_line_a_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["reasonir-trainer", "mine", *write(tmp_path), "--first-rank", "1"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 0
    (line,) = (tmp_path / "out.jsonl").read_text().splitlines()
    assert json.loads(line)["negative_ids"] == ["two"]


@pytest.mark.parametrize(
    ("qrels", "said"), [("q gold 1\n", "qrels.tsv:1"), ("q\tgold\tyes\n", "qrels.tsv:1"), ("q\tx\t1\n", "'x'")]
)
def test_wrong_input_ends_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], qrels: str, said: str
) -> None:
    monkeypatch.setattr("sys.argv", ["reasonir-trainer", "mine", *write(tmp_path, qrels)])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl").exists()
