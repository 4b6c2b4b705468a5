"""Fixtures that many tests share. No test reaches the network: connections that leave the machine fail."""

from __future__ import annotations

import inspect
import ipaddress
import signal
import socket
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpcore2
import pytest
from langchain_openai.chat_models import _client_utils as client_utils

from reasonir_agent.bridge import run_sync
from reasonir_agent.encoder import files
from reasonir_agent.testing import FakeEncoder

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(__file__).resolve().parent / "data"


_NUMBERS = count()

# begun in the background of a shell, which ignores it: Ctrl+C is tested all the same
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and not _is_loopback(address[0]):
            raise AssertionError(f"a test tried to reach {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither the developer's settings nor their cache of hashes reach a test."""
    for name in ("STORE", "ENCODER", "LLM", "TOKEN", "EXACT_MB"):
        monkeypatch.delenv(f"REASONIR_{name}", raising=False)
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    # made when something is written; a folder for each of thousands of tests takes longer than many a test
    monkeypatch.setattr(files, "CACHE_FOLDER", tmp_path_factory.getbasetemp() / "caches" / str(next(_NUMBERS)))


@pytest.fixture(scope="session")
def _http_clients() -> Iterator[list[tuple[str, Any]]]:
    """Address and client of every asynchronous HTTP client that langchain-openai makes."""
    made: list[tuple[str, Any]] = []
    build = client_utils._build_async_httpx_client

    def recorded(base_url: Any, *rest: Any) -> Any:
        made.append((str(base_url), build(base_url, *rest)))
        return made[-1][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client_utils, "_build_async_httpx_client", recorded)
        # no test speaks TLS; reading the certificates takes 0.05 s, twice for each model that is opened
        patch.setattr(httpcore2, "default_ssl_context", cache(httpcore2.default_ssl_context))
        yield made


_kept: list[Any] = []


@pytest.fixture(autouse=True)
def _no_connection_outlives_its_server(
    request: pytest.FixtureRequest, _http_clients: list[tuple[str, Any]]
) -> Iterator[None]:
    """Close HTTP clients of servers that are gone.

    langchain-openai keeps the last 128 clients, one for each address. Here every scripted server has an address of its
    own, and a client that is pushed out is collected with its connections open, a warning in somebody else's test.
    """
    yield
    gone = [one for one in _http_clients if not _is_listening(one[0])]
    for _, client in gone:
        if inspect.iscoroutinefunction(getattr(request.node, "function", None)):
            _kept.append(client)  # used on the test's own loop, which has ended: it cannot be closed any more
        else:
            run_sync(client.aclose())
    if gone:
        _http_clients[:] = [one for one in _http_clients if one not in gone]
        client_utils._cached_async_httpx_client.cache_clear()


def _is_listening(address: str) -> bool:
    found = urlsplit(address)
    with socket.socket() as probe:
        probe.settimeout(1)
        return found.hostname is not None and probe.connect_ex((found.hostname, found.port or 80)) == 0


@pytest.fixture
def encoder() -> FakeEncoder:
    return FakeEncoder()


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """A tiny checkpoint of ReasonIR's shape with vectors of the reference implementation."""
    return DATA / "reasonir-tiny"
