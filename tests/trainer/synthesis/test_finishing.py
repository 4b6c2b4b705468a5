"""The end of a run: order, repetitions, contamination, and the files, which do not depend on how the work was shared."""

from __future__ import annotations

import json
import random
import tracemalloc
from pathlib import Path

import pytest

from reasonir_agent.errors import InputError
from reasonir_agent.llm import Price
from reasonir_trainer.synthesis import data_files
from reasonir_trainer.synthesis.data_files import Rows, read_outcomes
from reasonir_trainer.synthesis.exclusion import Exclusion
from reasonir_trainer.synthesis.finishing import REPEATS, finish
from reasonir_trainer.synthesis.rows import Outcome, Row
from tests.trainer.data_sets import SETTINGS, rejected, row, seed, words, write_items, write_seeds

MADE = ("README.md", "data.jsonl", "data.parquet", "rejected.jsonl", "summary.json")


def some() -> list[Outcome]:
    """Rows of both kinds, rejected items, and two rows that repeat a third."""
    rows: list[Outcome] = [row(n, "hq" if n % 2 else "vl") for n in range(30)]
    first = row(3).query
    rows += [row(100, query=first), row(101, query=first + " Surely so?"), *(rejected(200 + n) for n in range(5))]
    return rows


def kept(folder: Path) -> list[Row]:
    return list(Rows(folder))


def refused(folder: Path) -> dict[str, str]:
    return {one.id: one.reason for one in read_outcomes(folder / "rejected.jsonl") if not isinstance(one, Row)}


def test_rows_are_in_order_of_their_id_whatever_the_order_of_making(tmp_path: Path) -> None:
    finish(write_items(tmp_path, some()), settings=SETTINGS)
    ids = [one.id for one in kept(tmp_path)]
    assert ids == sorted(ids) and len(ids) == 30


def test_of_queries_that_repeat_each_other_the_first_by_id_stays(tmp_path: Path) -> None:
    finish(write_items(tmp_path, some()), settings=SETTINGS)
    alike = sorted(one.id for one in (row(3), row(100), row(101)))
    reasons = refused(tmp_path)
    assert alike[0] in {one.id for one in kept(tmp_path)}
    assert [reasons[one] for one in alike[1:]] == [REPEATS, REPEATS]
    told = {one.id: one for one in read_outcomes(tmp_path / "rejected.jsonl")}
    assert {told[one].like for one in alike[1:]} == {alike[0]}  # type: ignore[union-attr]


def test_queries_below_the_threshold_both_stay(tmp_path: Path) -> None:
    common = words(1, 20)
    one, other = row(1, query=f"{common} {words(2, 20)}"), row(2, query=f"{common} {words(3, 20)}")
    assert finish(write_items(tmp_path, [one, other]), settings=SETTINGS).rows == 2


