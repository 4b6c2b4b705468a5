"""`ReasonIRRetriever`: the order of our native pipeline, over stores that others keep."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_chroma import Chroma
from langchain_classic.embeddings import CacheBackedEmbeddings
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.load import dumpd
from langchain_core.stores import InMemoryByteStore
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_openai import ChatOpenAI

from langchain_reasonir import ReasonIREmbeddings, ReasonIRRetriever, RerankWarning, RewriteWarning
from reasonir_agent import Corpus, search
from reasonir_agent.config import AgentSettings
from reasonir_agent.errors import InputError, StoreError
from reasonir_agent.stores import borrowed as borrowed_corpus
from reasonir_agent.stores import store as native_store
from reasonir_agent.testing import FakeEncoder, Reply
from tests.integrations.langchain_scene import (
    KEY,
    QUESTION,
    REWRITE,
    TEXTS,
    TINY,
    Script,
    chroma,
    documents,
    in_memory,
    scripted,
)

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "corpus"
QUESTIONS = (
    "Why does a road get slower when another road is added?",
    "My bathroom mirror turns white after every hot shower; what does soap do to it?",
    "How can drilling a hole at the end of a crack stop it from growing?",
)
SETTINGS = AgentSettings(k=8, rerank_depth=12)


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    with Corpus(tmp_path_factory.mktemp("native"), FakeEncoder(), create=True) as corpus:
        corpus.index([EXAMPLES])
        yield corpus


@pytest.fixture(scope="module", params=["cosine", "l2"])
def borrowed(
    request: pytest.FixtureRequest, native: Corpus, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Chroma]:
    """The same passages in langchain-chroma."""
    embeddings = ReasonIREmbeddings.from_encoder(native.encoder)
    passages = [passage for _, passage in native.store.database.all_passages()]
    with chroma(embeddings, tmp_path_factory.mktemp("chroma"), space=request.param) as store:
        store.add_documents(
            [Document(id=p.id, page_content=p.encoded_text, metadata={"source": p.source}) for p in passages]
        )
        yield store


@pytest.fixture
def _few_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few that each kind of search brings a part of the passages."""
    monkeypatch.setattr(native_store, "CANDIDATES", 15)
    monkeypatch.setattr(borrowed_corpus, "CANDIDATES", 15)


@pytest.mark.slow
@pytest.mark.usefixtures("_few_candidates")
class TestTheOrderIsThatOfTheNativePipeline:
    @pytest.mark.parametrize("question", QUESTIONS)
    def test_without_a_model(self, native: Corpus, borrowed: Chroma, question: str) -> None:
        expected = search(question, store=native, settings=SETTINGS).hits
        found = ReasonIRRetriever(vectorstore=borrowed, k=8).invoke(question)
        assert [one.id for one in found] == [hit.passage.id for hit in expected]
        for one, hit in zip(found, expected, strict=True):
            for name in ("dense_score", "lexical_score", "final_score"):
                assert one.metadata[name] == pytest.approx(getattr(hit, name), abs=1e-5), name
            assert one.metadata["reranker_score"] is None

    @pytest.mark.parametrize("question", QUESTIONS)
    @pytest.mark.parametrize("rewrite", [True, False])
    def test_with_a_model(self, native: Corpus, borrowed: Chroma, question: str, rewrite: bool) -> None:
        scores = {"surface tension": "Score: 4", "stress": "Score: 5", "traffic": "Score: 3", "route": "Score: 2"}
        settings = AgentSettings(k=8, rerank_depth=12, rewrite=rewrite)
        with scripted(Script(rewrite="The problem is stress at a crack and traffic.", scores=scores)) as chat:
            expected = search(question, store=native, chat_model=chat, settings=settings).hits
            retriever = ReasonIRRetriever(vectorstore=borrowed, llm=chat, rerank_depth=12, rewrite=rewrite)
            found = retriever.invoke(question)
        assert [one.id for one in found] == [hit.passage.id for hit in expected]
        assert len({hit.reranker_score for hit in expected}) > 1
        for one, hit in zip(found, expected, strict=True):
            assert one.metadata["reranker_score"] == pytest.approx(hit.reranker_score)
            assert one.metadata["final_score"] == pytest.approx(hit.final_score, abs=1e-5)


