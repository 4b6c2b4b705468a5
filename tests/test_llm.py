"""Chat models over real HTTP: opening, thinking, JSON, formats, failures, limits."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from reasonir_agent.errors import ChatError, ChatUnavailable, InputError, UnreadableReply
from reasonir_agent.llm import ChatModel, Meter, as_chat_model, model, open_chat_model, read_json, split_thinking
from reasonir_agent.llm.replies import as_reply
from reasonir_agent.testing import Reply, ScriptedChatServer

KEY = "sk-secret-123456"
HELLO = [("user", "hello")]


class Verdict(BaseModel):
    name: str
    score: int = 0
    parts: list[str] = []


def opened(server: ScriptedChatServer, **options: Any) -> ChatModel:
    return open_chat_model(
        "openai:test", base_url=server.base_url, **{"api_key": KEY, "max_retries": 0, "timeout": 5.0, **options}
    )


class TestOpening:
    @pytest.mark.parametrize("name", ["", "gpt", "openai:", ":gpt", ":"])
    def test_a_name_without_provider_or_model_is_told_the_form(self, name: str) -> None:
        with pytest.raises(InputError, match="named provider:model") as caught:
            open_chat_model(name)
        assert repr(name) in str(caught.value)

    def test_an_unknown_provider_is_one_sentence(self) -> None:
        with pytest.raises(InputError) as caught:
            open_chat_model("nosuch:model")
        text = str(caught.value)
        assert "'nosuch:model'" in text
        assert "\n" not in text
        assert len(text) < 200

    def test_a_provider_whose_package_is_missing_names_the_package(self) -> None:
        with pytest.raises(InputError, match="langchain-anthropic"):
            open_chat_model("anthropic:claude-x")

    def test_without_key_and_address_the_variable_is_named(self) -> None:
        with pytest.raises(InputError, match="OPENAI_API_KEY"):
            open_chat_model("openai:gpt-x")

    async def test_an_address_needs_no_key(self) -> None:
        with ScriptedChatServer(["hi"]) as server:
            chat = opened(server, api_key=None)
            assert (await chat.complete(HELLO, meter=Meter())).text == "hi"

    async def test_the_model_s_name_may_hold_colons(self) -> None:
        with ScriptedChatServer(["hi"]) as server:
            chat = open_chat_model("openai:qwen3:8b", base_url=server.base_url, max_retries=0)
            await chat.complete(HELLO, meter=Meter())
        assert server.requests[0]["model"] == "qwen3:8b"

    async def test_temperature_and_bound_reach_the_server(self) -> None:
        with ScriptedChatServer(["hi"]) as server:
            await opened(server, temperature=0.25, max_tokens=77).complete(HELLO, meter=Meter())
        request = server.requests[0]
        assert request["temperature"] == 0.25
        assert 77 in (request.get("max_tokens"), request.get("max_completion_tokens"))

    async def test_a_langchain_model_is_taken_as_it_is(self) -> None:
        with ScriptedChatServer(["hi"]) as server:
            inner = opened(server).model
            chat = as_chat_model(inner, concurrency=3)
            assert (chat.model, chat.concurrency, chat.own_loop) == (inner, 3, False)
            assert (await chat.complete(HELLO, meter=Meter())).text == "hi"
            assert as_chat_model(chat) is chat
            gc.collect()


class TestCounting:
    async def test_calls_and_tokens_are_added_up(self) -> None:
        with ScriptedChatServer(["one two three", "four"]) as server:
            chat, meter = opened(server), Meter()
            reply = await chat.complete([("system", "be brief"), ("user", "count to four")], meter=meter)
            assert (reply.prompt_tokens, reply.completion_tokens) == (5, 3)
            await chat.complete([("user", "go on")], meter=meter)
        assert meter == Meter(llm_calls=2, prompt_tokens=7, completion_tokens=4)

    async def test_roles_arrive_as_they_were_given(self) -> None:
        with ScriptedChatServer(["ok"]) as server:
            talk = [("system", "s"), ("user", "u"), ("assistant", "a"), ("user", "u2")]
            await opened(server).complete(talk, meter=Meter())
        assert [(m["role"], m["content"]) for m in server.requests[0]["messages"]] == talk

    async def test_a_server_that_reports_no_usage_counts_as_zero(self) -> None:
        body = {
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": None}}],
        }
        with ScriptedChatServer([Reply(body=json.dumps(body).encode())]) as server:
            meter = Meter()
            reply = await opened(server).complete(HELLO, meter=meter)
        assert reply.text == ""
        assert meter == Meter(llm_calls=1)

    async def test_a_failed_call_counts_as_a_call_without_tokens(self) -> None:
        with ScriptedChatServer([Reply("no", status=500)]) as server:
            meter = Meter()
            with pytest.raises(ChatError):
                await opened(server).complete(HELLO, meter=meter)
        assert meter == Meter(llm_calls=1)


class TestThinking:
    @pytest.mark.parametrize(
        ("said", "text", "thinking"),
        [
            ("plain", "plain", ""),
            ("<think>hm</think>four", "four", "hm"),
            ("<think>\nhm\n</think>\n\nfour\n", "four", "hm"),
            ("hm</think>four", "four", "hm"),
            ("<think>only this</think>", "", "only this"),
            ("<think>cut off whi", "", "cut off whi"),
            ("<think>a</think><think>b</think>c", "c", "ab"),
            ("<think>a</think>draft<think>b</think>c", "c", "adraftb"),
            ("<think>a</think>said<think>cut", "said", "acut"),
            ("", "", ""),
        ],
    )
    def test_thinking_is_kept_apart(self, said: str, text: str, thinking: str) -> None:
        assert split_thinking(said) == (text, thinking)

    async def test_a_reply_s_thinking_is_no_part_of_its_text(self) -> None:
        with ScriptedChatServer(["<think>3? no</think>Score: 4"]) as server:
            reply = await opened(server).complete(HELLO, meter=Meter())
        assert (reply.text, reply.thinking) == ("Score: 4", "3? no")

    @settings(deadline=None, max_examples=200)
    @given(st.lists(st.sampled_from(["<think>", "</think>", "a", " ", "\n"]), max_size=12).map("".join))
    def test_no_tag_is_left_in_the_text_and_no_letter_is_lost(self, said: str) -> None:
        text, thinking = split_thinking(said)
        assert "<think>" not in text
        assert "</think>" not in text
        assert (text + thinking).count("a") == said.count("a")

    def test_a_megabyte_of_tags_is_read(self) -> None:
        """Quadratic work would take minutes; the suite's time limit ends it."""
        assert split_thinking("</think>" * 130_000)[0] == ""
        assert split_thinking("<think>" * 130_000)[0] == ""


