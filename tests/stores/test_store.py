"""The store as a whole: what is found, by which road, and that every number can be computed by hand."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from reasonir_agent.corpus import Corpus
from reasonir_agent.errors import StoreError
from reasonir_agent.stores import store as store_module
from reasonir_agent.stores.chroma import ChromaIndex
from reasonir_agent.stores.fusion import fuse
from reasonir_agent.stores.lexical import LexicalIndex, words
from reasonir_agent.stores.store import LEXICAL_WEIGHT, LEXICAL_WEIGHT_FOREIGN, Store
from reasonir_agent.testing import FakeEncoder, write_corpus
from reasonir_agent.types import Hit

TEXTS = {f"{n:02}.txt": f"Passage {n} about {topic} and {other}." for n, (topic, other) in enumerate(
    (topic, other)
    for topic in ("water", "ice", "steam", "ducks", "mirrors")
    for other in ("heat", "cold", "pressure", "feathers", "banks", "queues", "locks", "bread")
)}  # fmt: skip


@pytest.fixture
def corpus(tmp_path: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Corpus]:
    (tmp_path / "files").mkdir()
    monkeypatch.chdir(tmp_path / "files")
    write_corpus(Path(), TEXTS)
    with Corpus(tmp_path / "store", encoder, create=True) as opened:
        opened.index(["."])
        yield opened


@pytest.fixture
def reopened(corpus: Corpus) -> Iterator[Callable[[], Store]]:
    """The same store, opened again with nothing in memory."""
    corpus.close()
    stores: list[Store] = []

    def again() -> Store:
        for one in stores:
            one.close()
        stores.append(Store(corpus.store.folder, FakeEncoder()))
        return stores[-1]

    yield again
    for one in stores:
        one.close()


def find(store: Store, *queries: str, k: int = 8, weight: float | None = None) -> list[Hit]:
    return store.search(queries, FakeEncoder().encode_queries(queries), k, lexical_weight=weight)


def sources(hits: list[Hit]) -> list[str]:
    return [hit.passage.source for hit in hits]


@pytest.mark.parametrize("weight", [None, 0.0, 0.3, 1.0])
def test_every_score_and_the_order_can_be_computed_by_hand(corpus: Corpus, weight: float | None) -> None:
    query, encoder = "ice and cold water feathers", FakeEncoder()
    vector = encoder.encode_queries([query])[0]
    by_text = {text: float(encoder.encode_documents([text])[0] @ vector) for text in TEXTS.values()}
    lexical = LexicalIndex(corpus.store.folder / "lexical").scores(query, corpus.store.database.generation)
    hits = find(corpus.store, query, k=40, weight=weight)
    assert len(hits) == 40
    for hit in hits:
        assert hit.dense_score == pytest.approx(by_text[hit.passage.text], abs=1e-6)
        assert hit.lexical_score == lexical.get(hit.passage.id, 0.0)
        assert (hit.lexical_score > 0) == bool(set(words(query)) & set(words(hit.passage.text)))
        assert hit.reranker_score is None
    cosines = {hit.passage.id: hit.dense_score for hit in hits}
    expected = fuse(cosines, lexical, lexical_weight=LEXICAL_WEIGHT if weight is None else weight)
    assert [(hit.passage.id, hit.final_score) for hit in hits] == expected
    if weight == 0:
        assert [hit.dense_score for hit in hits] == sorted((hit.dense_score for hit in hits), reverse=True)


def test_fewer_hits_are_the_beginning_of_more(corpus: Corpus) -> None:
    everything = find(corpus.store, "cold ice", k=40)
    for k in (1, 2, 7, 39):
        assert find(corpus.store, "cold ice", k=k) == everything[:k]


def test_several_queries_are_averaged(corpus: Corpus) -> None:
    queries = ["ice and cold", "ducks and feathers", "steam"]
    vectors = FakeEncoder().encode_queries(queries)
    stored = corpus.store.vectors(corpus.store.database.passage_ids())
    alone = [{hit.passage.id: hit for hit in find(corpus.store, one, k=40)} for one in queries]
    hits = find(corpus.store, *queries, k=40)
    for hit in hits:
        one = hit.passage.id
        assert hit.dense_score == pytest.approx(float(np.mean(vectors @ stored[one])), abs=1e-6)
        assert hit.lexical_score == pytest.approx(sum(some[one].lexical_score or 0 for some in alone) / 3, rel=1e-6)
    assert find(corpus.store, *reversed(queries), k=40)[0].passage == hits[0].passage


def test_a_query_said_twice_changes_nothing(corpus: Corpus) -> None:
    once, twice = find(corpus.store, "cold ice"), find(corpus.store, "cold ice", "cold ice")
    assert sources(once) == sources(twice)
    assert [hit.dense_score for hit in twice] == pytest.approx([hit.dense_score for hit in once], abs=1e-6)


def test_words_weigh_more_where_the_encoder_does_not_know_the_language(corpus: Corpus) -> None:
    corpus.store.database.set_meta("foreign", True)
    assert corpus.store.is_foreign
    assert find(corpus.store, "cold ice") == find(corpus.store, "cold ice", weight=LEXICAL_WEIGHT_FOREIGN)
    corpus.store.database.set_meta("foreign", False)
    assert find(corpus.store, "cold ice") == find(corpus.store, "cold ice", weight=LEXICAL_WEIGHT)
    assert find(corpus.store, "cold ice", weight=0.85) != find(corpus.store, "cold ice", weight=0.5)


def test_words_and_vectors_each_bring_candidates(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "CANDIDATES", 1)
    vector = FakeEncoder().encode_queries(["ice cold"])  # points elsewhere than the words
    ((nearest, _),) = corpus.store.nearest(vector, 1)
    assert sources(corpus.store.search(["bread"], vector, 1, lexical_weight=0)) == ["09.txt"]
    (by_words,) = corpus.store.search(["bread"], vector, 1, lexical_weight=1)
    assert "bread" in by_words.passage.text
    assert by_words.passage.id != nearest


def test_vectors_are_given_by_id(corpus: Corpus) -> None:
    ids = corpus.store.database.passage_ids()[:3]
    found = corpus.store.vectors([*ids, "unknown"])
    assert found.keys() == set(ids)
    for one, passage in corpus.store.passages(ids).items():
        np.testing.assert_array_equal(found[one], FakeEncoder().encode_documents([passage.text])[0])


def test_nearest_is_the_exact_order_of_cosines(corpus: Corpus) -> None:
    vector = FakeEncoder().encode_queries(["ducks and locks"])
    stored = corpus.store.vectors(corpus.store.database.passage_ids())
    expected = sorted(((one, float(row @ vector[0])) for one, row in stored.items()), key=lambda p: (-p[1], p[0]))
    found = corpus.store.nearest(vector, 12)
    assert [one for one, _ in found] == [one for one, _ in expected[:12]]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected[:12]], abs=1e-6)


def test_exact_search_sees_every_change(corpus: Corpus) -> None:
    vector = FakeEncoder().encode_queries(["ice cold"])
    ((before, _),) = corpus.store.nearest(vector, 1)
    Path("09.txt").unlink()
    write_corpus(Path(), {"new.txt": "Ice, cold."})
    corpus.index(["."])
    ((after, _),) = corpus.store.nearest(vector, 1)
    assert corpus.store.passages([before, after])[after].source == "new.txt"
    assert before not in dict(corpus.store.nearest(vector, 100))


def test_rarity_is_counted_over_the_passages(corpus: Corpus) -> None:
    assert corpus.store.rarity(["ducks", "unknown"]) == {
        "ducks": pytest.approx(math.log(1 + 40 / 9)),
        "unknown": pytest.approx(math.log(1 + 40)),
    }


def test_rarity_does_not_need_a_search_before(reopened: Callable[[], Store]) -> None:
    assert reopened().rarity(["ducks"]) == {"ducks": pytest.approx(math.log(1 + 40 / 9))}


class TestChromaForCandidates:
    @pytest.fixture(autouse=True)
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Every search that Chroma answers is noted."""
        asked: list[str] = []
        search = ChromaIndex.search

        def noted(index: ChromaIndex, vector: np.ndarray, k: int) -> list[tuple[str, float]]:
            asked.append("chroma")
            return search(index, vector, k)

        monkeypatch.setattr(ChromaIndex, "search", noted)
        return asked

    @pytest.fixture
    def large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every store is too large for exact search."""
        monkeypatch.setattr(store_module, "EXACT_BYTES", 0)

    def test_a_small_store_is_searched_exactly(self, reopened: Callable[[], Store], asked: list[str]) -> None:
        assert sources(find(reopened(), "ice cold"))[0] == "09.txt"
        assert asked == []

    def test_it_gives_the_same_hits_as_exact_search(
        self, reopened: Callable[[], Store], asked: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queries = ["ice cold", "ducks feathers", "bread", "pressure of steam", "zzz"]
        exact = [find(reopened(), query) for query in queries]
        assert asked == []
        monkeypatch.setattr(store_module, "EXACT_BYTES", 0)
        assert [find(reopened(), query) for query in queries] == exact
        assert len(asked) == len(queries)

    @pytest.mark.usefixtures("large")
    def test_an_index_of_another_generation_is_not_asked(self, reopened: Callable[[], Store], asked: list[str]) -> None:
        store = reopened()
        store.database.remove_files(["09.txt"])  # committed, and Chroma was not told: a run was stopped here
        assert "09.txt" not in sources(find(store, "ice cold", k=40))
        assert asked == []
        store.refresh()
        assert "09.txt" not in sources(find(store, "ice cold", k=40))
        assert asked == ["chroma"]

    @pytest.mark.usefixtures("large")
    def test_a_search_does_not_touch_chroma_to_bring_it_up_to_date(
        self, reopened: Callable[[], Store], asked: list[str]
    ) -> None:
        store = reopened()
        store.database.remove_files(["09.txt"])
        before = store.database.get_meta("chroma_generation")
        find(store, "ice cold")
        assert store.database.get_meta("chroma_generation") == before

    @pytest.mark.usefixtures("large")
    def test_its_folder_may_be_deleted(self, reopened: Callable[[], Store], asked: list[str]) -> None:
        store = reopened()
        expected = find(store, "ice cold")
        assert asked == ["chroma"]
        store.close()
        shutil.rmtree(store.folder / "chroma")
        store = reopened()
        assert find(store, "ice cold") == expected
        assert asked == ["chroma"]  # not asked: it holds nothing
        assert not (store.folder / "chroma").exists()
        store.refresh()
        assert find(store, "ice cold") == expected
        assert asked == ["chroma", "chroma"]

    @pytest.mark.usefixtures("large")
    def test_an_index_that_lost_rows_is_not_asked_and_is_filled_again(
        self, reopened: Callable[[], Store], asked: list[str]
    ) -> None:
        store = reopened()
        expected = find(store, "ice cold")
        store._open_chroma().delete(store.database.passage_ids()[:30])
        assert find(store, "ice cold") == expected
        assert asked == ["chroma"]
        store.refresh()
        assert find(store, "ice cold") == expected
        assert asked == ["chroma", "chroma"]

    @pytest.mark.usefixtures("large")
    def test_only_the_difference_is_given_to_it(
        self, corpus: Corpus, asked: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        added: list[str] = []
        add = ChromaIndex.add

        def noted(index: ChromaIndex, ids: list[str], vectors: np.ndarray) -> None:
            added.extend(ids)
            add(index, ids, vectors)

        monkeypatch.setattr(ChromaIndex, "add", noted)
        Path("09.txt").unlink()
        write_corpus(Path(), {"new.txt": "A new passage about cold ice."})
        corpus.index(["."])
        assert len(added) == 1
        assert "new.txt" in sources(find(corpus.store, "new passage about cold ice", k=2))
        assert "09.txt" not in sources(find(corpus.store, "ice cold", k=40))
        assert asked == ["chroma"] * 2


def test_the_lexical_index_may_be_deleted(reopened: Callable[[], Store]) -> None:
    store = reopened()
    expected = find(store, "ice cold")
    store.close()
    shutil.rmtree(store.folder / "lexical")
    assert find(reopened(), "ice cold") == expected
    assert (store.folder / "lexical" / "passages.json").is_file()


def test_a_lexical_index_that_is_behind_is_rebuilt_by_a_search(reopened: Callable[[], Store]) -> None:
    store = reopened()
    assert "09.txt" in sources(find(store, "ice cold", k=40))
    store.database.remove_files(["09.txt"])
    assert "09.txt" not in sources(find(store, "ice cold", k=40))
    assert "09.txt" not in sources(find(reopened(), "ice cold", k=40))


def test_a_lost_vector_file_is_an_error_of_the_store(reopened: Callable[[], Store]) -> None:
    store = reopened()
    for shard in (store.folder / "vectors").iterdir():
        shard.unlink()
    with pytest.raises(StoreError, match="reading the vector file"):
        find(store, "ice cold")


def test_searches_and_reads_from_eight_threads_agree(reopened: Callable[[], Store]) -> None:
    queries = [f"{topic} {n}" for topic in ("ice", "steam", "locks", "bread") for n in range(40)]
    expected = [find(reopened(), query) for query in queries[::10]]
    store = reopened()
    ids = store.database.passage_ids()
    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(find, store, query) for query in queries]
        read = [pool.submit(store.passages, ids) for _ in range(40)]
        vectors = [pool.submit(store.vectors, ids) for _ in range(40)]
        assert [one.result() for one in found[::10]] == expected
        assert all(len(one.result()) == 40 for one in (*read, *vectors))
