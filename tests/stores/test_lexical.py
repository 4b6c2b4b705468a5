from __future__ import annotations

import json
import math
import re
from pathlib import Path

import bm25s
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasonir_agent.errors import StoreError
from reasonir_agent.stores.lexical import STOP_WORDS, LexicalIndex, words

TEXTS = {
    "p1": "Ducks swim on cold water, and cold water freezes.",
    "p2": "Water boils at 100 degrees.",
    "p3": "水往低处流。",
    "p4": "The of and",
    "p5": "A duck is a bird; birds fly.",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Water WATER wAtEr", ["water", "water", "water"]),
        ("Why is the sky blue?", ["sky", "blue"]),
        ("The And OF", []),
        ("", []),
        ("?! -- …", []),
        ("state-of-the-art snake_case", ["state", "art", "snake", "case"]),
        ("3.14 and 100", ["3", "14", "100"]),
        ("B2B x86", ["b2b", "x86"]),
        ("Café STRASSE Straße naïve", ["café", "strasse", "strasse", "naïve"]),
        ("cafe\u0301", ["café"]),  # the accent as a character of its own, as macOS writes it
        ("ＧＰＵ ①", ["gpu", "1"]),  # full-width letters
        ("Привет МИР", ["привет", "мир"]),
        ("हिन्दी में", ["हिन्दी", "में"]),  # vowel signs stay in their word
        ("水往低处流", ["水往", "往低", "低处", "处流"]),
        ("水。往", ["水", "往"]),
        ("人々", ["人々"]),
        ("GPU加速计算", ["gpu", "加速", "速计", "计算"]),
        ("使用the网络", ["使用", "the", "网络"]),
        ("5G网络v2", ["5g", "网络", "v2"]),
        ("東京タワーへ", ["東京", "京タ", "タワ", "ワー", "ーへ"]),
        ("서울 도시", ["서울", "도시"]),
        ("안녕하세요", ["안녕", "녕하", "하세", "세요"]),
        ("𠀀𠀁𠀂", ["𠀀𠀁", "𠀁𠀂"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=100))
def test_no_word_is_empty_or_holds_white_space(text: str) -> None:
    found = words(text)
    assert all(word and not any(sign.isspace() or sign == "_" for sign in word) for word in found)


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=100))
def test_ascii_words_are_runs_of_letters_and_digits_but_for_stop_words(text: str) -> None:
    assert words(text) == [word for word in re.findall("[a-z0-9]+", text.lower()) if word not in STOP_WORDS]


@pytest.fixture
def index(tmp_path: Path) -> LexicalIndex:
    built = LexicalIndex(tmp_path / "lexical")
    built.build(TEXTS.items(), 7)
    return built


@pytest.mark.parametrize("query", ["cold water", "duck", "water water boils", "低处", "cold unknown", "100 DEGREES!"])
def test_scores_are_those_of_bm25s(index: LexicalIndex, query: str) -> None:
    reference = bm25s.BM25()
    reference.index([words(text) for text in TEXTS.values()], show_progress=False)
    expected = dict(zip(TEXTS, reference.get_scores(words(query)), strict=True))
    assert index.scores(query, 7) == {one: float(score) for one, score in expected.items() if score > 0}
    assert index.scores(query, 7)


def test_a_score_can_be_computed_by_hand(tmp_path: Path) -> None:
    index = LexicalIndex(tmp_path / "lexical")
    index.build([("a", "ice ice water"), ("b", "steam")], 1)
    # Lucene's BM25, k1 = 1.5, b = 0.75: idf = log(1 + (2 - 1 + 0.5) / (1 + 0.5)); a has 3 of 2 words on average
    idf = math.log(1 + 1.5 / 1.5)
    expected = idf * 2 / (2 + 1.5 * (1 - 0.75 + 0.75 * 3 / 2))
    assert index.scores("ice", 1) == {"a": pytest.approx(expected, rel=1e-6)}


@pytest.mark.parametrize("query", ["", "the of and why", "?!", "unknown words alone", "😀"])
def test_a_query_without_a_known_word_scores_nothing(index: LexicalIndex, query: str) -> None:
    assert index.scores(query, 7) == {}


def test_saved_and_loaded_scores_are_equal(index: LexicalIndex, tmp_path: Path) -> None:
    loaded = LexicalIndex(tmp_path / "lexical")
    for query in ("cold water", "低处", "nothing known"):
        assert loaded.scores(query, 7) == index.scores(query, 7)
    assert loaded.rarity(["cold", "zzz"]) == index.rarity(["cold", "zzz"])


def test_an_index_of_another_generation_is_refused(index: LexicalIndex, tmp_path: Path) -> None:
    assert index.is_fresh(7) and not index.is_fresh(8)
    other = LexicalIndex(tmp_path / "lexical")
    assert other.is_fresh(7) and not other.is_fresh(8)
    for one in (index, other):
        with pytest.raises(StoreError, match=r"the lexical index in .* is behind; run: reasonir index"):
            one.scores("water", 8)
    with pytest.raises(StoreError, match="is behind"):
        LexicalIndex(tmp_path / "nowhere").scores("water", 7)


def test_a_new_build_takes_the_place_of_the_old(index: LexicalIndex, tmp_path: Path) -> None:
    index.build([("q1", "Ice floats.")], 8)
    for one in (index, LexicalIndex(tmp_path / "lexical")):
        assert one.scores("ice", 8).keys() == {"q1"}
        assert one.scores("water", 8) == {}
    assert [file.name for file in tmp_path.iterdir()] == ["lexical"]


@pytest.mark.parametrize("texts", [[], [("a", ""), ("b", "the of")]], ids=["nothing", "stop words alone"])
def test_a_corpus_without_words_is_indexed(index: LexicalIndex, tmp_path: Path, texts: list[tuple[str, str]]) -> None:
    index.build(texts, 8)
    for one in (index, LexicalIndex(tmp_path / "lexical")):
        assert one.scores("water", 8) == {}
        assert one.rarity(["water"]) == {"water": 1.0}


def test_nothing_is_pickled(index: LexicalIndex, tmp_path: Path) -> None:
    files = sorted((tmp_path / "lexical").iterdir())
    assert len(files) >= 4
    for file in files:
        if file.suffix == ".npy":
            np.load(file, allow_pickle=False)
        else:
            assert file.suffix in (".json", ".jsonl")


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"generation": null}', "{"])
def test_a_damaged_list_of_passages_is_behind(index: LexicalIndex, tmp_path: Path, content: str) -> None:
    (tmp_path / "lexical" / "passages.json").write_text(content)
    other = LexicalIndex(tmp_path / "lexical")
    assert not other.is_fresh(7)
    other.build(TEXTS.items(), 7)
    assert json.loads((tmp_path / "lexical" / "passages.json").read_text())["ids"] == list(TEXTS)


def test_a_damaged_index_is_an_error_with_its_remedy(index: LexicalIndex, tmp_path: Path) -> None:
    (tmp_path / "lexical" / "vocab.index.json").write_text("{")
    with pytest.raises(StoreError, match="delete that folder, it is rebuilt"):
        LexicalIndex(tmp_path / "lexical").scores("water", 7)


def test_the_rarity_of_a_word_is_that_of_its_passages(index: LexicalIndex) -> None:
    # 5 passages: "water" is in 2, "cold" in 1 (twice there), "zzz" in none
    assert index.rarity(["water", "cold", "zzz"]) == {
        "water": pytest.approx(math.log(1 + 5 / 3)),
        "cold": pytest.approx(math.log(1 + 5 / 2)),
        "zzz": pytest.approx(math.log(1 + 5 / 1)),
    }