GOOD = '{"name": "x", "score": 3}'


class TestReadingJson:
    @pytest.mark.parametrize(
        "text",
        [
            GOOD,
            f"```json\n{GOOD}\n```",
            f"Here you are:\n{GOOD}\nAnything else?",
            f"{GOOD} and once more {GOOD}",
            f'{GOOD} or with other spaces {{"score":3,"name":"x"}}',
            f"a set {{1, 2}} and then {GOOD}",
            '{"name": "x", "score": 3, "extra": {"name": "y", "score": 9}}',
            "\ufeff" + GOOD,
        ],
    )
    def test_one_object_is_found(self, text: str) -> None:
        assert read_json(text, Verdict) == Verdict(name="x", score=3)

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("", "no complete JSON object"),
            ("no braces here", "no complete JSON object"),
            ("[1, 2]", "no complete JSON object"),
            ('"name"', "no complete JSON object"),
            ('{"name": "x", "score": 3', "no complete JSON object"),
            ('{"name": "x", "parts": ["a", "b', "no complete JSON object"),
            ('{"outer": {"name": "x", "score": 3}, "more": ', "no complete JSON object"),
            ("{'name': 'x'}", "no complete JSON object"),
            (f'{GOOD} {{"name": "y"}}', "2 different JSON objects"),
            ('{"score": 3}', r"^name: Field required"),
            ('{"name": "x", "score": "many"}', r"^score: Input should be a valid integer"),
            ('{"name": "x", "parts": ["a", 5]}', r"^parts\.1: Input should be a valid string"),
            ('{"name": null}', r"^name: "),
            ('[{"name": "x"}, {"name": "y"}]', "2 different JSON objects"),
            ('{"name": "x", "name": "y"}', "a key stands twice"),
            ('{"name": "x", "score": NaN}', "no complete JSON object"),
            ('{"name": "x", "score": -Infinity}', "no complete JSON object"),
        ],
    )
    def test_anything_else_is_refused_with_the_reason(self, text: str, why: str) -> None:
        with pytest.raises(UnreadableReply, match=why) as caught:
            read_json(text, Verdict)
        assert caught.value.raw == text

    @pytest.mark.parametrize(
        "unit",
        ["{", '{"', '{"a":', '{"a":[', '{"a": 1,', "{}", "[{", '{"":{"":', "x", '"', '{"a": "b"} ', "\\", "{\\", "1"],
    )
    def test_a_megabyte_of_garbage_is_refused(self, unit: str) -> None:
        text = unit * (1_000_000 // len(unit))
        with pytest.raises(UnreadableReply):  # quadratic work would not end within the suite's time limit
            read_json(text, Verdict)

    def test_numbers_of_any_length_are_refused_or_read(self) -> None:
        with pytest.raises(UnreadableReply):
            read_json('{"name": "x", "score": %s}' % ("9" * 10_000), Verdict)

    @settings(deadline=None, max_examples=300)
    @given(
        st.one_of(
            st.text(max_size=60),
            st.lists(
                st.sampled_from(
                    [
                        '{"name":',
                        '"x"',
                        "{",
                        "}",
                        "[",
                        "]",
                        ",",
                        ":",
                        '"score": 3',
                        "\\ud800",
                        "NaN",
                        "1e999",
                        "```",
                        " ",
                    ]
                ),
                max_size=14,
            ).map("".join),
            st.recursive(
                st.none() | st.booleans() | st.floats() | st.text(max_size=5),
                lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "score"]), inner),
                max_leaves=6,
            ).map(json.dumps),
        )
    )
    def test_nothing_but_an_unreadable_reply_is_ever_raised(self, text: str) -> None:
        try:
            found = read_json(text, Verdict)
        except UnreadableReply as problem:
            assert problem.raw == text
            assert str(problem)
        else:
            assert isinstance(found, Verdict)


