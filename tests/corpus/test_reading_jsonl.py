from __future__ import annotations

import json

import pytest

from reasonir_agent.corpus.reading import Unreadable, read_file
from reasonir_agent.types import Document, Section, Skipped


def read(*lines: object) -> tuple[list[Document], list[Skipped]]:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return read_file("data/c.jsonl", text.encode())


def test_beir_records_keep_id_and_title() -> None:
    documents, skipped = read(
        {"_id": "d1", "title": "Ducks", "text": "They swim.", "metadata": {}},
        {"_id": "d2", "title": "", "text": "Ice."},
    )
    assert documents == [
        Document("data/c.jsonl#id=d1", "They swim.", (Section(0, 10, ("Ducks",)),), {"type": "jsonl"}),
        Document("data/c.jsonl#id=d2", "Ice.", (Section(0, 4),), {"type": "jsonl"}),
    ]
    assert skipped == []


@pytest.mark.parametrize(
    ("record", "source"),
    [
        ({"id": "a", "_id": "b", "text": "t"}, "data/c.jsonl#id=a"),
        ({"id": None, "_id": "b", "text": "t"}, "data/c.jsonl#id=b"),
        ({"doc_id": 7, "text": "t"}, "data/c.jsonl#id=7"),
        ({"id": 0, "text": "t"}, "data/c.jsonl#id=0"),
        ({"text": "t"}, "data/c.jsonl#id=2"),
    ],
)
def test_a_record_is_named_by_its_id_or_its_line(record: dict[str, object], source: str) -> None:
    (document,), _ = read("", record)
    assert document.source == source


@pytest.mark.parametrize("name", ["c.jsonl", "c.ndjson", "C.JSONL"])
def test_both_endings_are_read(name: str) -> None:
    assert read_file(name, b'{"id": 1, "text": "t"}\r\n')[0][0].source == f"{name}#id=1"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "cut', "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ("9" * 10_000, "is not valid JSON"),
        ("[1, 2]", 'is no record {"id": ..., "text": ...} with a text'),
        ('{"id": 1}', 'is no record {"id": ..., "text": ...} with a text'),
        ('{"id": 1, "text": " \\n"}', 'is no record {"id": ..., "text": ...} with a text'),
        ('{"id": 1, "text": null}', 'is no record {"id": ..., "text": ...} with a text'),
        ('{"id": "first", "text": "again"}', "its id stands in the file twice"),
    ],
    ids=range(8),
)
def test_a_broken_line_is_skipped_and_named(line: str, reason: str) -> None:
    documents, skipped = read({"id": "first", "text": "a"}, "", line, {"id": "last", "text": "z"})
    assert [one.text for one in documents] == ["a", "z"]
    assert skipped == [Skipped("data/c.jsonl:3", reason)]


def test_lone_surrogates_and_nul_become_signs_that_can_be_stored() -> None:
    (document,), skipped = read(
        '{"id": "i\\ud800", "title": "t\\udc00", "text": "a\\ud800b\\u0000c \\ud83d\\ude00\\r\\nd"}'
    )
    assert document.source == "data/c.jsonl#id=i\ufffd"
    assert document.text == "a\ufffdb\ufffdc 😀\nd"
    assert document.sections == (Section(0, len(document.text), ("t\ufffd",)),)
    assert skipped == []


def test_line_separators_within_a_text_do_not_end_a_record() -> None:
    (document,), _ = read('{"id": 1, "text": "a\u2028b\u0085c"}')
    assert document.text == "a\u2028b\u0085c"


def test_a_file_without_any_record_is_refused_with_the_first_reason() -> None:
    with pytest.raises(Unreadable, match=r"^holds no record with a text \(is not valid JSON\)$"):
        read("not json", {"id": 1})
