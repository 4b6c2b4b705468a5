"""LangChain's vector stores in the place of a corpus: real ones, filled by a real wrapper over our fake encoder."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_chroma import Chroma
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from reasonir_agent import Corpus, ask, build_agent, search
from reasonir_agent.errors import InputError, StoreError
from reasonir_agent.stores import borrowed, passage_list
from reasonir_agent.stores.borrowed import UNKNOWN_SIZE
from reasonir_agent.stores.vector_store import VectorStoreCorpus, as_passage
from reasonir_agent.testing import FakeEncoder
from reasonir_agent.types import Condition, Hit, Passage, PassageSource

TEXTS = {
    "ducks": "Ducks lose hardly any heat through their feet. The arteries lie beside the veins and warm the cold blood.",
    "debts": "Inflation erodes the real value of nominal debts, so borrowers gain what lenders lose.",
    "mirror": "Fog on a mirror is made of small drops. A film of soap lowers the surface tension of water.",
    "queue": "A heap gives the smallest element in logarithmic time.",
    "frost": "A roof under a clear sky radiates heat to space and becomes colder than the air.",
    "bread": "Salt slows the yeast in a dough. Bakers use it to control how fast bread rises.",
}
QUESTION = "Why do ducks lose hardly any heat through their feet?"

Fill = Callable[..., VectorStore]


class FakeEmbeddings(Embeddings):
    def __init__(self, encoder: FakeEncoder) -> None:
        self.encoder = encoder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self.encoder.encode_documents(texts).tolist()

    def embed_query(self, text: str) -> list[float]:
        raise AssertionError("the question's vector comes from our encoder")


def documents() -> list[Document]:
    return [
        Document(id=one, page_content=text, metadata={"source": f"{one}.txt", "start_index": 100 * n})
        for n, (one, text) in enumerate(TEXTS.items())
    ]


@pytest.fixture(params=["memory", "chroma", "chroma by l2"])
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fill]:
    opened: list[Chroma] = []

    def filled(given: list[Document] | None = None, encoder: FakeEncoder | None = None) -> VectorStore:
        embeddings, given = FakeEmbeddings(encoder or FakeEncoder()), given or documents()
        if request.param == "memory":
            store: VectorStore = InMemoryVectorStore(embeddings)
        else:
            space = {} if request.param == "chroma by l2" else {"hnsw": {"space": "cosine"}}
            options: Any = {"collection_configuration": space} if space else {}
            store = Chroma("texts", embeddings, persist_directory=str(tmp_path / "chroma"), **options)
            opened.append(store)
        store.add_documents(given)
        return store

    yield filled
    for store in opened:
        store._client.close()


def test_passages_come_with_their_cosines_ids_sources_and_offsets(filled: Fill, encoder: FakeEncoder) -> None:
    corpus = VectorStoreCorpus(filled(), encoder)
    hits = corpus.find([QUESTION], 3)
    query = encoder.encode_queries([QUESTION])[0]
    cosines = {one: float(encoder.encode_documents([text])[0] @ query) for one, text in TEXTS.items()}
    best = [hit.passage.id for hit in hits]
    assert len(best) == 3 and best[0] == "ducks"
    assert [hit.dense_score for hit in hits] == pytest.approx([cosines[one] for one in best], abs=1e-6)
    assert hits[0].lexical_score and hits[0].lexical_score > 0
    assert hits[0].final_score == 1.0
    first, number = hits[0].passage, list(TEXTS).index(best[0])
    assert (first.source, first.start, first.end) == ("ducks.txt", 100 * number, 100 * number + len(TEXTS["ducks"]))
    assert first.text == TEXTS["ducks"]


@pytest.mark.parametrize("rewritten", [False, True])
@pytest.mark.parametrize("k", [2, 6])
def test_the_hits_are_those_of_a_corpus_of_our_own(
    filled: Fill, encoder: FakeEncoder, tmp_path: Path, k: int, rewritten: bool
) -> None:
    for one, text in TEXTS.items():
        (tmp_path / f"{one}.txt").write_text(text)
    queries = [QUESTION, "heat of a roof"]
    with Corpus(tmp_path / "store", encoder, create=True) as ours:
        ours.index([tmp_path / f"{one}.txt" for one in TEXTS])
        expected = ours.find(queries, k, rewritten=rewritten)
        rarity = ours.rarity(["duck", "heat", "zebra"])
    given = [as_document(hit.passage) for hit in expected] if k == 6 else None
    corpus = VectorStoreCorpus(filled(given), encoder)
    road = corpus.find(queries, k, rewritten=rewritten)
    assert [hit.passage.text for hit in road] == [hit.passage.text for hit in expected]
    for mine, theirs in zip(road, expected, strict=True):
        assert scores(mine) == pytest.approx(scores(theirs), abs=1e-5)
    assert corpus.rarity(["duck", "heat", "zebra"]) == pytest.approx(rarity)
    assert corpus.size == len(TEXTS)


def as_document(passage: Passage) -> Document:
    return Document(id=passage.id, page_content=passage.text, metadata={"source": passage.source})


def scores(hit: Hit) -> tuple[float, float, float]:
    assert hit.lexical_score is not None
    return hit.dense_score, hit.lexical_score, hit.final_score


def test_passages_are_had_again_by_their_ids_in_another_object_too(filled: Fill, encoder: FakeEncoder) -> None:
    store = filled()
    first = VectorStoreCorpus(store, encoder)
    found = {hit.passage.id: hit.passage for hit in first.find([QUESTION], 2)}
    assert first.passages([*found, "bread", "unknown"]) == VectorStoreCorpus(store, encoder).passages([*found, "bread"])
    assert first.passages(["unknown"]) == {}
    assert first.passages([]) == {}


def test_documents_without_ids_are_known_by_their_text(filled: Fill, encoder: FakeEncoder) -> None:
    given = [Document(page_content=text) for text in TEXTS.values()]
    corpus = VectorStoreCorpus(filled(given), encoder)
    hits = corpus.find([QUESTION], 6)
    assert len({hit.passage.id for hit in hits}) == 6
    assert corpus.passages([hit.passage.id for hit in hits]) == {hit.passage.id: hit.passage for hit in hits}
    assert all((hit.passage.start, hit.passage.end) == (0, len(hit.passage.text)) for hit in hits)


class TestDocumentsAsPassages:
    def test_pages_count_from_one(self) -> None:
        document = Document(page_content="abc", metadata={"source": "a.pdf", "page": 0, "start_index": 7})
        passage = as_passage(document)
        assert (passage.source, passage.start, passage.end, passage.text) == ("a.pdf#page=1", 7, 10, "abc")

    def test_equal_documents_have_equal_ids_and_others_do_not(self) -> None:
        ids = [
            as_passage(Document(page_content=text, metadata={"source": s})).id for text, s in ["ab", "ab", "ac", "cb"]
        ]
        assert ids[0] == ids[1] and len(set(ids)) == 3

    def test_an_id_of_the_document_is_kept(self) -> None:
        assert as_passage(Document(id="mine", page_content="abc")).id == "mine"

    @pytest.mark.parametrize("start", [-1, None, "7", 2.5])
    def test_a_start_that_is_no_place_counts_as_none(self, start: Any) -> None:
        """LangChain's splitters write -1 where they lost the place."""
        assert as_passage(Document(page_content="abc", metadata={"start_index": start})).start == 0