class TestAskingForJson:
    async def test_the_second_attempt_is_told_what_was_wrong(self) -> None:
        with ScriptedChatServer(["sorry, no idea", GOOD]) as server:
            meter = Meter()
            assert await opened(server).ask_json(HELLO, Verdict, meter=meter) == Verdict(name="x", score=3)
        assert meter.llm_calls == 2
        first, second = server.requests
        assert len(first["messages"]) == 1
        said, complaint = second["messages"][1:]
        assert (said["role"], said["content"]) == ("assistant", "sorry, no idea")
        assert complaint["role"] == "user"
        assert "no complete JSON object" in complaint["content"]

    async def test_a_wrong_shape_is_told_by_its_field(self) -> None:
        with ScriptedChatServer(['{"score": 3}', GOOD]) as server:
            await opened(server).ask_json(HELLO, Verdict, meter=Meter())
        assert "name: Field required" in server.prompts()[1]

    async def test_two_bad_replies_are_an_error_with_the_last_one_attached(self) -> None:
        with ScriptedChatServer(["nothing", "still nothing"]) as server:
            meter = Meter()
            with pytest.raises(UnreadableReply) as caught:
                await opened(server).ask_json(HELLO, Verdict, meter=meter)
        assert caught.value.raw == "still nothing"
        assert len(server.requests) == meter.llm_calls == 2

    async def test_an_empty_reply_can_be_answered_too(self) -> None:
        with ScriptedChatServer(["", GOOD]) as server:
            await opened(server).ask_json(HELLO, Verdict, meter=Meter())
        assert server.requests[1]["messages"][1]["content"] == "(nothing)"

    async def test_thinking_is_not_read(self) -> None:
        with ScriptedChatServer(['<think>{"name": "wrong"}</think>' + GOOD]) as server:
            assert (await opened(server).ask_json(HELLO, Verdict, meter=Meter())).name == "x"


def knows_only(*formats: str) -> Any:
    """A server that answers 400 to the `response_format` types that it does not know."""

    def script(request: Mapping[str, Any]) -> str | Reply:
        kind = (request.get("response_format") or {"type": "plain"})["type"]
        return GOOD if kind in formats else Reply(f"unknown response_format {kind}", status=400)

    return script


def formats(server: ScriptedChatServer) -> list[str]:
    return [(request.get("response_format") or {"type": "plain"})["type"] for request in server.requests]


