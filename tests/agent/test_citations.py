"""A quote is found where it stands, and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reasonir_agent.agent.citations import (
    _normalised,
    check_citation,
    drop_marks,
    locate_quote,
    marks,
    with_plain_marks,
)
from reasonir_agent.types import Citation, Passage

TEXT = "He said: “Don’t  panic”\n—  and the café’s ﬁre went out at 10²\u00a0K."


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ("He said", "He said"),
        ("  He said:  ", "He said:"),
        ('"Don\'t panic"', "“Don’t  panic”"),
        ("“Don’t panic”", "“Don’t  panic”"),
        ("panic” - and", "panic”\n—  and"),
        ('panic"\n\n\n–\tand', "panic”\n—  and"),
        ("the café's fire", "the café’s ﬁre"),
        ("the cafe\u0301's fire", "the café’s ﬁre"),
        ("10² K.", "10²\u00a0K."),
        ("10\u00b2\u2009K", "10²\u00a0K"),
        ("ﬁre", "ﬁre"),
        (TEXT, TEXT),
    ],
)
def test_a_quote_is_found_under_another_form(quote: str, found: str) -> None:
    place = locate_quote(quote, TEXT)
    assert place is not None
    assert TEXT[slice(*place)] == found


@pytest.mark.parametrize(
    "quote",
    [
        "",
        "   ",
        "\n",
        "\u00ad",
        "he said",
        "He says",
        "He said “Don’t",
        "Dontpanic",
        "He said: ... panic",
        "cafes",
        "went out.",
    ],
)
def test_other_words_are_not_found(quote: str) -> None:
    assert locate_quote(quote, TEXT) is None


@pytest.mark.parametrize(
    ("quote", "text", "place"),
    [
        ("1", "½ and 1", (6, 7)),
        ("1", "½", None),
        ("f", "ﬁne of", (5, 6)),
        ("e", "é", None),
        ("...", "wait…", (4, 5)),
        (".", "wait…", None),
        ("cafe\u0301", "café", (0, 4)),
        ("café", "cafe\u0301", (0, 5)),
        ("한국", "나는 \u1112\u1161\u11ab\u1100\u116e\u11a8 사람", (3, 9)),
        ("co-operate", "co\u00adoperate", None),
        ("cooperate", "co\u00adoperate now", (0, 10)),
        ("a b", "a\u200b b", (0, 4)),
        ("能量守恒", "关于能量守恒定律", (2, 6)),
    ],
)
def test_offsets_are_those_of_the_original(quote: str, text: str, place: tuple[int, int] | None) -> None:
    assert locate_quote(quote, text) == place


def test_the_first_of_several_places_is_given() -> None:
    assert locate_quote("ice", "ice on ice") == (0, 3)


ALPHABET = st.sampled_from(
    list("ab .,\n\t“”\"'’–—-…½ﬁﬂée\u0301\u00a0\u00ad\u200b\u3000²Å¨´가각㈱ﷺ中。")
) | st.characters(codec="utf-8")


@settings(deadline=None, max_examples=400)
@given(st.text(ALPHABET, max_size=30), st.integers(0, 29), st.integers(1, 30))
def test_every_part_of_a_text_is_found_in_it(text: str, start: int, length: int) -> None:
    quote = text[start : start + length].strip()
    compared = _normalised(quote)[0].strip()
    assume(compared)
    place = locate_quote(quote, text)
    assert place is not None
    located = text[slice(*place)]
    assert _normalised(located)[0].strip() == compared


@settings(deadline=None, max_examples=200)
@given(st.text(ALPHABET, max_size=20), st.text(ALPHABET, max_size=6))
def test_what_is_located_is_the_quote_in_its_compared_form(text: str, quote: str) -> None:
    place = locate_quote(quote, text)
    if place is not None:
        assert 0 <= place[0] < place[1] <= len(text)
        assert _normalised(text[slice(*place)])[0].strip() == _normalised(quote)[0].strip()


PASSAGES = [
    Passage.make("a.txt", 0, 11, "first words"),
    Passage.make("b.txt", 100, 122, "the second  “quoted” x"),
]


def test_a_verified_citation_holds_the_words_and_the_place_in_the_document() -> None:
    checked = check_citation(2, 'second "quoted"', PASSAGES)
    assert checked == Citation(2, PASSAGES[1].id, "b.txt", 104, 120, "second  “quoted”", "quote")


@pytest.mark.parametrize("n", [0, -1, 3, 99, 10**30])
def test_a_number_that_was_not_shown_is_a_problem(n: int) -> None:
    assert check_citation(n, "first words", PASSAGES) == f"[{n}] is none of the 2 passages that were shown"


def test_a_quote_of_another_passage_is_a_problem() -> None:
    assert check_citation(1, "second", PASSAGES) == 'the quote "second" does not stand in passage [1]'


@pytest.mark.parametrize("quote", ["ossible to cross", "The impos", "possible to", "to cros"])
def test_a_part_of_a_word_is_no_quote(quote: str) -> None:
    shown = [Passage.make("a.txt", 0, 23, "The impossible to cross")]
    assert "does not stand in passage [1]" in str(check_citation(1, quote, shown))


def test_the_whole_word_counts_behind_a_place_where_it_is_a_part() -> None:
    shown = [Passage.make("a.txt", 0, 30, "It is impossible, not possible")]
    assert check_citation(1, "possible", shown) == Citation(1, shown[0].id, "a.txt", 22, 30, "possible", "quote")


def test_east_asian_words_have_no_spaces_around_them() -> None:
    shown = [Passage.make("a.txt", 0, 8, "关于能量守恒定律")]
    assert check_citation(1, "能量守恒", shown) == Citation(1, shown[0].id, "a.txt", 2, 6, "能量守恒", "quote")


@pytest.mark.parametrize("quote", ["a", "", " .", "x1", "水"])
def test_a_quote_of_next_to_nothing_says_too_little(quote: str) -> None:
    shown = [Passage.make("a.txt", 0, 30, "a x1 . 水 and more words")]
    assert "says too little" in str(check_citation(1, quote, shown))


def test_a_quote_from_the_heading_alone_is_told_apart() -> None:
    shown = [Passage.make("a.txt", 0, 11, "first words", "Ducks > Their feet")]
    told = 'the quote "Their feet" is of the heading of passage [1]; quote the text below it'
    assert check_citation(1, "Their feet", shown) == told
    assert isinstance(check_citation(1, "first words", shown), Citation)


def test_a_quote_of_a_megabyte_is_not_looked_for() -> None:
    assert "does not stand in passage [1]" in str(check_citation(1, "first words " * 100_000, PASSAGES))


def test_a_long_false_quote_is_told_in_part() -> None:
    told = check_citation(1, "x" * 5000, PASSAGES)
    assert isinstance(told, str)
    assert len(told) < 200


@pytest.mark.parametrize(
    ("answer", "numbers"),
    [
        ("", set()),
        ("none here", set()),
        ("one [1] and two [2][3].", {1, 2, 3}),
        ("a list [1, 2] and [3;4]", {1, 2, 3, 4}),
        ("not these: [a] [1a] [] (1) [-1] [1.5]", set()),
        ("the interval [0, 1] is no citation", set()),
        ("[" + "9" * 5000 + "]", set()),
        ("[012]", {12}),
    ],
)
def test_marks_are_numbers_in_brackets(answer: str, numbers: set[int]) -> None:
    assert marks(answer) == numbers


@pytest.mark.parametrize(
    ("answer", "unfounded", "kept"),
    [
        ("So it is [1].", set(), "So it is [1]."),
        ("So it is [1].", {1}, "So it is."),
        ("So it is [1], they say [2].", {1}, "So it is, they say [2]."),
        ("So [1][2] it is.", {1}, "So[2] it is."),
        ("So [2][1] it is.", {1}, "So [2] it is."),
        ("So [1] it is", {1}, "So it is"),
        ("[1] So it is.", {1}, "So it is."),
        ("So [1, 2] it is.", {1}, "So [2] it is."),
        ("So [1, 2] it is.", {1, 2}, "So it is."),
        ("so it is。[3]", {3}, "so it is。"),
        ("p in [0, 1] holds [2]", {2}, "p in [0, 1] holds"),
        ("def f():\n    return a  # [1]", {1}, "def f():\n    return a  #"),
        ("def f():\n    return  a", {9}, "def f():\n    return  a"),
    ],
)
def test_marks_without_a_verified_citation_are_dropped(answer: str, unfounded: set[int], kept: str) -> None:
    assert drop_marks(answer, unfounded) == kept


CODE = "see `v[1]` and\n```\nx = v[2]\n```\n~~~ py\ny[3] and no end"


def test_brackets_in_code_are_no_marks() -> None:
    assert marks(f"It is so [4]: {CODE}") == {4}
    assert drop_marks(CODE, {1, 2, 3}) == CODE
    assert with_plain_marks(CODE.replace("[2]", "【2】")) == CODE.replace("[2]", "【2】")


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("so【1】 and ［2，3］", "so[1] and [2, 3]"),
        ("so [^1] [passage 2] [Sources 1, 2]", "so [1] [2] [1, 2]"),
        ("so [1-3] [1, 3–4]", "so [1, 2, 3] [1, 3, 4]"),
        ("so 【4†source】", "so [4]"),
        ("p in [0, 1], [0-5], [5-2], [1-900], [a], [1a], [-1]", "p in [0, 1], [0-5], [5-2], [1-900], [a], [1a], [-1]"),
    ],
)
def test_what_models_write_for_marks_is_brought_into_one_form(written: str, plain: str) -> None:
    assert with_plain_marks(written) == plain


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.sampled_from(["[1]", "[2]", "[3, 4]", "[1, 2]", "a", " ", ".", "\n", "[", "]"]), max_size=12).map(
        "".join
    ),
    st.sets(st.integers(1, 4)),
)
def test_exactly_the_unfounded_marks_go(answer: str, unfounded: set[int]) -> None:
    kept = drop_marks(answer, unfounded)
    assert marks(kept) == marks(answer) - unfounded
    assert kept.count("a") == answer.count("a")
