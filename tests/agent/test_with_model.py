"""The full pipeline with a scripted model over HTTP: what each step asks, uses and costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reasonir_agent import AgentSettings, Corpus, ask, search
from reasonir_agent.testing import FakeEncoder, ScriptedChatServer


def name_of(source: str) -> str:
    return Path(source).name


def by_words(**scores: int) -> Any:
    """Scores by a word of the passage, 0 for the others."""

    def score(text: str) -> str:
        shown = text.split("<passage>")[1]
        return f"Score: {next((value for word, value in scores.items() if word in shown), 0)}"

    return score


def test_the_rewrite_is_searched_with_and_not_the_question(
    corpus: Corpus, model: Any, open_chat: Any, question: str, rewrite: str
) -> None:
    said = model()
    with ScriptedChatServer(said) as server:
        result = search(question, store=corpus, chat_model=open_chat(server))
    assert result.rewrites == [rewrite]
    assert name_of(result.hits[0].passage.source) == "debts.txt"
    for hit in result.hits:
        vectors = FakeEncoder().encode_queries([rewrite, hit.passage.encoded_text])
        assert hit.dense_score == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-5)
    assert said.asked["answer"] == 0


class TestFusion:
    """The rule follows the query that was searched with; without usable scores the retriever's hits are seen."""

    def test_a_rewritten_query_is_fused_by_halves(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str, rewrite: str
    ) -> None:
        with ScriptedChatServer(model(rerank="no score")) as server:
            result = search(question, store=corpus, chat_model=open_chat(server))
        assert result.hits == corpus.find([rewrite], 6, rewritten=True) != corpus.find([rewrite], 6)

    @pytest.mark.parametrize("said", ["", None], ids=["the rewrite failed", "none was asked for"])
    def test_a_question_is_fused_by_evidence(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str, said: str | None
    ) -> None:
        settings = AgentSettings(rewrite=said is not None)
        with ScriptedChatServer(model(rewrite=said, rerank="no score")) as server:
            result = search(question, store=corpus, chat_model=open_chat(server), settings=settings)
        assert result.rewrites == []
        assert result.hits == corpus.find([question], 6) != corpus.find([question], 6, rewritten=True)


def test_reranker_and_answer_see_the_question_itself(
    corpus: Corpus, model: Any, open_chat: Any, question: str, rewrite: str
) -> None:
    said = model()
    with ScriptedChatServer(said) as server:
        ask(question, store=corpus, chat_model=open_chat(server))
    for text in (*said.texts["rerank"], *said.texts["answer"]):
        assert f"Question:\n{question}" in text
        assert rewrite not in text


def test_the_reranker_changes_the_order_by_the_documented_formula(
    corpus: Corpus, model: Any, open_chat: Any, question: str
) -> None:
    with ScriptedChatServer(model(rerank=by_words(Salt=5, Inflation=1))) as server:
        result = search(question, store=corpus, chat_model=open_chat(server))
    assert name_of(result.hits[0].passage.source) == "bread.txt"
    for hit in result.hits:
        expected = {"bread.txt": 1.0, "debts.txt": 0.2}.get(name_of(hit.passage.source), 0.0)
        assert hit.reranker_score == expected
        cosine = min(1.0, max(0.0, hit.dense_score))
        assert hit.final_score == pytest.approx(0.5 * expected + 0.5 * cosine)
    finals = [hit.final_score for hit in result.hits]
    assert finals == sorted(finals, reverse=True)
    assert result.usage.reranker_failures == 0
    assert result.warnings == []


def test_the_weight_can_be_set(corpus: Corpus, model: Any, open_chat: Any, question: str) -> None:
    with ScriptedChatServer(model(rerank=by_words(Salt=5))) as server:
        only_model = AgentSettings(rerank_weight=1.0)
        result = search(question, store=corpus, chat_model=open_chat(server), settings=only_model)
    assert [hit.final_score for hit in result.hits] == [1.0, 0, 0, 0, 0, 0]