class TestTheLadderOfFormats:
    async def test_the_schema_is_asked_for_first(self) -> None:
        with ScriptedChatServer([GOOD]) as server:
            await opened(server).ask_json(HELLO, Verdict, meter=Meter())
        asked = server.requests[0]["response_format"]
        assert asked["type"] == "json_schema"
        assert asked["json_schema"]["name"] == "Verdict"
        assert set(asked["json_schema"]["schema"]["properties"]) == {"name", "score", "parts"}

    async def test_each_refusal_goes_one_rung_down_and_is_remembered(self) -> None:
        with ScriptedChatServer(knows_only("plain")) as server:
            chat, meter = opened(server), Meter()
            await chat.ask_json(HELLO, Verdict, meter=meter)
            assert formats(server) == ["json_schema", "json_object", "plain"]
            await chat.ask_json(HELLO, Verdict, meter=meter)
        assert formats(server)[3:] == ["plain"]
        assert meter.llm_calls == 4

    async def test_the_middle_rung_is_kept_when_it_works(self) -> None:
        with ScriptedChatServer(knows_only("json_object", "plain")) as server:
            chat = opened(server)
            for _ in range(2):
                await chat.ask_json(HELLO, Verdict, meter=Meter())
        assert formats(server) == ["json_schema", "json_object", "json_object"]

    async def test_calls_at_the_same_time_go_down_together(self) -> None:
        with ScriptedChatServer(knows_only("json_object", "plain")) as server:
            chat = opened(server, concurrency=6)
            found = await asyncio.gather(*(chat.ask_json(HELLO, Verdict, meter=Meter()) for _ in range(6)))
            assert found == [Verdict(name="x", score=3)] * 6
            await chat.ask_json(HELLO, Verdict, meter=Meter())
        assert formats(server)[-1] == "json_object"
        assert "plain" not in formats(server)

    async def test_a_fault_that_no_format_mends_gives_none_up(self) -> None:
        answers: list[str | Reply] = [Reply("the prompt is too long", status=400)] * 3
        with ScriptedChatServer([*answers, GOOD]) as server:
            chat = opened(server)
            with pytest.raises(ChatError, match="too long"):
                await chat.ask_json(HELLO, Verdict, meter=Meter())
            await chat.ask_json(HELLO, Verdict, meter=Meter())
        assert formats(server) == ["json_schema", "json_object", "plain", "json_schema"]

    async def test_without_a_shape_no_format_is_asked_for(self) -> None:
        with ScriptedChatServer(["hi"]) as server:
            await opened(server).complete(HELLO, meter=Meter())
        assert "response_format" not in server.requests[0]


COMPLETION = {"id": "x", "object": "chat.completion", "created": 0, "model": "m"}

FAILURES = {
    "401": (Reply(f"incorrect API key: {KEY}", status=401), ChatUnavailable, "refuses the key"),
    "403": (Reply(f"forbidden for {KEY}", status=403), ChatUnavailable, "refuses the key"),
    "404": (Reply("no such model", status=404), ChatUnavailable, "does not know openai:test"),
    "400": (Reply(f"bad request by {KEY}", status=400), ChatError, "bad request"),
    "429": (Reply(f"too many requests for {KEY}", status=429), ChatError, "429"),
    "500": (Reply(f"broken\nTraceback: Bearer {KEY}", status=500), ChatError, "500"),
    "503": (Reply(status=503, body=b"<html>overloaded</html>"), ChatError, "503"),
    "slow": (Reply("late", delay=1.0), ChatError, "did not answer in time"),
    "dropped": (Reply(drop=True), ChatUnavailable, "cannot be reached"),
    "html": (
        Reply(body=b"<html>\nlogin</html>", headers={"content-type": "text/html"}),
        ChatError,
        "no chat completion",
    ),
    "no json": (Reply(body=b"<html>login</html>"), ChatError, "no chat completion"),
    "no choices": (Reply(body=json.dumps({**COMPLETION, "choices": []}).encode()), ChatError, "no chat completion"),
    "null choices": (Reply(body=json.dumps({**COMPLETION, "choices": None}).encode()), ChatError, "no chat completion"),
    "empty object": (Reply(body=b"{}"), ChatError, "no chat completion"),
    "array": (Reply(body=b"[]"), ChatError, "no chat completion"),
}