class Plain(VectorStore):
    """A vector store that can do what LangChain asks for, and tells no score."""

    def __init__(self, inner: VectorStore) -> None:
        self._inner = inner

    def similarity_search_by_vector(self, embedding: list[float], k: int = 4, **_: Any) -> list[Document]:
        return self._inner.similarity_search_by_vector(embedding, k=k)

    def similarity_search(self, query: str, k: int = 4, **_: Any) -> list[Document]:
        raise AssertionError("never asked for")

    @classmethod
    def from_texts(cls, *_: Any, **__: Any) -> Plain:
        raise AssertionError("never asked for")


class TestAStoreOfAnotherKind:
    """Nothing is known of it: by meaning alone, unless its documents are given."""

    def test_it_is_searched_by_meaning_alone(self, filled: Fill, encoder: FakeEncoder) -> None:
        corpus = VectorStoreCorpus(Plain(filled()), encoder)
        hits = corpus.find([QUESTION], 3)
        query = encoder.encode_queries([QUESTION])[0]
        cosines = {one: float(encoder.encode_documents([text])[0] @ query) for one, text in TEXTS.items()}
        assert [hit.passage.id for hit in hits] == sorted(cosines, key=lambda one: -cosines[one])[:3]
        assert all(hit.final_score == hit.dense_score and hit.lexical_score is None for hit in hits)
        assert [hit.dense_score for hit in hits] == pytest.approx([cosines[hit.passage.id] for hit in hits], abs=1e-6)

    def test_it_is_a_source_of_passages_and_knows_no_rarity_and_no_size(self, encoder: FakeEncoder) -> None:
        store = Plain(InMemoryVectorStore(FakeEmbeddings(encoder)))
        corpus = VectorStoreCorpus(store, encoder)
        assert isinstance(corpus, PassageSource)
        assert corpus.rarity(["duck", "ice"]) == {"duck": 1.0, "ice": 1.0}
        assert corpus.size == UNKNOWN_SIZE
        assert VectorStoreCorpus(store, encoder, size=6).size == 6
        assert corpus.find([QUESTION], 3) == []

    def test_with_its_documents_it_is_searched_as_one_that_lists_them(self, filled: Fill, encoder: FakeEncoder) -> None:
        store = filled()
        expected = VectorStoreCorpus(store, encoder).find([QUESTION], 6)
        corpus = VectorStoreCorpus(Plain(store), encoder, documents=documents())
        assert [hit.passage for hit in corpus.find([QUESTION], 6)] == [hit.passage for hit in expected]
        assert corpus.size == 6
        assert corpus.rarity(["duck"]) == VectorStoreCorpus(store, encoder).rarity(["duck"])

    def test_documents_without_the_ids_of_the_store_are_not_found_twice(
        self, filled: Fill, encoder: FakeEncoder
    ) -> None:
        given = [Document(page_content=one.page_content, metadata=one.metadata) for one in documents()]
        hits = VectorStoreCorpus(Plain(filled()), encoder, documents=given).find([QUESTION], 10)
        assert sorted(hit.passage.id for hit in hits) == sorted(TEXTS)
        assert {hit.passage.id for hit in hits if hit.lexical_score} >= {"ducks", "frost"}


