"""The held-out part: by document, for good, without a text of a document on both sides; and it can be evaluated on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reasonir_agent.errors import InputError
from reasonir_agent.evaluation.datasets import open_data_set
from reasonir_trainer.export import export
from reasonir_trainer.export.split import document_of, is_held_out, split
from reasonir_trainer.synthesis.data_files import DataWriter
from reasonir_trainer.synthesis.rows import Negative, Row
from tests.trainer.data_sets import row, seed, write_seeds

COUNT = 60


def mined(number: int, other: int) -> Row:
    """A row whose negative is the seed of another."""
    of = seed(other)
    return row(number, negatives=(Negative(text=of.text, origin="bm25", source=of.id, rank=20),))


def test_no_document_has_rows_on_both_sides() -> None:
    train, test = split([row(n, kind) for n in range(COUNT) for kind in ("vl", "hq")], 0.3)
    learned, asked = ({one.seed.source for one in part} for part in (train, test))
    assert learned and asked and not learned & asked
    assert len(list(train)) + len(list(test)) == 2 * COUNT
    assert 8 <= len(asked) <= 28  # a share of 0.3 by chance: 18 and three deviations


def test_a_text_of_the_other_side_is_no_negative_either() -> None:
    rows = [mined(n, (n + 1) % COUNT) for n in range(COUNT)]
    sides = split(rows, 0.3)
    home = {seed(n).text: is_held_out(seed(n).source, 0.3) for n in range(COUNT)}
    dropped = 0
    for part, held_out in zip(sides, (False, True), strict=True):
        kept = list(part)
        assert all(home[one.positive] == held_out for one in kept)
        assert all(home[negative.text] == held_out for one in kept for negative in one.negatives)
        (note,) = part.notes
        dropped += sum(not one.negatives for one in kept)
        assert note == (
            "mined negatives of a document of the other part, which are dropped: "
            f"{sum(not one.negatives for one in kept)}"
        )
    assert dropped > 5


def test_a_mined_negative_of_an_unknown_document_is_dropped_unless_the_seeds_tell(tmp_path: Path) -> None:
    rows = [mined(n, n + 1000) for n in range(COUNT)]
    train, _ = split(rows, 0.3)
    assert not any(one.negatives for one in train)
    write_seeds(tmp_path, [seed(n + 1000) for n in range(COUNT)])
    told, _ = split(rows, 0.3, folder=tmp_path)
    assert any(one.negatives for one in told)


def test_the_side_of_a_document_never_changes() -> None:
    small = split([row(n) for n in range(40)], 0.3)[1]
    large = split([row(n) for n in range(COUNT)], 0.3)[1]
    assert {one.id for one in small} <= {one.id for one in large}
    wider = split([row(n) for n in range(COUNT)], 0.5)[1]
    assert {one.id for one in large} <= {one.id for one in wider}


def test_the_pages_of_a_document_go_together_and_records_apart() -> None:
    assert document_of("book.pdf#page=3") == document_of("book.pdf#page=17") == "book.pdf"
    assert document_of("notes.jsonl#id=a") != document_of("notes.jsonl#id=b")
    assert is_held_out("book.pdf#page=3", 0.5) == is_held_out("book.pdf#page=99", 0.5) == is_held_out("book.pdf", 0.5)


@pytest.mark.parametrize(
    ("rows", "share", "said"),
    [
        ([row(1), row(2)], 0.0, "above 0 and below 1"),
        ([row(1), row(2)], 1.0, "above 0 and below 1"),
        ([row(1), row(2)], 0.0001, "none of the 2 documents falls into the held-out part"),
        ([row(1), row(2)], 0.9999, "each of the 2 documents falls into the held-out part"),
        ([row(1, seed=row(1).seed.model_copy(update={"source": ""}))], 0.5, "rows without a source"),
    ],
)
def test_what_cannot_be_split_is_said(rows: list[Row], share: float, said: str) -> None:
    with pytest.raises(InputError, match=said):
        split(rows, share)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with DataWriter(tmp_path / "set") as writer:
        for number in range(COUNT):
            writer.add(row(number))
    return tmp_path / "set"


@pytest.mark.parametrize(("to", "train"), [("triplets", "train.jsonl"), ("beir", "train"), ("reasonir", "train.jsonl")])
def test_the_held_out_part_is_an_evaluation_set(folder: Path, tmp_path: Path, to: str, train: str) -> None:
    done = export(folder, to, tmp_path / "out", held_out=0.3)
    assert done.held_out and done.written.path == tmp_path / "out" / train
    assert done.written.rows + done.held_out.rows == COUNT
    opened = open_data_set(str(tmp_path / "out" / "held-out"))
    (name,) = opened.splits
    found = opened.load(name)
    assert name == "test" and not found.warnings
    assert len(found.queries) == done.held_out.rows
    assert found.documents and len(found.documents.ids) == 2 * done.held_out.rows
    for query, grades in found.qrels.items():
        ((positive,), (negative,)) = ([one for one, grade in grades.items() if grade == wanted] for wanted in (1, 0))
        texts = dict(zip(found.documents.ids, found.documents.texts, strict=True))
        original = next(row(n) for n in range(COUNT) if row(n).id == query)
        assert (texts[positive], texts[negative]) == (original.positive, original.negatives[0].text)


@pytest.mark.slow
def test_the_command_evaluates_on_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from reasonir_agent.cli.main import main

    export(folder, "triplets", tmp_path / "out", held_out=0.3)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "retrieval", "out/held-out", "--system", "bm25", "--json"])
    assert end.value.code == 0
    assert json.loads(capsys.readouterr().out)
