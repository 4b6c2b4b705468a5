"""BM25 by hand: three short documents, and what holds for all documents."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import bm25s
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasonir_agent.stores.bm25 import K1, B, Bm25, rarity
from tests.stores.formula import Formula

THREE = [
    ["ice", "ice", "water", "cold"],
    ["water", "steam"],
    ["duck", "duck", "duck", "ice", "feather", "feather"],
]  # 4, 2 and 6 words: 4 on average

VOCABULARY = ["ice", "water", "steam", "duck", "冷水"]
WORDS = st.lists(st.sampled_from(VOCABULARY), max_size=12)
DOCUMENTS = st.lists(WORDS, max_size=8)
QUERY = st.lists(st.sampled_from([*VOCABULARY, "unknown"]), max_size=12)
PARAMETERS = st.sampled_from([(0.9, 0.4), (1.5, 0.75), (1.2, 0.0), (2.0, 1.0)])


def plain(index: Bm25, *query: str) -> list[float]:
    return index.scores(index.query_weights(query)).tolist()


def weighted(index: Bm25, *query: str) -> list[float]:
    return index.scores(index.query_weights(query, weighted=True)).tolist()


def close(expected: Sequence[float]) -> object:
    return pytest.approx(list(expected), rel=1e-5, abs=1e-7)


class TestByHand:
    @pytest.fixture
    def index(self) -> Bm25:
        return Bm25.build(THREE)

    def test_the_parameters(self, index: Bm25) -> None:
        assert (K1, B) == (index.k1, index.b) == (0.9, 0.4)
        assert (index.size, index.mean_length) == (3, 4.0)

    def test_rarity(self, index: Bm25) -> None:
        assert index.rarity("steam") == rarity(1, 3) == pytest.approx(math.log(1 + 2.5 / 1.5))
        assert index.rarity("water") == rarity(2, 3) == pytest.approx(math.log(1 + 1.5 / 2.5))
        assert index.rarity("unknown") is None
        assert index.holders("ice").tolist() == [0, 2] and index.holders("ice").dtype.kind == "i"
        assert index.holders("unknown").tolist() == []

    def test_a_plain_query(self, index: Bm25) -> None:
        two, one = math.log(1 + 1.5 / 2.5), math.log(1 + 2.5 / 1.5)  # in two documents, in one
        # 0.9 * (0.6 + 0.4 * length / 4) is 0.9 for 4 words, 0.72 for 2, 1.08 for 6
        assert plain(index, "ice") == close([two * 2 / 2.9, 0, two * 1 / 2.08])
        assert plain(index, "duck", "steam") == close([0, one * 1 / 1.72, one * 3 / 4.08])

    def test_a_weighted_query(self, index: Bm25) -> None:
        two, one = math.log(1 + 1.5 / 2.5), math.log(1 + 2.5 / 1.5)
        # of its own 5 words: 0.9 * (0.6 + 0.4 * 5 / 4) = 0.99; unknown words are counted in the length
        query = ["ice", "duck", "duck", "unknown", "strange"]
        ice, duck = two * 1 / 1.99, one * 2 / 2.99
        weights = index.query_weights(query, weighted=True)
        assert weights == {"ice": pytest.approx(ice), "duck": pytest.approx(duck)}
        assert index.scores(weights).tolist() == close(
            [ice * two * 2 / 2.9, 0, ice * two * 1 / 2.08 + duck * one * 3 / 4.08]
        )

    def test_the_most_is_what_all_terms_without_end_would_count(self, index: Bm25) -> None:
        two, one = math.log(1 + 1.5 / 2.5), math.log(1 + 2.5 / 1.5)
        assert index.most(index.query_weights(["ice", "ice", "duck", "unknown"])) == pytest.approx(2 * two + one)
        ice, duck = two * 2 / 2.9, one * 1 / 1.9  # 4 words
        query = index.query_weights(["ice", "ice", "duck", "unknown"], weighted=True)
        assert index.most(query) == pytest.approx(ice * two + duck * one)
        assert index.most({"unknown": 7.0}) == index.most({}) == 0

    def test_rare_words_count_twice_over_in_the_weighted_form(self, index: Bm25) -> None:
        by_plain, by_weight = (
            index.query_weights(["steam", "ice"]),
            index.query_weights(["steam", "ice"], weighted=True),
        )
        assert by_plain == {"steam": 1.0, "ice": 1.0}
        assert by_weight["steam"] / by_weight["ice"] == pytest.approx(rarity(1, 3) / rarity(2, 3))

    def test_a_repeated_word_counts_linearly_in_the_plain_form_and_saturates_in_the_weighted(self, index: Bm25) -> None:
        times = [1, 2, 4, 8, 1000]
        linear = [plain(index, *["duck"] * n)[2] for n in times]
        assert linear == close([n * linear[0] for n in times])
        # the length grows with the repetitions: n / (n + 0.9 * (0.6 + 0.1 * n)), which never reaches 1 / 1.09
        bounded = [weighted(index, *["duck"] * n)[2] for n in times]
        end = rarity(1, 3) * linear[0] / 1.09
        assert bounded == close([rarity(1, 3) * linear[0] * n / (n + 0.9 * (0.6 + 0.1 * n)) for n in times])
        assert bounded == sorted(bounded) and bounded[-1] < end and bounded[-1] == pytest.approx(end, rel=1e-3)
        other = [weighted(index, "steam", *["duck"] * n)[1] for n in times]
        assert other == sorted(other, reverse=True)  # the other words of a longer query count less

    def test_the_order_of_a_query_says_nothing(self, index: Bm25) -> None:
        assert plain(index, "ice", "duck", "ice") == plain(index, "ice", "ice", "duck")
        assert weighted(index, "ice", "duck", "ice") == weighted(index, "ice", "ice", "duck")

    @pytest.mark.parametrize("query", [[], ["unknown"], [""], ["unknown", ""]])
    def test_unknown_words_find_nothing(self, index: Bm25, query: list[str]) -> None:
        """bm25s would keep a place for the empty word, and none behind it."""
        assert plain(index, *query) == weighted(index, *query) == [0, 0, 0]
        assert index.query_weights(query, weighted=True) == {}
        assert index.most(index.query_weights(query)) == 0
        assert [index.rarity(term) for term in query] == [None] * len(query)

    def test_unknown_words_beside_known_ones_add_nothing_to_a_plain_query(self, index: Bm25) -> None:
        assert plain(index, "ice", "unknown") == plain(index, "ice")
        assert 0 < weighted(index, "ice", "unknown")[0] < weighted(index, "ice")[0]  # they make the query longer

    def test_a_text_beside_the_index_is_weighted_as_one_in_it(self, index: Bm25) -> None:
        duck = index.rarity("duck")
        assert duck is not None
        assert plain(index, "duck")[2] == pytest.approx(index.weight(3, 6, duck))
        assert index.weight(0, 6, duck) == 0

    def test_scores_are_float32(self, index: Bm25) -> None:
        found = index.scores(index.query_weights(["ice"]))
        assert found.dtype == np.float32 and found.shape == (3,)


class TestWithoutWords:
    @pytest.mark.parametrize("documents", [[], [[]], [[], [], []]])
    def test_nothing_is_found_and_nothing_fails(self, documents: list[list[str]]) -> None:
        index = Bm25.build(documents)
        assert (index.index, index.size, index.mean_length) == (None, len(documents), 0)
        for query in ([], ["ice"], ["ice", "ice", ""]):
            assert plain(index, *query) == weighted(index, *query) == [0.0] * len(documents)
            assert index.most(index.query_weights(query)) == 0
        assert index.rarity("ice") is None and len(index.holders("ice")) == 0

    def test_a_text_beside_it_is_taken_for_one_of_mean_length(self) -> None:
        assert Bm25.build([[]]).weight(2, 7, 1.0) == pytest.approx(2 / 2.9)
        assert Bm25.build([]).weight(0, 0, 1.0) == 0

    def test_nothing_is_saved(self, tmp_path: Path) -> None:
        Bm25.build([[], []]).save(tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_a_document_without_words_counts_as_one(self) -> None:
        documents = [["ice"], [], ["ice", "water", "water"]]
        index, formula = Bm25.build(documents), Formula(documents)
        assert index.mean_length == pytest.approx(4 / 3)
        assert plain(index, "ice", "water") == close(formula.plain(["ice", "water"]))


class TestForAllDocuments:
    @settings(deadline=None, max_examples=150)
    @given(DOCUMENTS, QUERY, PARAMETERS)
    def test_both_forms_are_the_formula(
        self, documents: list[list[str]], query: list[str], parameters: tuple[float, float]
    ) -> None:
        k1, b = parameters
        index, formula = Bm25.build(documents, k1=k1, b=b), Formula(documents, k1, b)
        assert plain(index, *query) == close(formula.plain(query))
        assert weighted(index, *query) == close(formula.weighted(query))
        assert index.most(index.query_weights(query, weighted=True)) == pytest.approx(formula.most(query))

    @settings(deadline=None, max_examples=100)
    @given(DOCUMENTS.filter(any), QUERY.filter(bool), PARAMETERS)
    def test_the_plain_form_is_that_of_bm25s(
        self, documents: list[list[str]], query: list[str], parameters: tuple[float, float]
    ) -> None:
        k1, b = parameters
        reference = bm25s.BM25(k1=k1, b=b, method="lucene")
        reference.index(documents, show_progress=False)
        assert plain(Bm25.build(documents, k1=k1, b=b), *query) == close(reference.get_scores(query).tolist())

    @settings(deadline=None, max_examples=150)
    @given(DOCUMENTS, QUERY, st.booleans(), PARAMETERS, st.sampled_from([1, 1, 100]))
    def test_the_most_is_never_exceeded(
        self, documents: list[list[str]], query: list[str], full: bool, parameters: tuple[float, float], times: int
    ) -> None:
        """Not even by a document that repeats the query many times."""
        k1, b = parameters
        index = Bm25.build([*documents, query * times], k1=k1, b=b)
        weights = index.query_weights(query, weighted=full)
        most, found = index.most(weights), index.scores(weights)
        assert (found <= most * (1 + 1e-6)).all()
        known = [term for term in query if index.rarity(term)]
        assert (most > 0) == (found[-1] > 0) == bool(known)

    @settings(deadline=None, max_examples=50)
    @given(st.integers(1, 6), st.integers(1, 200))
    def test_the_most_is_come_near_to(self, different: int, times: int) -> None:
        """The guard: it is no loose bound. A document of the query's words alone, n times each, has n / (n + k1)."""
        query = [f"w{n}" for n in range(different)]
        index = Bm25.build([query * times])
        weights = index.query_weights(query, weighted=True)
        share = index.scores(weights)[0] / index.most(weights)
        assert share == pytest.approx(times / (times + 0.9), rel=1e-4)


