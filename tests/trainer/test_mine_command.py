"""`reasonir-trainer mine --grade`: a model grades what was mined, and is asked once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reasonir_agent.testing import ScriptedChatServer
from reasonir_trainer.cli import main

TEXTS = {"gold": "ducks keep warm feet on ice", "two": "ducks ducks ice ice feet", "one": "ice cream in summer"}


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    lines = "".join(json.dumps({"id": id, "text": text}) + "\n" for id, text in TEXTS.items())
    (tmp_path / "corpus.jsonl").write_text(lines)
    (tmp_path / "queries.jsonl").write_text(json.dumps({"id": "q", "text": "ducks feet ice"}) + "\n")
    (tmp_path / "qrels.tsv").write_text("q\tgold\t1\n")
    files = {"corpus": "corpus.jsonl", "queries": "queries.jsonl", "qrels": "qrels.tsv", "out": "out.jsonl"}
    options = [word for name, file in files.items() for word in (f"--{name}", str(tmp_path / file))]
    return ["mine", *options, "--negatives", "2", "--first-rank", "1"]


def test_grades_are_written_and_kept(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedChatServer(['{"reason": "because", "grade": 2}']) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        for _ in range(2):
            with pytest.raises(SystemExit) as left:
                main([*words, "--grade", "--llm", "openai:scripted"])
            assert left.value.code == 0
        assert len(server.requests) == 3  # the positive and two negatives, once
    (line,) = (tmp_path / "out.jsonl").read_text().splitlines()
    assert json.loads(line)["negative_ids"] == ["two", "one"]
    assert json.loads(line)["grades"] == [2.0, 2.0] and json.loads(line)["positive_grade"] == 2.0


@pytest.mark.parametrize(
    ("more", "said"),
    [(["--by", "chance"], "bm25 or encoder"), (["--by", "encoder"], "--encoder"), (["--grade"], "--llm")],
)
def test_wrong_options_are_told(
    words: list[str], more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main([*words, *more])
    assert left.value.code == 2 and said in capsys.readouterr().err
