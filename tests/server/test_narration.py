"""What a chat page is told while the agent works, and the answer as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from reasonir_agent.server.narration import Narrator, inert, markdown
from reasonir_agent.types import Answer, Citation, Usage


def test_a_quote_that_supports_nothing_is_no_source() -> None:
    one, other = (Citation(n, f"id{n}", f"{n}.txt", 0, 5, f"words {n}", "unsupported") for n in (1, 2))
    answer = Answer("Why?", [], [], Usage(), answer="So it is [2].", citations=[one, replace(other, verified="quote")])
    assert markdown(answer) == "So it is [2].\n\n**Sources**\n\n- [2] `2.txt`, characters 0 to 5: “words 2”"
    assert markdown(replace(answer, citations=[one])) == "So it is [2]."


def rewritten(*texts: str, missing: Sequence[str] = (), earlier: Sequence[str] = (), **more: Any) -> dict[str, Any]:
    """What the step leaves: the texts of all rounds, and in the trace those of this one."""
    line = {"step": "rewrite", "rewrites": list(texts), "missing": list(missing)}
    return {"rewrites": [*earlier, *texts], "trace": [line], **more}


def narrated() -> tuple[Narrator, list[str]]:
    told: list[str] = []
    return Narrator(told.append, scores=True, depth=30, shown=8), told


@pytest.mark.parametrize(
    "text",
    [
        "Plain words.",
        "  two\n\nparagraphs \t and   spaces ",
        "![picture](http://evil.example) ! [a] !![b]",
        "<img src=x> < 3 <<img> a<",
        "温暖的血液！[x]",
        "ends with !",
        "",
    ],
)
def test_pieces_make_the_same_line_as_the_whole(text: str) -> None:
    (pieces, told), (whole, expected) = narrated(), narrated()
    whole.step("rewrite", rewritten(text))
    for character in text:
        pieces.news({"kind": "rewrite", "text": character})
    pieces.step("rewrite", rewritten(text))
    assert "".join(told).replace(": \n", ":\n") == "".join(expected)
    assert not re.search(r"!\[|<[A-Za-z/!?]", "".join(told))


def test_scores_are_told_in_tens_and_no_rewrite_twice() -> None:
    narrator, told = narrated()
    narrator.step("rewrite", rewritten("one", "two"))
    narrator.step("retrieve", {"hits": [{}] * 100})
    for done in range(1, 26):
        narrator.news({"kind": "rerank", "done": done, "of": 30})
    narrator.step("rerank", {"hits": [{}] * 100, "warnings": ["some\nfailed"]})
    narrator.news({"kind": "answer", "text": "a draft"})
    narrator.step("grade", {"verdict": "search", "missing": ["this", "that"]})
    narrator.step("rewrite", rewritten("three", missing=["this", "that"], earlier=["one", "two"]))
    narrator.step("retrieve", {"hits": [{"reranker_score": 0.6}] * 30 + [{"reranker_score": None}] * 7})
    narrator.step("grade", {"verdict": "abstain", "missing": []})
    narrator.step("grade", {"verdict": "answer"})
    assert "".join(told).splitlines() == [
        "searching with: one",
        "searching with: two",
        "scoring 30 passages",
        "scored 10 of 30",
        "scored 20 of 30",
        "note: some failed",
        "searching again for: this; that",
        "searching with: three",
        "scoring 7 passages",
        "the passages are from other fields",
        "answering from 8 passages",
    ]


def test_a_rewrite_that_begins_anew_or_cannot_be_used_is_told() -> None:
    narrator, told = narrated()
    for piece in ("bro", "ken", None, "second ", "try"):
        narrator.news({"kind": "rewrite", "text": piece})
    narrator.step("rewrite", rewritten(warnings=["the question could not be rewritten"]))
    assert "".join(told).splitlines() == [
        "searching with: broken",
        "searching with: second try",
        "searching with the question",
        "note: the question could not be rewritten",
    ]


def test_a_later_round_tells_its_own_rewrites_and_no_others() -> None:
    """The first of them may have failed after its first words; a round may have none."""
    narrator, told = narrated()
    narrator.step("rewrite", rewritten("one"))
    for piece in ("What len", "ders"):
        narrator.news({"kind": "rewrite", "text": piece})
    narrator.step("rewrite", rewritten("What banks do.", missing=["lenders", "banks"], earlier=["one"]))
    narrator.step("rewrite", rewritten(missing=["gold"], earlier=["one", "What banks do."], warnings=["no gold"]))
    narrator.step("rewrite", {"rewrites": [], "trace": [{"step": "rewrite", "missing": ["gold"]}]})
    assert "".join(told).splitlines() == [
        "searching with: one",
        "searching with: What lenders",
        "searching with: What banks do.",
        "note: no gold",
        "searching with what is missing",
    ]


@pytest.mark.parametrize("text", ["![a](b)", r"\![a](b)", "<img src=x>", r"\<b>", "<!-- x -->", "</p>", "<?php"])
def test_what_is_inert_has_no_active_signs(text: str) -> None:
    assert not re.search(r"!\[|<[A-Za-z/!?]", inert(text))


def test_ordinary_text_stays_as_it_is() -> None:
    assert inert("Wow! [1] a < b, 3<4, 5 > 4 [x](y) `code`") == "Wow! [1] a < b, 3<4, 5 > 4 [x](y) `code`"