def test_depth_bounds_the_scored_passages_and_k_the_hits(
    corpus: Corpus, model: Any, open_chat: Any, question: str
) -> None:
    said = model()
    settings = AgentSettings(k=2, rerank_depth=4, rerank_most=4)
    with ScriptedChatServer(said) as server:
        result = search(question, store=corpus, chat_model=open_chat(server), settings=settings)
    assert said.asked["rerank"] == 4
    assert len(result.hits) == 2


def test_a_wave_that_changes_the_best_is_followed_by_another(
    corpus: Corpus, model: Any, open_chat: Any, question: str
) -> None:
    said = model()
    with ScriptedChatServer(said) as server:
        search(question, store=corpus, chat_model=open_chat(server), settings=AgentSettings(k=2, rerank_depth=4))
    assert said.asked["rerank"] == 6


def test_rewriting_can_be_turned_off(corpus: Corpus, model: Any, open_chat: Any, question: str) -> None:
    said = model()
    with ScriptedChatServer(said) as server:
        result = search(question, store=corpus, chat_model=open_chat(server), settings=AgentSettings(rewrite=False))
    assert said.asked["rewrite"] == 0
    assert result.rewrites == []
    vectors = FakeEncoder().encode_queries([question, result.hits[0].passage.encoded_text])
    assert result.hits[0].dense_score == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-5)


def test_the_answer_cites_what_was_shown(
    corpus: Corpus, model: Any, open_chat: Any, question: str, texts: dict[str, str]
) -> None:
    with ScriptedChatServer(model()) as server:
        answer = ask(question, store=corpus, chat_model=open_chat(server))
    (citation,) = answer.citations
    assert answer.answer == f"So it is [{citation.n}]."
    assert name_of(citation.source) == "debts.txt"
    assert citation.quote == "Borrowers repay"
    assert texts["debts.txt"][citation.start : citation.end] == citation.quote
    assert citation.verified == "supported"
    assert citation.id == answer.hits[citation.n - 1].passage.id
    assert not answer.abstained
    assert answer.warnings == []


def test_usage_is_the_sum_of_all_calls(corpus: Corpus, model: Any, open_chat: Any, question: str) -> None:
    said = model()
    with ScriptedChatServer(said) as server:
        answer = ask(question, store=corpus, chat_model=open_chat(server))
        assert said.asked == {"rewrite": 1, "rerank": 6, "grade": 1, "answer": 1, "support": 1}
        counted = FakeEncoder().count_tokens
        prompts = sum(sum(counted([m["content"] for m in r["messages"]])) for r in server.requests)
    usage = answer.usage
    assert usage.llm_calls == 10
    assert usage.prompt_tokens == prompts
    replies = [answer.rewrites[0], *["Score: 3"] * 6]
    assert usage.completion_tokens > sum(counted(replies))
    assert usage.seconds > 0
    assert usage.cost is None


def test_the_settings_reach_the_requests(corpus: Corpus, model: Any, open_chat: Any, question: str) -> None:
    said = model()
    with ScriptedChatServer(said) as server:
        search(question, store=corpus, chat_model=open_chat(server), settings=AgentSettings(rewrite_words=77))
    assert "about 77 words" in said.texts["rewrite"][0]


def test_the_requests_under_way_are_bounded(corpus: Corpus, model: Any, open_chat: Any, question: str) -> None:
    from reasonir_agent.testing import Reply

    with ScriptedChatServer(model(rerank=Reply("Score: 2", delay=0.05))) as server:
        search(question, store=corpus, chat_model=open_chat(server, concurrency=2))
    assert server.most_at_once == 2


def test_a_langchain_model_can_be_given(corpus: Corpus, model: Any, open_chat: Any, question: str) -> None:
    with ScriptedChatServer(model()) as server:
        answer = ask(question, store=corpus, chat_model=open_chat(server).model)
    assert answer.usage.llm_calls == 10
