"""The store as a whole: what is found, by which road, and that every number can be computed by hand."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from reasonir_agent.errors import EncoderMismatch, InputError, StoreError
from reasonir_agent.stores import store as store_module
from reasonir_agent.stores.chroma.index import ChromaIndex
from reasonir_agent.stores.database import Database, vector_key
from reasonir_agent.stores.encoders import note_encoder, use_encoder
from reasonir_agent.stores.filters import parse_where
from reasonir_agent.stores.fusion import FUSIONS, WORDS, Fusion
from reasonir_agent.stores.lexical import LexicalIndex
from reasonir_agent.stores.shards import DamagedShard
from reasonir_agent.stores.store import Store
from reasonir_agent.stores.vectors import Vectors
from reasonir_agent.stores.words import words
from reasonir_agent.testing import FakeEncoder
from reasonir_agent.types import Hit, Where
from tests.stores.conftest import TEXTS, Stores

QUERIES = ["ice cold", "ducks feathers", "bread", "pressure of steam", "zzz"]


@pytest.fixture
def store(stores: Stores) -> Store:
    return stores.made(TEXTS)


def find(store: Store, *queries: str, k: int = 8, fusion: Fusion = "evidence", where: Where = ()) -> list[Hit]:
    return store.search(queries, FakeEncoder().encode_queries(queries), k, fusion=fusion, where=where)


def sources(hits: list[Hit]) -> list[str]:
    return [hit.passage.source for hit in hits]


def vector_of(store: Store, text: str) -> np.ndarray:
    return store.vectors.of_keys([vector_key(text)])[0]


def all_cosines(store: Store, *queries: str) -> list[float]:
    """Of every passage with the mean of the queries, in order of number, from the texts."""
    texts = [passage.encoded_text for _, passage in store.database.all_passages()]
    return [float(one) for one in FakeEncoder().encode_documents(texts) @ FakeEncoder().encode_queries(queries).mean(0)]


def most_words(store: Store, *queries: str) -> float:
    """The BM25 that no passage can exceed, averaged over the queries."""
    index, numbers = LexicalIndex(store.folder / "lexical", store.database), store.database.numbers()
    return sum(index.scores(query, numbers)[1] for query in queries) / len(queries)


def evidence_by_hand(hits: Sequence[Hit], corpus: Sequence[float], most: float) -> list[float]:
    """The final scores of hits that are all the candidates: deviations from the corpus and covered words, scaled."""
    mean = sum(corpus) / len(corpus)
    deviation = math.sqrt(sum((one - mean) ** 2 for one in corpus) / len(corpus))
    return scaled([(hit.dense_score - mean) / deviation + WORDS * (hit.lexical_score or 0) / most for hit in hits])


def shares_by_hand(hits: Sequence[Hit], share: float) -> list[float]:
    """The same for scaled cosines and this share of scaled words."""
    both = zip(scaled([hit.dense_score for hit in hits]), scaled([hit.lexical_score or 0 for hit in hits]), strict=True)
    return [(1 - share) * cosine + share * shared for cosine, shared in both]


def scaled(scores: Sequence[float]) -> list[float]:
    return [(one - min(scores)) / (max(scores) - min(scores)) for one in scores]


def near(scores: Sequence[float]) -> object:
    """Equal but for the rounding of float32."""
    return pytest.approx(list(scores), abs=1e-5)


def assert_same(hits: Sequence[Hit], expected: Sequence[Hit]) -> None:
    """The same hits with the same scores, whichever road the cosines came by: rows are summed in another order."""
    assert [hit.passage.id for hit in hits] == [hit.passage.id for hit in expected]
    assert [hit.lexical_score for hit in hits] == [hit.lexical_score for hit in expected]
    assert [hit.dense_score for hit in hits] == near([hit.dense_score for hit in expected])
    assert finals(hits) == near(finals(expected))


def finals(hits: Sequence[Hit]) -> list[float]:
    return [hit.final_score for hit in hits]


class TestScores:
    @pytest.mark.parametrize("fusion", FUSIONS)
    def test_every_score_and_the_order_can_be_computed_by_hand(self, store: Store, fusion: Fusion) -> None:
        query, encoder = "ice and cold water feathers", FakeEncoder()
        vector = encoder.encode_queries([query])[0]
        by_text = {text: float(encoder.encode_documents([text])[0] @ vector) for text in TEXTS.values()}
        numbers = store.database.numbers()
        scores, _ = LexicalIndex(store.folder / "lexical", store.database).scores(query, numbers)
        passages = store.database.numbered(numbers.tolist())
        lexical = {passages[int(n)].id: float(score) for n, score in zip(numbers, scores, strict=True)}
        hits = find(store, query, k=40, fusion=fusion)
        assert len(hits) == 40
        for hit in hits:
            assert hit.dense_score == pytest.approx(by_text[hit.passage.text], abs=1e-6)
            assert hit.lexical_score == lexical[hit.passage.id]
            assert (hit.lexical_score > 0) == bool(set(words(query)) & set(words(hit.passage.text)))
            assert hit.reranker_score is None
        evidence = evidence_by_hand(hits, all_cosines(store, query), most_words(store, query))
        assert finals(hits) == near(shares_by_hand(hits, 0.5) if fusion == "half" else evidence)
        assert finals(hits) == sorted(finals(hits), reverse=True)

    def test_evidence_is_measured_against_the_corpus_and_not_against_the_candidates(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        query = "about ducks, ice and feathers"
        everything, corpus, most = find(store, query, k=40), all_cosines(store, query), most_words(store, query)
        cosine = sorted((hit.dense_score for hit in everything), reverse=True)[4]
        shared = sorted((hit.lexical_score or 0 for hit in everything), reverse=True)[4]
        chosen = [h for h in everything if h.dense_score >= cosine or (h.lexical_score or 0) >= shared]
        assert 5 < len(chosen) < 20
        monkeypatch.setattr(store_module, "CANDIDATES", 5)
        hits = find(store, query, k=5)
        assert sources(hits) == sources(chosen[:5])
        assert finals(hits) == near(evidence_by_hand(chosen, corpus, most)[:5])
        among_themselves = [hit.dense_score for hit in chosen]
        assert finals(hits) != near(evidence_by_hand(chosen, among_themselves, most)[:5])  # the guard

    def test_the_two_rules_disagree_where_words_say_little(self, store: Store) -> None:
        """One passage is what the vector looks for; others hold one or two of seven words that never stand together."""
        query = "ice ducks bread mirrors steam banks queues"
        vector = FakeEncoder().encode_documents([TEXTS["00.txt"]])
        evidence, half = (store.search([query], vector, 40, fusion=fusion) for fusion in FUSIONS)
        assert sources(evidence)[0] == "00.txt"
        assert (evidence[0].dense_score, evidence[0].lexical_score) == (pytest.approx(1), 0)
        assert len(set(words(half[0].passage.text)) & set(words(query))) == 2
        assert half[0].dense_score < 0.9
        assert {hit.passage.id for hit in evidence} == {hit.passage.id for hit in half}

    def test_fewer_hits_are_the_beginning_of_more(self, store: Store) -> None:
        everything = find(store, "cold ice", k=40)
        for k in (1, 2, 7, 39):
            assert find(store, "cold ice", k=k) == everything[:k]
        assert find(store, "cold ice", k=400) == everything

    def test_several_queries_are_averaged(self, store: Store) -> None:
        queries = ["ice and cold", "ducks and feathers", "steam"]
        vectors = FakeEncoder().encode_queries(queries)
        alone = [{hit.passage.id: hit for hit in find(store, one, k=40)} for one in queries]
        hits = find(store, *queries, k=40)
        for hit in hits:
            stored = vector_of(store, hit.passage.text)
            one = hit.passage.id
            assert hit.dense_score == pytest.approx(float(np.mean(vectors @ stored)), abs=1e-6)
            assert hit.lexical_score == pytest.approx(sum(some[one].lexical_score or 0 for some in alone) / 3, rel=1e-6)
        assert finals(hits) == near(evidence_by_hand(hits, all_cosines(store, *queries), most_words(store, *queries)))
        halves = find(store, *queries, k=40, fusion="half")
        assert finals(halves) == near(shares_by_hand(halves, 0.5))
        assert find(store, *reversed(queries), k=40)[0].passage == hits[0].passage

    def test_a_query_said_twice_changes_nothing(self, store: Store) -> None:
        once, twice = find(store, "cold ice"), find(store, "cold ice", "cold ice")
        assert sources(once) == sources(twice)
        assert [hit.dense_score for hit in twice] == pytest.approx([hit.dense_score for hit in once], abs=1e-6)

    def test_words_weigh_more_where_the_encoder_does_not_know_the_language(self, store: Store) -> None:
        known = find(store, "cold ice", k=40)
        store.database.set_meta("foreign", True)
        assert store.is_foreign
        hits = find(store, "cold ice", k=40)
        assert hits == find(store, "cold ice", k=40, fusion="half")
        assert finals(hits) == near(shares_by_hand(hits, 0.85))
        store.database.set_meta("foreign", False)
        assert find(store, "cold ice", k=40) == known != hits

    def test_words_and_vectors_each_bring_candidates(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(store_module, "CANDIDATES", 1)
        vector = FakeEncoder().encode_queries(["ice cold"])  # points elsewhere than the words
        ((nearest, _),) = store.nearest(vector, 1)
        hits = store.search(["bread"], vector, 1) + store.search(["zzz"], vector, 1)
        assert "bread" in hits[0].passage.text
        assert hits[1].passage.id == nearest != hits[0].passage.id

    def test_a_filter_does_not_move_the_background(self, store: Store) -> None:
        query = "ice and cold water feathers"
        hits = find(store, query, k=40, where=parse_where(["source=0*"]))
        everything = find(store, query, k=40)
        assert sources(hits) == [one for one in sources(everything) if one.startswith("0")]
        corpus, most = all_cosines(store, query), most_words(store, query)
        assert finals(hits) == near(evidence_by_hand(hits, corpus, most))
        let_through = [hit.dense_score for hit in hits]
        assert finals(hits) != near(evidence_by_hand(hits, let_through, most))  # the guard: it would show

    def test_nearest_is_the_exact_order_of_cosines(self, store: Store) -> None:
        vector = FakeEncoder().encode_queries(["ducks and locks"])
        ids = store.passages(store.database.passage_ids())
        expected = sorted(
            ((one, float(vector_of(store, p.text) @ vector[0])) for one, p in ids.items()), key=lambda p: (-p[1], p[0])
        )
        found = store.nearest(vector, 12)
        assert [one for one, _ in found] == [one for one, _ in expected[:12]]
        assert [score for _, score in found] == pytest.approx([score for _, score in expected[:12]], abs=1e-6)
        assert store.nearest(vector[0], 12) == found
        assert store.nearest(vector, 0) == []
        assert len(store.nearest(vector, 400)) == 40

    def test_equal_passages_come_in_order_of_id(self, stores: Stores) -> None:
        store = stores.made({f"{n:02}": "Ice is cold." for n in range(20)})
        found = store.nearest(FakeEncoder().encode_queries(["ice"]), 7)
        assert [one for one, _ in found] == sorted(store.database.passage_ids())[:7]

    def test_rarity_is_counted_over_the_passages(self, stores: Stores, store: Store) -> None:
        expected = {"duck": pytest.approx(math.log(1 + 40 / 9)), "unknown": pytest.approx(math.log(1 + 40))}
        assert store.rarity(words("ducks unknown")) == expected
        stores.close()
        assert stores.open().rarity(words("ducks unknown")) == expected  # without a search before

    def test_a_store_without_passages_finds_nothing(self, stores: Stores) -> None:
        for exact_bytes in (0, 10**9):
            store = stores.open(create=True, exact_bytes=exact_bytes)
            for _ in range(2):
                assert find(store, "ice") == store.nearest(FakeEncoder().encode_queries(["ice"]), 3) == []
                assert store.rarity(["ice"]) == {"ice": 1.0}
                assert store.size == 0
                assert store.refresh() is None


class TestFilters:
    @pytest.fixture
    def filled(self, stores: Stores) -> Store:
        store = stores.open(create=True)
        metadata = {source: {"type": "txt", "topic": text.split()[3]} for source, text in TEXTS.items()}
        stores.fill(store, TEXTS, metadata=metadata)
        store.refresh()
        return store

    def test_only_passages_of_documents_that_pass_are_found(self, filled: Store) -> None:
        everything = {hit.passage.id: hit for hit in find(filled, "ice cold", k=40)}
        hits = find(filled, "ice cold", k=40, where=parse_where(["topic=ducks"]))
        assert len(hits) == 8
        for hit in hits:
            assert "about ducks" in hit.passage.text
            assert hit.dense_score == everything[hit.passage.id].dense_score
            assert hit.lexical_score == everything[hit.passage.id].lexical_score
        assert find(filled, "ice cold", where=parse_where(["topic=ducks", "source!=*7.txt"]), k=40) != hits

    def test_they_hold_for_words_and_for_vectors(self, filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(store_module, "CANDIDATES", 1)
        where, vector = parse_where(["topic=ducks"]), FakeEncoder().encode_queries(["ice cold"])
        ((nearest, _),) = filled.nearest(vector, 1, where=where)
        hits = filled.search(["bread"], vector, 2, where=where)
        assert all("about ducks" in hit.passage.text for hit in hits)
        by_words = next(hit.passage.id for hit in hits if "bread" in hit.passage.text)
        assert {nearest, by_words} <= {hit.passage.id for hit in hits} and nearest != by_words

    def test_as_many_hits_are_found_as_were_asked_for(self, filled: Store) -> None:
        """The filter comes before the choice of the best, and not after it."""
        everything = find(filled, "ice cold", k=40)
        worst = everything[-1].passage.source
        assert sources(find(filled, "ice cold", k=1, where=parse_where([f"source={worst}"]))) == [worst]
        assert find(filled, "ice cold", where=parse_where(["topic=none of them"])) == []

    def test_nearest_takes_them_too(self, filled: Store) -> None:
        vector = FakeEncoder().encode_queries(["ice cold"])
        found = filled.nearest(vector, 3, where=parse_where(["topic=ducks"]))
        everything = dict(filled.nearest(vector, 40))
        ducks = [one for one, p in filled.passages(list(everything)).items() if "ducks" in p.text]
        expected = sorted(((one, everything[one]) for one in ducks), key=lambda pair: (-pair[1], pair[0]))
        assert found == expected[:3]

    def test_a_field_that_no_document_has_is_refused_naming_those_that_there_are(self, filled: Store) -> None:
        for call in (
            lambda: find(filled, "ice", where=parse_where(["colour=red"])),
            lambda: filled.nearest(FakeEncoder().encode_queries(["x"]), 1, where=parse_where(["colour=red"])),
        ):
            with pytest.raises(InputError) as error:
                call()
            assert str(error.value) == "no document of this store has the field 'colour'; there are source, topic, type"


class TestAReaderThatStaysOpen:
    @pytest.mark.parametrize("exact_bytes", [10**9, pytest.param(0, marks=pytest.mark.slow)], ids=["exact", "Chroma"])
    def test_it_sees_what_another_store_commits_at_its_next_search(self, stores: Stores, exact_bytes: int) -> None:
        writer = stores.made(TEXTS, exact_bytes=exact_bytes)
        reader = stores.open(exact_bytes=exact_bytes)
        assert sources(find(reader, "ice cold"))[0] == "09.txt"
        stores.remove(writer, "09.txt")
        stores.fill(writer, {"new.txt": "Ice, cold.", "10.txt": "Lava is hot."})
        for refreshed in (False, True):  # indexes are behind, then up to date
            if refreshed:
                assert writer.refresh() is None
            found = sources(find(reader, "ice cold", k=40))
            assert found[0] == "new.txt" and "09.txt" not in found
            assert sources(find(reader, "lava"))[0] == "10.txt"
            assert reader.size == len(found) == 40
            for query in QUERIES:
                assert find(reader, query) == find(writer, query)
        assert reader.chroma.is_current() == (exact_bytes == 0)

    @pytest.mark.slow
    @pytest.mark.parametrize("exact_bytes", [10**9, 0], ids=["exact", "Chroma"])
    def test_a_reader_in_another_process_does_too(self, stores: Stores, exact_bytes: int) -> None:
        writer = stores.made(TEXTS, exact_bytes=exact_bytes)
        child = subprocess.Popen(
            [sys.executable, "-c", READER, str(stores.folder), str(exact_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdin is not None and child.stdout is not None

        def ask(query: str) -> list[str]:
            child.stdin.write(f"{query}\n")
            child.stdin.flush()
            return list(json.loads(child.stdout.readline()))

        try:
            assert ask("ice cold")[0] == "09.txt"
            stores.remove(writer, "09.txt")
            stores.fill(writer, {"new.txt": "Ice, cold."})
            assert ask("ice cold")[0] == "new.txt"
            assert writer.refresh() is None
            found = ask("ice cold")
            assert found == sources(find(writer, "ice cold")) and found[0] == "new.txt"
            stores.fill(writer, {"newer.txt": "Ice cold ice cold."})
            assert writer.refresh() is None
            assert ask("ice cold")[0] == "newer.txt"
        finally:
            child.kill()
            child.communicate()

    def test_a_reader_does_not_see_what_is_not_committed(self, stores: Stores, store: Store) -> None:
        reader = stores.open()
        before = find(reader, "ice cold")
        with store.writing(), store.database.transaction():
            store.database.rows("DELETE FROM files")
            store.database.bump()
            assert find(reader, "ice cold") == before
        assert find(reader, "ice cold") == []

    def test_the_files_may_be_rewritten_under_it(self, stores: Stores, store: Store) -> None:
        """Compaction is no change of the passages, and the old files are gone with the next writer."""
        everything = [stores.open(), stores.open(exact_bytes=0)]
        filtered = parse_where(["source=0*"])
        expected = sources(find(store, "ice cold", where=filtered))
        find(everything[0], "ice cold")
        everything[1].rarity(["ice"])  # it knows where the vectors lie, and has read none
        stores.remove(store, "39.txt")
        for reader in everything:
            reader.rarity(["ice"])
        store.vectors.compact()
        with store.writing():
            pass
        assert len(store.vectors.shards.names()) == 1  # the guard: the old ones are gone
        for reader in everything:
            assert sources(find(reader, "ice cold", where=filtered)) == expected
            assert "39.txt" not in sources(find(reader, "ice cold", k=40))

    def test_it_sees_that_damaged_vectors_were_dropped_and_healed(self, stores: Stores, store: Store) -> None:
        reader = stores.open()
        before = {hit.passage.source: hit for hit in find(reader, "ice cold", k=40)}
        (file,) = (stores.folder / "vectors").rglob("*.npy")
        content = bytearray(file.read_bytes())
        content[-3] ^= 4
        file.unlink()
        file.write_bytes(content)
        repairer = stores.open()
        with repairer.writing():
            assert repairer.vectors.drop_damage(file.stem) == (39, 1)
            without = find(reader, "ice cold", k=40)
            (lost,) = repairer.vectors.missing().tolist()
            passage = repairer.database.numbered([lost])[lost]
            assert {hit.passage.source for hit in without} == before.keys() - {passage.source}
            for hit in without:
                assert hit.lexical_score == before[hit.passage.source].lexical_score
            repairer.vectors.add([vector_key(passage.text)], FakeEncoder().encode_documents([passage.text]))
        assert sources(find(reader, "ice cold", k=40)) == list(before)

    def test_a_store_that_was_re_embedded_must_be_opened_anew(self, stores: Stores, store: Store) -> None:
        reader, other = stores.open(), FakeEncoder("other")
        find(reader, "ice cold")
        with store.writing():
            number = note_encoder(store.database, store.folder, other)
            vectors = Vectors(store.database, store.folder, number, other.fingerprint.as_json(), other.dim)
            vectors.add([vector_key(text) for text in TEXTS.values()], other.encode_documents(list(TEXTS.values())))
            assert find(reader, "ice cold")  # the old vectors serve until the switch
            use_encoder(store.database, other.fingerprint.id)
        for call in (
            lambda: find(reader, "ice cold"),
            lambda: reader.rarity(["ice"]),
            lambda: reader.nearest(other.encode_queries(["ice"]), 1),
        ):
            with pytest.raises(EncoderMismatch, match=r"was re-embedded with the encoder 'other' while.*open it anew"):
                call()
        with pytest.raises(EncoderMismatch, match="made with the encoder 'other'"):
            stores.open()
        again = stores.open(other)
        assert sources(again.search(["ice cold"], other.encode_queries(["ice cold"]), 1)) == ["09.txt"]


READER = """
import json, sys
from reasonir_agent.stores.store import Store
from reasonir_agent.testing import FakeEncoder
encoder = FakeEncoder()
store = Store(sys.argv[1], encoder, exact_bytes=int(sys.argv[2]))
for line in sys.stdin:
    hits = store.search([line.strip()], encoder.encode_queries([line.strip()]), 8)
    print(json.dumps([hit.passage.source for hit in hits]), flush=True)
