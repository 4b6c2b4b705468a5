"""`reasonir evaluate` on cases that can be checked by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DUCKS = "Why do ducks lose hardly any heat to the ice through their legs?"
NONSENSE = "Which zygote quaffs xylophone jelly?"


def questions(folder: Path, *rows: tuple[str, list[str]]) -> Path:
    file = folder / "questions.jsonl"
    lines = [json.dumps({"id": str(n), "question": text, "gold_ids": gold}) for n, (text, gold) in enumerate(rows)]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def test_both_rates_are_printed(run: Any, indexed: Path, work: Path) -> None:
    file = questions(work, (DUCKS, ["ducks"]), (NONSENSE, []))
    found = run("evaluate", "abstention", file, "--store", indexed / "store")
    assert found.code == 0
    assert "1 answerable questions: 0.0% got silence" in found.out
    assert "1 unanswerable questions: 0.0% got an answer" in found.out


def test_the_rates_are_wrong_when_the_gold_is(run: Any, indexed: Path, work: Path) -> None:
    file = questions(work, (DUCKS, []), (NONSENSE, ["ducks"]), (DUCKS + " ", ["ducks"]))
    found = run("evaluate", "abstention", file, "--store", indexed / "store", "--json")
    assert found.code == 0
    report = found.json
    assert (report["answerable"], report["unanswerable"]) == (2, 1)
    assert (report["silent_where_answerable"], report["answered_where_unanswerable"]) == (0.5, 1.0)


def test_one_kind_of_question_alone_is_wrong_input(run: Any, indexed: Path, work: Path) -> None:
    file = questions(work, (DUCKS, ["ducks"]))
    found = run("evaluate", "abstention", file, "--store", indexed / "store", "--json")
    assert found.code == 2
    assert "both answerable and unanswerable" in found.json["error"]


def test_a_wrong_line_is_wrong_input_and_named(run: Any, indexed: Path, work: Path) -> None:
    file = questions(work, (DUCKS, ["ducks"]))
    file.write_text(file.read_text(encoding="utf-8") + '\n{"id": 7}', encoding="utf-8")
    found = run("evaluate", "abstention", file, "--store", indexed / "store", "--json")
    assert found.code == 2
    assert "questions.jsonl:2" in found.json["error"]


def test_without_a_store_it_is_wrong_input(run: Any, work: Path) -> None:
    file = questions(work, (DUCKS, ["ducks"]), (NONSENSE, []))
    found = run("evaluate", "abstention", file)
    assert found.code == 2
    assert not (work / ".reasonir").exists()


def test_a_part_must_be_named(run: Any) -> None:
    assert run("evaluate").code == 2
    assert run("evaluate", "nosuch").code == 2


def test_shares_of_found_documents_are_printed(run: Any, indexed: Path, work: Path) -> None:
    file = questions(work, (DUCKS, ["ducks"]), (NONSENSE, []))
    found = run("evaluate", "search", file, "--store", indexed / "store", "-k", "3", "--json")
    assert found.code == 0
    assert found.json == {"questions": 1, "share_among_first": {"1": 1.0, "3": 1.0}, "ranks": {"0": 1}}
    printed = run("evaluate", "search", file, "--store", indexed / "store")
    assert "1 questions; a document that helps is among the first" in printed.out
