"""A score is read when there is clearly one, and refused otherwise."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasonir_agent.errors import UnreadableReply
from reasonir_agent.reranking import read_score


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("4", 4.0),
        ("0", 0.0),
        ("5", 5.0),
        ("4.5", 4.5),
        ("4,5", 4.5),
        (" 4 \n", 4.0),
        ("4.", 4.0),
        ("4/5", 4.0),
        ("4 out of 5", 4.0),
        ("4/5.", 4.0),
        ("**4**", 4.0),
        ("`4`", 4.0),
        ("Score: 4", 4.0),
        ("score: 4", 4.0),
        ("SCORE 4", 4.0),
        ("Score: 4/5", 4.0),
        ("Score: 4 / 5", 4.0),
        ("Score: 4.0/5", 4.0),
        ("Score: 3.", 3.0),
        ("Score: 3, since it names the mechanism.", 3.0),
        ("Score:\n\n3", 3.0),
        ("**Score:** 4", 4.0),
        ("**Score: 4**", 4.0),
        ("Score: **4**/5", 4.0),
        ("Rating: 2", 2.0),
        ("relevance score = 4", 4.0),
        ("The score is 4.", 4.0),
        ("I give it a score of 4 out of 5.", 4.0),
        ('{"score": 4}', 4.0),
        ('{"score": "4"}', 4.0),
        ("{'score': 4.5}", 4.5),
        ('```json\n{"reason": "as in 1999", "score": 4}\n```', 4.0),
        ("<think>maybe 2, or Score: 1</think>4", 4.0),
        ("<think>hm</think>\nScore: 4", 4.0),
        ("The passage gives 3 of 10 causes, from 2024.\nScore: 3", 3.0),
        ("Score: 4\nTo repeat: score 4/5.", 4.0),
        ("Score: 4 (as 4.0: score=4.0)", 4.0),
    ],
)
def test_what_is_clearly_one_score_is_read(reply: str, score: float) -> None:
    assert read_score(reply) == score


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "   ",
        "none",
        "four",
        "Score: five",
        "Score: ?",
        "Score:",
        "10",
        "6",
        "5.1",
        "-1",
        "−1",
        "2024",
        "4-5",
        "4 - 5",
        "4–5",
        "3 or 4",
        "3 to 4",
        "45%",
        "4%",
        "4/10",
        "8/10",
        "4 out of 10",
        "4 out of ten",
        "4/5/3",
        "4.5.2",
        "3 4",
        "1e0",
        "4th",
        "Score: 10",
        "Score: -1",
        "Score: 4-5",
        "Score: 3 or 4",
        "Score: 3 to 4",
        "Score: 4/10",
        "Score: 4/50",
        "Score: 45%",
        "Score: 4%",
        "Score: 2024",
        "score 3 ... score 4",
        "Score: 4\nScore: 2",
        '{"score": 6}',
        '{"score": -1}',
        '{"score": null}',
        '[{"score": 1}, {"score": 2}]',
        "It mentions 3 causes and 4 effects.",
        "scores 4",
        "underscore 4",
        "<think>Score: 4</think>",
        "<think>Score: 4",
        "9" * 400,
        "Score: " + "9" * 5000,
        "nan",
        "inf",
    ],
)
def test_what_is_not_clearly_one_score_is_refused(reply: str) -> None:
    with pytest.raises(UnreadableReply) as caught:
        read_score(reply)
    assert caught.value.raw == reply
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("nothing", "no score from 0 to 5"),
        ("Score: 7", "7 is not between 0 and 5"),
        ("Score: 4/10", "out of 10, expected out of 5"),
        ("Score: 4, or score: 2", r"two different scores were found \(\[2.0, 4.0\]\)"),
    ],
)
def test_the_reason_is_told(reply: str, why: str) -> None:
    with pytest.raises(UnreadableReply, match=why):
        read_score(reply)


PIECES = ["Score", "score", "rating", ":", "=", " ", "\n", "is", "of", "-", "–", "/", "/5", "/10", "%", ".", ",", "*"]
PIECES += [
    "`",
    '"',
    "'",
    "{",
    "}",
    "0",
    "1",
    "4",
    "5",
    "9",
    "10",
    "4.5",
    "out of",
    "<think>",
    "</think>",
    "x",
    "½",
    "٣",
]


@settings(deadline=None, max_examples=500)
@given(st.one_of(st.text(max_size=40), st.lists(st.sampled_from(PIECES), max_size=12).map("".join)))
def test_nothing_but_a_score_from_0_to_5_or_a_refusal_ever_comes(reply: str) -> None:
    try:
        score = read_score(reply)
    except UnreadableReply as problem:
        assert problem.raw == reply
    else:
        assert isinstance(score, float)
        assert 0 <= score <= 5
        assert re.search(r"\d", reply)


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 50), st.sampled_from(["{}", "Score: {}", "**Score: {}**", "Score: {}/5", '{{"score": {}}}']))
def test_every_tenth_from_0_to_5_is_read_as_it_is(tenths: int, form: str) -> None:
    assert read_score(form.format(tenths / 10)) == tenths / 10


@pytest.mark.parametrize(
    "unit", ["score ", "score", "score:\n", "1", "4-", "4 ", "*", "score'", "score' ", " ", "/5", "'"]
)
def test_a_megabyte_is_read(unit: str) -> None:
    """A pattern that tries every split would not end; the suite's time limit would."""
    for text in (unit * (300_000 // len(unit)), "score" + unit * (300_000 // len(unit)) + "x"):
        with pytest.raises(UnreadableReply):
            read_score(text)
