"""The draft of an answer is shown while its JSON is being written, decoded and without links."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reasonir_agent.agent.draft_stream import FieldStream, HarmlessStream, draft_stream
from reasonir_agent.agent.harmless import harmless


def fed(raw: str, *, at_once: int = 1) -> tuple[str, int]:
    """What a field's stream shows of a reply that comes in pieces, and how often it told the end."""
    shown: list[str | None] = []
    ends: list[int] = []
    stream = FieldStream("answer", shown.append, lambda: ends.append(1))
    for start in range(0, len(raw), at_once):
        stream.feed(raw[start : start + at_once])
    return "".join(piece or "" for piece in shown), len(ends)


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=40), st.integers(1, 9), st.booleans())
def test_the_field_is_shown_as_json_reads_it(answer: str, at_once: int, ascii_only: bool) -> None:
    raw = json.dumps({"found": True, "answer": answer, "citations": [{"n": 1, "quote": "x"}]}, ensure_ascii=ascii_only)
    assert fed(raw, at_once=at_once) == (answer, 1)


@pytest.mark.parametrize(
    ("raw", "shown", "ends"),
    [
        ('{"found": true, "answer": "It is', "It is", 0),
        ('{"note": "\\"answer\\": \\"no\\"", "answer" :\n "yes"', "yes", 1),
        ('{"answer": "half \\ud83d', "half ", 0),
        ('{"answer": "a \\ud83d\\ude00 b"', "a 😀 b", 1),
        ('{"answer": "a \\ud83d" , "x": "y"}', "a \ud83d", 1),
        ('{"answer": "bad \\x"', "bad ", 1),
        ('{"answer": "cut \\', "cut ", 0),
        ('{"answer": 3}', "", 0),
        ("no JSON at all", "", 0),
    ],
)
def test_what_is_incomplete_is_held_back(raw: str, shown: str, ends: int) -> None:
    assert fed(raw) == (shown, ends)


def test_a_reply_that_begins_anew_is_shown_anew() -> None:
    shown: list[str | None] = []
    stream = draft_stream("a question", shown.append)
    for piece in ('{"answer": "first half', None, '{"answer": "sec', 'ond"}'):
        stream(piece)
    assert shown == ["first ", None, "second"]


def test_garbage_before_the_field_is_not_searched_for_ever() -> None:
    shown: list[str | None] = []
    stream = FieldStream("answer", shown.append)
    for _ in range(200):
        stream.feed("garbage " * 100)
    stream.feed('"answer": "late"')
    assert shown == []


PIECES = st.sampled_from(
    [
        "http",
        "://",
        "evil.example/",
        "www.",
        "[x]",
        "(",
        ")",
        "<img ",
        "src=",
        "![",
        " ",
        "\n",
        "word",
        "例",
        "。",
        "]: ",
        "\x1b[",
    ]
)


@settings(deadline=None, max_examples=500)
@example(["www.", "例", "://"])
@example(["www.", "例", "(http"])
@example(["http", "www.", "evil.example/"])  # one word, and no address
@given(st.lists(PIECES, max_size=20))
def test_no_address_is_shown_although_it_comes_in_pieces(pieces: list[str]) -> None:
    shown: list[str | None] = []
    stream = HarmlessStream("a question", shown.append)
    for piece in pieces:
        stream.feed(piece)
    stream.end()
    whole = "".join(piece or "" for piece in shown)
    assert "](" not in whole and "\x1b" not in whole and "<img" not in whole and "]:" not in whole
    assert "http://" not in whole and not re.search(r"(?<![a-z0-9])www\.e", whole)
    if harmless("".join(pieces), "a question") == "".join(pieces) and "]:" not in "".join(pieces):
        assert whole == "".join(pieces)
