"""Budgets, retries, streams and log-probabilities over real HTTP. A bound is never passed, whatever runs at once."""

from __future__ import annotations

import asyncio
import email.utils
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from reasonir_agent.errors import BudgetSpent, ChatError, ChatUnavailable, InputError
from reasonir_agent.llm import Bounds, ChatModel, Meter, Price, open_chat_model
from reasonir_agent.llm.replies import Visible, split_thinking
from reasonir_agent.testing import Reply, ScriptedChatServer

HELLO = [("user", "hello")]


class Waits:
    """Notes how long each pause would have been."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


def opened(server: ScriptedChatServer, **options: Any) -> ChatModel:
    chat = open_chat_model("openai:test", base_url=server.base_url, **{"timeout": 5.0, **options})
    chat.pause = Waits()
    return chat


class TestBounds:
    async def test_the_call_beyond_the_bound_is_not_sent(self) -> None:
        with ScriptedChatServer(["ok"]) as server:
            chat, meter = opened(server), Meter(bounds=Bounds(calls=2))
            for _ in range(2):
                await chat.complete(HELLO, meter=meter)
            with pytest.raises(BudgetSpent, match="bound of 2 calls for one question is reached") as caught:
                await chat.complete(HELLO, meter=meter)
        assert caught.value.bound == "calls"
        assert len(server.requests) == meter.llm_calls == 2

    async def test_retries_count(self) -> None:
        with ScriptedChatServer([Reply("busy", status=503)]) as server:
            meter = Meter(bounds=Bounds(calls=2))
            with pytest.raises(BudgetSpent, match="2 calls"):
                await opened(server, max_retries=5).complete(HELLO, meter=meter)
        assert len(server.requests) == 2

    async def test_calls_at_the_same_time_do_not_pass_a_bound_together(self) -> None:
        with ScriptedChatServer(lambda _: Reply("one two", delay=0.05)) as server:
            chat = opened(server, max_tokens=100, concurrency=10)
            meter = Meter(
                bounds=Bounds(tokens=330)
            )  # an estimate is 100 for the reply and 10 for the prompt: three fit
            replies = await asyncio.gather(*(chat.complete(HELLO, meter=meter) for _ in range(10)))
        assert [reply.text for reply in replies] == ["one two"] * 10  # the others waited for what was not needed
        assert server.most_at_once == 3
        assert meter.prompt_tokens + meter.completion_tokens == 10 * 3

    async def test_what_cannot_fit_any_more_is_refused_at_once(self) -> None:
        with ScriptedChatServer(["word " * 90]) as server:
            chat, meter = opened(server, max_tokens=100), Meter(bounds=Bounds(tokens=150))
            await chat.complete(HELLO, meter=meter)
            with pytest.raises(BudgetSpent, match="150 tokens"):
                await chat.complete(HELLO, meter=meter)
        assert len(server.requests) == 1

    async def test_money(self) -> None:
        with ScriptedChatServer(["one two"]) as server:
            price = Price(prompt=1_000_000, completion=2_000_000)  # 1 and 2 a token: 10 + 2 x 20 are reserved
            chat = opened(server, max_tokens=20, price=price)
            meter = Meter(bounds=Bounds(money=52), price=chat.price)
            await chat.complete(HELLO, meter=meter)
            assert meter.cost == 1 + 2 * 2
            with pytest.raises(BudgetSpent, match="52 units of money"):
                await chat.complete(HELLO, meter=meter)

    def test_money_without_a_price_is_refused(self) -> None:
        with pytest.raises(InputError, match="needs the model's price"):
            Meter(bounds=Bounds(money=1))
        assert Meter().cost is None

    @pytest.mark.parametrize("bound", ["calls", "tokens", "seconds", "money"])
    def test_negative_bounds_are_refused(self, bound: str) -> None:
        with pytest.raises(InputError, match=f"bound on {bound} must be 0 or more, got -1"):
            Bounds(**{bound: -1})

    async def test_a_call_is_cut_off_at_the_bound_on_time(self) -> None:
        with ScriptedChatServer([Reply("late", delay=250)]) as server:
            meter = Meter(bounds=Bounds(seconds=0.3))
            began = time.monotonic()
            with pytest.raises(BudgetSpent, match=r"0\.3 seconds") as caught:
                await opened(server, timeout=200).complete(HELLO, meter=meter)
        assert caught.value.bound == "seconds"
        assert time.monotonic() - began < 100  # and not the server's 250

    async def test_time_that_was_spent_before_counts(self) -> None:
        with ScriptedChatServer(["ok"]) as server:
            meter = Meter(bounds=Bounds(seconds=30), spent_before=31)
            with pytest.raises(BudgetSpent):
                await opened(server).complete(HELLO, meter=meter)
        assert server.requests == []

    async def test_a_server_that_counts_more_than_estimated_raises_the_next_estimates(self) -> None:
        meter = Meter()
        before = meter.estimate(1000, 1, 50)
        meter.settle(900, 10, characters=1000, estimate=before)
        assert (before.prompt, meter.estimate(1000, 1, 50).prompt) == (508, 908)

    async def test_a_server_that_counts_nothing_is_counted_by_estimates(self) -> None:
        body: dict[str, Any] = {"id": "x", "object": "chat.completion", "created": 0, "model": "m"}
        body["choices"] = [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "x" * 200}}
        ]
        with ScriptedChatServer([Reply(body=json.dumps(body).encode())]) as server:
            chat, meter = opened(server, max_tokens=100), Meter(bounds=Bounds(tokens=330))
            with pytest.raises(BudgetSpent, match="330 tokens"):
                for _ in range(9):
                    await chat.complete(HELLO, meter=meter)
        assert len(server.requests) == 3  # 10 for the prompt and 100 for the reply each
        assert (meter.prompt_tokens, meter.completion_tokens) == (0, 0)  # and none is invented

    async def test_a_cancelled_call_gives_its_reservation_back(self) -> None:
        with ScriptedChatServer([Reply("late", delay=250), "next"]) as server:
            chat, meter = opened(server, max_tokens=100, timeout=200), Meter(bounds=Bounds(tokens=120))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(chat.complete(HELLO, meter=meter), 0.2)
            assert (await chat.complete(HELLO, meter=meter)).text == "next"

    @settings(deadline=None, max_examples=60)
    @given(
        st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 3)), max_size=14),
        st.integers(1, 160),
        st.integers(1, 8),
    )
    async def test_no_order_of_calls_passes_a_bound(
        self, calls: list[tuple[int, int, int]], tokens: int, most_calls: int
    ) -> None:
        meter, sent = Meter(bounds=Bounds(tokens=tokens, calls=most_calls)), 0

        async def call(prompt: int, completion: int, turns: int) -> None:
            nonlocal sent
            estimate = meter.estimate(2 * prompt, 0, completion)
            async with meter.reserved(estimate):
                sent += 1
                for _ in range(turns):
                    await asyncio.sleep(0)
                meter.settle(prompt, completion * turns // 3, estimate=estimate)
                assert meter.prompt_tokens + meter.completion_tokens <= tokens

        done = await asyncio.wait_for(asyncio.gather(*(call(*one) for one in calls), return_exceptions=True), 20)
        assert all(one is None or isinstance(one, BudgetSpent) for one in done)
        assert sent == meter.llm_calls <= most_calls
        assert sent == sum(one is None for one in done)


class TestRetries:
    async def test_passing_faults_are_waited_out_longer_each_time(self) -> None:
        answers = [Reply("no", status=status) for status in (429, 500, 503)]
        with ScriptedChatServer([*answers, "there"]) as server:
            chat = opened(server, max_retries=3)
            assert (await chat.complete(HELLO, meter=Meter())).text == "there"
        taken = chat.pause.taken  # type: ignore[attr-defined]
        assert [0.5 * base <= wait <= base for wait, base in zip(taken, (1, 2, 4), strict=True)] == [True] * 3

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
    async def test_other_faults_are_final(self, status: int) -> None:
        with ScriptedChatServer([Reply("no", status=status)]) as server, pytest.raises(ChatError):
            await opened(server, max_retries=3).complete(HELLO, meter=Meter())
        assert len(server.requests) == 1

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [({"retry-after": "7"}, 7), ({"retry-after-ms": "250"}, 0.25), ({"retry-after": "soon"}, None)],
    )
    async def test_the_server_s_wish_is_kept(self, header: dict[str, str], seconds: float | None) -> None:
        with ScriptedChatServer([Reply("busy", status=429, headers=header), "there"]) as server:
            chat = opened(server)
            await chat.complete(HELLO, meter=Meter())
        (taken,) = chat.pause.taken  # type: ignore[attr-defined]
        assert taken == seconds if seconds is not None else 0.5 <= taken <= 1

    async def test_a_date_is_a_wish_too(self) -> None:
        when = email.utils.formatdate(time.time() + 20, usegmt=True)
        with ScriptedChatServer([Reply("busy", status=429, headers={"retry-after": when}), "there"]) as server:
            chat = opened(server)
            await chat.complete(HELLO, meter=Meter())
        assert 10 < chat.pause.taken[0] <= 20  # type: ignore[attr-defined]

    async def test_a_wish_that_is_too_long_ends_the_call_in_words(self) -> None:
        with ScriptedChatServer([Reply("busy", status=429, headers={"retry-after": "3600"})]) as server:
            chat = opened(server)
            with pytest.raises(ChatError, match=r"asks to wait 3,600 s .* more than the 60 s"):
                await chat.complete(HELLO, meter=Meter())
            with pytest.raises(ChatError, match="more than the 5 s"):
                await chat.complete(HELLO, meter=Meter(bounds=Bounds(seconds=5.4)))
        assert chat.pause.taken == []  # type: ignore[attr-defined]

    async def test_a_connection_that_breaks_is_tried_again(self) -> None:
        with ScriptedChatServer([Reply(drop=True), "there"]) as server:
            assert (await opened(server).complete(HELLO, meter=Meter())).text == "there"
        with ScriptedChatServer([Reply(drop=True)]) as server:
            with pytest.raises(ChatUnavailable):
                await opened(server, max_retries=2).complete(HELLO, meter=Meter())
            assert len(server.requests) == 3


class TestStreams:
    async def test_the_reply_comes_in_pieces_and_thinking_does_not_show(self) -> None:
        with ScriptedChatServer(["<think>hm hm</think>ducks have a countercurrent in their legs"]) as server:
            pieces: list[str | None] = []
            reply = await opened(server).complete(HELLO, meter=(meter := Meter()), on_text=pieces.append)
        assert len(pieces) > 3 and None not in pieces
        assert "".join(filter(None, pieces)) == reply.text == "ducks have a countercurrent in their legs"
        assert reply.thinking == "hm hm"
        assert (meter.prompt_tokens, meter.completion_tokens) == (1, 16)

    async def test_a_stream_that_breaks_begins_anew_and_says_so(self) -> None:
        with ScriptedChatServer([Reply("one two three", drop=True), "one two three"]) as server:
            pieces: list[str | None] = []
            reply = await opened(server).complete(HELLO, meter=Meter(), on_text=pieces.append)
        assert reply.text == "one two three"
        assert pieces == ["one", None, "one", " two", " three"]

    async def test_a_server_that_refuses_streams_is_asked_without_from_then_on(self) -> None:
        with ScriptedChatServer(lambda r: Reply("no streams", status=400) if r.get("stream") else "ok") as server:
            chat, pieces = opened(server), []
            for _ in range(2):
                assert (await chat.complete(HELLO, meter=Meter(), on_text=pieces.append)).text == "ok"
        assert [bool(request.get("stream")) for request in server.requests] == [True, False, False]
        assert pieces == []

    @settings(deadline=None, max_examples=300)
    @given(
        st.lists(st.sampled_from(["<think>", "</think>", "a", "b ", "<", "thi", ">", "</"]), max_size=10).map("".join),
        st.lists(st.integers(1, 5), min_size=1),
    )
    def test_however_a_stream_is_cut_the_same_shows(self, said: str, cuts: list[int]) -> None:
        whole, parts, at = Visible(), Visible(), 0
        expected = whole.feed(said) + whole.rest()
        shown, number = "", 0
        while at < len(said):
            step = cuts[number % len(cuts)]
            shown += parts.feed(said[at : at + step])
            at, number = at + step, number + 1
        assert shown + parts.rest() == expected
        if "</think>" not in said.partition("<think>")[0]:  # else what came before was thinking, too late to know
            assert "<think>" not in expected

    def test_what_shows_is_what_the_reply_says(self) -> None:
        said = "<think>b</think> c <d> e"
        visible = Visible()
        assert (visible.feed(said) + visible.rest()).strip() == split_thinking(said)[0] == "c <d> e"


class TestLogprobs:
    async def test_alternatives_come_with_the_reply(self) -> None:
        with ScriptedChatServer([Reply("4", logprobs=[{"4": -0.5, "5": -1.0}])]) as server:
            reply = await opened(server).complete(HELLO, meter=Meter(), logprobs=5)
        assert (server.requests[0]["logprobs"], server.requests[0]["top_logprobs"]) == (True, 5)
        assert [(one.text, one.choices) for one in reply.tokens] == [("4", (("4", -0.5), ("5", -1.0)))]

    async def test_a_server_that_refuses_is_asked_without_from_then_on(self) -> None:
        with ScriptedChatServer(lambda r: Reply("no logprobs", status=400) if r.get("logprobs") else "4") as server:
            chat = opened(server)
            for _ in range(2):
                assert (await chat.complete(HELLO, meter=Meter(), logprobs=5)).tokens == ()
        assert [bool(request.get("logprobs")) for request in server.requests] == [True, False, False]

    async def test_a_fault_that_has_nothing_to_do_with_them_gives_them_not_up(self) -> None:
        with ScriptedChatServer([Reply("too long", status=400)] * 2 + ["4"]) as server:
            chat = opened(server)
            with pytest.raises(ChatError, match="too long"):
                await chat.complete(HELLO, meter=Meter(), logprobs=5)
            await chat.complete(HELLO, meter=Meter(), logprobs=5)
        assert [bool(request.get("logprobs")) for request in server.requests] == [True, False, True]

    @pytest.mark.parametrize("given", [{"content": [{"token": 1}]}, {"content": "x"}, [], "x", {"content": [{}]}])
    def test_what_has_another_form_counts_as_none(self, given: Any) -> None:
        from types import SimpleNamespace

        from reasonir_agent.llm.replies import as_reply

        reply = as_reply(SimpleNamespace(content="4", response_metadata={"logprobs": given}))
        assert all(isinstance(token.text, str) for token in reply.tokens)
        assert reply.text == "4"


async def test_why_a_reply_ended_is_known() -> None:
    replies = [Reply("half a", finish="length"), Reply("", message={"refusal": "I will not"}), "all of it"]
    with ScriptedChatServer(replies) as server:
        chat = opened(server)
        assert [(await chat.complete(HELLO, meter=Meter())).ended for _ in range(3)] == ["length", "refusal", "stop"]


class Shape(BaseModel):
    name: str


async def test_a_second_attempt_at_json_is_told_to_the_screen() -> None:
    with ScriptedChatServer(["nothing here", '{"name": "x"}']) as server:
        pieces: list[str | None] = []
        await opened(server).ask_json(HELLO, Shape, meter=Meter(), on_text=pieces.append)
    assert "".join(piece or "|" for piece in pieces) == 'nothing here|{"name": "x"}'
