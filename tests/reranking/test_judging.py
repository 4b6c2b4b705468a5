"""Hits in, hits in their final order out; real HTTP to a scripted model."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from reasonir_agent.llm import Meter, open_chat_model
from reasonir_agent.reranking import ChatReranker, judge
from reasonir_agent.testing import ScriptedChatServer
from reasonir_agent.types import Hit, Passage

HITS = [Hit(Passage.make("s", n, n + 1, text), cosine) for n, (text, cosine) in enumerate([("a", 0.8), ("b", 0.6)])]


class Scores:
    """A reranker that gives what it was told to."""

    def __init__(self, *scores: float | None) -> None:
        self.scores = scores

    async def score(self, question: str, passages: Sequence[Passage]) -> Sequence[float | None]:
        return self.scores


async def test_scores_are_interpolated_with_the_cosine() -> None:
    judged = await judge("q", HITS, Scores(0.2, 1.0), weight=0.5)
    assert [(hit.passage.text, hit.final_score) for hit in judged.hits] == [("b", pytest.approx(0.8)), ("a", 0.5)]
    assert (judged.failures, judged.usable, judged.warnings) == (0, True, [])


async def test_no_hits_ask_nobody() -> None:
    judged = await judge("q", [], Scores(), weight=0.5)
    assert (judged.hits, judged.usable, judged.warnings) == ([], True, [])


async def test_too_many_failures_leave_the_retrievers_order() -> None:
    judged = await judge("q", HITS, Scores(None, 1.0), weight=0.5)
    assert judged.hits == HITS and not judged.usable
    assert judged.warnings == [
        "the reranker is unusable: 1 of 2 passages got no score; the retriever's order stands",
    ]


async def test_a_few_failures_are_told_with_the_first_reason() -> None:
    hits = [Hit(Passage.make("s", n, n + 1, str(n)), 0.5) for n in range(4)]
    with ScriptedChatServer(lambda r: "ten" if "\n2\n" in str(r["messages"][1]["content"]) else "Score: 4") as server:
        chat = open_chat_model("openai:any", base_url=server.base_url)
        meter, kept = Meter(), ChatReranker(chat)
        judged = await judge("q", hits, kept, weight=0.5, meter=meter)
    assert judged.warnings == [
        "1 of 4 passages got no reranker score and took the mean "
        "(first reason: no score from 0 to 5 was found; end with a line like 'Score: 3')"
    ]
    assert (meter.llm_calls, judged.failures) == (5, 1)
    assert kept.problems == [] and kept.meter.llm_calls == 0  # a reranker that is shared keeps nothing of one question
