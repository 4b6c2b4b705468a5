"""Every format gives the same examples, and what is damaged is one sentence that names file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reasonir_agent.errors import InputError
from reasonir_trainer.data.examples import Candidate, Example, Source, key_of, without_repeats
from reasonir_trainer.data.reading import SourceSpec, read_source


def lines(file: Path, *records: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")
    return file


def read(path: Path, **more: Any) -> list[Example]:
    return list(read_source(SourceSpec(name="some", path=path, **more)).examples)


def texts(candidates: tuple[Candidate, ...]) -> list[str]:
    return [one.text for one in candidates]


TRIPLETS = [
    {"anchor": "why salt", "positive": "rivers carry salt", "negative": "salt on food", "negative_2": "salt mines"},
    {"query": "why salt", "positive": "rivers carry salt", "negatives": ["salt on food", "salt mines"]},
    {
        "query": "why salt",
        "positive": "rivers carry salt",
        "negative_ids": ["1", "2"],
        "negatives": ["salt on food", "salt mines"],
    },
]
TEVATRON = {
    "query_id": "7",
    "query": "why salt",
    "positive_passages": [{"docid": "1", "title": "", "text": "rivers carry salt"}],
    "negative_passages": [{"docid": "2", "title": "salt", "text": "on food"}, {"docid": "3", "text": "salt mines"}],
}
RELEASE = {
    "query": ["Find:", "why salt"],
    "pos": [["", "rivers carry salt"]],
    "neg": [["", "salt on food"], ["", "salt mines"]],
}


@pytest.mark.parametrize(
    "record", [*TRIPLETS, TEVATRON, RELEASE], ids=["anchor", "lists", "mined", "tevatron", "release"]
)
def test_formats_are_told_apart_and_read_alike(tmp_path: Path, record: dict[str, Any]) -> None:
    [one] = read(lines(tmp_path / "data.jsonl", record))
    assert one.query == "why salt"
    assert texts(one.positives) == ["rivers carry salt"]
    assert texts(one.negatives) == ["salt on food", "salt mines"]
    assert one.weight == 1.0


def test_questions_and_answers_are_pairs(tmp_path: Path) -> None:
    [one] = read(lines(tmp_path / "pairs.jsonl", {"question": "why salt", "answer": "rivers"}))
    assert (one.query, texts(one.positives), one.negatives) == ("why salt", ["rivers"], ())


def test_triplets_may_have_grades_and_weights(tmp_path: Path) -> None:
    record = {
        "anchor": "q",
        "positive": "p",
        "negatives": ["a", "b"],
        "positive_grade": 5,
        "negative_grades": [1, None],
        "weight": 2,
    }
    [one] = read(lines(tmp_path / "t.jsonl", record))
    assert [c.grade for c in (*one.positives, *one.negatives)] == [5.0, 1.0, None]
    assert one.weight == 2.0


def test_parquet_is_read_like_json_lines(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist([TRIPLETS[0]]), tmp_path / "t.parquet")
    [one] = read(tmp_path / "t.parquet")
    assert texts(one.negatives) == ["salt on food", "salt mines"]


def test_ids_of_the_release_are_filled_in_from_the_documents(tmp_path: Path) -> None:
    documents = lines(tmp_path / "documents.jsonl", {"id": "bio/1.txt", "text": "rivers carry salt"})
    file = lines(tmp_path / "hq.jsonl", {**RELEASE, "pos": [["", "bio/1.txt"]]})
    [one] = read(file, documents=documents)
    assert texts(one.positives) == ["rivers carry salt"]


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (None, r"hq\.jsonl:1 has the id of a document, 'bio/1\.txt', .* give the source documents"),
        (
            "bio/2.txt",
            r"hq\.jsonl:1 has the id of a document, 'bio/1\.txt', .* not in .*documents\.jsonl; add it there",
        ),
    ],
    ids=["without documents", "not among them"],
)
def test_an_id_of_the_release_is_never_learnt_as_a_text(tmp_path: Path, listed: str | None, message: str) -> None:
    known = {"id": listed, "text": "rivers carry salt"}
    documents = None if listed is None else lines(tmp_path / "documents.jsonl", known)
    file = lines(tmp_path / "hq.jsonl", {**RELEASE, "pos": [["", "bio/1.txt"]]})
    with pytest.raises(InputError, match=message):
        read(file, documents=documents)


@pytest.mark.parametrize("text", ["rivers carry salt", "河水把盐带进大海"])
def test_a_text_of_the_release_needs_no_document(tmp_path: Path, text: str) -> None:
    documents = lines(tmp_path / "documents.jsonl", {"id": "bio/2.txt", "text": "salt"})
    [one] = read(lines(tmp_path / "vl.jsonl", {**RELEASE, "pos": [["", text]]}), documents=documents)
    assert texts(one.positives) == [text]


@pytest.mark.parametrize(
    ("record", "setting", "message"),
    [
        (
            TRIPLETS[0],
            {"documents": Path("d.jsonl")},
            "sets documents, which only the format release has.* as triplets",
        ),
        (TEVATRON, {"splits": ("dev",)}, "sets splits, which only the format synthesis or folder has.* as tevatron"),
        (RELEASE, {"splits": ("hq",)}, "sets splits, which only the format synthesis or folder has.* as release"),
    ],
    ids=["triplets", "tevatron", "release"],
)
def test_a_setting_that_a_format_does_not_look_at_is_refused(
    tmp_path: Path, record: dict[str, Any], setting: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=rf"the source 'some' \(.*data\.jsonl\) {message}"):
        read(lines(tmp_path / "data.jsonl", record), **setting)


def test_rows_of_synthesis_keep_their_grades_and_rewrites(tmp_path: Path) -> None:
    from reasonir_trainer.synthesis.rows import Negative, Provenance, Row, Seed, SeedPlace

    seed = Seed.of(source="a.md", start=0, end=4, heading="", text="salt")
    row = Row(
        id="1",
        kind="hq",
        query="why salt",
        positive="salt",
        positive_grade=5.0,
        negatives=(Negative(text="pepper", origin="written", grade=1.0),),
        rewritten="think about salt",
        seed=SeedPlace.of(seed),
        made=Provenance(model="m", prompts=1, attempts=1),
    )
    (tmp_path / "data.jsonl").write_text(row.model_dump_json() + "\n")
    [one] = read(tmp_path)
    assert one == Example(
        "1", "why salt", (Candidate("salt", 5.0),), (Candidate("pepper", 1.0),), rewritten="think about salt", model="m"
    )
    (tmp_path / "data.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match=r"data\.jsonl:1 is no row of synthesis: id"):
        read(tmp_path)


def data_set(folder: Path, qrels: str) -> Path:
    lines(folder / "corpus.jsonl", *({"id": f"d{n}", "text": f"text {n}"} for n in range(4)))
    lines(folder / "queries.jsonl", {"id": "q", "text": "why", "excluded_ids": ["d3"]})
    (folder / "qrels.tsv").write_text(qrels)
    return folder


def test_a_folder_of_judgements_is_read(tmp_path: Path) -> None:
    [one] = read(data_set(tmp_path / "set", "q\td0\t2\nq\td1\t1\nq\td2\t0\n"))
    assert [(c.text, c.grade) for c in one.positives] == [("text 0", 2.0), ("text 1", 1.0)]
    assert [(c.text, c.grade) for c in one.negatives] == [("text 2", 0.0)]
    assert one.related == ("text 3",)


def test_judgements_that_do_not_differ_are_no_grades(tmp_path: Path) -> None:
    [one] = read(data_set(tmp_path / "set", "q\td0\t1\nq\td1\t1\n"))
    assert [c.grade for c in one.positives] == [None, None]


def test_beir_is_read(tmp_path: Path) -> None:
    lines(tmp_path / "corpus.jsonl", {"_id": "d", "title": "Salt", "text": "of rivers"})
    lines(tmp_path / "queries.jsonl", {"_id": "q", "text": "why"})
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
    [one] = read(tmp_path, splits=("train",))
    assert "of rivers" in one.positives[0].text


def test_a_click_log_is_read(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(
        'question,document,clicks\nwhy salt,"rivers, carry salt",3\nwhy salt,salt mines,0\nwhy salt,Salt  Mines,0\nwhy rain,clouds,0\n'
    )
    [one] = read(tmp_path / "log.csv")  # a question that nobody clicked for teaches nothing
    assert (one.query, texts(one.positives), texts(one.negatives)) == (
        "why salt",
        ["rivers, carry salt"],
        ["salt mines"],
    )
    assert one.positives[0].grade is None


def test_labels_of_a_log_are_grades(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("question,document,label\nq,a,2\nq,b,1\nq,c,0\n")
    [one] = read(tmp_path / "log.csv")
    assert [c.grade for c in (*one.positives, *one.negatives)] == [2.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("e.jsonl", "", "holds no examples"),
        ("e.csv", "question,document,clicks\n", "holds no examples"),
        ("e.csv", "question,answer\na,b\n", "must name the columns question, document, and clicks or label"),
        ("e.csv", "question,document,clicks\na,b,many\n", "e.csv:2 must have a number of clicks"),
        ("e.jsonl", '{"text": "a"}', "cannot be told from its fields"),
        ("e.jsonl", '{"anchor": " ", "positive": "b"}', "e.jsonl:1 has an empty query"),
        ("e.jsonl", '{"anchor": "a", "positive": " "}', "e.jsonl:1 has an empty document"),
        ("e.jsonl", '{"anchor": "a", "positives": []}', "e.jsonl:1 has no positive"),
        ("e.jsonl", '{"anchor": "a", "positive": "The Sea", "negative": "the  sea"}', "a positive among its negatives"),
        ("e.jsonl", '{"anchor": "a", "positive": "b", "weight": 0}', "must have a weight above 0"),
        (
            "e.jsonl",
            '{"anchor": "a", "positive": "b", "negatives": ["c"], "negative_grades": [1, 2]}',
            "must have 1 numbers",
        ),
        ("e.jsonl", '{"anchor": "a", "positive": 3}', "e.jsonl:1 must have a text in its field 'positive'"),
        ("e.jsonl", '{"anchor": "a", "positive": "b"}\nnonsense', "e.jsonl:2 is no JSON"),
    ],
)
def test_what_is_damaged_is_one_sentence(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message.replace(".", r"\.")):
        read(tmp_path / name)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="which does not exist"):
        read(tmp_path / "none.jsonl")


def test_only_so_many_examples_are_taken(tmp_path: Path) -> None:
    file = lines(tmp_path / "t.jsonl", *({"anchor": f"q{n}", "positive": f"p{n}"} for n in range(5)))
    assert [one.query for one in read(file, most=2)] == ["q0", "q1"]


def test_words_are_the_key_of_a_text() -> None:
    assert key_of("The  Sea\n") == key_of("the sea") != key_of("a sea")
    assert without_repeats([Candidate("a"), Candidate("b"), Candidate("A ", 2.0)]) == (Candidate("a"), Candidate("b"))


def test_a_source_changes_its_hash_with_every_word() -> None:
    one, other = (Source("s", [Example("1", "q", (Candidate(text),))]) for text in ("a", "b"))
    assert one.hash != other.hash
    assert one.hash == Source("other name", list(one.examples)).hash
