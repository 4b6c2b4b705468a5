"""The tools of an assistant, called by the SDK's own client in memory."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from mcp import Client
from mcp.types import CallToolResult

from reasonir_agent.agent import ask, search
from reasonir_agent.config import AgentSettings
from reasonir_agent.corpus import Corpus
from reasonir_agent.llm import ChatModel, open_chat_model
from reasonir_agent.server.mcp import INSTRUCTIONS, build_mcp
from reasonir_agent.testing import FakeEncoder, Reply, ScriptedChatServer, write_corpus

TEXTS = {
    "ducks.md": (
        "# Ducks\n\nDucks keep their feet cold on purpose. Warm blood from the heart meets cold blood from the feet.\n\n"
        "## Feathers\n\nFeathers trap air and shed water, so the body of a duck stays dry and warm."
    ),
    "debts.txt": "Inflation erodes the real value of nominal debts. Borrowers repay with money that buys less.",
    "bridges.txt": "Steel expands when it is heated, so bridges have joints that open and close.",
}
QUESTION = "Why do the feet of ducks stay cold?"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    folder = tmp_path_factory.mktemp("mcp")
    write_corpus(folder / "texts", TEXTS)
    with Corpus(folder / "store", FakeEncoder(), create=True) as opened:
        opened.index(folder / "texts")
        yield opened


def client(corpus: Any, chat: ChatModel | None = None, **settings: Any) -> Client:
    return Client(build_mcp(corpus, chat, AgentSettings(**settings)))


def content(result: CallToolResult) -> dict[str, Any]:
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


def sentence(result: CallToolResult) -> str:
    assert result.is_error and result.structured_content is None
    (said,) = result.content
    text = str(getattr(said, "text", ""))
    assert "\n" not in text
    return text


def without_time(result: dict[str, Any]) -> dict[str, Any]:
    return {**result, "usage": {**result["usage"], "seconds": 0}}


class TestWhatIsOffered:
    async def test_three_tools_that_only_read_with_schemas_of_what_they_take_and_give(self, corpus: Corpus) -> None:
        async with client(corpus) as opened:
            tools = {one.name: one for one in (await opened.list_tools()).tools}
            assert opened.instructions == INSTRUCTIONS
            assert opened.server_info.name == "reasonir"
        assert list(tools) == ["search", "ask", "read_passage"]
        for tool in tools.values():
            assert tool.annotations is not None and tool.annotations.read_only_hint
            assert tool.annotations.destructive_hint is False and tool.annotations.open_world_hint is False
            assert tool.title and tool.description
        assert set(tools["search"].input_schema["properties"]) == {"question", "k", "where"}
        assert set(tools["ask"].input_schema["properties"]) == {"question", "where"}
        assert tools["search"].input_schema["required"] == ["question"]
        output = {name: set((tool.output_schema or {})["properties"]) for name, tool in tools.items()}
        assert output["search"] == {"question", "rewrites", "hits", "usage", "warnings"}
        assert output["ask"] == {*output["search"], "answer", "abstained", "citations"}
        assert {"id", "text", "before", "after"} < output["read_passage"]


class TestSearching:
    async def test_it_gives_what_search_gives(self, corpus: Corpus) -> None:
        async with client(corpus) as opened:
            found = content(await opened.call_tool("search", {"question": QUESTION, "k": 2}))
        expected = search(QUESTION, store=corpus, settings=AgentSettings(k=2)).as_json()
        assert without_time(found) == without_time(expected)
        assert found["hits"][0]["source"].endswith("ducks.md")

    async def test_k_and_filters(self, corpus: Corpus) -> None:
        async with client(corpus, k=1) as opened:
            assert len(content(await opened.call_tool("search", {"question": QUESTION}))["hits"]) == 1
            arguments = {"question": QUESTION, "k": 9, "where": ["source=*/debts.txt"]}
            (hit,) = content(await opened.call_tool("search", arguments))["hits"]
        assert hit["source"].endswith("debts.txt")


STEPS = ["rewrite", "retrieve", "rerank", "grade", "answer"]


class TestAsking:
    async def test_without_a_model_it_gives_what_ask_gives(self, corpus: Corpus) -> None:
        async with client(corpus) as opened:
            found = content(await opened.call_tool("ask", {"question": QUESTION}))
        assert without_time(found) == without_time(ask(QUESTION, store=corpus).as_json())
        assert found["citations"] and not found["abstained"]
        assert all(TEXTS["ducks.md"][c["start"] : c["end"]] == c["quote"] for c in found["citations"])

    async def test_with_a_model_the_steps_are_told_as_progress(self, corpus: Corpus) -> None:
        told: list[tuple[float, float | None, str | None]] = []

        async def progress(done: float, total: float | None, message: str | None) -> None:
            told.append((done, total, message))

        with ScriptedChatServer(["nothing that can be read"]) as server:
            chat = open_chat_model("openai:any", base_url=server.base_url, api_key="none")
            async with client(corpus, chat) as opened:
                found = content(await opened.call_tool("ask", {"question": QUESTION}, progress_callback=progress))
            assert server.requests
        assert found["warnings"] and found["hits"]
        assert sorted(told) == [(n, 5, step) for n, step in enumerate(STEPS, start=1)]

    async def test_a_question_without_an_answer_is_no_error(self, corpus: Corpus) -> None:
        async with client(corpus) as opened:
            found = content(await opened.call_tool("ask", {"question": "zyzzyva quokka axolotl"}))
        assert found["abstained"] and found["citations"] == []


class TestReading:
    async def test_a_passage_and_the_text_around_it(self, corpus: Corpus) -> None:
        async with client(corpus) as opened:
            hits = content(await opened.call_tool("search", {"question": "feathers trap air", "k": 1}))["hits"]
            read = content(await opened.call_tool("read_passage", {"id": hits[0]["id"], "around": 30}))
            alone = content(await opened.call_tool("read_passage", {"id": hits[0]["id"], "around": 0}))
            usual = content(await opened.call_tool("read_passage", {"id": hits[0]["id"]}))
        text, start, end = TEXTS["ducks.md"], read["start"], read["end"]
        assert {name: read[name] for name in ("id", "source", "text", "heading")} == {
            name: hits[0][name] for name in ("id", "source", "text", "heading")
        }
        assert read["text"] == text[start:end]
        assert (read["before"], read["after"]) == (text[max(0, start - 30) : start], text[end : end + 30])
        assert (alone["before"], alone["after"]) == ("", "")
        assert usual["before"] + usual["text"] + usual["after"] == text

    async def test_a_store_of_passages_alone_has_nothing_around_them(self, corpus: Corpus) -> None:
        class Passages:
            def __getattr__(self, name: str) -> Any:
                return getattr(corpus, name)

        one = corpus.search("steel", 1)[0].passage
        async with client(Passages()) as opened:
            read = content(await opened.call_tool("read_passage", {"id": one.id}))
        assert (read["text"], read["before"], read["after"]) == (one.text, "", "")


class TestFailures:
    @pytest.mark.parametrize(
        ("tool", "arguments", "said"),
        [
            ("search", {"question": "   "}, "a question is needed, got an empty text"),
            ("ask", {"question": "   "}, "a question is needed, got ' '"),
            ("search", {"question": "x", "where": ["colour=red"]}, "no document of this store has the field 'colour'"),
            ("read_passage", {"id": "none"}, "there is no passage 'none'; ids come from search and ask"),
            ("search", {}, "the arguments of search cannot be used; question: Field required"),
            ("search", {"question": "x", "k": 0}, "search cannot be used; k: Input should be greater than or equal to"),
            ("search", {"question": "x", "k": 101}, "k: Input should be less than or equal to 100"),
            ("search", {"question": ""}, "question: String should have at least 1 character"),
            ("search", {"question": "x" * 100_001}, "question: String should have at most 100000 characters"),
            ("read_passage", {"id": "x", "around": 20_001}, "around: Input should be less than or equal to 20000"),
        ],
    )
    async def test_are_tool_errors_in_one_sentence(
        self, corpus: Corpus, tool: str, arguments: dict[str, Any], said: str
    ) -> None:
        async with client(corpus) as opened:
            text = sentence(await opened.call_tool(tool, arguments))
        assert said in text
        assert "pydantic" not in text and len(text) < 300

    async def test_an_unknown_tool(self, corpus: Corpus) -> None:
        async with client(corpus) as opened:
            assert sentence(await opened.call_tool("delete", {})) == "Unknown tool: delete"

    async def test_a_refused_key_is_told_without_the_key(self, corpus: Corpus) -> None:
        with ScriptedChatServer(api_key="right") as server:
            chat = open_chat_model("openai:any", base_url=server.base_url, api_key="sk-wrong-and-secret-7")
            async with client(corpus, chat) as opened:
                text = sentence(await opened.call_tool("ask", {"question": QUESTION}))
        assert "secret-7" not in text and "401" in text

    async def test_a_failure_that_nobody_foresaw_shows_nothing_of_itself(
        self, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(ids: Any) -> Any:
            raise RuntimeError("the contents of somebody's document")

        monkeypatch.setattr(corpus, "passages", broken)
        async with client(corpus) as opened:
            text = sentence(await opened.call_tool("read_passage", {"id": "x"}))
        assert text == "Error executing tool read_passage"


class TestManyAtOnce:
    async def test_a_call_that_is_cancelled_gives_up_its_requests_to_the_model(self, corpus: Corpus) -> None:
        """Without cancelling, the rest of the eight passages would be scored, one after another."""
        begun = threading.Event()

        def slow(request: Any) -> Reply:
            begun.set()
            return Reply("Score: 3", delay=0.2)

        with ScriptedChatServer(slow) as server:
            chat = open_chat_model("openai:any", base_url=server.base_url, api_key="none", concurrency=1)
            async with client(corpus, chat, rewrite=False, concurrency=1) as opened:
                call = asyncio.create_task(opened.call_tool("search", {"question": QUESTION}))
                await asyncio.to_thread(begun.wait, 10)
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
                await asyncio.sleep(1.0)
                assert 1 <= len(server.requests) <= 2
                assert corpus.size > 2  # the guard: there was more to score
                after = content(await opened.call_tool("read_passage", {"id": corpus.search("steel", 1)[0].passage.id}))
        assert after["text"]

    async def test_calls_do_not_wait_for_one_another(self, corpus: Corpus) -> None:
        begun = threading.Event()

        def slow_reply(request: Any) -> Reply:
            is_first = not begun.is_set()
            begun.set()
            return Reply("nothing that can be read", delay=1.0 if is_first else 0.0)

        with ScriptedChatServer(slow_reply) as server:
            chat = open_chat_model("openai:any", base_url=server.base_url, api_key="none")
            async with client(corpus, chat) as opened:
                slow = asyncio.create_task(opened.call_tool("ask", {"question": QUESTION}))
                await asyncio.to_thread(begun.wait, 10)
                began = time.perf_counter()
                one = corpus.search("steel", 1)[0].passage.id
                assert content(await opened.call_tool("read_passage", {"id": one}))["id"] == one
                assert time.perf_counter() - began < 0.9 and not slow.done()
                assert content(await slow)["hits"]


async def test_the_classic_handshake_works_too(corpus: Corpus) -> None:
    server = build_mcp(corpus, None, AgentSettings())
    async with Client(server, mode="legacy") as opened:
        assert content(await opened.call_tool("search", {"question": QUESTION}))["hits"]
