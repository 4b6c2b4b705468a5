"""Mined negatives, checked by hand: by BM25, with a threshold, by an encoder; the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reasonir_agent.errors import InputError
from reasonir_agent.testing import FakeEncoder
from reasonir_trainer.cli import main
from reasonir_trainer.mining import FIRST_RANK, mine

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


def test_ranks_are_those_among_documents_that_are_no_positive() -> None:
    (triplet,) = mine(CORPUS, QUERIES, {"q": {"gold"}}, negatives=5, first_rank=1)
    assert triplet.ranks == [1, 2]
    assert triplet.as_json().keys() == {
        *("query_id", "query", "positive_id", "positive", "negative_ids", "negatives", "ranks")
    }


def test_by_words_mining_starts_at_rank_20_unless_told_otherwise() -> None:
    many = {"gold": "ducks"} | {f"{n:02}": "ice " * (30 - n) + "cream " * n for n in range(30)}
    (triplet,) = mine(many, {"q": "ice"}, {"q": {"gold"}})
    assert FIRST_RANK == 20
    assert triplet.ranks == [20]
    assert triplet.negative_ids == ["19"]


def test_an_encoder_adds_a_threshold_to_bm25() -> None:
    encoder = FakeEncoder(dim=512)
    query = encoder.encode_queries([QUERIES["q"]])[0]
    near = {one: float(encoder.encode_documents([text])[0] @ query) for one, text in CORPUS.items()}
    assert near["one"] < near["gold"] < near["two"]
    (triplet,) = mine(CORPUS, QUERIES, {"q": {"gold"}}, negatives=5, first_rank=1, encoder=encoder)
    assert triplet.negative_ids == ["one"]
    assert triplet.ranks == [2]
    assert triplet.similarities == pytest.approx([near["one"]])
    assert triplet.positive_similarity == pytest.approx(near["gold"])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"margin": 0}, "margin"), ({"by": "encoder"}, "needs one"), ({"first_rank": 0}, "count from 1")],
)
def test_wrong_options_are_told(wrong: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        list(mine(CORPUS, QUERIES, {"q": {"gold"}}, **wrong))


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