class TestWithAModel:
    def test_it_searches_with_the_rewrite_and_judges_by_the_question(self) -> None:
        script = Script(scores={"Ducks": "Score: 5"})
        with scripted(script) as chat:
            (best, *_) = ReasonIRRetriever(vectorstore=in_memory(FakeEncoder()), llm=chat).invoke(QUESTION)
        assert best.id == "ducks"
        assert script.asked == ["rewrite", *["rerank"] * 6]
        assert all(QUESTION in text and REWRITE not in text for text in script.texts[1:])
        cosine = FakeEncoder().encode_documents([TEXTS["ducks"]]) @ FakeEncoder().encode_queries([REWRITE])[0]
        assert best.metadata["dense_score"] == pytest.approx(float(cosine[0]), abs=1e-6)
        assert best.metadata["source"] == "ducks.txt"

    async def test_the_asynchronous_way_gives_the_same(self) -> None:
        with scripted(Script(scores={"Ducks": "Score: 5"})) as chat:
            retriever = ReasonIRRetriever(vectorstore=in_memory(FakeEncoder()), llm=chat)
            assert await retriever.ainvoke(QUESTION, k=3) == retriever.invoke(QUESTION, k=3)

    async def test_the_model_is_awaited_for_many_questions_at_once(self) -> None:
        with scripted(Script(rewrite=Reply(REWRITE, delay=0.4))) as chat:
            retriever = ReasonIRRetriever(vectorstore=in_memory(FakeEncoder()), llm=chat, rerank=False)
            await retriever.ainvoke(QUESTION)
            began = time.perf_counter()
            found = await asyncio.gather(*(retriever.ainvoke(QUESTION) for _ in range(8)))
            assert time.perf_counter() - began < 8 * 0.4
        assert found == [found[0]] * 8

    @pytest.mark.parametrize("rewrite", ["", Reply("down", status=500)])
    def test_a_rewrite_that_fails_falls_back_to_the_question(self, rewrite: str | Reply) -> None:
        script = Script(rewrite=rewrite, other="Score: 3")
        with scripted(script) as chat, pytest.warns(RewriteWarning, match="searched with as it is"):
            found = ReasonIRRetriever(vectorstore=in_memory(FakeEncoder()), llm=chat).invoke(QUESTION)
        assert found[0].id == "ducks"
        assert found[0].metadata["reranker_score"] == 0.6

    def test_a_server_that_is_not_there_is_not_asked_for_scores(self) -> None:
        model = ChatOpenAI(model="m", api_key=KEY, base_url="http://127.0.0.1:9/v1", max_retries=0)
        retriever = ReasonIRRetriever(vectorstore=in_memory(FakeEncoder()), llm=model)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = retriever.invoke(QUESTION)
        assert found[0].id == "ducks"
        told = [str(one.message) for one in caught if issubclass(one.category, (RewriteWarning, RerankWarning))]
        assert len(told) == 1 and "cannot be reached" in told[0] and KEY not in told[0]

    def test_an_unusable_reranker_leaves_the_order_and_is_told(self) -> None:
        with scripted(Script(other="?")) as chat, pytest.warns(RerankWarning, match="the reranker is unusable"):
            found = ReasonIRRetriever(vectorstore=in_memory(FakeEncoder()), llm=chat, rewrite=False).invoke(QUESTION)
        assert [one.id for one in found] == [
            one.id for one in ReasonIRRetriever(vectorstore=in_memory(FakeEncoder())).invoke(QUESTION)
        ]


class TestEmbeddings:
    def test_the_caches_around_them_are_seen_through(self) -> None:
        encoder = FakeEncoder()
        plain = ReasonIREmbeddings.from_encoder(encoder)
        ours = plain.cached(InMemoryByteStore())
        theirs = CacheBackedEmbeddings.from_bytes_store(
            plain, InMemoryByteStore(), namespace=plain.cache_namespace, key_encoder="sha256"
        )
        expected = ReasonIRRetriever(vectorstore=in_memory(encoder)).invoke(QUESTION)
        for embeddings in (ours, theirs):
            store = InMemoryVectorStore(embeddings)
            store.add_documents(documents())
            assert ReasonIRRetriever(vectorstore=store).invoke(QUESTION) == expected

    def test_given_ones_go_before_those_of_the_store(self) -> None:
        encoder = FakeEncoder()
        store = in_memory(encoder)
        store.embedding = DeterministicFakeEmbedding(size=6)
        given = ReasonIRRetriever(vectorstore=store, embeddings=ReasonIREmbeddings.from_encoder(encoder))
        assert given.invoke(QUESTION)[0].id == "ducks"

    def test_those_of_somebody_else_are_refused_at_once(self) -> None:
        store = InMemoryVectorStore(DeterministicFakeEmbedding(size=6))
        with pytest.raises(
            ValueError, match="must be ReasonIREmbeddings, got DeterministicFakeEmbedding; give embeddi"
        ):
            ReasonIRRetriever(vectorstore=store)