"""


def snapshot(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "folder"
        for file in sorted(folder.rglob("*"))
    }


class TestAReaderWritesNothing:
    @pytest.mark.parametrize("lost", [None, "lexical"])
    def test_not_a_byte_has_changed_when_it_is_closed(self, stores: Stores, store: Store, lost: str | None) -> None:
        stores.fill(store, {"new.txt": "Ice, cold."})  # the indexes are behind, too
        stores.close()
        if lost:
            shutil.rmtree(stores.folder / lost)
        before = snapshot(stores.folder)
        assert not [name for name in before if name.endswith(("-wal", "-shm"))]
        for exact_bytes in (10**9, 0):
            reader = stores.open(exact_bytes=exact_bytes)
            assert sources(find(reader, "ice cold"))[0] == "new.txt"
            reader.rarity(["ice"])
            reader.nearest(FakeEncoder().encode_queries(["x"]), 3)
            assert reader.passages(reader.database.passage_ids())
            while_open = snapshot(stores.folder)
            assert {name: while_open[name] for name in before} == before
            assert while_open.keys() - before.keys() <= {"reasonir.sqlite-wal", "reasonir.sqlite-shm"}
            stores.close()
            assert snapshot(stores.folder) == before

    @pytest.mark.slow
    def test_with_chroma_nothing_outside_of_chromas_own_files_changes(self, stores: Stores) -> None:
        stores.made(TEXTS, exact_bytes=0)
        stores.close()
        before = snapshot(stores.folder)
        reader = stores.open(exact_bytes=0)
        assert sources(find(reader, "ice cold"))[0] == "09.txt"
        stores.close()
        after = snapshot(stores.folder)
        assert after.keys() == before.keys()
        changed = {name for name in before if before[name] != after[name]}
        assert all(name.startswith("chroma/") for name in changed), changed
        assert stores.open(exact_bytes=0).chroma.is_current()


@pytest.fixture(scope="module")
def with_chroma(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a Chroma index; tests work on copies."""
    made = Stores(tmp_path_factory.mktemp("large") / "store")
    made.made(TEXTS, exact_bytes=0)
    made.close()
    return made.folder


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
    def large(self, with_chroma: Path, stores: Stores) -> Store:
        """Every store is too large for exact search."""
        shutil.copytree(with_chroma, stores.folder)
        return stores.open(exact_bytes=0)

    def test_a_small_store_is_searched_exactly(self, stores: Stores, store: Store, asked: list[str]) -> None:
        assert sources(find(store, "ice cold"))[0] == "09.txt"
        assert asked == []
        assert not (stores.folder / "chroma").exists()

    @pytest.mark.slow
    def test_it_gives_the_same_hits_as_exact_search(self, stores: Stores, large: Store, asked: list[str]) -> None:
        """By evidence too: a corpus below the size of the sample is its own sample."""
        exact = stores.open()
        cases = [(query, k, fusion) for query in QUERIES for k in (1, 8, 40) for fusion in FUSIONS]
        expected = [find(exact, query, k=k, fusion=fusion) for query, k, fusion in cases]
        assert asked == []
        for (query, k, fusion), hits in zip(cases, expected, strict=True):
            assert_same(find(large, query, k=k, fusion=fusion), hits)
        assert len(asked) == len(cases)
        vector = FakeEncoder().encode_queries(["ducks and locks"])
        found, expected_nearest = large.nearest(vector, 5), exact.nearest(vector, 5)
        assert [one for one, _ in found] == [one for one, _ in expected_nearest]
        assert [cosine for _, cosine in found] == pytest.approx([cosine for _, cosine in expected_nearest], abs=1e-6)
        assert large.nearest(vector, 0) == []

    @pytest.mark.slow
    @pytest.mark.parametrize(("sample", "step"), [(40, 1), (21, 1), (20, 2), (10, 4), (1, 40)])
    def test_a_larger_corpus_is_judged_by_passages_at_even_distances(
        self, large: Store, asked: list[str], monkeypatch: pytest.MonkeyPatch, sample: int, step: int
    ) -> None:
        monkeypatch.setattr(store_module, "_SAMPLE", sample)
        for query in QUERIES[:4]:
            hits, corpus = find(large, query, k=40), all_cosines(large, query)
            assert len(hits) == 40
            taken = corpus[::step]
            if len(taken) > 1:
                assert finals(hits) == near(evidence_by_hand(hits, taken, most_words(large, query)))
            else:  # a single passage has no deviation: words alone are left
                assert finals(hits) == near(scaled([hit.lexical_score or 0 for hit in hits]))
            by_words = find(large, query, k=40, fusion="half")  # needs no background
            assert finals(by_words) == near(shares_by_hand(by_words, 0.5))
        assert len(asked) == 8

    @pytest.mark.slow
    def test_a_sample_stays_close_to_the_whole(
        self, stores: Stores, large: Store, asked: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two passages change places only where the other deviation weighs their cosines that much more or less."""
        monkeypatch.setattr(store_module, "_SAMPLE", 10)
        exact, changed = stores.open(), 0
        for query in [*QUERIES[:4], "ice and cold water feathers", "about ducks, ice and feathers"]:
            expected, hits, corpus = find(exact, query, k=40), find(large, query, k=40), all_cosines(large, query)
            assert sources(hits)[0] == sources(expected)[0]
            whole, some = np.std(corpus), np.std(corpus[::4])
            assert whole != pytest.approx(some, rel=0.01)  # the guard: it was a sample
            place = {hit.passage.id: n for n, hit in enumerate(hits)}
            most = most_words(large, query)
            for n, one in enumerate(expected):
                for other in expected[n + 1 :]:
                    if place[one.passage.id] > place[other.passage.id]:
                        changed += 1
                        cosines = one.dense_score - other.dense_score
                        ahead = cosines / whole + WORDS * ((one.lexical_score or 0) - (other.lexical_score or 0)) / most
                        assert ahead <= abs(cosines) * abs(1 / whole - 1 / some) + 1e-5
        assert 0 < changed < 6 * 780 / 20  # of all pairs: some, and few
        assert asked

    @pytest.mark.slow
    def test_a_filter_is_searched_exactly(self, large: Store, asked: list[str]) -> None:
        hits = find(large, "ice cold", where=parse_where(["source=1*"]), k=40)
        assert sorted(sources(hits)) == [f"{n}.txt" for n in range(10, 20)]
        assert asked == []

    @pytest.mark.slow
    def test_an_index_of_another_generation_is_not_asked(self, large: Store, asked: list[str], stores: Stores) -> None:
        stores.remove(large, "09.txt")  # committed, and Chroma was not told: a run was stopped here
        assert "09.txt" not in sources(find(large, "ice cold", k=40))
        assert asked == []
        assert large.refresh() is None
        assert "09.txt" not in sources(find(large, "ice cold", k=40))
        assert asked == ["chroma"]

    @pytest.mark.slow
    def test_while_it_is_dirty_search_is_exact_and_right(self, large: Store, asked: list[str]) -> None:
        expected = find(large, "ice cold")
        state = large.database.get_meta("chroma")
        large.database.note_chroma({**state, "state": "dirty"}, None)
        asked.clear()
        assert_same(find(large, "ice cold"), expected)
        assert asked == []

    @pytest.mark.slow
    def test_a_search_does_not_bring_it_up_to_date(self, large: Store, stores: Stores) -> None:
        stores.remove(large, "09.txt")
        before = large.database.get_meta("chroma")
        find(large, "ice cold")
        assert large.database.get_meta("chroma") == before

    @pytest.mark.slow
    @pytest.mark.parametrize("lost", ["chroma", "chroma/*", "chroma/*/chroma.sqlite3", "chroma/*/*/*"])
    def test_its_folder_may_be_deleted(self, stores: Stores, large: Store, asked: list[str], lost: str) -> None:
        expected = find(large, "ice cold")
        assert asked == ["chroma"]
        stores.close()
        for one in stores.folder.glob(lost):
            shutil.rmtree(one) if one.is_dir() else one.unlink()
        before = snapshot(stores.folder)
        store = stores.open(exact_bytes=0)
        assert_same(find(store, "ice cold"), expected)
        assert asked == ["chroma"]  # not asked: it holds nothing
        assert before.items() <= snapshot(stores.folder).items()
        assert store.refresh() is None
        assert_same(find(store, "ice cold"), expected)
        assert asked == ["chroma", "chroma"]

    @pytest.mark.slow
    @pytest.mark.parametrize("content", [b"", b"no database" * 1000])
    def test_a_database_of_chroma_that_cannot_be_opened_is_no_obstacle(
        self, stores: Stores, large: Store, content: bytes
    ) -> None:
        expected = find(large, "ice cold")
        stores.close()
        (file,) = stores.folder.glob("chroma/*/chroma.sqlite3")
        file.write_bytes(content)
        assert_same(find(stores.open(exact_bytes=0), "ice cold"), expected)

    @pytest.mark.slow
    @pytest.mark.skipif(os.name != "posix", reason="needs POSIX's rights on folders")
    def test_a_store_that_may_only_be_read_is_searched_exactly(self, with_chroma: Path) -> None:
        with tempfile.TemporaryDirectory() as place:  # other users may not enter pytest's own folders
            folder = Path(place, "store")
            shutil.copytree(with_chroma, folder)
            Path(place).chmod(0o755)
            for one in (folder, *folder.rglob("*")):
                one.chmod(0o555 if one.is_dir() else 0o444)
            ran = subprocess.run(
                [sys.executable, "-c", WITHOUT_RIGHTS, str(folder)],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            for one in (folder, *folder.rglob("*")):
                one.chmod(0o755 if one.is_dir() else 0o644)
        assert ran.returncode == 0, ran.stderr
        assert json.loads(ran.stdout)[0] == "09.txt"


WITHOUT_RIGHTS = """
import json, os, sys
import bm25s, chromadb  # what is imported later, the other user may not be able to read
import reasonir_agent.stores.chroma.index
from reasonir_agent.stores.store import Store
from reasonir_agent.testing import FakeEncoder
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
encoder = FakeEncoder()
store = Store(sys.argv[1], encoder, exact_bytes=0)
hits = store.search(["ice cold"], encoder.encode_queries(["ice cold"]), 8)
print(json.dumps([hit.passage.source for hit in hits]))
"""


class TestDamage:
    @pytest.fixture(params=["flipped", "cut", "missing"])
    def damaged(self, stores: Stores, store: Store, request: pytest.FixtureRequest) -> Iterator[tuple[Store, str]]:
        stores.close()
        (file,) = (stores.folder / "vectors").rglob("*.npy")
        content = bytearray(file.read_bytes())
        content[-3] ^= 4
        file.unlink()
        if request.param != "missing":
            file.write_bytes(content if request.param == "flipped" else content[:-1000])
        yield stores.open(), str(file)

    def test_search_names_the_file_and_the_remedy(self, damaged: tuple[Store, str]) -> None:
        store, file = damaged
        for call in (
            lambda: find(store, "ice cold"),
            lambda: store.nearest(FakeEncoder().encode_queries(["ice"]), 1),
            lambda: find(store, "ice cold"),
        ):
            with pytest.raises(DamagedShard) as error:
                call()
            assert str(error.value).startswith(f"the vector file {file} ")
            assert str(error.value).endswith("; run: reasonir doctor")

    def test_what_needs_no_vector_works_on(self, damaged: tuple[Store, str]) -> None:
        store, _ = damaged
        assert store.rarity(["ice"])["ice"] > 0
        assert len(store.passages(store.database.passage_ids())) == store.size == 40

    def test_the_lexical_index_may_be_deleted(self, stores: Stores, store: Store) -> None:
        expected = find(store, "ice cold")
        stores.close()
        shutil.rmtree(stores.folder / "lexical")
        again = stores.open()
        assert find(again, "ice cold") == expected
        assert not (stores.folder / "lexical").exists()
        assert again.refresh() is None
        assert find(again, "ice cold") == expected
        assert (stores.folder / "lexical").exists()


class TestWriting:
    def test_what_a_killed_writer_left_is_put_in_order_first(self, stores: Stores, store: Store) -> None:
        key = vector_key("New text.")
        store.vectors.shards.write([key], FakeEncoder().encode_documents(["New text."]))
        (store.vectors.shards.folder / "tmpx.part").write_bytes(b"half")
        with store.writing():
            assert store.vectors.known([key]) == {key}
        assert not list(store.vectors.shards.folder.glob("*.part"))

    def test_two_stores_do_not_write_at_once(self, stores: Stores, store: Store) -> None:
        other = stores.open()
        with store.writing():
            with pytest.raises(StoreError, match="is writing to the store"), other.writing():
                pass
            assert store.refresh() is None  # its own holder may
        with other.writing():
            pass

    def test_a_store_of_an_encoder_that_the_folder_knows_is_not_made_anew(self, stores: Stores, store: Store) -> None:
        stores.close()
        again = stores.open(create=True)
        assert (again.size, again.database.generation) == (40, 41)


def test_searches_and_reads_from_eight_threads_agree(stores: Stores, store: Store) -> None:
    queries = [f"{topic} {n}" for topic in ("ice", "steam", "locks", "bread") for n in range(40)]
    expected = [find(store, query) for query in queries[::10]]
    stores.close()
    reader = stores.open()
    ids = reader.database.passage_ids()
    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(find, reader, query) for query in queries]
        read = [pool.submit(reader.passages, ids) for _ in range(40)]
        assert [one.result() for one in found[::10]] == expected
        assert all(len(one.result()) == 40 for one in read)


def test_a_store_that_is_closed_may_be_opened_by_others(stores: Stores, store: Store) -> None:
    stores.close()
    with pytest.raises(StoreError):
        store.database.count()
    database = Database(stores.folder)
    assert database.count() == (40, 40)
    database.close()
