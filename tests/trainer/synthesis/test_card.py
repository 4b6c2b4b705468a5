"""The card says what is true, and its header is what the hub reads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reasonir_trainer.synthesis.card import card
from reasonir_trainer.synthesis.summary import Costs, Summary, Tally
from tests.trainer.data_sets import SETTINGS, rejected, row


def summary(**spent: float) -> Summary:
    tally = Tally()
    for number in range(3):
        tally.add(row(number))
    tally.add(row(4, "vl"))
    tally.add(rejected(5, "query | mentions\nthe document"))
    return tally.summary(seeds=7, spent=Costs(calls=12, prompt_tokens=3456, completion_tokens=789, **spent))


def test_the_hub_reads_the_header() -> None:
    hub = pytest.importorskip("huggingface_hub")
    text = card(summary(), replace(SETTINGS, languages=("en", "de")))
    data = hub.DatasetCard(text).data.to_dict()
    assert data["license"] == "other" and data["task_categories"] == ["text-retrieval"]
    assert data["language"] == ["en", "de"] and data["size_categories"] == ["n<1K"]
    assert data["configs"] == [
        {"config_name": "default", "data_files": [{"split": "train", "path": "data.parquet"}]}
    ]  # fmt: skip


def test_it_says_what_was_counted_and_set() -> None:
    text = card(summary(), replace(SETTINGS, temperature=0.7), exclusions=["bright"])
    for part in (
        "4 examples of a query", "made from 4 documents", "`hq`, 3 rows", "`vl`, 1 rows", "`openai:scripted`",
        "Temperature: 0.7", "5 items, of which 4 became rows", "called 12 times (3,456 tokens read, 789 written)",
        "query \\| mentions the document | 1 |", "kept away from: `bright`", "| near_duplicate | `0.7` |",
    ):  # fmt: skip
        assert part in text, part
    assert "cost" not in text.partition("## Counts")[2]
    assert "cost 1.25)" in card(summary(cost=1.25), SETTINGS)


def test_it_tells_whose_terms_apply() -> None:
    licence = " ".join(card(summary(), SETTINGS).partition("## Use and licence")[2].split())
    assert "the source documents: their licence and terms apply" in licence
    assert "its provider's terms apply too" in licence


def test_it_says_nothing_about_the_users_machine_and_no_secret() -> None:
    own = replace(SETTINGS, encoder="/home/somebody/models/mini", model="openai:sk-abcdefgh12345678")
    text = card(summary(), own, exclusions=["/home/somebody/sets/quiz"])
    assert "somebody" not in text and "`mini`" in text and "`quiz`" in text
    assert "sk-abcdefgh" not in text


def test_foreign_text_stays_in_its_cell() -> None:
    text = card(summary(), replace(SETTINGS, model="a`b | c\n# heading"))
    assert "\n# heading" not in text
