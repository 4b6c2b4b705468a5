"""Search and answer without a chat model: extraction, citations, abstention."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reasonir_agent import AgentSettings, Corpus, ask, build_agent, search
from reasonir_agent.agent.looked_for import NOT_FOUND
from reasonir_agent.agent.nodes import NO_MODEL
from reasonir_agent.errors import EncoderMismatch, InputError, StoreError
from reasonir_agent.testing import FakeEncoder
from reasonir_agent.types import Usage


def name_of(source: str) -> str:
    return Path(source).name


def test_a_search_ranks_and_costs_no_calls(corpus: Corpus, question: str) -> None:
    result = search(question, store=corpus)
    assert name_of(result.hits[0].passage.source) == "ducks.txt"
    assert len(result.hits) == 6
    assert result.rewrites == []
    assert result.warnings == []
    assert (result.usage.llm_calls, result.usage.prompt_tokens, result.usage.completion_tokens) == (0, 0, 0)
    assert result.usage.seconds > 0
    finals = [hit.final_score for hit in result.hits]
    assert finals == sorted(finals, reverse=True)
    assert all(hit.reranker_score is None for hit in result.hits)


def test_a_question_is_fused_by_evidence(corpus: Corpus, question: str) -> None:
    hits = search(question, store=corpus).hits
    assert hits == corpus.find([question], 6) != corpus.find([question], 6, rewritten=True)


def test_the_dense_score_is_the_cosine(corpus: Corpus, question: str) -> None:
    for hit in search(question, store=corpus).hits:
        vectors = FakeEncoder().encode_queries([question, hit.passage.encoded_text])
        assert hit.dense_score == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-5)


def test_k_is_the_number_of_hits(corpus: Corpus, question: str) -> None:
    assert len(search(question, store=corpus, settings=AgentSettings(k=2)).hits) == 2


def test_an_answer_is_made_of_cited_sentences(corpus: Corpus, question: str, texts: dict[str, str]) -> None:
    answer = ask(question, store=corpus)
    assert not answer.abstained
    assert answer.citations
    assert name_of(answer.citations[0].source) == "ducks.txt"
    for citation in answer.citations:
        document = texts[name_of(citation.source)]
        assert citation.quote == document[citation.start : citation.end]
        assert citation.verified == "quote"
        hit = answer.hits[citation.n - 1]
        assert (hit.passage.id, hit.passage.source) == (citation.id, citation.source)
        assert f"{citation.quote} [{citation.n}]" in answer.answer


def test_the_user_is_told_what_a_model_would_add(corpus: Corpus, question: str) -> None:
    assert ask(question, store=corpus).warnings == [NO_MODEL]


def test_the_number_of_sentences_is_bounded(corpus: Corpus, question: str) -> None:
    assert len(ask(question, store=corpus, settings=AgentSettings(answer_sentences=1)).citations) == 1


def test_nonsense_is_met_with_silence_that_is_said(corpus: Corpus, nonsense: str) -> None:
    answer = ask(nonsense, store=corpus)
    assert answer.abstained
    assert answer.answer == NOT_FOUND
    assert answer.citations == []
    assert answer.hits, "the closest passages are still shown"


@pytest.mark.parametrize("empty", ["", "   ", "\n"])
def test_an_empty_question_is_wrong_input(corpus: Corpus, empty: str) -> None:
    with pytest.raises(InputError, match="question is needed"):
        search(empty, store=corpus)
    with pytest.raises(InputError, match="question is needed"):
        ask(empty, store=corpus)


def test_a_missing_store_is_named(tmp_path: Path, question: str) -> None:
    with pytest.raises(StoreError, match="no store"):
        ask(question, store=tmp_path / "nowhere", encoder=FakeEncoder())
    assert not (tmp_path / "nowhere").exists()


def test_a_store_of_another_encoder_is_refused(corpus: Corpus) -> None:
    with pytest.raises(EncoderMismatch):
        build_agent(store=corpus.store.folder, encoder=FakeEncoder("other"))


def test_a_folder_opens_as_well_as_a_corpus(corpus: Corpus, question: str) -> None:
    by_folder = ask(question, store=corpus.store.folder, encoder=FakeEncoder())
    by_corpus = ask(question, store=corpus)
    assert (by_folder.answer, by_folder.hits, by_folder.citations) == (
        by_corpus.answer,
        by_corpus.hits,
        by_corpus.citations,
    )


async def test_the_synchronous_face_works_inside_a_running_loop(corpus: Corpus, question: str) -> None:
    assert ask(question, store=corpus).citations


def test_the_json_has_exactly_the_documented_keys(corpus: Corpus, question: str) -> None:
    usage = {"llm_calls", "prompt_tokens", "completion_tokens", "cost", "seconds", "reranker_failures"}
    hit = {"id", "source", "start", "end", "heading", "text"}
    hit |= {"dense_score", "lexical_score", "reranker_score", "final_score"}
    found = search(question, store=corpus).as_json()
    assert set(found) == {"question", "rewrites", "hits", "usage", "warnings"}
    assert all(set(one) == hit for one in found["hits"])
    assert set(found["usage"]) == usage
    answered = ask(question, store=corpus).as_json()
    assert set(answered) == set(found) | {"answer", "abstained", "citations"}
    assert all(set(one) == {"n", "id", "source", "start", "end", "quote", "verified"} for one in answered["citations"])
    for value in (found, answered):
        assert json.loads(json.dumps(value)) == value


def test_nothing_used_costs_nothing() -> None:
    assert Usage() == Usage(0, 0, 0, None, 0.0, 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("k", 0),
        ("rerank_depth", 0),
        ("rewrite_words", -1),
        ("concurrency", 0),
        ("answer_sentences", 0),
        ("max_reply_tokens", 0),
        ("rerank_weight", 1.1),
        ("rerank_weight", -0.1),
        ("temperature", -1.0),
    ],
)
def test_settings_out_of_range_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name} must be .*, got {value}"):
        AgentSettings(**{name: value})
