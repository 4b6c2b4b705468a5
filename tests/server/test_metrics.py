"""/metrics, /health and the OpenAPI page."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from reasonir_agent.encoder import EncoderWarning
from reasonir_agent.server.problems import ErrorReply
from reasonir_agent.testing import FakeEncoder
from tests.server.conftest import HeldEncoder, Served

Serve = Callable[..., Served]


def test_requests_texts_tokens_and_batches_are_counted(serve: Serve, held: HeldEncoder) -> None:
    with serve(held).client() as client:
        client.post("/v1/embeddings", json={"model": "held-query", "input": ["one two", "three"]})
        client.post("/v1/embeddings", json={"model": "held-document", "input": "four"})
        client.post("/v1/embeddings", json={"model": "nobody", "input": "four"})
        client.get("/nowhere/secret-path")
        client.request("PURGE", "/health")
        client.get("/v1/models/held-query")
        page = client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "secret-path" not in page.text
    assert "PURGE" not in page.text
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page.text)
        for sample in family.samples
    }

    def requests(route: str, method: str, status: str) -> float:
        return found["reasonir_requests_total", ("method", method), ("route", route), ("status", status)]

    assert requests("/v1/embeddings", "POST", "200") == 2
    assert requests("/v1/embeddings", "POST", "404") == 1
    assert requests("/v1/models/{name:path}", "GET", "200") == 1
    assert requests("none", "GET", "404") == 1
    assert requests("/health", "other", "405") == 1
    assert found["reasonir_texts_total", ("role", "query")] == 2
    assert found["reasonir_tokens_total", ("role", "query")] == 3
    assert found["reasonir_texts_total", ("role", "document")] == 1
    assert found["reasonir_batch_texts_sum",] == 3
    assert found["reasonir_batch_texts_count",] == 2
    assert found["reasonir_queue_texts",] == 0
    assert found["reasonir_requests_under_way",] == 1, "the request for this page"
    assert found["reasonir_request_seconds_count", ("route", "/v1/embeddings")] == 3


def test_health_tells_what_is_served(serve: Serve) -> None:
    with serve(FakeEncoder("/home/somebody/fake", dim=12)).client() as client:
        found = client.get("/health").json()
    assert found.pop("version")
    assert found == {"status": "ok", "encoder": "fake", "dim": 12, "passages": None, "chat": None}


def test_two_servers_count_apart(serve: Serve) -> None:
    first, second = serve(), serve()
    with first.client() as client:
        client.get("/health")
    line = 'reasonir_requests_total{method="GET",route="/health",status="200"}'
    assert (first.metric(line), second.metric(line)) == (1, 0)


@pytest.mark.filterwarnings("error")
def test_an_encoders_warnings_do_not_reach_the_log(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    class Talkative(FakeEncoder):
        def encode_documents(self, texts: list[str], /) -> object:  # type: ignore[override]
            warnings.warn(f"{len(texts)} texts are cut", EncoderWarning, stacklevel=2)
            return super().encode_documents(texts)

    with serve(Talkative()).client() as client:
        assert client.post("/v1/embeddings", json={"model": "fake-document", "input": "a"}).status_code == 200
    assert "cut" not in capfd.readouterr().err


def test_the_openapi_page_tells_the_shape_of_every_failure(serve: Serve) -> None:
    with serve().client() as client:
        page = client.get("/openapi.json").json()
    assert "HTTPValidationError" not in page["components"]["schemas"]
    wanted = ErrorReply.model_json_schema(ref_template="#/components/schemas/{model}")["properties"]
    assert page["components"]["schemas"]["ErrorReply"]["properties"] == wanted
    for path, operations in page["paths"].items():
        for operation in operations.values():
            replies = operation["responses"]
            assert "422" not in replies
            assert ("413" in replies) == (path not in ("/health", "/metrics"))
            for status in set(replies) - {"200"}:
                schema = replies[status]["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorReply"}, (path, status)
