"""`ReasonIRReranker`: where the retriever's scores come from, that nothing is lost, and what is warned of."""

from __future__ import annotations

import copy
import warnings

import pytest
from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.load import dumpd
from langchain_openai import ChatOpenAI

from langchain_reasonir import ReasonIREmbeddings, ReasonIRReranker, RerankWarning
from reasonir_agent.errors import InputError
from reasonir_agent.testing import FakeEncoder, Reply
from tests.integrations.langchain_scene import KEY, QUESTION, TEXTS, Script, documents, in_memory, scripted

SCORES = {"Ducks": "Score: 2", "Inflation": "Score: 5", "heap": "Score: 4"}


def with_cosines(*cosines: object) -> list[Document]:
    given = documents()[: len(cosines)]
    return [one.model_copy(update={"metadata": {"cosine": c}}) for one, c in zip(given, cosines, strict=True)]


def final(found: list[Document]) -> dict[str | None, float]:
    return {one.id: one.metadata["final_score"] for one in found}


class TestScores:
    def test_known_cosines_are_interpolated_with_the_models_scores(self) -> None:
        with scripted(Script(scores=SCORES)) as chat:
            reranker = ReasonIRReranker(llm=chat, score_key="cosine", weight=0.25)
            found = reranker.compress_documents(with_cosines(0.9, 0.1, -0.5), QUESTION)
        # ducks .25 * .4 + .75 * .9, debts .25 * 1 + .75 * .1, mirror .25 * .2 + 0
        assert final(list(found)) == pytest.approx({"ducks": 0.775, "debts": 0.325, "mirror": 0.05})
        assert [one.metadata["retriever_score"] for one in found] == [0.9, 0.1, 0.0]
        assert [one.metadata["reranker_score"] for one in found] == [0.4, 1.0, 0.2]

    def test_unknown_cosines_are_had_by_encoding_again(self) -> None:
        encoder = FakeEncoder()
        cosines = encoder.encode_documents(list(TEXTS.values())) @ encoder.encode_queries([QUESTION])[0]
        with scripted(Script(scores=SCORES)) as chat:
            for given in ({"encoder": encoder}, {"embeddings": ReasonIREmbeddings.from_encoder(encoder)}):
                found = ReasonIRReranker(llm=chat, weight=0.0, **given).compress_documents(documents(), QUESTION)
                expected = dict(zip(TEXTS, cosines.clip(0, 1).tolist(), strict=True))
                assert final(list(found)) == pytest.approx(expected, abs=1e-6)

    def test_without_an_encoder_ranks_stand_in(self) -> None:
        with scripted(Script()) as chat:
            found = ReasonIRReranker(llm=chat, weight=0.0).compress_documents(documents()[:4], QUESTION)
        assert [one.metadata["final_score"] for one in found] == [1.0, 0.75, 0.5, 0.25]

    def test_one_unknown_cosine_makes_all_unknown(self) -> None:
        """Scores of two kinds do not mix."""
        with scripted(Script()) as chat:
            reranker = ReasonIRReranker(llm=chat, weight=0.0, score_key="cosine")
            found = reranker.compress_documents(with_cosines(0.1, "0.9"), QUESTION)
        assert [one.metadata["retriever_score"] for one in found] == [1.0, 0.5]

    @pytest.mark.parametrize("wrong", [17.5, -2, float("nan")])
    def test_what_is_no_cosine_is_not_taken_for_one(self, wrong: float) -> None:
        with scripted(Script()) as chat:
            reranker = ReasonIRReranker(llm=chat, weight=0.0, score_key="cosine")
            with pytest.warns(RerankWarning, match=f"'cosine' in the metadata holds {float(wrong)}, expected a cosine"):
                found = reranker.compress_documents(with_cosines(0.5, wrong), QUESTION)
        assert [one.metadata["retriever_score"] for one in found] == [1.0, 0.5]


