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
from reasonir_agent.stores import vector_store
from reasonir_agent.stores.vector_store import UNKNOWN_SIZE, VectorStoreCorpus, as_passage
from reasonir_agent.testing import FakeEncoder
from reasonir_agent.types import Condition, PassageSource

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


def test_passages_come_by_their_cosine_with_ids_sources_and_offsets(filled: Fill, encoder: FakeEncoder) -> None:
    corpus = VectorStoreCorpus(filled(), encoder)
    hits = corpus.find([QUESTION], 3)
    query = encoder.encode_queries([QUESTION])[0]
    cosines = {one: float(encoder.encode_documents([text])[0] @ query) for one, text in TEXTS.items()}
    best = sorted(cosines, key=lambda one: -cosines[one])[:3]
    assert [hit.passage.id for hit in hits] == best
    assert best[0] == "ducks"
    assert [hit.dense_score for hit in hits] == pytest.approx([cosines[one] for one in best], abs=1e-6)
    assert all(hit.final_score == hit.dense_score and hit.lexical_score is None for hit in hits)
    first, number = hits[0].passage, list(TEXTS).index(best[0])
    assert (first.source, first.start, first.end) == ("ducks.txt", 100 * number, 100 * number + len(TEXTS["ducks"]))
    assert first.text == TEXTS["ducks"]


def test_the_hits_are_those_of_a_corpus_that_goes_by_meaning_alone(
    filled: Fill, encoder: FakeEncoder, tmp_path: Path
) -> None:
    for one, text in TEXTS.items():
        (tmp_path / f"{one}.txt").write_text(text)
    with Corpus(tmp_path / "store", encoder, create=True) as ours:
        ours.index([tmp_path / f"{one}.txt" for one in TEXTS])
        vectors = encoder.encode_queries([QUESTION, "heat of a roof"])
        expected = {
            hit.passage.text: hit.dense_score for hit in ours.find([QUESTION], 6, vectors=vectors.mean(0)[None])
        }
    road = VectorStoreCorpus(filled(), encoder).find([QUESTION, "heat of a roof"], 6, vectors=vectors)
    assert {hit.passage.text: hit.dense_score for hit in road} == pytest.approx(expected, abs=1e-5)
    scores = [hit.final_score for hit in road]
    assert scores == sorted(scores, reverse=True)


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


def test_it_is_a_source_of_passages_and_knows_no_rarity_and_no_size(encoder: FakeEncoder) -> None:
    corpus = VectorStoreCorpus(InMemoryVectorStore(FakeEmbeddings(encoder)), encoder)
    assert isinstance(corpus, PassageSource)
    assert corpus.rarity(["duck", "ice"]) == {"duck": 1.0, "ice": 1.0}
    assert corpus.size == UNKNOWN_SIZE
    assert VectorStoreCorpus(InMemoryVectorStore(FakeEmbeddings(encoder)), encoder, size=6).size == 6
    assert corpus.find([QUESTION], 3) == []


class TestWhatIsRefused:
    def test_filters(self, filled: Fill, encoder: FakeEncoder) -> None:
        corpus = VectorStoreCorpus(filled(), encoder)
        with pytest.raises(InputError, match="filters are not offered over a LangChain vector store, got type=pdf"):
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
        class Worded(InMemoryVectorStore):
            def similarity_search_by_vector(self, *_: Any, **__: Any) -> list[Document]:
                return VectorStore.similarity_search_by_vector(self, [0.0])

            def get_by_ids(self, ids: Any, /) -> list[Document]:
                return VectorStore.get_by_ids(self, ids)

        corpus = VectorStoreCorpus(Worded(FakeEmbeddings(encoder)), encoder)
        with pytest.raises(InputError, match="the vector store Worded cannot be searched by a vector"):
            corpus.find([QUESTION], 3)
        assert corpus.passages(["a"]) == {}


def test_vectors_of_another_encoder_are_warned_about_once(filled: Fill) -> None:
    corpus = VectorStoreCorpus(filled(encoder=FakeEncoder("another")), FakeEncoder())
    with pytest.warns(UserWarning, match="in another way than the encoder 'fake' .* filled with another encoder"):
        scores = [hit.final_score for hit in corpus.find([QUESTION], 6)]
    assert scores == sorted(scores, reverse=True)  # the encoder's order, not the store's
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        corpus.find([QUESTION], 6)


def test_of_the_passages_found_so_far_the_latest_are_remembered(
    encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_store, "_REMEMBERED", 2)
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
