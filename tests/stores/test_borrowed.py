"""`BorrowedCorpus` over an index of a few lines, with and without each of the functions that an adapter may give."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from reasonir_agent.errors import InputError, MissingExtra, StoreError
from reasonir_agent.stores import borrowed, listed, passage_list
from reasonir_agent.stores.borrowed import UNKNOWN_SIZE, BorrowedCorpus
from reasonir_agent.testing import FakeEncoder
from reasonir_agent.types import Passage, PassageSource
from tests.stores.conftest import TEXTS, Stores

QUESTION = "What do ducks do about cold water?"


class Index:
    """Passages and their vectors in a list; counts how it is used."""

    def __init__(self, passages: Sequence[Passage], encoder: FakeEncoder) -> None:
        self.passages = {passage.id: passage for passage in passages}
        rows = encoder.encode_documents([passage.encoded_text for passage in passages])
        self.rows = dict(zip(self.passages, rows, strict=True))
        self.listed = 0

    def nearest(self, vector: Any, k: int) -> list[tuple[Passage, float | None]]:
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
        cosines = {one: float(row @ vector) for one, row in self.rows.items()}
        best = sorted(cosines, key=lambda one: -cosines[one])[:k]
        return [(self.passages[one], cosines[one]) for one in best]

    def unscored(self, vector: Any, k: int) -> list[tuple[Passage, float | None]]:
        return [(passage, None) for passage, _ in self.nearest(vector, k)]

    def fetch(self, ids: Sequence[str]) -> list[Passage]:
        return [self.passages[one] for one in ids if one in self.passages]

    def vectors(self, ids: Sequence[str]) -> dict[str, Any]:
        return {one: self.rows[one].astype(np.float64) for one in ids if one in self.rows}

    def list(self) -> list[Passage]:
        self.listed += 1
        return list(self.passages.values())


@pytest.fixture
def passages() -> list[Passage]:
    return [Passage.make(source, 0, len(text), text) for source, text in TEXTS.items()]


@pytest.fixture
def index(passages: list[Passage], encoder: FakeEncoder) -> Index:
    return Index(passages, encoder)


def options(index: Index, known: str) -> dict[str, Any]:
    """What an adapter gives, by how much its index can tell."""
    return {
        "everything": {"fetch": index.fetch, "vectors": index.vectors, "passages": index.list, "size": len(TEXTS)},
        "a list alone": {"passages": index.list},
        "given passages": {"passages": list(index.passages.values())},
        "a sample": {"passages": index.list, "sample": lambda: np.stack(list(index.rows.values()))},
    }[known]


@pytest.mark.parametrize("known", ["everything", "a list alone", "given passages", "a sample"])
@pytest.mark.parametrize("scored", [True, False])
@pytest.mark.parametrize("fusion", ["evidence", "half"])
def test_the_order_and_the_scores_are_those_of_a_store_of_our_own(
    index: Index,
    encoder: FakeEncoder,
    stores: Stores,
    monkeypatch: pytest.MonkeyPatch,
    known: str,
    scored: bool,
    fusion: Any,
) -> None:
    monkeypatch.setattr("reasonir_agent.stores.store.CANDIDATES", 7)
    monkeypatch.setattr(borrowed, "CANDIDATES", 7)
    queries = [QUESTION, "feathers and ice"]
    vectors = encoder.encode_queries(queries)
    expected = stores.made(TEXTS).search(queries, vectors, 5, fusion=fusion)
    nearest = index.nearest if scored else index.unscored
    corpus = BorrowedCorpus(encoder, nearest, name="the index", **options(index, known))
    found = corpus.find(queries, 5, rewritten=fusion == "half")
    assert [hit.passage for hit in found] == [hit.passage for hit in expected]
    for mine, theirs in zip(found, expected, strict=True):
        assert (mine.dense_score, mine.lexical_score, mine.final_score) == pytest.approx(
            (theirs.dense_score, theirs.lexical_score, theirs.final_score), abs=1e-5
        )
    by_words = {hit.passage.id for hit in found} - {one.id for one, _ in index.nearest(vectors[0], 7)}
    assert by_words or fusion == "half"  # some were found by their words alone


def test_a_language_that_the_encoder_does_not_know_leans_on_words(encoder: FakeEncoder) -> None:
    texts = ["утки на льду", "хлеб и соль", "мороз на крыше"]
    index = Index([Passage.make(f"{n}", 0, len(text), text) for n, text in enumerate(texts)], encoder)
    hits = BorrowedCorpus(encoder, index.nearest, name="the index", passages=index.list).find(["хлеб duck"], 3)
    assert hits[0].passage.text == "хлеб и соль"
    cosines = np.array([hit.dense_score for hit in hits])
    scaled = (cosines - cosines.min()) / (cosines.max() - cosines.min())
    words = np.array([hit.lexical_score for hit in hits]) / hits[0].lexical_score
    assert [hit.final_score for hit in hits] == pytest.approx((0.15 * scaled + 0.85 * words).tolist(), abs=1e-5)


class TestWithoutAList:
    def test_only_meaning_decides(self, index: Index, encoder: FakeEncoder) -> None:
        corpus = BorrowedCorpus(encoder, index.nearest, name="the index")
        hits = corpus.find([QUESTION], 4)
        assert [(hit.lexical_score, hit.final_score - hit.dense_score) for hit in hits] == [(None, 0)] * 4
        assert [hit.passage for hit in hits] == [
            one for one, _ in index.nearest(encoder.encode_queries([QUESTION])[0], 4)
        ]

    def test_it_is_a_source_of_passages(self, index: Index, encoder: FakeEncoder) -> None:
        corpus = BorrowedCorpus(encoder, index.nearest, name="the index", fetch=index.fetch)
        assert isinstance(corpus, PassageSource)
        assert corpus.size == UNKNOWN_SIZE
        assert corpus.rarity(["duck"]) == {"duck": 1.0}
        (one, *_) = index.passages
        assert corpus.passages([one, "nobody"]) == {one: index.passages[one]}


class TestTheList:
    def test_it_is_read_once_and_again_when_the_size_changes(
        self, index: Index, encoder: FakeEncoder, passages: list[Passage]
    ) -> None:
        corpus = BorrowedCorpus(
            encoder, index.nearest, name="the index", passages=index.list, size=lambda: len(index.passages)
        )
        for _ in range(3):
            corpus.find([QUESTION], 3)
        assert index.listed == 1
        del index.passages[passages[0].id], index.rows[passages[0].id]
        corpus.find([QUESTION], 3)
        assert (index.listed, corpus.size) == (2, len(TEXTS) - 1)

    def test_a_list_that_never_agrees_is_not_read_for_every_question(
        self, index: Index, encoder: FakeEncoder, passages: list[Passage]
    ) -> None:
        reads: list[int] = []

        def some() -> list[Passage]:
            reads.append(1)
            return passages[10:]

        corpus = BorrowedCorpus(encoder, index.nearest, name="the index", passages=some)
        for _ in range(4):
            assert len(corpus.find([QUESTION], len(TEXTS))) == len(TEXTS)
        assert len(reads) == 2

    def test_a_passage_that_is_not_listed_has_its_words_counted_all_the_same(
        self, index: Index, encoder: FakeEncoder, passages: list[Passage]
    ) -> None:
        some = [one for one in passages if "ducks and cold" not in one.text]
        hits = BorrowedCorpus(encoder, index.nearest, name="the index", passages=some).find([QUESTION], len(TEXTS))
        (found,) = [hit for hit in hits if "ducks and cold" in hit.passage.text]
        assert found.lexical_score and found.lexical_score > 0

    def test_without_the_packages_for_words_meaning_decides_and_the_command_is_told(
        self, index: Index, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def missing(_: str) -> list[str]:
            raise MissingExtra("search by words needs 'Stemmer'; run: pip install 'reasonir-agent[agent]'")

        monkeypatch.setattr(listed, "words", missing)
        corpus = BorrowedCorpus(encoder, index.nearest, name="the index", passages=index.list)
        with pytest.warns(UserWarning, match="the index is searched by meaning alone: .* pip install"):
            assert corpus.find([QUESTION], 3)[0].lexical_score is None
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            corpus.find([QUESTION], 3)

    def test_it_is_bounded_where_nobody_counts(
        self, index: Index, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(passage_list, "MOST_LISTED", 20)
        corpus = BorrowedCorpus(encoder, index.nearest, name="the index", passages=index.list)
        with pytest.warns(
            UserWarning, match="up to 20 passages and 200,000,000 characters, and it holds more; a store"
        ):
            corpus.find([QUESTION], 3)
        corpus.find([QUESTION], 3)
        assert index.listed == 1


class TestCosines:
    def test_what_is_not_reported_is_encoded_once(self, index: Index, encoder: FakeEncoder) -> None:
        corpus = BorrowedCorpus(encoder, index.unscored, name="the index")
        encoder.encoded.clear()
        for _ in range(3):
            corpus.find([QUESTION], 6)
        assert len(encoder.encoded) == 6

    def test_one_wrong_cosine_among_the_first_five_is_enough_not_to_believe_them(
        self, index: Index, encoder: FakeEncoder
    ) -> None:
        def distances(vector: Any, k: int) -> list[tuple[Passage, float | None]]:
            return [
                (one, 1 - cosine if place == 2 else cosine)
                for place, (one, cosine) in enumerate(index.nearest(vector, k))
            ]

        corpus = BorrowedCorpus(encoder, distances, name="the index")
        with pytest.warns(UserWarning, match=r"reports other cosines .* \(1 of 5 passages\), and passages are encoded"):
            hits = corpus.find([QUESTION], 8)
        query = encoder.encode_queries([QUESTION])[0]
        for hit in hits:
            own = float(encoder.encode_documents([hit.passage.text])[0] @ query)
            assert hit.dense_score == pytest.approx(own, abs=1e-6)

    @pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
    def test_what_is_no_number_is_not_believed(self, index: Index, encoder: FakeEncoder, wrong: float) -> None:
        def broken(vector: Any, k: int) -> list[tuple[Passage, float | None]]:
            return [(one, wrong) for one, _ in index.nearest(vector, k)]

        with pytest.warns(UserWarning, match="reports other cosines"):
            hits = BorrowedCorpus(encoder, broken, name="the index", passages=index.list).find([QUESTION], 3)
        assert all(np.isfinite(hit.final_score) for hit in hits)


class TestFailures:
    def test_an_index_that_fails_is_told_in_one_sentence_without_its_secrets(self, encoder: FakeEncoder) -> None:
        def fails(*_: Any) -> Any:
            raise RuntimeError("refused: api_key=abcdef123\nat line 7")

        sentence = r"the index could not be searched with a vector of 64 numbers .*\[secret\]\)$"
        with pytest.raises(StoreError, match=sentence):
            BorrowedCorpus(encoder, fails, name="the index").find([QUESTION], 3)
        with pytest.raises(StoreError, match="listing the index failed: RuntimeError: refused"):
            BorrowedCorpus(encoder, fails, name="the index", passages=fails).find([QUESTION], 3)
        with pytest.raises(StoreError, match="reading the index failed"):
            BorrowedCorpus(encoder, fails, name="the index", fetch=fails).passages(["a"])
        with pytest.raises(StoreError, match="counting the index failed"):
            _ = BorrowedCorpus(encoder, fails, name="the index", size=fails).size

    @pytest.mark.parametrize(("queries", "k"), [([], 3), (["a", ""], 3), (["a"], 0)])
    def test_wrong_arguments(self, index: Index, encoder: FakeEncoder, queries: list[str], k: int) -> None:
        with pytest.raises(InputError):
            BorrowedCorpus(encoder, index.nearest, name="the index").find(queries, k)

    def test_blank_and_repeated_passages_are_left_out(self, encoder: FakeEncoder) -> None:
        given = [Passage("a", "s", 0, 4, "duck"), Passage("b", "s", 0, 1, " "), Passage("a", "s", 0, 4, "duck")]
        corpus = BorrowedCorpus(encoder, lambda *_: [(one, None) for one in given], name="the index", passages=given)
        assert [hit.passage.id for hit in corpus.find(["duck"], 5)] == ["a"]
