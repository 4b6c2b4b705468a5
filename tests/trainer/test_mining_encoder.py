"""Mining by an encoder: sentence-transformers' miner gives what a search over the whole corpus by hand gives."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest

from reasonir_agent.testing import FakeEncoder
from reasonir_trainer.mining import mine
from reasonir_trainer.mining.bm25 import WordRanks
from reasonir_trainer.mining.encoder import VectorRanks, document_vector, threshold
from reasonir_trainer.mining.ordering import best_first

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

pytestmark = pytest.mark.slow  # sentence-transformers is imported


class Angles(FakeEncoder):
    """Vectors by hand: "30" is the unit vector at 30 degrees."""

    def _encode(self, texts: Sequence[str]) -> FloatMatrix:
        angles = np.radians([float(text) for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


CORPUS = {"gold": "20", "near": "5", "equal": "21", "far": "60", "copy": "60", "further": "80", "gold 2": "30"}


def test_negatives_by_hand() -> None:
    (triplet,) = mine(
        CORPUS, {"q": "0"}, {"q": {"gold"}}, negatives=9, by="encoder", encoder=Angles(dim=2), margin=0.95
    )
    # cos 20 = .940, its share .95 is .893: "near" (.996), "equal" (.934) are above; "gold 2" is cos 30 = .866
    assert triplet.negative_ids == ["gold 2", "far", "further"]  # "copy" has the text of "far"
    assert triplet.ranks == [3, 4, 5]
    assert triplet.similarities == pytest.approx(np.cos(np.radians([30, 60, 80])), abs=1e-6)
    assert triplet.positive_similarity == pytest.approx(np.cos(np.radians(20)), abs=1e-6)


def test_of_several_positives_the_furthest_gives_the_bound_and_none_is_taken() -> None:
    found = list(mine(CORPUS, {"q": "0"}, {"q": {"gold", "gold 2"}}, negatives=9, by="encoder", encoder=Angles(dim=2)))
    assert [triplet.positive_id for triplet in found] == ["gold", "gold 2"]
    assert all(triplet.negative_ids == ["far", "further"] for triplet in found)
    assert [round(triplet.positive_similarity, 3) for triplet in found] == [0.94, 0.866]


def test_the_first_rank_counts_what_passes_the_threshold() -> None:
    (triplet,) = mine(CORPUS, {"q": "0"}, {"q": {"gold"}}, first_rank=2, by="encoder", encoder=Angles(dim=2))
    assert triplet.negative_ids == ["far"]


def test_no_bar_is_drawn(capfd: pytest.CaptureFixture[str]) -> None:
    list(mine(CORPUS, {"q": "0"}, {"q": {"gold"}}, by="encoder", encoder=Angles(dim=2)))
    shown = capfd.readouterr()
    assert shown.out == shown.err == ""


@pytest.mark.parametrize("margin", [0.2, 0.6, 1.0])
def test_the_miner_over_candidates_equals_a_search_over_the_whole_corpus(margin: float) -> None:
    draw = random.Random(3)
    words = [f"w{n}" for n in range(60)]
    texts = [" ".join(draw.choices(words, k=12)) for _ in range(900)]
    encoder = FakeEncoder(dim=32)
    ranks = VectorRanks(texts, encoder)
    for number in range(5):
        query, excluded = " ".join(draw.choices(words, k=6)), set(range(number * 7))
        positive = texts[500 + number]
        found = ranks.mine(query, [positive], negatives=7, margin=margin, first_rank=3, excluded=excluded)
        vector = encoder.encode_queries([query])[0]
        cosines = encoder.encode_documents(texts) @ vector
        bound = threshold(float(cosines[500 + number]), margin)
        allowed = [n for n in range(900) if n not in excluded and texts[n] != positive]
        wanted = sorted((n for n in allowed if cosines[n] <= bound), key=lambda n: -cosines[n])[2:9]
        assert wanted
        assert [one.number for one in found.negatives] == wanted
        assert [one.rank for one in found.negatives] == [
            1 + sum(cosines[m] > cosines[n] for m in allowed) for n in wanted
        ]


def test_the_order_is_that_of_a_full_stable_sort() -> None:
    draw = np.random.default_rng(0)
    scores = draw.integers(0, 40, 3000).astype(np.float32)  # many ties
    among = np.flatnonzero(scores > 0)
    assert list(best_first(scores, among)) == among[np.argsort(-scores[among], kind="stable")].tolist()


def test_bm25_over_a_corpus_ranks_only_what_shares_a_word() -> None:
    ranks = WordRanks(["ducks on ice", "ice", "bonds"])
    assert list(ranks.ranked("ice ducks")) == [0, 1]
    assert list(ranks.ranked("nothing")) == []
    assert list(WordRanks([""]).ranked("ice")) == []


def test_a_long_document_is_read_whole() -> None:
    encoder = FakeEncoder(dim=64, window=40)  # leaves 30
    short, long = "ice " * 20, "ice " * 60 + "ducks " * 60
    encoder.encoded.clear()
    vector = document_vector(encoder, long)
    assert max(encoder.count_tokens([text])[0] for text in encoder.encoded) <= 30
    assert sum(encoder.count_tokens(encoder.encoded)) == 120
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)
    assert np.array_equal(document_vector(encoder, short), encoder.encode_documents([short])[0])
    assert document_vector(encoder, "x" * 500).shape == (64,)


def test_the_bound_holds_for_negative_similarities_too() -> None:
    assert threshold(0.8, 0.95) == pytest.approx(0.76)
    assert threshold(-0.2, 0.95) == pytest.approx(-0.21)
