"""What is too large, too many or too slow is sent away in words; the server goes on."""

from __future__ import annotations

import concurrent.futures
import json
import socket
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx
import openai
import pytest

from reasonir_agent.errors import InputError
from reasonir_agent.server import Limits
from tests.server.conftest import HeldEncoder, Served, until

Serve = Callable[..., Served]

_ROUTE = "/v1/embeddings"


def _body(*texts: str) -> dict[str, object]:
    return {"model": "held-document", "input": list(texts)}


def _error(reply: httpx.Response, status: int, code: str) -> str:
    assert reply.status_code == status, reply.text
    error = reply.json()["error"]
    assert error["code"] == code
    return str(error["message"])


def test_too_many_and_too_long_texts(serve: Serve, held: HeldEncoder, few: Limits) -> None:
    with serve(held, limits=few).client() as client:
        reply = client.post(_ROUTE, json=_body("a", "b", "c", "d"))
        assert _error(reply, 413, "too_large") == "input may hold up to 3 texts, got 4; send several requests"
        reply = client.post(_ROUTE, json=_body("a", "b" * 101))
        assert "up to 100 characters, got 101 at input[1]" in _error(reply, 413, "too_large")
        assert client.post(_ROUTE, json=_body("a", "b" * 100, "c")).status_code == 200
    assert len(held.calls) == 1


def test_a_text_of_10_mb(serve: Serve, held: HeldEncoder) -> None:
    served = serve(held)
    with served.client() as client:
        message = _error(client.post(_ROUTE, json=_body("x" * 10_000_000)), 413, "too_large")
    assert "up to 100,000 characters, got 10,000,000" in message
    with openai.OpenAI(base_url=served.url + "/v1", api_key="none", max_retries=0) as client:
        with pytest.raises(openai.APIStatusError) as refused:
            client.embeddings.create(model="held-document", input="x" * 10_000_000)
        assert refused.value.status_code == 413


def test_a_huge_body_is_refused_before_it_is_read(serve: Serve, held: HeldEncoder, few: Limits) -> None:
    served = serve(held, limits=few)
    with served.client() as client:
        message = _error(client.post(_ROUTE, content=b"x" * 2001), 413, "too_large")
        assert message == "a body may have up to 2,000 bytes, got 2,001; send several requests"
    address = urlsplit(served.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as raw:
        raw.sendall(b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_streamed_body_is_counted_while_it_comes(serve: Serve, held: HeldEncoder, few: Limits) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(2000):
            sent += 1000
            yield b" " * 1000

    with serve(held, limits=few).client() as client:
        assert "up to 2,000 bytes" in _error(client.post(_ROUTE, content=endless()), 413, "too_large")
        good = json.dumps(_body("a")).encode()
        assert client.post(_ROUTE, content=iter([good[:5], good[5:]])).status_code == 200


def test_whoever_comes_too_many_is_sent_away_at_once(serve: Serve, held: HeldEncoder, few: Limits) -> None:
    served = serve(held, limits=few)  # two at work, one waiting
    held.gate.clear()
    with concurrent.futures.ThreadPoolExecutor(3) as pool, served.client() as client:
        inside = [pool.submit(client.post, _ROUTE, json=_body(f"text {n}")) for n in range(3)]
        until(lambda: served.metric("reasonir_requests_under_way") == 3)
        began = time.monotonic()
        reply = client.post(_ROUTE, json=_body("one more"))
        assert time.monotonic() - began < 5
        assert "3 requests are under way, as many as this server takes" in _error(reply, 503, "overloaded")
        assert int(reply.headers["retry-after"]) >= 1
        assert client.get("/health").status_code == 200
        assert client.get("/metrics").status_code == 200
        held.gate.set()
        assert [one.result().status_code for one in inside] == [200, 200, 200]
        assert client.post(_ROUTE, json=_body("one more")).status_code == 200


@pytest.mark.slow
def test_the_openai_client_comes_again_by_itself(serve: Serve, held: HeldEncoder) -> None:
    served = serve(held, limits=Limits(active=1, waiting=0))
    held.gate.clear()
    with concurrent.futures.ThreadPoolExecutor(2) as pool, served.client() as plain:
        first = pool.submit(plain.post, _ROUTE, json=_body("a"))
        until(held.began.is_set)
        with openai.OpenAI(base_url=served.url + "/v1", api_key="none", max_retries=3) as client:
            second = pool.submit(client.embeddings.create, model="held-document", input="b")
            until(lambda: served.metric('reasonir_requests_total{method="POST",route="none",status="503"}') == 1)
            held.gate.set()
            assert len(second.result().data) == 1
        assert first.result().status_code == 200


def test_what_takes_too_long_is_ended(serve: Serve, held: HeldEncoder) -> None:
    served = serve(held, limits=Limits(seconds=0.3, batch_texts=1))
    held.gate.clear()
    with served.client() as client:
        reply = client.post(_ROUTE, json=_body("a", "b"))
        assert _error(reply, 504, "timeout") == "this took longer than 0.3 seconds; ask for less"
        held.gate.set()
        until(lambda: served.metric("reasonir_texts_dropped_total") == 1)
        assert client.post(_ROUTE, json=_body("c")).status_code == 200
    assert [texts for _, texts in held.calls] == [["a"], ["c"]]


def test_a_body_that_never_comes_is_not_waited_for(serve: Serve, held: HeldEncoder) -> None:
    served = serve(held, limits=Limits(seconds=0.3))
    address = urlsplit(served.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as raw:
        raw.sendall(b'POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{"model"')
        said = raw.recv(1000)
    assert said.startswith(b"HTTP/1.1 408 ")
    until(lambda: served.metric("reasonir_requests_under_way") == 0)


def test_a_client_that_leaves_frees_its_place(serve: Serve, held: HeldEncoder) -> None:
    served = serve(held, limits=Limits(active=1, waiting=1))
    held.gate.clear()
    address = urlsplit(served.url)
    sockets = []
    for text in ("works", "waits"):
        body = json.dumps(_body(text)).encode()
        one = socket.create_connection((address.hostname or "", address.port or 0), timeout=10)
        one.sendall(b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        sockets.append(one)
        until(lambda: served.metric("reasonir_requests_under_way") == len(sockets))
    until(held.began.is_set)
    for one in sockets:
        one.close()
    until(lambda: served.metric("reasonir_requests_under_way") == 0)
    held.gate.set()
    with served.client() as client:
        assert client.post(_ROUTE, json=_body("next")).status_code == 200
    assert [texts for _, texts in held.calls] == [["works"], ["next"]]
    told = served.services.metrics.exposition().decode().splitlines()
    assert sum(float(line.split()[-1]) for line in told if 'status="499"' in line and "_total" in line) == 2


@pytest.mark.parametrize("name", ["body_bytes", "texts", "characters", "active", "seconds", "batch_texts"])
def test_limits_must_be_possible(name: str) -> None:
    with pytest.raises(InputError, match=f"the limit {name} must be"):
        Limits(**{name: 0})
    with pytest.raises(InputError, match="the limit waiting must be 0 or more, got -1"):
        Limits(waiting=-1)
    with pytest.raises(InputError, match="seconds"):
        Limits(seconds=float("nan"))