@pytest.mark.parametrize("shards", [2, 5])
def test_shards_make_the_same_bytes_as_one_run(tmp_path: Path, shards: int) -> None:
    outcomes = some()
    write_seeds(tmp_path / "whole", [seed(n) for n in range(30)])
    finish(write_items(tmp_path / "whole", outcomes), settings=SETTINGS, price=Price(0.1, 0.7))
    random.Random(4).shuffle(outcomes)
    folders = [tmp_path / f"part-{n}" for n in range(shards)]
    for number, folder in enumerate(folders):
        write_items(folder, outcomes[number::shards], f"{number + 1}-of-{shards}")
        write_seeds(folder, [seed(n) for n in range(30)])
    finish(tmp_path / "merged", settings=SETTINGS, price=Price(0.1, 0.7), sources=folders)
    for name in MADE:
        assert (tmp_path / "merged" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_several_shards_in_one_folder_are_one_run(tmp_path: Path) -> None:
    outcomes = some()
    finish(write_items(tmp_path / "whole", outcomes), settings=SETTINGS)
    write_items(tmp_path / "shared", outcomes[:9], "1-of-2")
    finish(write_items(tmp_path / "shared", outcomes[9:], "2-of-2"), settings=SETTINGS)
    for name in MADE:
        assert (tmp_path / "shared" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


@pytest.mark.slow
def test_datasets_opens_both_files_and_they_hold_the_same(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    full = row(1, positive_grade=4.0, rewritten="A long text.", negatives=(), query="Zürich · 为什么\u2028?")
    finish(write_items(tmp_path, [full, *some()[4:]]), settings=SETTINGS)
    cache = {"split": "train", "cache_dir": str(tmp_path / "cache")}
    table = datasets.load_dataset("parquet", data_files=str(tmp_path / "data.parquet"), **cache).to_list()
    lines = datasets.load_dataset("json", data_files=str(tmp_path / "data.jsonl"), **cache).to_list()
    assert table == lines == [one.model_dump(mode="json") for one in kept(tmp_path)]
    whole = datasets.load_dataset(str(tmp_path), **cache)  # the card's header names the table
    assert whole.to_list() == table


def test_a_torn_last_line_is_left_and_a_broken_one_is_named(tmp_path: Path) -> None:
    write_items(tmp_path, [row(1), row(2)])
    file = tmp_path / "items-1-of-1.jsonl"
    whole = file.read_text()
    file.write_text(whole + whole[:50])
    assert finish(tmp_path, settings=SETTINGS).rows == 2
    file.write_text(whole[:50] + "\n" + whole)
    with pytest.raises(InputError, match=r"items-1-of-1\.jsonl:1 is no row and no rejected item"):
        finish(tmp_path, settings=SETTINGS)


def test_an_id_twice_is_one_item_and_a_row_beats_a_rejection(tmp_path: Path) -> None:
    failed = rejected(1, id=row(1).id)
    summary = finish(write_items(tmp_path, [row(1), row(1), failed, row(2)]), settings=SETTINGS)
    assert (summary.rows, summary.rejected) == (2, {})


def test_two_rows_of_one_id_are_refused_with_their_places(tmp_path: Path) -> None:
    write_items(tmp_path, [row(1), row(1, query="Another?")])
    with pytest.raises(InputError, match=r"items-1-of-1\.jsonl:1 and .*items-1-of-1\.jsonl:2 hold different rows"):
        finish(tmp_path, settings=SETTINGS)


def test_without_items_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to finish"):
        finish(tmp_path, settings=SETTINGS)


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    finish(write_items(tmp_path, [row(1), row(2)]), settings=SETTINGS)
    before = {name: (tmp_path / name).read_bytes() for name in MADE}
    (tmp_path / "seeds.jsonl").write_text("no seed\n")
    with pytest.raises(InputError, match=r"seeds\.jsonl:1 is no seed"):
        finish(write_items(tmp_path, [row(3)]), settings=SETTINGS)
    assert {name: (tmp_path / name).read_bytes() for name in MADE} == before
    assert not list(tmp_path.glob("*.part"))


class TestContamination:
    @pytest.fixture
    def evaluation(self, tmp_path: Path) -> str:
        """A BEIR folder whose query and gold document are those of row 1 and row 2."""
        folder = tmp_path / "evaluation"
        (folder / "qrels").mkdir(parents=True)
        (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
        for name, record in (
            ("queries", {"_id": "q1", "text": row(1).query}),
            ("corpus", {"_id": "d1", "title": "", "text": row(2).positive}),
        ):
            (folder / f"{name}.jsonl").write_text(json.dumps(record) + "\n")
        return str(folder)

    def test_rows_close_to_an_evaluation_set_are_dropped_and_counted(self, tmp_path: Path, evaluation: str) -> None:
        run = write_items(tmp_path / "run", [row(n) for n in range(6)])
        summary = finish(
            run, settings=SETTINGS, exclusions=[Exclusion.open(evaluation, similar=SETTINGS.near_duplicate)]
        )
        assert summary.rows == 4 and sum(summary.rejected.values()) == 2
        reasons = refused(run)
        assert "query" in reasons[row(1).id] and "positive" in reasons[row(2).id]
        assert "`evaluation`" in (run / "README.md").read_text()

    def test_a_contaminated_row_is_nobodys_first(self, tmp_path: Path, evaluation: str) -> None:
        """Its repetition is dropped for itself, or stays: never for a row that is not in the data set."""
        pair = sorted([row(2), row(50, query=row(2).query)], key=lambda one: one.id)
        run = write_items(tmp_path / "run", pair)
        finish(run, settings=SETTINGS, exclusions=[Exclusion.open(evaluation, similar=SETTINGS.near_duplicate)])
        assert [one.id for one in kept(run)] == [row(50).id]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length_of_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 rows of 10 kB are 2 MB; in memory are a row group of 10, as lines and as values, and one row."""
    monkeypatch.setattr(data_files, "_GROUP_ROWS", 10)

    def most(name: str, length: int) -> int:
        folder = write_items(tmp_path / name, [row(n, positive="tide " * length) for n in range(200)])
        tracemalloc.start()
        finish(folder, settings=SETTINGS)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    most("first", 1)  # what is imported late
    assert most("long", 2000) - most("short", 1) < 800_000
