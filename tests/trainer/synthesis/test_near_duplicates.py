import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasonir_agent.errors import InputError
from reasonir_trainer.synthesis.near_duplicates import (
    NearDuplicates,
    Repeat,
    band_rows,
    compared_words,
    shingles,
    similarity,
)

TEN = "one two three four five six seven eight nine ten"


def found(texts: list[str], threshold: float = 0.7) -> list[Repeat]:
    near = NearDuplicates(threshold)
    for text in texts:
        near.add(text)
    assert len(near) == len(texts)
    return list(near.find(texts.__getitem__))


def prose(number: int, words: int = 120) -> list[str]:
    chance = random.Random(number)
    return [f"w{chance.randrange(5000)}" for _ in range(words)]


def test_the_similarity_is_jaccards_of_runs_of_five_words():
    # ten words have 6 shingles; with the last word changed 5 of them stay, and there is one of its own: 5 / 7
    assert similarity(shingles(TEN), shingles(TEN.replace("ten", "eleven"))) == pytest.approx(5 / 7)
    assert len(shingles(TEN)) == 6
    assert len(shingles("one two three")) == 1  # shorter than a shingle: the text is one
    assert similarity(shingles(""), shingles("!?")) == 1.0


def test_chinese_is_compared_by_characters():
    text = "鸭子的羽毛上有一层油所以不会被水打湿"
    assert compared_words("鸭子 feathers，打湿") == ["鸭", "子", "feathers", "打", "湿"]
    assert len(shingles(text)) == len(text) - 4
    other = text[:-1] + "透"
    assert similarity(shingles(text), shingles(other)) == pytest.approx((len(text) - 5) / (len(text) - 3))
    assert [(one.number, one.of) for one in found([text, "完全不同的一句话说的是别的事情", other])] == [(2, 0)]


def test_case_punctuation_and_white_space_do_not_count():
    assert compared_words("The “Duck’s”  feathers,\n(WATER-proof!) ﬁne") == [
        "the", "duck's", "feathers", "water", "proof", "fine",
    ]  # fmt: skip
    assert found([TEN, f"  {TEN.upper().replace(' ', ', ')}! "]) == [Repeat(1, 0, 1.0, exact=True)]


def test_the_first_stays_and_what_is_close_to_a_dropped_one_only_stays_too():
    a = prose(1)
    b = [*a[:-14], *prose(2, 14)]  # 102 of 116 + 14 shingles: 0.78
    c = [*b[14:], *prose(3, 14)]  # close to b, not to a
    texts = [" ".join(one) for one in (a, b, c)]
    assert similarity(*map(shingles, texts[1:])) > 0.7 > similarity(shingles(texts[0]), shingles(texts[2]))
    assert [(one.number, one.of) for one in found(texts)] == [(1, 0)]


def test_equal_texts_are_told_from_near_ones():
    near = " ".join([*prose(1)[:-1], "other"])
    repeats = found([" ".join(prose(1)), near, " ".join(prose(1))])
    assert [(one.number, one.of, one.exact) for one in repeats] == [(1, 0, False), (2, 0, True)]


def test_signatures_find_what_comparing_all_pairs_finds():
    chance = random.Random(0)
    texts = [prose(number) for number in range(150)]
    for number in range(100):  # copies with 1 to 12 words changed: similarities from 0.95 down to about 0.4
        copy = list(chance.choice(texts[:150]))
        for _ in range(1 + number % 12):
            copy[chance.randrange(len(copy))] = f"new{number}"
        texts.append(copy)
    joined = [" ".join(one) for one in texts]
    sets = [shingles(one) for one in joined]
    kept: list[int] = []
    expected = []
    for number, mine in enumerate(sets):
        if any(similarity(mine, sets[other]) >= 0.7 for other in kept):
            expected.append(number)
        else:
            kept.append(number)
    repeats = found(joined)
    assert 30 < len(expected) < 100  # both sides of the threshold are there
    assert [one.number for one in repeats] == expected
    for one in repeats:
        assert one.similarity == similarity(sets[one.number], sets[one.of]) >= 0.7
        assert one.of in kept


@pytest.mark.parametrize(("threshold", "rows"), [(0.05, 1), (0.3, 1), (0.5, 2), (0.7, 4), (0.9, 8), (1.0, 16)])
def test_a_pair_at_the_threshold_is_missed_once_in_a_thousand_at_most(threshold, rows):
    assert band_rows(threshold) == rows
    if threshold >= 0.3:
        assert (1 - threshold**rows) ** (128 // rows) <= 0.001


def test_many_forms_with_a_few_words_filled_in_take_no_quadratic_time():
    form = prose(1, 60)
    texts = [" ".join([*form, *prose(number, 60)]) for number in range(2, 602)]
    assert found(texts) == []  # similarity 56 / 176


def test_texts_without_words_repeat_each_other_and_nothing_else():
    assert [(one.number, one.of) for one in found(["?!", TEN, "", "…"])] == [(2, 0), (3, 0)]


def test_nothing_is_found_in_nothing():
    assert found([]) == []


@pytest.mark.parametrize("threshold", [0, -1, 1.01, float("nan")])
def test_a_threshold_that_is_no_similarity_is_refused(threshold):
    with pytest.raises(InputError, match="above 0 and at most 1"):
        NearDuplicates(threshold)


@pytest.mark.slow
def test_another_process_finds_the_same_signatures():
    code = (
        "from reasonir_trainer.synthesis.near_duplicates import _signatures, shingles;"
        f"print(_signatures([shingles({TEN!r})], 4).tolist())"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(runs) == 1 and "[[" in runs.pop()


@settings(deadline=None, max_examples=80)
@given(st.lists(st.text(max_size=80), max_size=8))
def test_any_texts_can_be_compared(texts):
    for one in found(texts):
        assert one.of < one.number
        assert one.exact == (compared_words(texts[one.number]) == compared_words(texts[one.of]))
    equal = {tuple(compared_words(text)) for text in texts}
    assert len(texts) - len(found(texts, 1.0)) <= len(equal)


@settings(deadline=None, max_examples=200)
@given(st.text(), st.text())
def test_the_similarity_is_symmetric_and_of_a_text_with_itself_1(one, other):
    mine, theirs = shingles(one), shingles(other)
    assert similarity(mine, theirs) == similarity(theirs, mine)
    assert similarity(mine, mine) == 1.0
    assert np.all(np.diff(mine.astype(object)) > 0)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.text(alphabet="abcéß中ไा'_ -", max_size=8), max_size=8))
def test_the_fast_way_to_words_counts_like_the_general_one(parts):
    text = " ".join(parts)
    assert (
        len(compared_words(text)) == len(compared_words(text + " 中")) - 1
    )  # a character without spaces takes the general way
