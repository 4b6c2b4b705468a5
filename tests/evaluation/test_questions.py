"""The file of questions: what is read, and which line is named when it is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reasonir_agent.errors import InputError
from reasonir_agent.evaluation.questions import GoldQuestion, read_questions

GOOD = '{"id": "a", "question": "Why?", "gold_ids": ["x", "y"]}'


def written(folder: Path, *lines: str) -> Path:
    file = folder / "questions.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def test_lines_become_questions(tmp_path: Path) -> None:
    file = written(tmp_path, GOOD, "", '{"id": 2, "question": "为什么？", "gold_ids": [], "more": 1}', "  ")
    assert read_questions(file) == [GoldQuestion("a", "Why?", ("x", "y")), GoldQuestion("2", "为什么？", ())]


def test_windows_line_ends_are_read(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_bytes((GOOD + "\r\n" + GOOD.replace('"a"', '"b"') + "\r\n").encode())
    assert [one.id for one in read_questions(file)] == ["a", "b"]


def test_separators_that_json_allows_do_not_end_a_line(tmp_path: Path) -> None:
    text = "one\u2028two\x85three"
    line = json.dumps({"id": "a", "question": text, "gold_ids": []}, ensure_ascii=False)
    assert read_questions(written(tmp_path, line))[0].question == text


@pytest.mark.parametrize(
    "line",
    [
        "not json",
        "{",
        "[1]",
        "7",
        "null",
        '{"id": "b", "question": "Why?"}',
        '{"question": "Why?", "gold_ids": []}',
        '{"id": "b", "question": 7, "gold_ids": []}',
        '{"id": "b", "question": "  ", "gold_ids": []}',
        '{"id": "b", "question": "Why?", "gold_ids": "x"}',
        '{"id": "b", "question": "Why?", "gold_ids": null}',
        '{"a":' * 100_000,
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match=r"questions\.jsonl:3"):
        read_questions(written(tmp_path, GOOD, "", line))


def test_an_id_that_stands_twice_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the id 'a' twice"):
        read_questions(written(tmp_path, GOOD, GOOD))


def test_a_file_without_questions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no questions"):
        read_questions(written(tmp_path, "", " "))


def test_a_missing_file_a_folder_and_other_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_questions(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="cannot be read"):
        read_questions(tmp_path)
    (tmp_path / "latin.jsonl").write_bytes(GOOD.replace("Why", "Fün").encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8"):
        read_questions(tmp_path / "latin.jsonl")
