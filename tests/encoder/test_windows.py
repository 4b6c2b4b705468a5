"""Queries longer than the window are read in overlapping windows; documents are cut, and it is counted."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasonir_agent.encoder import EncoderWarning
from reasonir_agent.encoder.tokens import Tokens
from reasonir_agent.encoder.windows import MOST_WINDOWS, OVERLAP, cut, weights, windows
from reasonir_agent.errors import InputError

modest = settings(deadline=None, max_examples=200)
heads, bodies, tails, sizes = st.integers(0, 6), st.integers(0, 400), st.integers(0, 2), st.integers(1, 60)


def tokens(head: int, body: int, tail: int) -> Tokens:
    """Head -1, body 0, 1, 2, ..., tail -2."""
    return Tokens([-1] * head, list(range(body)), [-2] * tail)


def read(tokens: Tokens, window: int) -> list[list[int]]:
    """The windows without head and tail."""
    found = windows(tokens, window)
    end = len(tokens.tail)
    for ids in found:
        assert ids[: len(tokens.head)] == tokens.head
        assert ids[len(ids) - end :] == tokens.tail
    return [ids[len(tokens.head) : len(ids) - end] for ids in found]


def test_ten_tokens_in_windows_of_six():
    # head and tail leave 4; a quarter of 4 is read again
    assert windows(tokens(1, 10, 1), 6) == [[-1, 0, 1, 2, 3, -2], [-1, 3, 4, 5, 6, -2], [-1, 6, 7, 8, 9, -2]]
    assert windows(tokens(1, 11, 1), 6)[-1] == [-1, 9, 10, -2]
    assert windows(tokens(1, 4, 1), 6) == [[-1, 0, 1, 2, 3, -2]]
    assert windows(tokens(1, 0, 1), 6) == [[-1, -2]]


@modest
@given(heads, bodies, tails, sizes)
def test_every_token_is_in_a_window_in_order_and_no_window_is_too_long(head, body, tail, size):
    found = read(tokens(head, body, tail), head + tail + size)
    assert sorted({number for ids in found for number in ids}) == list(range(body))
    for ids in found:
        assert len(ids) <= size
        assert ids == list(range(ids[0], ids[0] + len(ids))) if ids else body == 0


@modest
@given(heads, bodies, tails, sizes)
def test_neighbours_overlap_by_the_stated_share(head, body, tail, size):
    found = read(tokens(head, body, tail), head + tail + size)
    for one, following in itertools.pairwise(found):
        assert len(one) == size  # only the last one may be short
        assert len(set(one) & set(following)) == min(int(size * OVERLAP), len(following))
        assert following[-1] > one[-1]


@modest
@given(heads, bodies, tails, sizes)
def test_a_document_is_cut_to_the_window_and_keeps_head_and_tail(head, body, tail, size):
    given_tokens = tokens(head, body, tail)
    ids = cut(given_tokens, head + tail + size)
    assert ids == [*given_tokens.head, *range(min(body, size)), *given_tokens.tail]


@pytest.mark.parametrize("rule", [windows, cut])
def test_a_prefix_that_fills_the_window_is_refused_in_words(rule):
    with pytest.raises(InputError, match="takes 7 of the window's 8 tokens and leaves no room"):
        rule(tokens(7, 3, 1), 8)
    assert rule(tokens(6, 3, 1), 8)


def test_a_file_passed_as_a_question_is_refused_in_words():
    step = 3  # of windows of 4
    longest = MOST_WINDOWS * step + 1
    assert len(windows(tokens(0, longest, 0), 4)) == MOST_WINDOWS
    with pytest.raises(InputError, match=f"up to 12,288 tokens, got {longest + 1:,}; pass the question, not a file"):
        windows(tokens(0, longest + 1, 0), 4)


LONG = " ".join(f"fact {n} about light" for n in range(40))


def test_a_long_query_is_one_unit_vector_the_first_window_plus_the_mean_of_all(open_golden):
    encoder = open_golden(max_tokens=64, query_instruction="")
    [split] = encoder._tokenizer.split([LONG], "")
    parts = read(split, 64)
    assert len(parts) > 5
    alone = [encoder._tokenizer._tokenizer.decode(part) for part in parts]
    assert [encoder._tokenizer.split([text], "")[0].body for text in alone] == parts
    each = encoder.encode_queries(alone)
    mean = each[0] + each.mean(axis=0)
    vectors = encoder.encode_queries([LONG])
    assert vectors.shape == (1, 64)
    np.testing.assert_allclose(vectors[0], mean / np.linalg.norm(mean), rtol=0, atol=1e-5)


def test_a_query_within_the_window_is_unaffected_by_a_long_neighbour(open_golden):
    encoder = open_golden(max_tokens=64)
    short = encoder.encode_queries(["why is the sky blue"])[0]
    both = encoder.encode_queries([LONG, "why is the sky blue"])
    np.testing.assert_allclose(both[1], short, rtol=0, atol=1e-5)
    np.testing.assert_allclose(open_golden().encode_queries(["why is the sky blue"])[0], short, rtol=0, atol=1e-6)


def test_the_last_word_of_a_long_query_counts_and_of_a_cut_document_it_does_not(open_golden):
    encoder = open_golden(max_tokens=64)
    with warnings.catch_warnings():
        warnings.simplefilter("error", EncoderWarning)  # a query is never cut, so nothing is warned about
        one, other = encoder.encode_queries([LONG + " ends in salt", LONG + " ends in iron"])
    assert np.abs(one - other).max() > 1e-4
    with pytest.warns(EncoderWarning, match="2 of 2 documents"):
        one, other = encoder.encode_documents([LONG + " ends in salt", LONG + " ends in iron"])
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
    assert encoder.counters.cut == 2


def test_cut_documents_are_counted_and_the_warning_points_at_the_caller(open_golden):
    encoder = open_golden(max_tokens=64)
    with pytest.warns(
        EncoderWarning, match="1 of 3 documents are longer than the window of 64 tokens and were cut"
    ) as seen:
        encoder.encode_documents(["short", LONG, "why"])
    assert seen[0].filename == __file__
    assert encoder.counters.cut == 1
    with pytest.warns(EncoderWarning):
        encoder.encode_documents([LONG + " again"])
    assert encoder.counters.cut == 2


def test_a_document_that_just_fits_is_not_cut(open_golden):
    encoder = open_golden(document_instruction="", max_tokens=10)
    [size] = encoder.count_tokens(["x x x x x"])
    assert size == 9  # and one for the beginning of the text
    encoder.encode_documents(["x x x x x"])
    assert encoder.counters.cut == 0
    with pytest.warns(EncoderWarning, match="1 of 1"):
        encoder.encode_documents(["x x x x x x"])


def test_a_document_cut_before_it_is_tokenised_is_counted_too(minilm):
    """A word of more than 100 characters is one unknown token for MiniLM: 200 of them fit into 256 tokens, but they are
    more characters than are read."""
    encoder = minilm(numpy=True)
    with pytest.warns(EncoderWarning, match="1 of 1 documents"):
        encoder.encode_documents([" ".join(["y" * 101] * 200)])
    assert encoder.counters.cut == 1


@pytest.mark.parametrize("road", ["encode_queries", "encode_documents"])
def test_an_instruction_that_fills_the_window_is_refused_in_words(open_golden, road):
    encoder = open_golden(max_tokens=8, query_instruction="retrieve " * 9, document_instruction="retrieve " * 9)
    with pytest.raises(InputError, match="of the window's 8 tokens and leaves no room for the text"):
        getattr(encoder, road)(["why"])


def test_max_tokens_narrows_the_window_and_never_widens_it(open_golden):
    assert open_golden(max_tokens=100).window == 100
    assert open_golden(max_tokens=100_000).window == open_golden().window == 4096


def test_weights_are_one_for_a_short_query_and_favour_the_first_window_of_a_long_one():
    assert weights([1, 4, 1]) == [1.0, 1.25, 0.25, 0.25, 0.25, 1.0]
