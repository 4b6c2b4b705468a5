"""Several forms of a question, each with its weight, in our own store and over somebody else's index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasonir_agent.corpus import Corpus
from reasonir_agent.errors import InputError
from reasonir_agent.stores.borrowed import BorrowedCorpus
from reasonir_agent.stores.fusion import Forms, shares
from reasonir_agent.stores.listed import ListedWords
from reasonir_agent.testing import FakeEncoder
from reasonir_agent.types import Hit, Passage
from tests.stores.conftest import TEXTS, Stores

FORMS = ["ice cold ducks", "pressure of steam", "bread and banks"]
WRONG: list[Any] = [
    [1.0],
    [1.0, 1.0, 1.0, 1.0],
    [],
    [0, 0, 0],
    [1, -0.1, 1],
    [1, float("nan"), 1],
    [1, float("inf"), 1],
    [[1, 1, 1]],
    ["much", "little", "none"],
    [1, None, 1],
]

Find = Callable[..., list[Hit]]


@pytest.fixture(params=["store", "corpus", "borrowed", "borrowed without a list"])
def find(request: pytest.FixtureRequest, stores: Stores, encoder: FakeEncoder) -> Find:
    """(forms, weights, rewritten) -> the best eight hits."""
    store = stores.made(TEXTS)
    if request.param == "store":
        return lambda forms, weights=None, rewritten=False: store.search(
            forms, encoder.encode_queries(forms), 8, fusion="half" if rewritten else "evidence", weights=weights
        )
    if request.param == "corpus":
        corpus = Corpus(store.folder, encoder)
        request.addfinalizer(corpus.close)
        return lambda forms, weights=None, rewritten=False: corpus.find(forms, 8, rewritten=rewritten, weights=weights)
    passages = [passage for _, passage in store.database.all_passages()]
    rows = encoder.encode_documents([passage.encoded_text for passage in passages])

    def nearest(vector: Any, k: int) -> list[tuple[Passage, float | None]]:
        cosines = rows @ vector
        return [(passages[place], float(cosines[place])) for place in np.argsort(-cosines, kind="stable")[:k]]

    listed = passages if request.param == "borrowed" else None
    borrowed = BorrowedCorpus(encoder, nearest, name="the index", passages=listed)
    return lambda forms, weights=None, rewritten=False: borrowed.find(forms, 8, rewritten=rewritten, weights=weights)


def assert_same(found: Sequence[Hit], expected: Sequence[Hit]) -> None:
    assert [hit.passage.id for hit in found] == [hit.passage.id for hit in expected]
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.dense_score == pytest.approx(theirs.dense_score, abs=1e-6)
        assert mine.lexical_score == pytest.approx(theirs.lexical_score, abs=1e-5)
        assert mine.final_score == pytest.approx(theirs.final_score, abs=1e-5)


@pytest.mark.parametrize("rewritten", [False, True])
def test_a_form_that_has_all_the_weight_is_searched_alone(find: Find, rewritten: bool) -> None:
    for place, form in enumerate(FORMS):
        weights = [0.0, 0.0, 0.0]
        weights[place] = 7.0
        assert_same(find(FORMS, weights, rewritten), find([form], None, rewritten))


@pytest.mark.parametrize("rewritten", [False, True])
def test_equal_weights_are_no_weights_and_only_their_proportion_counts(find: Find, rewritten: bool) -> None:
    plain = find(FORMS, None, rewritten)
    assert find(FORMS, [3, 3, 3], rewritten) == plain
    assert_same(find(FORMS, [0.2, 0.2, 0.6], rewritten), find(FORMS, [1, 1, 3], rewritten))
    assert [hit.passage.id for hit in find(FORMS, [1, 1, 30], rewritten)] != [hit.passage.id for hit in plain]


def test_both_kinds_of_scores_are_weighted_means_of_those_of_the_forms(find: Find, encoder: FakeEncoder) -> None:
    hits = find(FORMS[:2], [1, 3], True)
    queries = encoder.encode_queries(FORMS[:2])
    for hit in hits:
        cosines = queries @ encoder.encode_documents([hit.passage.encoded_text])[0]
        assert hit.dense_score == pytest.approx(0.25 * cosines[0] + 0.75 * cosines[1], abs=1e-6)
    alone = [{hit.passage.id: hit.lexical_score for hit in find([form], None, True)} for form in FORMS[:2]]
    both = [hit for hit in hits if all(hit.passage.id in one for one in alone) and hit.lexical_score is not None]
    for hit in both:
        first, second = (one[hit.passage.id] or 0.0 for one in alone)
        assert hit.lexical_score == pytest.approx(0.25 * first + 0.75 * second, abs=1e-5)


@pytest.mark.parametrize("weights", WRONG)
def test_weights_that_do_not_fit_are_refused(find: Find, weights: Any) -> None:
    with pytest.raises(InputError, match="expected 3 weights of 0 or more, at least one above 0; got"):
        find(FORMS, weights)


def test_a_passage_that_was_not_listed_is_weighted_too() -> None:
    texts = ["ice and steam", "ice", "bread"]
    passages = [Passage.make(str(n), 0, len(text), text) for n, text in enumerate(texts)]
    words = ListedWords(passages[:2])
    apart = [words.score(Forms([form], shares(None, 1)), passages[0]) for form in ("ice", "steam")]
    together = words.score(Forms(["ice", "steam"], shares([3, 1], 2)), passages[0])
    assert together == pytest.approx(0.75 * apart[0] + 0.25 * apart[1])
    scores, most = words.scores(Forms(["ice", "steam"], shares([3, 1], 2)))
    assert scores[0] == pytest.approx(together)
    assert most > 0


def test_shares_by_hand() -> None:
    assert shares(None, 4).tolist() == [0.25] * 4
    assert shares([1, 3], 2).tolist() == [0.25, 0.75]
    assert shares([0, 1e-300], 2).tolist() == [0.0, 1.0]
    assert shares([1e308, 1e308], 2).tolist() == [0.5, 0.5]


@given(st.lists(st.floats(0, allow_infinity=False), min_size=1, max_size=8))
def test_shares_add_up_to_one(weights: list[float]) -> None:
    if not any(weights):
        with pytest.raises(InputError):
            shares(weights, len(weights))
        return
    found = shares(weights, len(weights))
    assert found.dtype == np.float32
    assert found.sum() == pytest.approx(1, abs=1e-5)
    assert (found >= 0).all()
