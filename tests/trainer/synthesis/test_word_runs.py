"""Words, runs and shared phrases, counted by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasonir_trainer.synthesis.word_runs import count_words, longest_run, shared_shingles, words_in_order

TEXTS = st.text(st.sampled_from("ab cd-e'为鸭ทि한\n.,A9_"), max_size=80)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("Don't panic: well-known x_y 3.14", 7),  # don't, panic, well-known, x, y, 3, 14
        ("为什么鸭子不冷？", 7),
        ("鸭子 likes 冰 ice", 5),
        ("ภาษา", 4),
        ("हिन्दी में", 2),
        ("한국어 문장입니다", 2),
        ("cafe\u0301 CAFÉ", 2),
    ],
)
def test_words_are_counted_by_space_or_by_character(text: str, count: int) -> None:
    assert count_words(text) == count


@given(TEXTS)
def test_words_are_counted_as_they_are_listed_and_the_fast_way_like_the_general_one(text: str) -> None:
    assert count_words(text) == len(words_in_order(text)) == count_words(f"{text} 中") - 1


def test_case_and_composition_do_not_count() -> None:
    assert words_in_order("CAFÉ") == words_in_order("cafe\u0301")


@pytest.mark.parametrize(
    ("one", "other", "run"),
    [
        ("keep feet warm on ice", "ducks keep feet warm in ice", 3),
        ("a b c", "c b a", 1),
        ("a a a", "a a", 2),
        ("鸭子不怕冷", "为什么鸭子不冷", 1.5),  # three characters
        ("x", "", 0),
    ],
)
def test_the_longest_run_by_hand(one: str, other: str, run: float) -> None:
    assert longest_run(one, other) == run


@given(TEXTS, TEXTS)
def test_a_run_is_no_longer_than_either_text_and_the_same_from_both_sides(one: str, other: str) -> None:
    assert longest_run(one, other) == longest_run(other, one)
    assert longest_run(one, other) <= min(count_words(one), count_words(other))
    assert longest_run(f"{one} {other}", other) == longest_run(other, other)


def test_shared_shingles_are_a_share_of_the_shorter_text() -> None:
    short = "one two three four five six"  # two runs of five
    assert shared_shingles(short, "zero one two three four five and more words that differ") == 0.5
    assert shared_shingles(short, short.upper()) == 1
    assert shared_shingles(short, "nothing of it stands in this text here") == 0
    assert shared_shingles("", short) == 0


@given(TEXTS, TEXTS)
def test_shared_shingles_are_symmetric_and_whole_where_one_text_is_inside_the_other(one: str, other: str) -> None:
    assert shared_shingles(one, other) == shared_shingles(other, one)
    if count_words(one) >= 5:
        assert shared_shingles(one, f"{one} {other}") == 1


@given(st.text(st.sampled_from("abé-'_. 9ßΩ"), max_size=60))
def test_the_short_way_for_plain_texts_counts_as_the_long_one(text: str) -> None:
    assert words_in_order(text + " 鸭") == (*words_in_order(text), "鸭")
