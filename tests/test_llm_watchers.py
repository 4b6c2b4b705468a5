"""Whoever watches a reply as it comes: what goes wrong there is theirs, and no failure of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from reasonir_agent.agent.spending import spending
from reasonir_agent.config import AgentSettings
from reasonir_agent.errors import BudgetSpent, ChatError
from reasonir_agent.llm import ChatModel, Meter, open_chat_model
from reasonir_agent.testing import Reply, ScriptedChatServer

HELLO = [("user", "hello")]


class ReadError(Exception):
    """By its name it could be a connection's."""


class Said(BaseModel):
    """A shape."""

    word: str


class Refused(Exception):
    """By its status it could be a server's."""

    status_code = 400


def opened(server: ScriptedChatServer, **options: Any) -> ChatModel:
    return open_chat_model("openai:test", base_url=server.base_url, **{"max_retries": 2, "timeout": 5.0, **options})


def failing(mistake: Exception, *, after: int = 0) -> Callable[[str | None], None]:
    """A watcher that breaks at a piece."""
    told: list[str | None] = []

    def tell(text: str | None) -> None:
        told.append(text)
        if len(told) > after:
            raise mistake

    return tell


@pytest.mark.parametrize("after", [0, 3])
@pytest.mark.parametrize("own_loop", [True, False])
@pytest.mark.parametrize(
    "mistake",
    [ValueError("mine"), TypeError("mine"), TimeoutError("mine"), ReadError("mine"), Refused("mine"), BudgetSpent("mine", bound="calls"), ChatError("mine")],
    ids=lambda one: type(one).__name__,
)  # fmt: skip
async def test_what_it_raises_comes_back_as_it_is(mistake: Exception, own_loop: bool, after: int) -> None:
    meter = Meter()
    with ScriptedChatServer(["one two three four five six"]) as server:
        chat = opened(server)
        chat.own_loop = own_loop
        with pytest.raises(type(mistake)) as caught:
            await chat.complete(HELLO, meter=meter, on_text=failing(mistake, after=after), schema=Said)
        # asyncio makes TimeoutErrors of other loops anew
        assert caught.value is mistake or (own_loop and repr(caught.value) == repr(mistake) == "TimeoutError('mine')")
        assert len(server.requests) == meter.llm_calls == 1, "it is not tried again"
        assert chat.json_format == "json_schema", "and nothing is given up for it"
    assert meter.carried()["completion_tokens"] > 0, "the request was not free"


async def test_the_word_that_begins_anew_may_fail_too() -> None:
    mistake = ValueError("mine")

    def tell(text: str | None) -> None:
        if text is None:
            raise mistake

    for replies in ([Reply("one two three", drop=True)], ["no JSON at all"]):
        with ScriptedChatServer(replies) as server:
            chat = opened(server)
            chat.pause = no_pause
            with pytest.raises(ValueError, match="mine") as caught:
                await chat.ask_json(HELLO, Said, meter=Meter(), on_text=tell)
            assert caught.value is mistake


async def test_a_late_watcher_is_no_bound_that_was_reached() -> None:
    def tell(text: str | None) -> None:
        raise TimeoutError("mine")

    meter = spending(AgentSettings(max_seconds=30), {}).meter
    meter.clock = lambda: meter._began if not meter.llm_calls else meter._began + 100  # its time is over meanwhile
    with ScriptedChatServer(["one two three"]) as server, pytest.raises(TimeoutError, match="mine"):
        await opened(server).complete(HELLO, meter=meter, on_text=tell)


async def test_the_stream_ends_with_its_watcher() -> None:
    """A stream that nobody reads any more is closed at once, not when it is collected."""

    class Endless:
        closed = False

        async def ainvoke(self, input: Any, **kwargs: Any) -> Any:
            raise AssertionError

        async def astream(self, input: Any, **kwargs: Any) -> Any:
            try:
                while True:
                    await asyncio.sleep(0)
                    yield type("Piece", (), {"content": "word "})()
            finally:
                Endless.closed = True

    with pytest.raises(ValueError, match="mine") as caught:
        await ChatModel(Endless(), "endless").complete(
            HELLO, meter=Meter(), on_text=failing(ValueError("mine"), after=4)
        )
    assert Endless.closed, "while the error, and with it the frame, is still held"
    assert caught.value.__traceback__ is not None


class Choosy:
    """Refuses some formats."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused

    async def ainvoke(self, input: Any, **kwargs: Any) -> Any:
        if kwargs.get("response_format", {}).get("type") in self.refused:
            raise TypeError("no such option")
        return type("Message", (), {"content": '{"word": "yes"}'})()


@pytest.mark.parametrize("refused", [[], ["json_schema"], ["json_schema", "json_object"]])
async def test_the_format_is_told(refused: list[str]) -> None:
    chat = ChatModel(Choosy(*refused), "choosy")
    assert chat.json_format == "json_schema"
    await chat.complete(HELLO, meter=Meter())
    assert chat.json_format == "json_schema", "nothing was asked for"
    assert (await chat.ask_json(HELLO, Said, meter=Meter())).word == "yes"
    assert chat.json_format == ("json_schema", "json_object", "plain text")[len(refused)]


async def no_pause(seconds: float) -> None:
    """Waiting costs nothing here."""