class TestWrongInput:
    @pytest.mark.parametrize("question", ["", " \n"])
    def test_an_empty_question(self, question: str) -> None:
        with pytest.raises(InputError, match="a question is needed"):
            ReasonIRRetriever(vectorstore=in_memory(FakeEncoder())).invoke(question)

    def test_a_k_below_one(self) -> None:
        retriever = ReasonIRRetriever(vectorstore=in_memory(FakeEncoder()))
        with pytest.raises(InputError, match="k must be 1 or more, got 0"):
            retriever.invoke(QUESTION, k=0)
        with pytest.raises(ValueError, match="greater than or equal to 1"):
            ReasonIRRetriever(vectorstore=in_memory(FakeEncoder()), k=0)

    @pytest.mark.parametrize("kind", ["memory", "chroma"])
    def test_vectors_of_another_dimension_in_the_store(self, kind: str) -> None:
        longer = ReasonIREmbeddings.from_encoder(FakeEncoder("longer", dim=128))
        with chroma(ReasonIREmbeddings.from_encoder(FakeEncoder())) as held:
            store = held if kind == "chroma" else in_memory(FakeEncoder())
            if kind == "chroma":
                store.add_documents(documents())
            sentence = "could not be searched with a vector of 128 numbers by the encoder 'longer'; it must have been"
            with pytest.raises(StoreError, match=sentence):
                ReasonIRRetriever(vectorstore=store, embeddings=longer).invoke(QUESTION)

    def test_a_question_of_10_mb(self) -> None:
        store = InMemoryVectorStore(ReasonIREmbeddings(**TINY))
        with pytest.raises(InputError, match="may have up to 1,000,000 characters"):
            ReasonIRRetriever(vectorstore=store).invoke("ice " * 2_500_000)

    @pytest.mark.parametrize("wrong", [{"llm": "gpt-5"}, {"weight": KEY}, {"kk": KEY}, {"vectorstore": KEY}])
    def test_arguments(self, wrong: dict[str, object]) -> None:
        with pytest.raises(ValueError, match=f"provider:model|{next(iter(wrong))}") as caught:
            ReasonIRRetriever(**{"vectorstore": in_memory(FakeEncoder()), **wrong})
        assert KEY not in str(caught.value)

    def test_an_empty_store_gives_an_empty_list(self) -> None:
        with scripted(Script()) as chat:
            assert ReasonIRRetriever(vectorstore=in_memory(FakeEncoder(), []), llm=chat).invoke(QUESTION) == []


def test_no_key_is_shown() -> None:
    encoder = FakeEncoder()
    embeddings = ReasonIREmbeddings(model="m", base_url="http://127.0.0.1:9/v1", api_key=KEY)
    model = ChatOpenAI(model="m", api_key=KEY, base_url="http://127.0.0.1:9/v1")
    retriever = ReasonIRRetriever(vectorstore=in_memory(encoder), embeddings=embeddings, llm=model)
    shown = [repr(retriever), str(retriever.model_dump()), retriever.model_dump_json(), str(dumpd(retriever))]
    assert all(KEY not in one for one in shown)


def test_a_document_without_an_id_keeps_its_metadata() -> None:
    given = [
        Document(page_content=text, metadata={"source": one, "n": n}) for n, (one, text) in enumerate(TEXTS.items())
    ]
    found = ReasonIRRetriever(vectorstore=in_memory(FakeEncoder(), given), k=6).invoke(QUESTION)
    assert sorted(one.metadata["n"] for one in found) == list(range(6))
