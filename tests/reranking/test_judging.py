"""Hits in, hits in their final order out: what is asked about, what it costs, and that no hit is ever lost."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasonir_agent.errors import InputError
from reasonir_agent.llm import Bounds, ChatModel, Meter, open_chat_model
from reasonir_agent.reranking import ChatReranker, Judged, judge
from reasonir_agent.testing import Reply, ScriptedChatServer
from reasonir_agent.types import Hit, Passage

HITS = [Hit(Passage.make("s", n, n + 1, text), cosine) for n, (text, cosine) in enumerate([("a", 0.8), ("b", 0.6)])]
QUESTION = "Why do ducks not freeze to the ice?"


def many(count: int) -> list[Hit]:
    """Hits called 0, 1, 2, ...; their cosines fall by thousandths."""
    return [
        Hit(Passage(str(n), "s", n, n + 1, f"n{n}"), 0.5 - n / 1000, final_score=1 - n / 1000) for n in range(count)
    ]


def names(judged: Judged) -> list[int]:
    return [int(hit.passage.id) for hit in judged.hits]


class Scores:
    """A reranker that gives what it was told to, and remembers what it was asked.

    `by_name` holds scores by the number of a passage, the others get 0.
    """

    def __init__(self, *scores: float | None, by_name: Mapping[int, float | None] | None = None) -> None:
        self.scores, self.by_name = scores, by_name
        self.asked: list[list[str]] = []

    async def score(self, question: str, passages: Sequence[Passage]) -> Sequence[float | None]:
        self.asked.append([passage.id for passage in passages])
        if self.by_name is None:
            return self.scores
        return [self.by_name.get(int(passage.id), 0.0) for passage in passages]

    @property
    def waves(self) -> list[int]:
        return [len(some) for some in self.asked]


def open_chat(server: ScriptedChatServer, **options: Any) -> ChatModel:
    return open_chat_model("openai:any", base_url=server.base_url, **{"max_retries": 0, "timeout": 5.0, **options})


def number(request: Mapping[str, Any]) -> int:
    found = re.search(r"<passage>\nn(\d+)\n", str(request["messages"][1]["content"]))
    assert found is not None
    return int(found[1])


class TestInterpolation:
    async def test_scores_are_interpolated_with_the_cosine(self) -> None:
        judged = await judge("q", HITS, Scores(0.2, 1.0), weight=0.5)
        assert [(hit.passage.text, hit.final_score) for hit in judged.hits] == [("b", pytest.approx(0.8)), ("a", 0.5)]
        assert (judged.failures, judged.usable, judged.warnings, judged.scored) == (0, True, [], 2)

    async def test_no_hits_ask_nobody(self) -> None:
        reranker = Scores()
        judged = await judge("q", [], reranker, weight=0.5)
        assert (judged.hits, judged.usable, judged.warnings, reranker.asked) == ([], True, [], [])

    async def test_too_many_failures_leave_the_retrievers_order(self) -> None:
        judged = await judge("q", HITS, Scores(None, 1.0), weight=0.5)
        assert judged.hits == HITS
        assert (judged.usable, judged.failures, judged.scored) == (False, 1, 0)
        assert judged.warnings == [
            "the reranker is unusable: 1 of 2 passages got no score; the retriever's order stands",
        ]

    @pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -0.1, 4.0])
    async def test_what_is_no_number_from_0_to_1_is_no_score(self, wrong: float) -> None:
        judged = await judge("q", many(4), Scores(by_name={1: wrong, 3: 1.0}), weight=0.5)
        assert names(judged) == [3, 1, 0, 2]  # a mean of 1/3 for the wrong one
        assert judged.failures == 1

    @pytest.mark.parametrize("count", [1, 3])
    async def test_a_reranker_must_answer_for_each(self, count: int) -> None:
        with pytest.raises(InputError, match=f"a score for each of 2 passages, got {count}"):
            await judge("q", HITS, Scores(*[0.5] * count), weight=0.5)


class TestWithAModel:
    async def test_a_few_failures_are_told_with_the_first_reason(self) -> None:
        with ScriptedChatServer(lambda request: "ten" if number(request) == 2 else "Score: 4") as server:
            meter, kept = Meter(), ChatReranker(open_chat(server))
            judged = await judge("q", many(4), kept, weight=0.5, meter=meter)
        assert judged.warnings == [
            "1 of 4 passages got no reranker score and took the mean "
            "(first reason: no score from 0 to 5 was found; end with a line like 'Score: 3')"
        ]
        assert (meter.llm_calls, judged.failures, judged.scored) == (5, 1, 3)
        assert (
            kept.problems == [] and kept.meter.llm_calls == 0
        )  # a reranker that is shared keeps nothing of one question

    async def test_a_server_that_fails_is_not_asked_wave_after_wave(self) -> None:
        with ScriptedChatServer([Reply("broken", status=500)]) as server:
            judged = await judge("q", many(60), ChatReranker(open_chat(server)), weight=0.5, depth=8, most=60)
        assert len(server.requests) == 8
        assert judged.hits == many(60)
        assert (judged.usable, judged.failures) == (False, 8)
        (warning,) = judged.warnings
        assert warning.startswith("the reranker is unusable: 8 of 8 passages got no score (first reason: ")
        assert warning.endswith("; the retriever's order stands")

    async def test_progress_is_told_after_each_passage_scored_or_not(self) -> None:
        told: list[tuple[int, int]] = []
        with ScriptedChatServer(lambda request: "ten" if number(request) == 2 else "Score: 4") as server:
            await judge(
                "q", many(5), ChatReranker(open_chat(server)), weight=0.5, on_progress=lambda *n: told.append(n)
            )
        assert told == [(n, 5) for n in range(1, 6)]

    async def test_it_is_told_wave_by_wave(self) -> None:
        told: list[tuple[int, int]] = []
        reranker = Scores(by_name={25: 1.0})
        await judge("q", many(99), reranker, weight=0.5, depth=30, most=99, on_progress=lambda *n: told.append(n))
        assert told == [(n, 30) for n in range(1, 31)] + [(n, 40) for n in range(31, 41)]


class TestWaves:
    @pytest.mark.parametrize(
        ("relevant", "waves"),
        [
            ([], [30]),  # the first ten stay the best ten
            ([5, 15], [30]),  # what changed the best ten was not in the last ten
            ([20], [30, 10]),  # the 21st did: are there more?
            ([29], [30, 10]),
            ([29, 35], [30, 10, 10]),
            ([29, 35, 45, 55, 65, 75, 85, 95], [30, 10, 10, 10, 10, 10, 10, 10]),
            ([29, 45], [30, 10]),  # not found: the wave between changed nothing
        ],
    )
    async def test_more_are_asked_about_while_the_last_ten_change_the_best_ten(
        self, relevant: list[int], waves: list[int]
    ) -> None:
        reranker = Scores(by_name=dict.fromkeys(relevant, 1.0))
        judged = await judge("q", many(120), reranker, weight=0.5, depth=30, most=100)
        assert reranker.waves == waves
        assert [int(one) for some in reranker.asked for one in some] == list(range(sum(waves)))  # in order, each once
        found = [one for one in relevant if one < sum(waves)]
        assert names(judged)[: len(found)] == found
        assert judged.scored == sum(waves)

    async def test_one_that_enters_at_place_11_changes_nothing(self) -> None:
        reranker = Scores(by_name={**dict.fromkeys(range(10), 1.0), 25: 0.9})
        judged = await judge("q", many(60), reranker, weight=0.5, depth=30, most=60)
        assert names(judged)[10] == 25
        assert reranker.waves == [30]

    @pytest.mark.parametrize(
        ("depth", "most", "waves"), [(30, 34, [30, 4]), (30, 30, [30]), (30, 10, [30]), (30, None, [30])]
    )
    async def test_never_more_than_most(self, depth: int, most: int | None, waves: list[int]) -> None:
        reranker = Scores(by_name=dict.fromkeys(range(20, 60), 1.0))
        await judge("q", many(60), reranker, weight=0.5, depth=depth, most=most)
        assert reranker.waves == waves

    async def test_without_a_depth_all_are_asked_about_at_once(self) -> None:
        reranker = Scores(by_name={59: 1.0})
        judged = await judge("q", many(60), reranker, weight=0.5)
        assert (reranker.waves, names(judged)[0]) == ([60], 59)

    async def test_fewer_hits_than_the_depth(self) -> None:
        reranker = Scores(by_name={3: 1.0})
        await judge("q", many(4), reranker, weight=0.5, depth=30, most=100)
        assert reranker.waves == [4]

    async def test_those_that_were_not_asked_about_stand_behind_in_the_retrievers_order(self) -> None:
        hits = many(8)
        judged = await judge("q", hits, Scores(by_name={2: 1.0}), weight=0.5, depth=3)
        assert names(judged) == [2, 0, 1, 3, 4, 5, 6, 7]
        assert [hit.reranker_score for hit in judged.hits] == [1.0, 0.0, 0.0] + [None] * 5
        finals = [hit.final_score for hit in judged.hits]
        assert finals == sorted(finals, reverse=True)  # who sorts by the score finds the same order
        assert finals[:4] == [pytest.approx(value) for value in (0.749, 0.25, 0.2495, 0.2485)]

    async def test_one_behind_never_scores_above_those_before_it(self) -> None:
        hits = [Hit(Passage.make("s", n, n + 1, str(n)), cosine) for n, cosine in enumerate([0.2, 0.9, 0.4])]
        judged = await judge("q", hits, Scores(0.0), weight=0.5, depth=1)
        assert [hit.final_score for hit in judged.hits] == [0.1, 0.1, 0.1]
        assert [hit.passage.text for hit in judged.hits] == ["0", "1", "2"]


class TestEarlierRounds:
    def hits(self) -> list[Hit]:
        """Ten that an earlier round scored, then ten new ones."""
        hits = many(20)
        return [replace(hit, reranker_score=0.4, final_score=0.4) if n < 10 else hit for n, hit in enumerate(hits)]

    async def test_they_keep_their_scores_and_are_not_asked_about_again(self) -> None:
        reranker = Scores(by_name={12: 1.0})
        judged = await judge("q", self.hits(), reranker, weight=0.5, depth=5)
        assert reranker.asked == [["10", "11", "12", "13", "14"]]  # the first five of the new ones
        assert names(judged) == [12, *range(10), 10, 11, 13, 14, 15, 16, 17, 18, 19]
        assert [hit.reranker_score for hit in judged.hits[:2]] == [1.0, 0.4]
        assert judged.scored == 15

    async def test_they_decide_with_the_new_ones_whether_more_are_asked_about(self) -> None:
        reranker = Scores(by_name={})
        await judge("q", self.hits(), reranker, weight=0.5, depth=5, most=100)
        assert reranker.waves == [5]  # none of the new ones is among the best ten
        reranker = Scores(by_name={14: 1.0})
        await judge("q", self.hits(), reranker, weight=0.5, depth=5, most=100)
        assert reranker.waves == [5, 5]

    async def test_when_all_have_scores_nobody_is_asked(self) -> None:
        reranker = Scores()
        judged = await judge("q", self.hits()[:10], reranker, weight=0.5, depth=5, most=100)
        assert (reranker.asked, names(judged), judged.scored) == ([], list(range(10)), 10)


class TestBudget:
    async def test_spent_in_the_middle_the_scored_ones_are_ordered_and_none_is_lost(self) -> None:
        with ScriptedChatServer(lambda request: f"Score: {number(request)}") as server:
            reranker = ChatReranker(open_chat(server, concurrency=1))
            meter = Meter(bounds=Bounds(calls=4))
            judged = await judge("q", many(8), reranker, weight=0.5, depth=8, most=100, meter=meter)
        assert meter.llm_calls == len(server.requests) == 4
        assert names(judged) == [3, 2, 1, 0, 4, 5, 6, 7]
        assert (judged.failures, judged.usable, judged.scored) == (0, True, 4)
        assert judged.warnings == [
            "4 of 8 passages were scored (the bound of 4 calls for one question is reached); the others stand behind them"
        ]

    async def test_spent_before_the_first_call_the_retrievers_order_stands(self) -> None:
        with ScriptedChatServer(["Score: 4"]) as server:
            reranker, meter = ChatReranker(open_chat(server)), Meter(bounds=Bounds(calls=0))
            judged = await judge("q", many(3), reranker, weight=0.5, meter=meter)
        assert server.requests == []
        assert judged.hits == many(3)
        assert (judged.failures, judged.usable) == (0, False)
        assert judged.warnings == [
            "0 of 3 passages were scored (the bound of 0 calls for one question is reached); the retriever's order stands"
        ]

    async def test_what_failed_before_it_was_spent_is_counted_too(self) -> None:
        def script(request: Mapping[str, Any]) -> str | Reply:
            return Reply("broken", status=500) if number(request) == 0 else "Score: 4"

        with ScriptedChatServer(script) as server:
            reranker, meter = ChatReranker(open_chat(server, concurrency=1)), Meter(bounds=Bounds(calls=5))
            judged = await judge("q", many(8), reranker, weight=0.5, meter=meter)
        assert (judged.failures, judged.usable, judged.scored) == (1, True, 4)
        spent, failed = judged.warnings
        assert spent.startswith("4 of 8 passages were scored (the bound of 5 calls")
        assert failed.startswith("1 of 8 passages got no reranker score and took the mean (first reason: ")
        assert names(judged) == list(range(8))

    async def test_what_is_too_long_for_the_rest_does_not_stop_shorter_ones(self) -> None:
        hits = many(3)
        hits[1] = replace(hits[1], passage=replace(hits[1].passage, text="n1 " + "long " * 4000))
        with ScriptedChatServer(["Score: 4"]) as server:
            reranker = ChatReranker(open_chat(server, concurrency=1, max_tokens=50))
            judged = await judge("q", hits, reranker, weight=0.5, meter=Meter(bounds=Bounds(tokens=5000)))
        assert [hit.reranker_score for hit in judged.hits] == [0.8, 0.8, None]
        assert names(judged) == [0, 2, 1]


@dataclass
class Model:
    """Talks as a LangChain model does; says or raises what each passage is to get, at once."""

    said: Mapping[int, str | None]
    calls: int = 0
    seen: list[int] = field(default_factory=list)

    async def ainvoke(self, input: Any, **_: Any) -> Any:
        self.calls += 1
        found = re.search(r"<passage>\nn(\d+)\n", input[1][1])
        assert found is not None
        self.seen.append(int(found[1]))
        said = self.said[int(found[1])]
        if said is None:
            raise ConnectionResetError("gone")
        return _Message(said)


@dataclass
class _Message:
    content: str


FAILING = ("great", "", "Score: 9", None)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["Score: 0", "Score: 3", "Score: 5", "5", "2.5", *FAILING]),
            st.floats(-1, 1, width=32),
            st.sampled_from([None, None, 0.0, 0.4, 1.0]),
        ),
        max_size=70,
    ),
    st.one_of(st.none(), st.integers(0, 90)),
    st.one_of(st.none(), st.integers(1, 40)),
    st.one_of(st.none(), st.integers(1, 100)),
    st.integers(1, 9),
)
async def test_no_hit_is_lost_whatever_is_said_fails_or_is_spent(
    rows: list[tuple[str | None, float, float | None]],
    calls: int | None,
    depth: int | None,
    most: int | None,
    concurrency: int,
) -> None:
    hits = [
        Hit(Passage(str(n), "s", n, n + 1, f"n{n}"), cosine, None, known) for n, (_, cosine, known) in enumerate(rows)
    ]
    model = Model({n: said for n, (said, *_) in enumerate(rows)})
    meter = Meter(bounds=Bounds(calls=calls))
    chat = ChatModel(model, "scripted", concurrency)
    judged = await judge(QUESTION, hits, ChatReranker(chat), weight=0.5, depth=depth, most=most, meter=meter)
    assert sorted(names(judged)) == list(range(len(hits)))
    assert model.calls == meter.llm_calls <= (calls if calls is not None else 2 * len(hits))
    unscored = [n for n, (*_, known) in enumerate(rows) if known is None]
    limit = len(unscored) if depth is None else max(depth, most or 0)
    assert set(model.seen) <= set(unscored[:limit])
    if calls is None:
        failed = [n for n in set(model.seen) if rows[n][0] in FAILING]
        assert judged.failures == len(failed)
        assert bool(judged.warnings) == bool(failed)
    if judged.usable:
        assert all(a.final_score >= b.final_score for a, b in pairwise(judged.hits))
        for hit in judged.hits:
            known = rows[int(hit.passage.id)][2]
            assert known is None or hit.reranker_score == known
    else:
        assert judged.hits == hits