def test_the_documents_of_what_was_found_keep_their_metadata(filled: Fill, encoder: FakeEncoder) -> None:
    given = [*documents(), Document(id="more", page_content="Ducks swim.", metadata={"source": "m", "year": 2020})]
    store = filled(given)
    corpus = VectorStoreCorpus(store, encoder)
    corpus.find([QUESTION], 3)
    assert corpus.documents(["more", "ducks", "nobody"]).keys() == {"more", "ducks"}
    assert VectorStoreCorpus(store, encoder).documents(["more"])["more"].metadata == {"source": "m", "year": 2020}


class TestAStoreThatChanges:
    def test_what_is_added_is_found_by_its_words(self, filled: Fill, encoder: FakeEncoder) -> None:
        store = filled()
        corpus = VectorStoreCorpus(store, encoder)
        corpus.find(["xylograph"], 1)
        store.add_documents([Document(id="new", page_content="A xylograph is a print from a block of wood.")])
        (hit,) = corpus.find(["xylograph"], 1)
        assert (hit.passage.id, corpus.size) == ("new", 7)
        assert hit.lexical_score and hit.lexical_score > 0

    def test_what_is_deleted_is_found_no_more(self, filled: Fill, encoder: FakeEncoder) -> None:
        store = filled()
        corpus = VectorStoreCorpus(store, encoder)
        assert len(corpus.find([QUESTION], 10)) == 6
        store.delete(["ducks"])
        assert "ducks" not in {hit.passage.id for hit in corpus.find([QUESTION], 10)}

    def test_a_text_that_was_replaced_is_not_shown(
        self, filled: Fill, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(borrowed, "CANDIDATES", 1)  # so that only words lead to it
        store = filled()
        corpus = VectorStoreCorpus(store, encoder)
        assert corpus.find(["salt yeast dough"], 1)[0].passage.id == "bread"
        store.add_documents([Document(id="bread", page_content="Something else altogether, about trains.")])
        texts = [hit.passage.text for hit in corpus.find(["salt yeast dough rises bakers"], 1)]
        assert TEXTS["bread"] not in texts
        assert corpus.find(["trains"], 1)[0].passage.text == "Something else altogether, about trains."


def test_a_store_that_is_too_large_is_searched_by_meaning_with_a_warning(
    filled: Fill, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passage_list, "MOST_LISTED", 5)
    store = filled()
    corpus = VectorStoreCorpus(store, encoder)
    with pytest.warns(UserWarning, match="meaning alone: words are read of up to 5 passages .* it holds 6 passages"):
        hits = corpus.find([QUESTION], 3)
    assert [hit.lexical_score for hit in hits] == [None] * 3
    assert len(corpus.find([QUESTION], 3)) == 3  # warned of once
    store.delete(["bread"])
    assert corpus.find([QUESTION], 3)[0].lexical_score


def test_a_long_document_counts_too(filled: Fill, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passage_list, "MOST_CHARACTERS", 200)
    with pytest.warns(UserWarning, match="searched by meaning alone"):
        assert len(VectorStoreCorpus(filled(), encoder).find([QUESTION], 3)) == 3


class TestWhatIsRefused:
    def test_filters(self, filled: Fill, encoder: FakeEncoder) -> None:
        corpus = VectorStoreCorpus(filled(), encoder)
        with pytest.raises(InputError, match=r"filters are not offered over the vector store .*, got type=pdf"):
            corpus.find([QUESTION], 3, where=(Condition("type", "=", "pdf"),))
        with pytest.raises(InputError, match="filters are not offered"):
            search(QUESTION, store=corpus, where=["type=pdf"])

    @pytest.mark.parametrize("queries", [[], [""], ["a", " "]])
    def test_an_empty_question(self, filled: Fill, encoder: FakeEncoder, queries: list[str]) -> None:
        with pytest.raises(InputError, match="a question is needed"):
            VectorStoreCorpus(filled(), encoder).find(queries, 3)

    def test_a_k_below_one(self, filled: Fill, encoder: FakeEncoder) -> None:
        with pytest.raises(InputError, match="k must be 1 or more, got 0"):
            VectorStoreCorpus(filled(), encoder).find([QUESTION], 0)

    def test_a_store_of_another_length_of_vectors_in_one_sentence(self, filled: Fill) -> None:
        corpus = VectorStoreCorpus(filled(), FakeEncoder("longer", dim=128))
        sentence = (
            "could not be searched with a vector of 128 numbers by the encoder 'longer'; it must have been filled with "
            "the same encoder"
        )
        with pytest.raises(StoreError, match=sentence) as caught:
            corpus.find([QUESTION], 3)
        assert "\n" not in str(caught.value)
        assert caught.value.__cause__ is not None

    def test_a_store_that_takes_no_vectors(self, encoder: FakeEncoder) -> None:
        class Worded(Plain):
            def similarity_search_by_vector(self, *_: Any, **__: Any) -> list[Document]:
                return VectorStore.similarity_search_by_vector(self, [0.0])

        corpus = VectorStoreCorpus(Worded(InMemoryVectorStore(FakeEmbeddings(encoder))), encoder)
        with pytest.raises(InputError, match="the vector store Worded cannot be searched by a vector"):
            corpus.find([QUESTION], 3)
        assert corpus.passages(["a"]) == {}


@pytest.mark.parametrize("is_known", [True, False])
def test_vectors_of_another_encoder_are_warned_about_once(filled: Fill, is_known: bool) -> None:
    store = filled(encoder=FakeEncoder("another"))
    corpus = VectorStoreCorpus(store if is_known else Plain(store), FakeEncoder())
    what = "reports other cosines" if is_known else "orders passages in another way"
    with pytest.warns(UserWarning, match=f"{what} than the encoder 'fake' .* filled with another encoder"):
        hits = corpus.find([QUESTION], 6)
    own = FakeEncoder()
    cosines = own.encode_documents([hit.passage.text for hit in hits]) @ own.encode_queries([QUESTION])[0]
    assert [hit.dense_score for hit in hits] == pytest.approx(
        cosines.tolist(), abs=1e-6
    )  # the encoder's, not the store's
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        corpus.find([QUESTION], 6)


def test_cosines_that_the_store_reports_are_believed_once_they_were_compared(
    filled: Fill, encoder: FakeEncoder
) -> None:
    corpus = VectorStoreCorpus(filled(), encoder)
    encoder.encoded.clear()
    for question in (QUESTION, "How fast does bread rise?", "What does inflation do?"):
        corpus.find([question], 6)
    assert len(encoder.encoded) == 5


def test_of_the_passages_found_so_far_the_latest_are_remembered(
    encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(borrowed, "_REMEMBERED", 2)
    store = InMemoryVectorStore(FakeEmbeddings(encoder))
    store.add_documents(documents())
    corpus = VectorStoreCorpus(store, encoder)
    found = [hit.passage.id for hit in corpus.find([QUESTION], 4)]
    assert len(corpus._seen) == 2
    assert set(corpus.passages(found)) == set(found)  # the others by the store's own ids


class TestTheAgentOverIt:
    def test_a_vector_store_itself_can_be_searched_and_asked(self, filled: Fill, encoder: FakeEncoder) -> None:
        store = filled()
        found = search(QUESTION, store=store, encoder=encoder)
        assert found.hits[0].passage.id == "ducks"
        answer = ask(QUESTION, store=store, encoder=encoder)
        assert not answer.abstained
        assert answer.citations[0].source == "ducks.txt"
        assert answer.citations[0].quote in TEXTS["ducks"]
        assert answer.citations[0].start == TEXTS["ducks"].index(answer.citations[0].quote)
        assert json.loads(json.dumps(answer.as_json())) == answer.as_json()

    def test_so_can_the_wrapped_one_and_its_encoder_is_known(self, filled: Fill, encoder: FakeEncoder) -> None:
        store = filled()
        by_store = ask(QUESTION, store=store, encoder=encoder)
        by_corpus = ask(QUESTION, store=VectorStoreCorpus(store, encoder))
        assert (by_store.answer, by_store.hits) == (by_corpus.answer, by_corpus.hits)

    def test_a_graph_is_built_over_it(self, filled: Fill, encoder: FakeEncoder) -> None:
        state = build_agent(store=filled(), encoder=encoder).invoke({"question": QUESTION})
        assert state["hits"][0]["id"] == "ducks"
        assert json.loads(json.dumps(state)) == state

    def test_a_question_that_it_cannot_answer_gets_silence(self, filled: Fill, encoder: FakeEncoder) -> None:
        assert ask("Xylograph quixotic zephyr?", store=filled(), encoder=encoder).abstained

    def test_without_an_encoder_it_is_refused(self, filled: Fill) -> None:
        with pytest.raises(InputError, match="does not say which encoder it was filled with; give encoder="):
            search(QUESTION, store=filled())

    def test_what_is_no_store_at_all_is_refused(self, encoder: FakeEncoder) -> None:
        with pytest.raises(InputError, match="must be a folder, a corpus or a LangChain vector store, got 7"):
            search(QUESTION, store=7, encoder=encoder)  # type: ignore[arg-type]


def test_the_module_imports_no_langchain() -> None:
    code = (
        "import sys, reasonir_agent.stores.vector_store; print([m for m in sys.modules if m.startswith('langchain')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"
