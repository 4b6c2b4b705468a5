"""`reasonir-trainer export`, `import`, `inspect` and `push` as they are typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reasonir_trainer.cli import main
from reasonir_trainer.synthesis.data_files import Rows
from reasonir_trainer.synthesis.finishing import finish
from tests.trainer.data_sets import SETTINGS, rejected, row, write_items


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = write_items(tmp_path / "run", [*(row(n) for n in range(30)), rejected(50)])
    finish(folder, settings=SETTINGS)
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def typed(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return typed


def test_export_says_what_was_written_and_what_is_lost(run: Any, folder: Path, tmp_path: Path) -> None:
    code, out, err = run("export", folder, "--to", "triplets", "--out", tmp_path / "t.jsonl")
    assert (code, out) == (0, f"30 rows in {tmp_path / 't.jsonl'}\n")
    assert "not held by this format: ids, kinds, origins" in err


def test_export_with_a_held_out_part(run: Any, folder: Path, tmp_path: Path) -> None:
    words = ("export", folder, "--to", "reasonir", "--held-out", 0.3, "--out", tmp_path / "o", "--instruction", "Find.")
    code, out, _ = run(*words, "--json")
    said = json.loads(out)
    assert code == 0 and said["train"]["rows"] + said["held_out"]["rows"] == 30
    lines = (tmp_path / "o" / "train.jsonl").read_text().splitlines()
    assert {json.loads(line)["query"][0] for line in lines} == {"Find."}
    assert (tmp_path / "o" / "held-out" / "qrels" / "test.tsv").is_file()


def test_import_makes_a_data_set_that_can_be_exported(run: Any, folder: Path, tmp_path: Path) -> None:
    run("export", folder, "--to", "tevatron", "--out", tmp_path / "t.jsonl")
    code, out, _ = run("import", tmp_path / "t.jsonl", "--from", "tevatron", "--out", tmp_path / "back")
    assert (code, out) == (0, f"30 rows in {tmp_path / 'back'}\n")
    assert [(one.id, one.positive) for one in Rows(tmp_path / "back")] == [
        (one.id, one.positive) for one in Rows(folder)
    ]  # fmt: skip
    assert json.loads((tmp_path / "back" / "summary.json").read_text())["kinds"] == {"given": 30}
    assert (tmp_path / "back" / "data.parquet").is_file()
    assert run("export", tmp_path / "back", "--to", "beir", "--out", tmp_path / "beir")[0] == 0


def test_rows_that_stand_twice_are_taken_once(run: Any, tmp_path: Path) -> None:
    line = json.dumps({"anchor": "a", "positive": "p"}) + "\n"
    (tmp_path / "t.jsonl").write_text(line + line)
    _, out, err = run("import", tmp_path / "t.jsonl", "--from", "triplets", "--out", tmp_path / "o")
    assert out.startswith("1 row in") and "rows that repeat one before them, which are left out: 1" in err


def test_inspect_writes_a_page_into_the_folder(run: Any, folder: Path, tmp_path: Path) -> None:
    code, out, _ = run("inspect", folder)
    assert (code, out) == (0, f"30 rows, 1 rejected: {folder / 'page.html'}\n")
    code, out, _ = run("inspect", folder, "--out", tmp_path / "other.html", "--json", "--price", "1,2")
    summary = json.loads(out)["summary"]
    assert code == 0 and (summary["rows"], summary["spent"]["cost"]) == (30, pytest.approx((3100 + 2 * 1240) / 1e6))
    assert (tmp_path / "other.html").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("export", "{run}", "--to", "parquet", "--out", "o"),
            "there is no format 'parquet'; the formats are triplets",
        ),
        (("export", "{tmp}", "--to", "beir", "--out", "o"), "holds no data.jsonl"),
        (("export", "{run}", "--to", "triplets", "--out", "{tmp}"), "is a folder; the format triplets is a file"),
        (("export", "{run}", "--to", "beir", "--out", "{run}/data.jsonl"), "is a file; the format beir is a folder"),
        (("export", "{run}", "--to", "beir", "--held-out", "2", "--out", "o"), "must be above 0 and below 1"),
        (("import", "{tmp}/none", "--from", "triplets", "--out", "{tmp}/o"), "does not exist; expected a file to read"),
        (("import", "{run}/data.jsonl", "--from", "triplets", "--out", "{tmp}/o"), "has no field 'anchor'"),
        (("inspect", "{tmp}"), "holds neither data.jsonl nor items-*.jsonl"),
        (("push", "{tmp}", "me/set"), "only a finished data set can be pushed"),
    ],
)
def test_what_cannot_be_done_is_said(run: Any, folder: Path, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    code, out, err = run(*(word.format(run=folder, tmp=tmp_path) for word in words))
    assert (code, out) == (2, "") and said in " ".join(err.split())
    assert not list(tmp_path.rglob("*.part"))