class TestFailures:
    @pytest.mark.parametrize(("reply", "kind", "words"), FAILURES.values(), ids=FAILURES)
    async def test_each_is_one_sentence_of_the_right_kind_without_the_key(
        self, reply: Reply, kind: type[ChatError], words: str
    ) -> None:
        with ScriptedChatServer([reply]) as server, pytest.raises(ChatError) as caught:
            await opened(server, timeout=0.3).complete(HELLO, meter=Meter())
        text = str(caught.value)
        assert type(caught.value) is kind
        assert words in text
        assert "\n" not in text
        assert len(text) < 500
        assert KEY not in text
        assert "secret-123456" not in text
        assert caught.value.__cause__ is not None

    async def test_a_closed_port_is_unavailable(self) -> None:
        with socket.socket() as taken:  # bound and not listening: nobody else can take it meanwhile
            taken.bind(("127.0.0.1", 0))
            address = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
            chat = open_chat_model("openai:test", base_url=address, api_key=KEY, max_retries=0)
            with pytest.raises(ChatUnavailable, match="cannot be reached"):
                await chat.complete(HELLO, meter=Meter())

    async def test_a_passing_fault_is_tried_again_by_the_client(self) -> None:
        answers = [Reply("busy", status=503, headers={"retry-after-ms": "1"}), "there"]
        with ScriptedChatServer(answers) as server:
            reply = await opened(server, max_retries=1).complete(HELLO, meter=Meter())
        assert reply.text == "there"
        assert len(server.requests) == 2

    async def test_the_key_is_sent_and_a_wrong_one_is_refused(self) -> None:
        with ScriptedChatServer(["in"], api_key=KEY) as server:
            assert (await opened(server).complete(HELLO, meter=Meter())).text == "in"
            with pytest.raises(ChatUnavailable, match="401"):
                await opened(server, api_key="sk-other-999999").complete(HELLO, meter=Meter())
        assert len(server.requests) == 1

    async def test_lone_surrogates_cannot_be_sent_and_say_so(self) -> None:
        with ScriptedChatServer(["hi"]) as server, pytest.raises(ChatError):
            await opened(server).complete([("user", "a \ud800 b")], meter=Meter())


class TestSecrets:
    """A key of any shape, repeated by a server in any form, shows in no message."""

    @pytest.mark.parametrize("key", ["hunter2!", "a'b\"c\\\\d", "0000-1111", "%7Bkey%7D"])
    @pytest.mark.parametrize("status", [400, 402, 429, 500])
    async def test_a_known_key_is_removed(self, key: str, status: int) -> None:
        with ScriptedChatServer([Reply(f"the key {key} is broke", status=status)], api_key=key) as server:
            chat = opened(server, api_key=key)
            with pytest.raises(ChatError) as caught:
                await chat.complete(HELLO, meter=Meter())
        assert len(server.requests) == 1
        assert "[secret] is broke" in str(caught.value)
        assert key not in str(caught.value) and key not in repr(chat)

    async def test_the_key_of_a_model_that_the_caller_opened_is_known_too(self) -> None:
        with ScriptedChatServer([Reply("the key hunter2! is broke", status=400)]) as server:
            chat = as_chat_model(opened(server, api_key="hunter2!").model)
            with pytest.raises(ChatError, match=r"the key \[secret\] is broke"):
                await chat.complete(HELLO, meter=Meter())

    def test_a_key_from_the_environment_is_known_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "hunter2!")
        assert "hunter2!" in open_chat_model("openai:test").secrets


