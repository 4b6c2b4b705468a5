"""The pairs that were written for `reasonir-mini`: whole, different from each other, and not to be found by their words."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from reasonir_agent.stores.words import words
from reasonir_trainer.data.reading import SourceSpec, read_source

FILE = Path(__file__).parents[3] / "trainer" / "mini" / "written.jsonl"


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


def test_every_row_is_whole(rows: list[dict[str, Any]]) -> None:
    assert len(rows) == 1_000  # what trainer/mini/README.md says
    for row in rows:
        assert set(row) == {"id", "field", "query", "positive", "negatives"}, row["id"]
        assert len(row["negatives"]) == 2, row["id"]
        assert row["id"].startswith(row["field"]), row["id"]


def test_no_text_and_no_name_is_there_twice(rows: list[dict[str, Any]]) -> None:
    names = Counter(row["id"] for row in rows)
    texts = Counter(text for row in rows for text in (row["query"], row["positive"], *row["negatives"]))
    assert [name for name, count in names.items() if count > 1] == []
    assert [text[:60] for text, count in texts.items() if count > 1] == []


def test_the_document_that_helps_shares_few_words_with_the_question(rows: list[dict[str, Any]]) -> None:
    shares = {
        row["id"]: len(asked & set(words(row["positive"]))) / len(asked)
        for row in rows
        if (asked := set(words(row["query"])))
    }
    assert max(shares.values()) <= 0.5, max(shares, key=lambda name: shares[name])
    assert sum(shares.values()) / len(shares) < 0.2


def test_words_alone_prefer_the_first_negative_that_looks_right(rows: list[dict[str, Any]]) -> None:
    def shared(row: dict[str, Any], text: str) -> int:
        return len(set(words(row["query"])) & set(words(text)))

    fooled = sum(shared(row, row["negatives"][0]) > shared(row, row["positive"]) for row in rows)
    assert fooled > len(rows) / 2


def test_it_is_a_source_to_train_on(rows: list[dict[str, Any]]) -> None:
    source = read_source(SourceSpec(name="written", path=FILE))
    assert len(source.examples) == len(rows)
    assert all(len(one.positives) == 1 and len(one.negatives) == 2 for one in source.examples)
