"""A real uvicorn server on a free port, and an encoder whose every call a test can hold."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn
from openai import OpenAI

from reasonir_agent import Corpus
from reasonir_agent.errors import InputError
from reasonir_agent.llm import open_chat_model
from reasonir_agent.server import Limits, Services, create_app
from reasonir_agent.testing import FakeEncoder, ScriptedChatServer, write_corpus
from tests.server.chatting import TEXTS, Script

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix


class HeldEncoder(FakeEncoder):
    """Writes down its calls; while `gate` is closed, a call waits in it. A text that holds "poison" fails the call."""

    def __init__(self, *, pause: float = 0.0) -> None:
        super().__init__("held", dim=8)
        self.calls: list[tuple[str, list[str]]] = []
        self.began = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self.at_once = self.most_at_once = 0
        self._pause = pause

    def encode_queries(self, texts: Sequence[str], /) -> FloatMatrix:
        return self._held("query", texts)

    def encode_documents(self, texts: Sequence[str], /) -> FloatMatrix:
        return self._held("document", texts)

    def _held(self, role: str, texts: Sequence[str]) -> FloatMatrix:
        self.calls.append((role, list(texts)))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.began.set()
        assert self.gate.wait(20)
        time.sleep(self._pause)
        self.at_once -= 1
        for text in texts:
            if "poison" in text:
                raise InputError("a text is poisoned")
        return self._encode([f"{role} {text}" for text in texts])


@dataclass(frozen=True)
class Served:
    """A server that runs in a thread."""

    url: str
    services: Services
    server: uvicorn.Server

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, **options)

    def metric(self, line: str) -> float:
        """The value of one line of /metrics."""
        for found in self.services.metrics.exposition().decode().splitlines():
            if found.startswith(line + " "):
                return float(found.rsplit(" ", 1)[1])
        return 0.0


@pytest.fixture
def held() -> Iterator[HeldEncoder]:
    encoder = HeldEncoder()
    yield encoder
    encoder.gate.set()


class Prompt(uvicorn.Server):
    """Ends when it is told to, not at the next tenth of a second: nearly every test has a server of its own."""

    async def main_loop(self) -> None:
        await self.on_tick(0)
        while not self.should_exit:  # noqa: ASYNC110 - it is set by another thread
            await asyncio.sleep(0.005)


@contextmanager
def running(encoder: Any = None, *, token: str | None = None, **parts: Any) -> Iterator[Served]:
    """A server for as long as the block lasts."""
    services = Services.build(encoder or FakeEncoder(), **parts)
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        create_app(services, token=token), log_level="error", access_log=False, timeout_graceful_shutdown=1
    )
    server = Prompt(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    until(lambda: server.started)
    try:
        yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}", services, server)
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Start a server: `serve(encoder, token=..., limits=Limits(...), corpus=..., chat=..., settings=...)`."""
    with ExitStack() as servers:

        def start(*arguments: Any, **parts: Any) -> Served:
            return servers.enter_context(running(*arguments, **parts))

        yield start


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait for what another thread does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


@pytest.fixture
def few() -> Limits:
    """Limits that a test can reach."""
    return Limits(body_bytes=2000, texts=3, characters=100, active=2, waiting=1, seconds=20, batch_texts=4)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    """Four documents to chat about; shared by the tests, which only read it."""
    folder = tmp_path_factory.mktemp("chat")
    write_corpus(folder / "texts", TEXTS)
    with Corpus(folder / "store", FakeEncoder(), create=True) as made:
        assert made.index([folder / "texts"]).passages == len(TEXTS)
        yield made


@pytest.fixture
def connect() -> Iterator[Callable[[str], OpenAI]]:
    """The `openai` client of a server."""
    opened: list[OpenAI] = []

    def client(url: str) -> OpenAI:
        opened.append(OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=30))
        return opened[-1]

    yield client
    for one in opened:
        one.close()


@pytest.fixture
def plain(serve: Callable[..., Served], corpus: Corpus) -> str:
    """A server without a chat model."""
    return serve(corpus.encoder, corpus=corpus).url


@pytest.fixture
def scripted(serve: Callable[..., Served], corpus: Corpus) -> Iterator[Callable[..., str]]:
    """A server whose chat model is a script."""
    opened: list[ScriptedChatServer] = []

    def start(script: Script, *, concurrency: int = 8, limits: Limits | None = None) -> str:
        opened.append(ScriptedChatServer(script).__enter__())
        model = open_chat_model(
            "openai:test", base_url=opened[-1].base_url, max_retries=0, timeout=30.0, concurrency=concurrency
        )
        return serve(corpus.encoder, corpus=corpus, chat=model, limits=limits).url

    yield start
    for one in opened:
        one.close()
