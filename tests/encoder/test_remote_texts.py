"""Long texts for servers whose tokenizer is not known: windows that lose nothing, and the same rule as locally."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasonir_agent.encoder import EncoderWarning, ReasonIREncoder
from reasonir_agent.encoder.remote.texts import beginning, estimate, is_beyond, room, windows
from reasonir_agent.errors import InputError
from tests.encoder.servers import Canned

ANY = st.text(st.characters(exclude_categories=("Cs",)), max_size=400)


def whole(parts: list[str], text: str) -> bool:
    """Whether the parts stand in the text one behind the other, each touching or overlapping the one before."""
    reached = 0
    for part in parts:
        found = max((n for n in range(reached + 1) if text.startswith(part, n)), default=-1)
        if found < 0 or not part:
            return False
        reached = found + len(part)
    return reached == len(text)


@settings(max_examples=300, deadline=None)
@given(ANY, st.integers(6, 60))
def test_windows_fit_and_lose_no_character(text: str, most: int) -> None:
    parts = windows(text, most)
    if len(parts) == 1:
        assert parts == [text]
        return
    assert estimate(text) * 3 > most
    assert all((estimate(part) - 1) * 3 <= most for part in parts)
    assert whole(parts, text)


def test_windows_end_at_white_space_and_overlap_by_a_quarter() -> None:
    words = [f"word{a}{b}s" for a in "abcdefghij" for b in "abcdefghij"]
    parts = windows(" ".join(words), 80)  # 7 letters and a space each: ten words
    assert parts[0] == " ".join(words[:10]) + " "
    assert parts[1].startswith(words[7])  # a quarter of ten words back, behind the next white space
    for before, after in pairwise(parts):
        shared = next(n for n in range(len(after), 0, -1) if before.endswith(after[:n]))
        assert 16 <= shared <= 24


def test_a_text_without_white_space_is_read_whole_too() -> None:
    parts = windows("x" * 1000, 300)
    assert [len(part) for part in parts] == [300, 300, 300, 300, 100]  # each begins 225 behind the one before
    assert [len(part) for part in windows("中" * 1000, 900)] == [300, 300, 300, 300, 100]


def test_a_query_of_too_many_windows_is_refused() -> None:
    with pytest.raises(InputError, match="a query may fill up to 4,096 windows"):
        windows("ab " * 100_000, 12)


def test_estimates_are_safe_on_both_sides(minilm) -> None:
    tokenizer = minilm()
    for text in (
        "The quick brown fox jumps over the lazy dog. " * 20,
        "为什么天空是蓝色的？" * 20,
        "def f(x): return x\n" * 20,
    ):
        tokens = tokenizer.count_tokens([text])[0]
        assert tokens <= estimate(text)
        assert not is_beyond(text, tokens)
    assert beginning("中文字", 2) == "中文"


def test_the_prefix_takes_its_room() -> None:
    assert room("", 256) == 3 * 252
    assert room("q: ", 256) == 3 * (252 - estimate("q: "))
    with pytest.raises(InputError, match="leave no room"):
        room("x" * 800, 256)


def letters(texts: list[str]) -> np.ndarray:
    """How often each of three letters occurs: windows of one text differ."""
    return np.array(
        [[text.count("a") + 1, text.count("b") + 1, text.count("c") + 1] for text in texts], dtype=np.float32
    )


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_a_long_query_is_the_first_window_and_the_mean_of_all() -> None:
    text = "a " * 300 + "b " * 300 + "c " * 300
    with Canned(200, letters) as server:
        encoder = ReasonIREncoder("m", base_url=server.base_url, max_tokens=200, query_instruction="Q: ")
        found = encoder.encode_queries([text, "short"])
        sent = server.posts[-1]["input"]
    assert all(part.startswith("Q: ") and estimate(part) <= 200 for part in sent)
    parts = [part.removeprefix("Q: ") for part in sent[:-1]]
    assert len(parts) > 3
    assert whole(parts, text)
    vectors = unit(letters(sent[:-1]))
    np.testing.assert_allclose(found[0], unit(vectors[0] + vectors.mean(axis=0)), atol=1e-6)
    np.testing.assert_allclose(found[1], unit(letters(["Q: short"]))[0], atol=1e-6)


def test_a_server_that_says_its_window_gets_texts_that_fit_and_the_fingerprint_stays() -> None:
    models = [{"id": "m", "max_model_len": 100}]
    with Canned(200, letters, models=models) as small, Canned(200, letters) as usual:
        one, other = (ReasonIREncoder("m", base_url=server.base_url) for server in (small, usual))
        assert (one.window, other.window) == (100, 8192)
        assert one.fingerprint == other.fingerprint
        one.encode_queries(["a b c " * 100])
        assert max(len(text) for text in small.posts[-1]["input"]) <= 300


def test_documents_are_sent_whole_unless_they_are_clearly_too_long() -> None:
    with Canned(200, letters) as server:
        encoder = ReasonIREncoder("m", base_url=server.base_url, max_tokens=100)
        encoder.encode_documents(["a" * 550])  # perhaps 100 tokens: the server decides
        assert server.posts[-1]["input"] == ["a" * 550]
        with pytest.warns(EncoderWarning, match="2 of 3 documents are longer than the window of 100 tokens"):
            encoder.encode_documents(["a" * 700, "b", "中" * 300])
        assert encoder.counters.cut == 2
        assert [len(text.encode()) for text in server.posts[-1]["input"]] == [288, 1, 288]
