"""The formats of others, to and from: what they hold comes back, what they cannot hold is said, nothing is made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reasonir_agent.errors import InputError
from reasonir_trainer.data.reading import SourceSpec, read_source
from reasonir_trainer.export import FORMATS, Options, export, read_documents
from reasonir_trainer.export.formats import Notes
from reasonir_trainer.synthesis.rows import Row
from tests.trainer.data_sets import row, seed

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ALL = sorted(FORMATS)

quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def rows(draw: Any, *, negatives: int | None = None) -> list[Row]:
    """Rows with texts of any kind, and as many negatives."""
    made = []
    for number in range(draw(st.integers(1, 4))):
        many = draw(st.integers(0, 3)) if negatives is None else negatives
        bad = [{"text": draw(TEXT), "origin": "written", "grade": draw(st.none() | st.just(1.0))} for _ in range(many)]
        texts = {"query": draw(TEXT), "positive": draw(TEXT), "negatives": bad}
        made.append(row(number, draw(st.sampled_from(["vl", "hq"])), **texts))
    return made


def there_and_back(name: str, given: list[Row], folder: Path, options: Options | None = None) -> list[Row]:
    """Rows after they were written and read."""
    one, place = FORMATS[name], folder / name
    written = one.write(given, place, options or Options())
    assert written.rows == len(given)
    return list(one.read(place, Notes(), options or Options()))


def texts(one: Row) -> tuple[str, str, list[str]]:
    return one.query, one.positive, [negative.text for negative in one.negatives]


@given(rows())
@quick
def test_reasonir_gives_the_texts_back(tmp_path: Path, given: list[Row]) -> None:
    assert [texts(one) for one in there_and_back("reasonir", given, tmp_path)] == [texts(one) for one in given]


@given(rows(negatives=2))
@quick
def test_triplets_give_the_texts_back(tmp_path: Path, given: list[Row]) -> None:
    assert [texts(one) for one in there_and_back("triplets", given, tmp_path)] == [texts(one) for one in given]


@given(rows())
@quick
def test_tevatron_gives_texts_and_ids_back(tmp_path: Path, given: list[Row]) -> None:
    back = there_and_back("tevatron", given, tmp_path)
    assert [(one.id, *texts(one)) for one in back] == [(one.id, *texts(one)) for one in given]


@pytest.mark.slow
@given(rows())
@quick
def test_beir_gives_texts_and_ids_back_each_text_once(tmp_path: Path, given: list[Row]) -> None:
    back = there_and_back("beir", given, tmp_path)
    expected = []
    for one in given:
        different = [text for text in dict.fromkeys(texts(one)[2]) if text != one.positive]
        expected.append((one.id, one.query, one.positive, different))
    assert [(one.id, *texts(one)) for one in back] == expected
    corpus = [json.loads(line) for line in (tmp_path / "beir" / "corpus.jsonl").read_bytes().splitlines()]
    assert len({one["text"] for one in corpus}) == len(corpus) == len({one["_id"] for one in corpus})


RECORDS: dict[str, Any] = {
    "triplets": {"anchor": "why?", "positive": "because", "negative": "no"},
    "tevatron": {
        "query_id": "q1",
        "query": "why?",
        "positive_passages": [{"docid": "q1-positive", "title": "", "text": "because"}],
        "negative_passages": [{"docid": "q1-negative-1", "title": "", "text": "no"}],
    },
    "reasonir": {"query": ["Given a question, retrieve", "why?"], "pos": [["", "because it is"]], "neg": [["", "no"]]},
}


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_their_record_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    file = tmp_path / "theirs.jsonl"
    file.write_text(json.dumps(RECORDS[name]) + "\n")
    (read,) = FORMATS[name].read(file, Notes(), Options())
    FORMATS[name].write([read], tmp_path / "ours.jsonl", Options(instruction="Given a question, retrieve"))
    assert json.loads((tmp_path / "ours.jsonl").read_text()) == RECORDS[name]


@pytest.mark.parametrize("name", ALL)
def test_what_a_format_does_not_say_stays_empty(name: str, tmp_path: Path) -> None:
    (back,) = there_and_back(name, [row(1)], tmp_path)
    assert (back.kind, back.made.model, back.made.prompts, back.made.attempts) == ("given", "", 0, 0)
    assert (back.seed.id, back.seed.source, back.seed.sha256, back.seed.quality) == ("", "", "", None)
    assert [(one.origin, one.rank, one.similarity, one.source) for one in back.negatives] == [("given", None, None, "")]
    assert back.made.checks == () and back.positive_grade is None
    assert FORMATS[name].loses


def test_ids_that_are_not_given_are_hashes_of_the_texts(tmp_path: Path) -> None:
    one, again, other = there_and_back("triplets", [row(1), row(1), row(2)], tmp_path)
    assert one.id == again.id != other.id


class TestReasonIR:
    def read(self, tmp_path: Path, record: object, **options: Any) -> tuple[list[Row], list[str]]:
        file, notes = tmp_path / "part.jsonl", Notes()
        file.write_text(json.dumps(record) + "\n")
        return list(FORMATS["reasonir"].read(file, notes, Options(**options))), list(notes)

    def test_a_row_for_each_positive_and_instructions_are_counted(self, tmp_path: Path) -> None:
        record = {"query": ["do", "q"], "pos": [["", "one text"], ["", "two texts"]], "neg": [["", "n n"]]}
        found, notes = self.read(tmp_path, record)
        assert [one.positive for one in found] == ["one text", "two texts"]
        assert notes == ["instructions, which are left: they are given when training: 1"]

    def test_ids_of_documents_are_replaced_where_their_texts_are_given(self, tmp_path: Path) -> None:
        record = {"query": ["", "q"], "pos": [["", "biology/bees_3.txt"]], "neg": []}
        (bare,), notes = self.read(tmp_path, record)
        assert bare.positive == "biology/bees_3.txt"
        assert notes == ["positives that are one word: an id of a document, whose text was not given?: 1"]
        documents = tmp_path / "documents.jsonl"
        documents.write_text(json.dumps({"id": "biology/bees_3.txt", "content": "Bees dance."}) + "\n")
        (told,), notes = self.read(tmp_path, record, documents=read_documents(documents))
        assert told.positive == "Bees dance." and notes == []

    @pytest.mark.parametrize(
        "record",
        [{"query": "q", "pos": [], "neg": []}, {"query": ["", "q"], "pos": ["p"], "neg": []}, {"query": ["", "q"]}],
    )
    def test_another_shape_is_refused_with_its_place(self, tmp_path: Path, record: object) -> None:
        with pytest.raises(InputError, match=r"part\.jsonl:1 must have"):
            self.read(tmp_path, record)


class TestTriplets:
    def test_rows_get_the_number_of_negatives_that_most_have(self, tmp_path: Path) -> None:
        two = row(1).negatives[0]
        many = [row(1), row(2), row(3, negatives=()), row(4, negatives=(two, two))]
        written = FORMATS["triplets"].write(many, tmp_path / "t.jsonl", Options())
        lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
        assert [sorted(line) for line in lines] == [["anchor", "negative", "positive"]] * 3
        assert written.rows == 3
        assert list(written.notes) == [
            "negatives beyond the first 1, which are cut: 1",
            "rows with fewer than 1 negatives, which are left out: 1",
        ]

    def test_several_negatives_are_numbered(self, tmp_path: Path) -> None:
        FORMATS["triplets"].write([row(1, negatives=row(1).negatives * 2)], tmp_path / "t.jsonl", Options())
        assert list(json.loads((tmp_path / "t.jsonl").read_text())) == [
            "anchor",
            "positive",
            "negative_1",
            "negative_2",
        ]

    def test_columns_are_taken_in_their_order_and_others_counted(self, tmp_path: Path) -> None:
        record = {"negative_10": "ten", "anchor": "a", "positive": "p", "negative_2": "two", "score": "x"}
        (tmp_path / "t.jsonl").write_text(json.dumps(record) + "\n")
        notes = Notes()
        (found,) = FORMATS["triplets"].read(tmp_path / "t.jsonl", notes, Options())
        assert [one.text for one in found.negatives] == ["two", "ten"]
        assert list(notes) == ["columns that are no part of a triplet: 1"]

    @pytest.fixture
    def judged(self) -> list[Row]:
        """Two negatives each: graded and rewritten, graded in part, and nothing but texts."""

        def bad(*grades: float | None) -> list[dict[str, Any]]:
            return [{"text": f"no {place}", "origin": "written", "grade": one} for place, one in enumerate(grades)]

        return [
            row(1, positive_grade=4.5, negatives=bad(1.0, 0.5), rewritten="think of one"),
            row(2, negatives=bad(1.0, None)),
            row(3, negatives=bad(None, None)),
        ]

    def test_grades_and_rewritten_queries_are_trained_on(self, tmp_path: Path, judged: list[Row]) -> None:
        (tmp_path / "data.jsonl").write_text("".join(f"{one.model_dump_json()}\n" for one in judged))
        export(tmp_path, "triplets", tmp_path / "train.jsonl")
        told, ours = (read_source(SourceSpec(name="s", path=tmp_path / one)) for one in ("train.jsonl", "data.jsonl"))
        assert [[c.grade for c in (*one.positives, *one.negatives)] for one in told.examples] == [
            [4.5, 1.0, 0.5],
            [None, 1.0, None],
            [None, None, None],
        ]
        assert [one.rewritten for one in told.examples] == ["think of one", "", ""]
        assert [replace(one, id="", model="") for one in told.examples] == [
            replace(one, id="", model="") for one in ours.examples
        ]

    def test_grades_and_rewritten_queries_come_back(self, tmp_path: Path, judged: list[Row]) -> None:
        def told(one: Row) -> tuple[Any, ...]:
            return one.positive_grade, [negative.grade for negative in one.negatives], one.rewritten

        assert [told(one) for one in there_and_back("triplets", judged, tmp_path)] == [told(one) for one in judged]

    def test_every_row_has_the_columns_that_one_has_a_value_for_and_no_others(
        self, tmp_path: Path, judged: list[Row]
    ) -> None:
        file, texts = tmp_path / "t.jsonl", ["anchor", "positive", "negative_1", "negative_2"]
        for many, beside in (
            (judged, ["positive_grade", "negative_grades", "rewritten"]),
            (judged[1:], ["negative_grades"]),
            (judged[2:], []),
        ):
            written = FORMATS["triplets"].write(many, file, Options())
            assert [list(json.loads(line)) for line in file.read_text().splitlines()] == [texts + beside] * len(many)
            told = f"rows with {', '.join(beside)}, which sentence-transformers must not get as texts: {len(many)}"
            assert list(written.notes) == ([told] if beside else [])

    def test_grades_of_what_is_not_written_make_no_column(self, tmp_path: Path, judged: list[Row]) -> None:
        bare = judged[2].negatives
        cut = row(4, negatives=(*bare, judged[0].negatives[0].model_copy(update={"text": "third"})))
        left_out = row(5, positive_grade=3.0, negatives=bare[:1])
        FORMATS["triplets"].write([judged[2], cut, left_out], tmp_path / "t.jsonl", Options(negatives=2))
        assert {len(json.loads(line)) for line in (tmp_path / "t.jsonl").read_text().splitlines()} == {4}


class TestTevatron:
    def test_a_seed_has_one_id_in_all_rows(self, tmp_path: Path) -> None:
        of = seed(1)
        mined = row(2).negatives[0].model_copy(update={"origin": "bm25", "source": of.id})
        FORMATS["tevatron"].write([row(1, of=of), row(2, negatives=(mined,))], tmp_path / "t.jsonl", Options())
        first, second = (json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines())
        assert first["positive_passages"][0]["docid"] == second["negative_passages"][0]["docid"] == of.id

    def test_a_title_goes_before_its_text(self, tmp_path: Path) -> None:
        record = {**RECORDS["tevatron"], "positive_passages": [{"docid": "d", "title": "Bees", "text": "They dance."}]}
        (tmp_path / "t.jsonl").write_text(json.dumps(record) + "\n")
        (found,) = FORMATS["tevatron"].read(tmp_path / "t.jsonl", Notes(), Options())
        assert found.positive == "Bees They dance."


class TestBeir:
    def folder(self, tmp_path: Path, qrels: str) -> Path:
        (tmp_path / "qrels").mkdir()
        (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + qrels)
        (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "why?"}\n')
        documents = [{"_id": one, "title": "", "text": f"text of {one}"} for one in "abc"]
        (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(one) + "\n" for one in documents))
        return tmp_path

    def read(self, folder: Path, **options: Any) -> tuple[list[Row], list[str]]:
        notes = Notes()
        return list(FORMATS["beir"].read(folder, notes, Options(**options))), list(notes)

    def test_grades_become_positives_and_negatives(self, tmp_path: Path) -> None:
        found, notes = self.read(self.folder(tmp_path, "q\ta\t1\nq\tb\t3\nq\tc\t0\n"))
        assert [(one.id, one.positive, one.positive_grade) for one in found] == [
            ("q", "text of b", 3.0),
            ("q-2", "text of a", None),
        ]
        assert [[negative.text for negative in one.negatives] for one in found] == [["text of c"]] * 2
        assert notes == ["positives beyond the first of a query, which give rows of their own: 1"]

    def test_a_document_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="judges the document 'x' for the query 'q', which is not in the corpus"):
            self.read(self.folder(tmp_path, "q\tx\t1\n"))

    def test_of_several_splits_one_is_named(self, tmp_path: Path) -> None:
        folder = self.folder(tmp_path, "q\ta\t1\n")
        (folder / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq\tb\t1\n")
        with pytest.raises(InputError, match=r"name one of those there \(dev, test\)"):
            self.read(folder)
        assert [one.positive for one in self.read(folder, split="dev")[0]] == ["text of b"]

    def test_a_positive_grade_is_kept_as_a_whole_number(self, tmp_path: Path) -> None:
        FORMATS["beir"].write([row(1, positive_grade=4.6), row(2, positive_grade=0.0)], tmp_path / "b", Options())
        grades = [line.split("\t")[2] for line in (tmp_path / "b/qrels/test.tsv").read_text().splitlines()[1:]]
        assert grades == ["5", "0", "1", "0"]

    @pytest.mark.parametrize("name", ["a\tb", "", " a", "a\nb"])
    def test_an_id_that_cannot_stand_in_a_table_is_refused(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(InputError, match="cannot stand in a tab-separated file"):
            FORMATS["beir"].write([row(1, id=name)], tmp_path / "b", Options())
        assert not (tmp_path / "b" / "queries.jsonl").exists()

    def test_one_id_for_two_queries_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="stands in two rows"):
            FORMATS["beir"].write([row(1, id="a"), row(2, id="a")], tmp_path / "b", Options())


@pytest.mark.slow
def test_sentence_transformers_reads_what_it_trains_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    many: Callable[[int], Row] = lambda number: row(number, negatives=row(number).negatives * 2)  # noqa: E731
    FORMATS["triplets"].write([many(1), many(2)], tmp_path / "train.jsonl", Options())
    opened = datasets.load_dataset(
        "json", data_files=str(tmp_path / "train.jsonl"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert opened.column_names == ["anchor", "positive", "negative_1", "negative_2"]
    assert opened[1]["positive"] == row(2).positive