class TestDocuments:
    def test_all_come_back_as_copies_with_their_metadata(self) -> None:
        given = documents()
        before = copy.deepcopy(given)
        with scripted(Script(scores=SCORES)) as chat:
            found = ReasonIRReranker(llm=chat).compress_documents(given, QUESTION)
        assert given == before
        assert sorted(one.id or "" for one in found) == sorted(TEXTS)
        assert all(one.metadata["source"] == f"{one.id}.txt" for one in found)

    def test_equal_ones_are_not_merged(self) -> None:
        given = [Document(page_content="Ducks", metadata={"n": n}) for n in range(3)]
        with scripted(Script(scores=SCORES)) as chat:
            found = ReasonIRReranker(llm=chat).compress_documents(given, QUESTION)
        assert [one.metadata["n"] for one in found] == [0, 1, 2]

    def test_top_n_of_them(self) -> None:
        with scripted(Script(scores=SCORES)) as chat:
            found = ReasonIRReranker(llm=chat, top_n=2).compress_documents(documents(), QUESTION)
        assert len(found) == 2

    async def test_the_asynchronous_method_gives_the_same(self) -> None:
        with scripted(Script(scores=SCORES)) as chat:
            reranker = ReasonIRReranker(llm=chat)
            assert list(await reranker.acompress_documents(documents(), QUESTION)) == list(
                reranker.compress_documents(documents(), QUESTION)
            )
            assert await reranker.acompress_documents([], QUESTION) == []


class TestFailures:
    def test_a_score_that_could_not_be_had_takes_the_mean_and_is_told(self) -> None:
        sentence = "1 of 6 passages got no reranker score and took the mean"
        with scripted(Script(scores={**SCORES, "yeast": "?"})) as chat, pytest.warns(RerankWarning, match=sentence):
            found = ReasonIRReranker(llm=chat).compress_documents(documents(), QUESTION)
        known = [one.metadata["reranker_score"] for one in found if one.id != "bread"]
        (taken,) = [one.metadata["reranker_score"] for one in found if one.id == "bread"]
        assert len(found) == 6
        assert taken == pytest.approx(sum(known) / 5)

    def test_a_model_that_fails_leaves_the_order_and_is_told(self) -> None:
        script = Script(other="?", scores={"Ducks": Reply("down", status=500)})
        with scripted(script) as chat, pytest.warns(RerankWarning, match="unusable: 6 of 6 passages got no score"):
            found = ReasonIRReranker(llm=chat).compress_documents(documents(), QUESTION)
        assert [one.id for one in found] == list(TEXTS)
        assert {one.metadata["reranker_score"] for one in found} == {None}

    def test_an_empty_question(self) -> None:
        with pytest.raises(InputError, match="a question is needed"):
            ReasonIRReranker(llm=FakeListChatModel(responses=["Score: 1"])).compress_documents(documents(), " ")


def test_it_works_under_the_compression_retriever_with_a_langchain_model() -> None:
    base = in_memory(FakeEncoder()).as_retriever(search_kwargs={"k": 4})
    model = FakeListChatModel(responses=["Score: 1", "Score: 1", "Score: 5", "Score: 1"])
    reranker = ReasonIRReranker(llm=model, top_n=2)
    retriever = ContextualCompressionRetriever(base_compressor=reranker, base_retriever=base)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = retriever.invoke(QUESTION)
    assert [one.metadata["reranker_score"] for one in found] == [1.0, 0.2]


class TestArguments:
    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            ({"llm": "gpt-5"}, "a chat model is named provider:model"),
            ({"llm": 7}, "a chat model must be"),
            ({"llm": "x:y", "top_n": 0}, "top_n"),
            ({"llm": "x:y", "weight": 1.5}, "weight"),
            ({"llm": FakeListChatModel(responses=[""]), "top": 3}, "top"),
        ],
    )
    def test_wrong_ones_are_refused_at_once(self, given: dict, sentence: str) -> None:
        with pytest.raises(ValueError, match=sentence):
            ReasonIRReranker(**given)

    def test_embeddings_and_an_encoder_are_one_too_many(self) -> None:
        embeddings = ReasonIREmbeddings.from_encoder(FakeEncoder())
        with pytest.raises(ValueError, match="give embeddings or encoder, not both"):
            ReasonIRReranker(llm=FakeListChatModel(responses=[""]), embeddings=embeddings, encoder=embeddings.encoder)

    def test_no_key_is_shown(self) -> None:
        reranker = ReasonIRReranker(llm=ChatOpenAI(model="m", api_key=KEY, base_url="http://127.0.0.1:9/v1"))
        shown = [repr(reranker), str(reranker.model_dump()), reranker.model_dump_json(), str(dumpd(reranker))]
        assert all(KEY not in one for one in shown)
        with pytest.raises(ValueError) as caught:
            ReasonIRReranker(llm=KEY, weight=KEY)  # type: ignore[arg-type]
        assert KEY not in str(caught.value)