class TestHostileReplies:
    async def test_halves_of_characters_are_replaced_and_pairs_joined(self) -> None:
        message = {"role": "assistant", "content": "a \ud83d b \ud83e\udd86"}
        body = {**COMPLETION, "choices": [{"index": 0, "finish_reason": "stop", "message": message}]}
        with ScriptedChatServer([Reply(body=json.dumps(body).encode())]) as server:
            reply = await opened(server).complete(HELLO, meter=Meter())
        assert reply.text == "a \ufffd b \U0001f986"

    @pytest.mark.parametrize("tokens", [-5, "many", None, [3], 2.5, True])
    def test_what_is_no_number_of_tokens_counts_as_not_reported(self, tokens: Any) -> None:
        message = SimpleNamespace(content="x", usage_metadata={"input_tokens": tokens, "output_tokens": 7})
        reply = as_reply(message)
        assert (reply.prompt_tokens, reply.completion_tokens) == (0, 7)

    async def test_a_megabyte_is_cut(self) -> None:
        with ScriptedChatServer(["x" * 1_000_000]) as server:
            reply = await opened(server).complete(HELLO, meter=Meter())
        assert len(reply.text) == 200_000

    async def test_an_endless_stream_is_cut_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(model, "LONGEST_STREAM", 100)
        pieces: list[str | None] = []
        meter = Meter()
        with ScriptedChatServer(["<think>" + "hm hm " * 2000]) as server:
            with pytest.raises(ChatError, match="does not end; it was cut off at 1"):
                await opened(server, max_retries=3).complete(HELLO, meter=meter, on_text=pieces.append)
            assert len(server.requests) == 1, "it is not tried again"
        assert pieces == []
        assert meter.carried()["completion_tokens"] > 0, "and was not free"

    async def test_a_stream_that_always_breaks_off_was_there(self) -> None:
        with ScriptedChatServer([Reply("one two three four", drop=True)]) as server:
            with pytest.raises(ChatError) as caught:
                await opened(server, max_retries=1).complete(HELLO, meter=Meter(), on_text=lambda _: None)
            assert len(server.requests) == 2
        assert not isinstance(caught.value, ChatUnavailable)


class TestLoopsAndLimits:
    async def test_no_more_requests_are_under_way_than_allowed(self) -> None:
        with ScriptedChatServer(lambda _: Reply("ok", delay=0.05)) as server:
            chat, meter = opened(server, concurrency=3), Meter()
            await asyncio.gather(*(chat.complete(HELLO, meter=meter) for _ in range(9)))
        assert server.most_at_once == 3
        assert meter.llm_calls == 9

    async def test_the_limit_holds_for_a_caller_s_own_model_too(self) -> None:
        with ScriptedChatServer(lambda _: Reply("ok", delay=0.05)) as server:
            chat = as_chat_model(opened(server).model, concurrency=2)
            await asyncio.gather(*(chat.complete(HELLO, meter=Meter()) for _ in range(6)))
            gc.collect()
        assert server.most_at_once == 2

    def test_one_model_serves_one_event_loop_after_the_other(self) -> None:
        with ScriptedChatServer(lambda _: Reply("ok", delay=0.01)) as server:
            chat = opened(server, concurrency=2)

            async def several() -> list[str]:
                replies = await asyncio.gather(*(chat.complete(HELLO, meter=Meter()) for _ in range(5)))
                return [reply.text for reply in replies]

            for _ in range(3):
                assert asyncio.run(several()) == ["ok"] * 5
                gc.collect()
        assert len(server.requests) == 15

    def test_the_limits_of_ended_loops_are_forgotten(self) -> None:
        with ScriptedChatServer(["ok"]) as server:
            chat = opened(server)
            chat.own_loop = False

            async def gate_only() -> None:
                chat._gate()

            for _ in range(3):
                asyncio.run(gate_only())
            gc.collect()
            assert len(chat._gates) == 0

    async def test_a_cancelled_call_ends_at_once_and_frees_its_place(self) -> None:
        with ScriptedChatServer([Reply("late", delay=280), "next"]) as server:
            chat = opened(server, concurrency=1)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(chat.complete(HELLO, meter=Meter()), 0.2)
            assert (await chat.complete(HELLO, meter=Meter())).text == "next"  # long before the first would come


def test_the_environment_holds_no_real_key() -> None:
    assert "OPENAI_API_KEY" not in os.environ


class Parrot:
    """Another framework's model: no LangChain, no `response_format`."""

    async def ainvoke(self, input: Any, **kwargs: Any) -> Any:
        if kwargs:
            raise TypeError(f"unexpected option {next(iter(kwargs))}")
        return SimpleNamespace(content='{"score": 4}', usage_metadata={"input_tokens": 7, "output_tokens": 2})


async def test_whatever_talks_like_a_chat_model_is_one() -> None:
    class Score(BaseModel):
        score: int

    meter = Meter()
    assert (await as_chat_model(Parrot()).ask_json([("user", "q")], Score, meter=meter)).score == 4
    assert (meter.llm_calls, meter.prompt_tokens, meter.completion_tokens) == (3, 7, 2)  # two formats were refused


def test_what_cannot_talk_is_refused() -> None:
    with pytest.raises(InputError, match="'provider:model' or a LangChain chat model, got int"):
        as_chat_model(3)  # type: ignore[arg-type]
