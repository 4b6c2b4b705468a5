"""Expected scores, worked out by hand, and when the probabilities are not trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest

from reasonir_agent.llm import ChatModel, Meter, open_chat_model
from reasonir_agent.llm import Reply as Said
from reasonir_agent.llm.replies import Token
from reasonir_agent.reranking import ChatReranker
from reasonir_agent.reranking.expecting import expected_score
from reasonir_agent.testing import Reply, ScriptedChatServer
from reasonir_agent.types import Passage

Choices = Mapping[str, float]
FOUR: Choices = {"4": 0.6, "3": 0.3, "5": 0.1}
"""0.6 x 4 + 0.3 x 3 + 0.1 x 5 = 3.8."""
SURE: Choices = {"5": 1.0}
LOW: Choices = {"2": 0.75, "1": 0.25}


def said(*pieces: str | Choices, text: str | None = None) -> Said:
    """A reply of these tokens; of the likelihoods the first is the token that was taken."""
    tokens = [Token(*_token(piece)) for piece in pieces]
    whole = "".join(token.text for token in tokens)
    return Said(whole if text is None else text, tokens=tuple(tokens))


def _token(piece: str | Choices) -> tuple[str, tuple[tuple[str, float], ...]]:
    if isinstance(piece, str):
        return piece, ((piece, 0.0),)
    return next(iter(piece)), tuple((text, math.log(share)) for text, share in piece.items())


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (said("Score", ":", " ", FOUR), 3.8),
        (said(FOUR), 3.8),
        (said("Score", ":", {" 4": 0.6, " 3": 0.3, " 5": 0.1}), 3.8),
        (said("Score:", {" 4": 0.5, "4": 0.1, " 3": 0.3, " 5": 0.1}), 3.8),
        (said("**", "Score", ":", " ", FOUR, "**"), 3.8),
        (said("Score", ":", " ", {"**4**": 0.6, "3": 0.3, "5": 0.1}), 3.8),
        (said("Score", ": ", FOUR, "/", "5"), 3.8),
        (said("Score", ": ", FOUR, " out", " of", " 5", "."), 3.8),
        (said("Score", ": ", FOUR, ".", "0"), 3.8),
        (said('{"', "score", '": ', FOUR, "}"), 3.8),
        (said('{"score": ', {'"4"': 0.6, '"3"': 0.3, '"5"': 0.1}, "}"), 3.8),
        (said("It names ", "4", " causes.\n", "Score", ": ", FOUR), 3.8),
        (said("Score", ": ", {"5": 0.9, "4": 0.1}, "/", SURE), 4.9),
        (said("Score", ": ", {"5": 0.9, "4": 0.1}, " out", " of", " **", SURE), 4.9),
        (said("Score", ": ", {"0": 0.9, "1": 0.1}, ".", {"0": 1.0}), 0.1),
        (said("Score", ": ", {"0": 1.0}), 0.0),
        (said("Score", ": ", SURE), 5.0),
        (said("<think>", LOW, " perhaps", "</think>", "Score", ": ", FOUR, text="Score: 4"), 3.8),
        (said("<think>", "4", " perhaps", "</think>", "Score", ": ", FOUR, text="Score: 4"), 3.8),
    ],
)
def test_the_expectation_over_the_digits_of_the_token_that_states_the_score(reply: Said, expected: float) -> None:
    assert expected_score(reply) == pytest.approx(expected)


def test_what_is_no_digit_takes_no_part() -> None:
    reply = said("Score", ": ", {"4": 0.6, "3": 0.2, "high": 0.1, "6": 0.05, "-1": 0.05})
    assert expected_score(reply) == pytest.approx((0.6 * 4 + 0.2 * 3) / 0.8)


@pytest.mark.parametrize(
    "reply",
    [
        Said("Score: 4"),  # the server gives none
        said("Score", ": ", {"4": 0.3, "the": 0.7}),  # digits with little mass
        said("Score: 4"),  # no token of its own
        said("Score", ": ", "4", ".", "5"),  # 4.5 is stated, no digit says it
        said("Score", ": ", {"4": 0.6, "3": 0.4}, text="Score: 3"),  # tokens of something else
        said("great"),
        said("Score", ": ", "10"),
        Said("Score: 4", tokens=(Token("4", ()),)),
        Said("Score: 4", tokens=(Token("4", (("4", -math.inf), ("3", math.nan))),)),
    ],
)
def test_probabilities_that_cannot_be_trusted_are_not_used(reply: Said) -> None:
    assert expected_score(reply) is None


def test_a_positive_log_probability_counts_as_certain() -> None:
    assert expected_score(Said("4", tokens=(Token("4", (("4", 700.0), ("3", -9999.0))),))) == 4.0


def chat(server: ScriptedChatServer) -> ChatModel:
    return open_chat_model("openai:test", base_url=server.base_url, max_retries=0, timeout=5.0)


def passages(count: int) -> list[Passage]:
    return [Passage.make(f"{n}.txt", 0, 2, f"n{n}") for n in range(count)]


def number(request: Mapping[str, object]) -> int:
    return int(str(request["messages"]).split("<passage>\\nn")[1].split("\\n")[0])


async def test_scores_of_a_server_with_probabilities_hardly_tie() -> None:
    """Twenty passages that all "get a 4" are ranked by how sure the model is of it."""

    def script(request: Mapping[str, object]) -> Reply:
        sure = 0.6 + number(request) / 100
        probabilities = {"4": math.log(sure), "3": math.log(1 - sure)}
        return Reply("Score: 4", logprobs=[{"Score": 0.0}, {": ": 0.0}, probabilities])

    with ScriptedChatServer(script) as server:
        scores = await ChatReranker(chat(server)).score("q", passages(20))
    assert scores == pytest.approx([(4 * (0.6 + n / 100) + 3 * (0.4 - n / 100)) / 5 for n in range(20)])
    assert len(set(scores)) == 20
    assert all(request["logprobs"] is True and request["top_logprobs"] == 20 for request in server.requests)


async def test_a_server_without_probabilities_gives_what_it_states() -> None:
    with ScriptedChatServer(lambda request: f"Score: {number(request) % 3}") as server:
        assert await ChatReranker(chat(server)).score("q", passages(4)) == [0.0, 0.2, 0.4, 0.0]


async def test_a_server_that_refuses_them_is_not_asked_for_them_again() -> None:
    def script(request: Mapping[str, object]) -> str | Reply:
        return Reply("logprobs is not supported", status=400) if "logprobs" in request else "Score: 4"

    with ScriptedChatServer(script) as server:
        reranker, meter = ChatReranker(chat(server), meter=Meter()), Meter()
        reranker.meter = meter
        assert await reranker.score("q", passages(1)) == [0.8]
        assert ["logprobs" in request for request in server.requests] == [True, False]
        assert await reranker.score("q", passages(3)) == [0.8] * 3
    assert ["logprobs" in request for request in server.requests[2:]] == [False] * 3
    assert meter.llm_calls == 5
