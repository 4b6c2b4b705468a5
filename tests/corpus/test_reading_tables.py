"""CSV, TSV and Parquet, and what records of all formats share: chosen fields and metadata."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from reasonir_agent.corpus.reading import Fields, Readers, Unreadable, read_file
from reasonir_agent.types import Document, Section, Skipped
from tests.corpus.making import parquet


@pytest.fixture(scope="module")
def readers() -> Iterator[Readers]:
    with Readers() as opened:
        yield opened


def read(content: str, path: str = "t.csv", **fields: Any) -> tuple[list[Document], list[Skipped]]:
    return read_file(path, content.encode(), fields=Fields(**fields))


def jsonl(*records: dict[str, Any]) -> str:
    return "\n".join(map(json.dumps, records))


def test_a_row_is_a_document_with_its_id_title_and_metadata() -> None:
    assert read("id,title,text,year\na,Ducks,They swim.,2020\n,,Ice.,\n") == (
        [
            Document("t.csv#id=a", "They swim.", (Section(0, 10, ("Ducks",)),), {"type": "csv", "year": 2020}),
            Document("t.csv#id=", "Ice.", (Section(0, 4),), {"type": "csv"}),
        ],
        [],
    )


def test_a_row_without_an_id_is_named_by_the_line_where_it_begins() -> None:
    documents, _ = read('text\n"one\ntwo"\n\nthree\n')
    assert [(one.source, one.text) for one in documents] == [("t.csv#id=2", "one\ntwo"), ("t.csv#id=5", "three")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_seen(delimiter: str) -> None:
    text = (
        f"id{delimiter}text\n1{delimiter}a, b; c | d\n"
        if delimiter == "\t"
        else f'id{delimiter}text\n1{delimiter}"a, b; c | d"\n'
    )
    (document,), _ = read(text)
    assert (document.source, document.text) == ("t.csv#id=1", "a, b; c | d")


def test_the_delimiter_is_the_one_that_makes_the_chosen_field_a_column() -> None:
    (document,), _ = read("id;body;a,b,c,d\n1;words;x\n", text="body")
    assert document.text == "words"


def test_commas_in_a_file_of_tabs_are_text() -> None:
    (document,), _ = read("id\ttext\n1\ta, b, c\n", "t.tsv")
    assert document.text == "a, b, c"


def test_a_semicolon_table_of_windows_1252_is_read() -> None:
    (document,), _ = read_file("t.csv", "id;text\r\n1;Größe: 5 €\r\n".encode("cp1252"))
    assert document.text == "Größe: 5 €"


def test_quotes_reach_over_lines_and_hold_quotes() -> None:
    (document,), _ = read('id,text\n1,"She said ""no""\nand left"\n')
    assert document.text == 'She said "no"\nand left'


def test_a_field_beyond_the_limit_of_the_csv_module_is_read_and_the_limit_is_put_back() -> None:
    before = csv.field_size_limit()
    (document,), _ = read("id,text\n1," + "x" * 200_000)
    assert len(document.text) == 200_000
    assert csv.field_size_limit() == before


def test_a_row_with_too_many_cells_is_skipped_and_named_and_one_with_too_few_is_read() -> None:
    documents, skipped = read("id,text,more\n1,a,b,c\n2,b\n3,c,d,,\n")
    assert [one.source for one in documents] == ["t.csv#id=2", "t.csv#id=3"]
    assert skipped == [Skipped("t.csv:2", "has 4 cells where the first row names 3 columns")]


def test_a_column_is_of_numbers_where_all_its_cells_are() -> None:
    text = "text,year,zip,share,mixed\na,2020,00501,0.5,1\nb,,10001,-2e3,x\n"
    (first, second), _ = read(text)
    assert first.metadata == {"type": "csv", "year": 2020, "zip": "00501", "share": 0.5, "mixed": "1"}
    assert second.metadata == {"type": "csv", "zip": "10001", "share": -2000.0, "mixed": "x"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("id,body\n1,words\n", r"^has no field 'text'; its fields are 'id', 'body' \(--text-field"),
        ("id,text\n", r"^holds no records$"),
        ("id,text\n1,\n2, \n", r'^holds no record with a text \(is no record {"id": ..., "text": ...} with a text\)$'),
        (",,,\n", r"^has no field 'text'; its fields are ',,,' \(--text-field"),
        (" \n", r"^is empty$"),
    ],
    ids=["no such column", "no rows", "no text", "no header", "empty"],
)
def test_a_table_without_texts_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read(text)


@pytest.mark.parametrize("path", ["t.csv", "t.jsonl", "t.parquet"])
@pytest.mark.parametrize("missing", ["text", "id", "title"])
def test_a_chosen_field_that_no_record_has_is_refused_with_the_fields_that_are_there(path: str, missing: str) -> None:
    content = {
        "t.csv": b"text,name\na,b\n",
        "t.jsonl": b'{"text": "a", "name": "b"}\n',
        "t.parquet": parquet({"text": ["a"], "name": ["b"]}),
    }[path]
    with pytest.raises(Unreadable, match=r"^has no field 'nothing'; its fields are 'text', 'name' \(--text-field"):
        read_file(path, content, fields=Fields(**{missing: "nothing"}))


@pytest.mark.parametrize("path", ["t.csv", "t.jsonl", "t.parquet"])
def test_chosen_fields_are_read(path: str) -> None:
    content = {
        "t.csv": b"id,key,body,name,title\n1,k,words,N,T\n",
        "t.jsonl": b'{"id": 1, "key": "k", "body": "words", "name": "N", "title": "T"}\n',
        "t.parquet": parquet({"id": [1], "key": ["k"], "body": ["words"], "name": ["N"], "title": ["T"]}),
    }[path]
    (document,), _ = read_file(path, content, fields=Fields(text="body", id="key", title="name"))
    assert (document.source, document.text, document.sections) == (
        f"{path}#id=k",
        "words",
        (Section(0, 5, ("N",)),),
    )
    assert document.metadata == {"type": path[2:], "id": 1, "title": "T"}


def test_a_record_without_the_chosen_field_is_skipped_where_others_have_it() -> None:
    documents, skipped = read(jsonl({"id": 1, "body": "a"}, {"id": 2, "text": "b"}), "t.jsonl", text="body")
    assert [one.source for one in documents] == ["t.jsonl#id=1"]
    assert skipped == [Skipped("t.jsonl:2", 'is no record {"id": ..., "body": ...} with a text')]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (7, 7),
        (0.5, 0.5),
        (True, True),
        ("short", "short"),
        ("x" * 200, "x" * 200),
        ("x" * 201, None),
        ("", None),
        (" ", None),
        (None, None),
        (float("nan"), None),
        (float("inf"), None),
        (2**63 - 1, 2**63 - 1),
        (2**63, None),
        ([1], None),
        ({"a": 1}, None),
        ("a\ud800", "a\ufffd"),
    ],
    ids=range(16),
)
def test_short_values_of_a_record_become_metadata(value: object, kept: object) -> None:
    (document,), _ = read(jsonl({"text": "t", "some": value}), "t.jsonl")
    assert document.metadata == {"type": "jsonl"} | ({} if kept is None else {"some": kept})


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("2024-02-29", "2024-02-29"),
        ("2024-02-29T12:00:00Z", "2024-02-29"),
        ("2024-02-291", "2024-02-291"),
        ("May 2024", "May 2024"),
        (2024, 2024),
    ],
)
def test_a_field_named_date_is_kept_as_a_day_and_beats_the_date_of_the_file(value: object, kept: object) -> None:
    content = jsonl({"text": "t", "date": value, "other": "2024-02-29T12"}).encode()
    (document,), _ = read_file("t.jsonl", content, date="2000-01-01")
    assert document.metadata == {"type": "jsonl", "date": kept, "other": "2024-02-29T12"}


def test_a_record_may_say_its_own_type() -> None:
    (first, second), _ = read(jsonl({"text": "t", "type": "letter"}, {"text": "t"}), "t.jsonl")
    assert (first.metadata["type"], second.metadata["type"]) == ("letter", "jsonl")


def test_ids_that_are_not_the_records_id_are_metadata() -> None:
    (document,), _ = read(jsonl({"text": "t", "id": "a", "doc_id": "b"}), "t.jsonl")
    assert (document.source, document.metadata) == ("t.jsonl#id=a", {"type": "jsonl", "doc_id": "b"})


def test_parquet_rows_are_documents(readers: Readers) -> None:
    content = parquet(
        {"_id": ["a", "b", "a", None], "title": ["T", None, "", ""], "text": ["one", "two", "again", None]}
    )
    documents, skipped = readers.read("t.parquet", content)
    assert documents == [
        Document("t.parquet#id=a", "one", (Section(0, 3, ("T",)),), {"type": "parquet"}),
        Document("t.parquet#id=b", "two", (Section(0, 3),), {"type": "parquet"}),
    ]
    assert skipped == [
        Skipped("t.parquet:3", "its id stands in the file twice"),
        Skipped("t.parquet:4", 'is no record {"id": ..., "text": ...} with a text'),
    ]


def test_many_row_groups_and_batches_are_read_in_order(readers: Readers) -> None:
    content = parquet({"id": list(range(1000)), "text": [f"text {n}" for n in range(1000)]}, row_group_size=300)
    documents, _ = readers.read("t.parquet", content)
    assert [(one.source, one.text) for one in documents] == [(f"t.parquet#id={n}", f"text {n}") for n in range(1000)]


@pytest.mark.parametrize(
    "texts",
    [
        pyarrow.array(["words"], pyarrow.large_string()),
        pyarrow.array(["words"]).dictionary_encode(),
        pyarrow.array([b"words"], pyarrow.binary()),
    ],
    ids=["large", "dictionary", "bytes"],
)
def test_every_kind_of_text_column_is_read(readers: Readers, texts: Any) -> None:
    (document,), _ = readers.read("t.parquet", parquet({"text": texts}))
    assert (document.source, document.text) == ("t.parquet#id=1", "words")


def test_parquet_values_become_metadata(readers: Readers) -> None:
    moment = datetime(2024, 2, 29, 12, 30, tzinfo=UTC)
    columns = {
        "text": ["t"],
        "date": [date(2024, 2, 29)],
        "plain": pyarrow.array([moment], pyarrow.timestamp("us")),
        "zoned": pyarrow.array([moment], pyarrow.timestamp("ns", "Asia/Tokyo")),
        "far": pyarrow.array([2**53], pyarrow.timestamp("s")),
        "hour": [time(12, 30)],
        "price": [Decimal("1.50")],
        "big": pyarrow.array([2**64 - 1], pyarrow.uint64()),
        "nan": [float("nan")],
        "flag": [False],
        "span": [timedelta(1)],
        "list": [[1]],
        "struct": [{"a": 1}],
        "binary": [b"\xff\xfe"],
        "none": pyarrow.nulls(1),
    }
    (document,), _ = readers.read("t.parquet", parquet(columns))
    far = document.metadata["far"]
    assert {key: value for key, value in document.metadata.items() if key != "far"} == {
        "type": "parquet",
        "date": "2024-02-29",
        "plain": "2024-02-29T12:30:00.000000",
        "zoned": "2024-02-29T12:30:00.000000000Z",
        "hour": "12:30:00.000000",
        "price": 1.5,
        "flag": False,
    }
    assert isinstance(far, str) and len(far) > 10  # beyond the year 9999, which Python's datetime is not


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no table", r"^is a broken Parquet file: "),
        (b"PAR1" + bytes(100) + b"PAR1", r"^is a broken Parquet file: "),
        (parquet({"other": ["a"]}), r"^has no field 'text'; its fields are 'other' \(--text-field"),
        (parquet({"text": pyarrow.array([], pyarrow.string())}), r"^holds no records$"),
        (parquet({"text": [1, 2]}), r"^holds no record with a text "),
        (parquet({"text": [["a"]]}), r"^its field 'text' holds no texts$"),
    ],
    ids=["text", "zeros", "no such column", "no rows", "numbers", "lists"],
)
def test_a_parquet_file_without_texts_is_refused(readers: Readers, content: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        readers.read("t.parquet", content)


def test_a_parquet_file_that_declares_too_much_is_refused_before_it_is_unpacked(readers: Readers) -> None:
    content = parquet({"text": ["x" * 1000] * 300}, use_dictionary=False)
    declared = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(content)).metadata.row_group(0).total_byte_size
    length = int.from_bytes(content[-8:-4], "little")
    footer = content[-8 - length : -8].replace(_varint(declared), _varint(3 * 10**9))
    assert len(footer) > length
    lying = content[: -8 - length] + footer + len(footer).to_bytes(4, "little") + b"PAR1"
    with pytest.raises(Unreadable, match=r"^would unpack to 3\.0 GB, more than the 2 GB that are read; split it$"):
        readers.read("t.parquet", lying)


def _varint(number: int) -> bytes:
    """A number as Parquet's metadata hold it: zigzag, seven bits a byte."""
    out = bytearray()
    number *= 2
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])