class TestSaving:
    @pytest.mark.parametrize("parameters", [{}, {"k1": 1.5, "b": 0.75}])
    def test_what_is_opened_again_is_the_same(self, tmp_path: Path, parameters: dict[str, float]) -> None:
        made = Bm25.build([*THREE, []], **parameters)
        made.save(tmp_path)
        opened = Bm25.load(tmp_path, size=made.size, mean_length=made.mean_length)
        assert (opened.size, opened.mean_length, opened.k1, opened.b) == (4, 3.0, made.k1, made.b)
        for query in (["ice"], ["duck", "ice", "duck", "unknown"], ["", "unknown"], []):
            assert plain(opened, *query) == plain(made, *query)
            assert weighted(opened, *query) == weighted(made, *query)
            assert opened.most(opened.query_weights(query)) == made.most(made.query_weights(query))
        assert isinstance(opened.index.scores["data"].base, np.memmap)

    def test_what_is_saved_is_numbers_and_json(self, tmp_path: Path) -> None:
        Bm25.build(THREE).save(tmp_path)
        names = sorted(file.name for file in tmp_path.iterdir())
        assert len(names) == 5
        for name in names:
            if name.endswith(".json"):
                json.loads((tmp_path / name).read_text("utf-8"))
            else:
                np.load(tmp_path / name, allow_pickle=False)

    def test_words_of_any_script_are_kept(self, tmp_path: Path) -> None:
        made = Bm25.build([["冷水", "naïve"], ["हिन्दी", "\U00020000"]])
        made.save(tmp_path)
        opened = Bm25.load(tmp_path, size=2, mean_length=2.0)
        for term in ("冷水", "naïve", "हिन्दी", "\U00020000"):
            assert plain(opened, term) == plain(made, term) != [0, 0]
