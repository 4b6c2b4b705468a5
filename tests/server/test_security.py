"""Who may ask: the token, names that a web page could borrow, addresses that others can reach; and nothing leaks."""

from __future__ import annotations

import logging
from collections.abc import Callable

import openai
import pytest

from reasonir_agent.errors import InputError
from reasonir_agent.server.security import check_address, is_loopback
from reasonir_agent.testing import FakeEncoder
from tests.server.conftest import HeldEncoder, Served

Serve = Callable[..., Served]

_TOKEN = "correct-horse-battery"
_CLOSED = ["/v1/models", "/metrics", "/docs", "/redoc", "/openapi.json", "/nowhere", "/v1/embeddings"]


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer wrong", _TOKEN, f"Basic {_TOKEN}", f"Bearer {_TOKEN}x", "Bearer é"],
)
def test_without_the_token_nothing_but_health_answers(serve: Serve, header: str | None) -> None:
    headers = {} if header is None else {"authorization": header.encode("latin-1")}
    with serve(token=_TOKEN).client(headers=headers) as client:
        assert client.get("/health").json()["status"] == "ok"
        for path in _CLOSED:
            reply = client.get(path)
            assert reply.status_code == 401
            assert reply.headers["www-authenticate"] == "Bearer"
            assert reply.json()["error"]["code"] == "invalid_api_key"
            assert _TOKEN not in reply.text


def test_with_the_token_everything_answers(serve: Serve) -> None:
    served = serve(token=_TOKEN)
    with served.client(headers={"authorization": f"bearer {_TOKEN}"}) as client:
        for path in ("/v1/models", "/metrics", "/docs", "/openapi.json", "/health"):
            assert client.get(path).status_code == 200
        assert client.get("/nowhere").status_code == 404
        page = client.get("/openapi.json").json()
    assert page["paths"]["/v1/embeddings"]["post"]["security"] == [{"token": []}]
    assert "security" not in page["paths"]["/health"]["get"]
    with openai.OpenAI(base_url=served.url + "/v1", api_key=_TOKEN, max_retries=0) as good:
        assert len(good.embeddings.create(model="fake-query", input="a").data) == 1
    with openai.OpenAI(base_url=served.url + "/v1", api_key="wrong-key", max_retries=0) as bad:
        with pytest.raises(openai.AuthenticationError) as refused:
            bad.embeddings.create(model="fake-query", input="a")
        assert "wrong-key" not in str(refused.value)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:1", "[::1]:8000", "[::1]"])
def test_this_machines_names_are_answered(serve: Serve, host: str) -> None:
    with serve().client(headers={"host": host}) as client:
        assert client.get("/v1/models").status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.", "", "[::1", "a@localhost@b"]
)
def test_a_name_that_resolves_to_this_machine_is_not_answered(serve: Serve, host: str) -> None:
    with serve().client(headers={"host": host}) as client:
        for path in ("/v1/models", "/health"):
            reply = client.get(path)
            assert reply.status_code == 403
            assert reply.json()["error"]["code"] == "host_not_allowed"


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:3000", 200),
        ("http://127.0.0.1:8000", 200),
        ("https://evil.example", 403),
        ("null", 403),
        ("http://localhost.evil.example", 403),
    ],
)
def test_a_page_of_another_site_is_not_answered(serve: Serve, held: HeldEncoder, origin: str, status: int) -> None:
    with serve(held).client(headers={"origin": origin}) as client:
        reply = client.post("/v1/embeddings", json={"model": "held-query", "input": "a"})
    assert reply.status_code == status
    assert not [name for name in reply.headers if name.startswith("access-control")]
    assert bool(held.calls) == (status == 200)


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.4", False),
        ("example.org", False),
        ("", False),
    ],
)
def test_other_machines_are_served_with_a_token_only(host: str, is_local: bool) -> None:
    assert is_loopback(host) == is_local
    check_address(host, _TOKEN)
    if is_local:
        check_address(host, None)
    else:
        with pytest.raises(InputError, match="a token is needed: set the environment variable REASONIR_TOKEN"):
            check_address(host, None)


@pytest.mark.parametrize("token", ["two words", "tab\t", "é", "line\n"])
def test_a_token_that_no_header_can_carry_is_refused(token: str) -> None:
    with pytest.raises(InputError, match="printable ASCII") as refused:
        check_address("127.0.0.1", token)
    assert token not in str(refused.value)


def test_a_failure_inside_tells_neither_text_nor_traceback(
    serve: Serve, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    class Broken(FakeEncoder):
        def encode_queries(self, texts: object, /) -> object:  # type: ignore[override]
            raise ValueError(f"a private text came: {texts!r} sk-12345678")

    caplog.set_level(logging.DEBUG)
    with serve(Broken()).client() as client:
        reply = client.post("/v1/embeddings", json={"model": "fake-query", "input": "a private text"})
        assert client.get("/health").status_code == 200
    assert reply.status_code == 500
    assert reply.json()["error"]["message"] == "the server failed inside (ValueError); its log says where"
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("reasonir_agent")]
    assert len(ours) == 1
    assert ours[0].startswith("a request failed: ValueError at test_security.py:")
    captured = capfd.readouterr()
    for said in (reply.text, *(record.getMessage() for record in caplog.records), captured.out, captured.err):
        assert "private" not in said
        assert "sk-" not in said
        assert "Traceback" not in said


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("GET", "/v1/embeddings", 405), ("DELETE", "/health", 405), ("POST", "/v1/models", 405)],
)
def test_what_is_not_there_is_refused_in_the_same_shape(serve: Serve, method: str, path: str, status: int) -> None:
    with serve().client() as client:
        reply = client.request(method, path)
    assert reply.status_code == status
    assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
    assert ("allow" in reply.headers) == (status == 405)
