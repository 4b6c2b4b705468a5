"""`/v1/embeddings` and `/v1/models` with the real `openai` client, and every refusal in words."""

from __future__ import annotations

import base64
import concurrent.futures
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import openai
import pytest

from reasonir_agent.server import Limits
from reasonir_agent.testing import FakeEncoder
from tests.server.conftest import HeldEncoder, Served, running

Serve = Callable[..., Served]


def _openai(served: Served, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=served.url + "/v1", api_key=key, max_retries=0, timeout=30)


def test_the_openai_client_gets_the_encoders_vectors_by_either_road(serve: Serve) -> None:
    served, encoder = serve(HeldEncoder()), HeldEncoder()
    texts = ["Why do ducks not freeze?", "  a text\nwith white space \u00e9 ", "中文"]
    with _openai(served) as client:
        for road, encode in (("query", encoder.encode_queries), ("document", encoder.encode_documents)):
            expected = encode(texts)
            for options in ({}, {"encoding_format": "float"}, {"encoding_format": "base64"}, {"dimensions": 8}):
                reply = client.embeddings.create(model=f"held-{road}", input=texts, **options)  # type: ignore[arg-type]
                rows: list[Any] = [one.embedding for one in reply.data]
                if options.get("encoding_format") == "base64":  # asked for by name, the client leaves it undecoded
                    rows = [np.frombuffer(base64.b64decode(row), dtype="<f4") for row in rows]
                np.testing.assert_array_equal(np.asarray(rows, dtype=np.float32), expected)
                assert [one.index for one in reply.data] == [0, 1, 2]
                assert reply.model == f"held-{road}"
                assert reply.usage.prompt_tokens == reply.usage.total_tokens == sum(encoder.count_tokens(texts))


@pytest.mark.parametrize(
    ("said", "road"),
    [
        ("query", "query"),
        ("search_query", "query"),
        ("document", "document"),
        ("search_document", "document"),
        ("passage", "document"),
    ],
)
def test_the_role_may_be_said_by_input_type(serve: Serve, held: HeldEncoder, said: str, road: str) -> None:
    served = serve(held)
    with _openai(served) as client:
        client.embeddings.create(model="held", input="one text", extra_body={"input_type": said}, user="somebody")
        client.embeddings.create(model=f"held-{road}", input="one text", extra_body={"input_type": said})
    assert held.calls == [(road, ["one text"])] * 2


def test_models_tell_fingerprint_and_role(serve: Serve) -> None:
    encoder = FakeEncoder("org/model", dim=16, window=99)
    served = serve(encoder)
    with _openai(served) as client:
        found = {one.id: one for one in client.models.list()}
        assert client.models.retrieve("org/model-query").id == "org/model-query"
        with pytest.raises(openai.NotFoundError, match="there is no model 'gpt'; there are org/model-query"):
            client.models.retrieve("gpt")
    assert list(found) == ["org/model-query", "org/model-document", "org/model-rerank"]
    for role in ("query", "document"):
        assert found[f"org/model-{role}"].model_extra == {
            "reasonir": {"fingerprint": encoder.fingerprint.as_json(), "role": role, "dim": 16, "window": 99}
        }


def test_a_reranker_embeds_nothing_and_is_not_named_as_if_it_did(serve: Serve) -> None:
    with serve(FakeEncoder("mini")).client() as client:
        said = client.post("/v1/embeddings", json={"model": "mini-rerank", "input": "x"})
    assert said.status_code == 404
    assert said.json()["error"]["message"] == "there is no model 'mini-rerank'; there are mini-query, mini-document"


@pytest.mark.parametrize("name", ["/home/somebody/models/mine", "./mine", "C:\\models\\mine", "/home/mine/"])
def test_a_folders_path_stays_at_home(serve: Serve, name: str) -> None:
    with serve(FakeEncoder(name)).client() as client:
        ids = [one["id"] for one in client.get("/v1/models").json()["data"]]
    assert ids == ["mine-query", "mine-document", "mine-rerank"]


@pytest.fixture(scope="module")
def shared() -> Iterator[Served]:
    """One server for all that is refused."""
    with running(HeldEncoder()) as served:
        yield served


_GOOD = {"model": "held-query", "input": ["a"]}


@pytest.mark.parametrize(
    ("change", "status", "param", "words"),
    [
        (
            {"model": "held"},
            400,
            "input_type",
            "cannot guess which these are: use the model held-query or held-document",
        ),
        (
            {"model": "text-embedding-3-small"},
            404,
            "model",
            "there is no model 'text-embedding-3-small'; there are held",
        ),
        ({"model": None}, 400, "model", "a model must be named; there are held-query, held-document"),
        ({"model": 5}, 404, "model", "there is no model 5"),
        ({"model": ["held-query"]}, 404, "model", "there is no model a list"),
        ({"input_type": "document"}, 400, "input_type", "the model held-query contradicts input_type 'document'"),
        ({"input_type": "classification"}, 400, "input_type", "input_type must be one of query, search_query"),
        ({"input_type": {"a": 1}}, 400, "input_type", "got an object"),
        ({"input": []}, 400, "input", "input is an empty list"),
        ({"input": None}, 400, "input", "got null"),
        ({"input": {"text": "a"}}, 400, "input", "got an object"),
        ({"input": ["a", None]}, 400, "input", r"got null at input\[1\]"),
        ({"input": ["a", True]}, 400, "input", r"got a truth value at input\[1\]"),
        ({"input": ["a", 1.5]}, 400, "input", r"got a number at input\[1\]"),
        ({"input": [1, 2, 3]}, 400, "input", "token numbers are another model's"),
        ({"input": [[1, 2], [3]]}, 400, "input", "token numbers are another model's"),
        ({"input": ""}, 400, "input", r"an empty text has no vector, got one at input\[0\]"),
        ({"input": ["a", ""]}, 400, "input", r"got one at input\[1\]"),
        ({"encoding_format": "int8"}, 400, "encoding_format", "must be float or base64, got 'int8'"),
        ({"encoding_format": ["float"]}, 400, "encoding_format", "must be float or base64, got a list"),
        ({"dimensions": 4}, 400, "dimensions", "have 8 numbers and cannot be shortened; got dimensions 4"),
        ({"dimensions": "8"}, 400, "dimensions", "got dimensions '8'"),
        ({"dimensions": True}, 400, "dimensions", "got dimensions True"),
    ],
)
def test_wrong_input_is_refused_in_words(
    shared: Served, change: dict[str, Any], status: int, param: str, words: str
) -> None:
    encoder = shared.services.encoder
    assert isinstance(encoder, HeldEncoder)
    calls = len(encoder.calls)
    with shared.client() as client:
        reply = client.post("/v1/embeddings", json={**_GOOD, **change})
        assert reply.status_code == status
        error = reply.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["param"] == param
        assert error["type"] == "invalid_request_error"
        assert re.search(words, error["message"])
        assert len(encoder.calls) == calls
        assert client.post("/v1/embeddings", json=_GOOD).status_code == 200


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe{}", b"[" * 100_000, b"nonsense", b"[1]", b'"text"', b"null", b"1" * 5000]
)
def test_a_body_that_is_no_json_object_is_refused(shared: Served, body: bytes) -> None:
    with shared.client() as client:
        reply = client.post("/v1/embeddings", content=body, headers={"content-type": "application/json"})
    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "invalid_json"


def test_wild_text_reaches_the_encoder_as_it_is(serve: Serve, held: HeldEncoder) -> None:
    texts = ["\x00", " ", "\n\n", "<|endoftext|>", "\u202eright", "a" * 99, "e\u0301"]
    served = serve(held)
    with served.client() as client:
        body = json.dumps({"model": "held-document", "input": texts}).encode()
        reply = client.post("/v1/embeddings", content=body)
    assert reply.status_code == 200
    assert held.calls == [("document", texts)]


def test_white_text_gives_zeros_and_is_counted(serve: Serve) -> None:
    served = serve(FakeEncoder("fake"))
    with served.client() as client:
        reply = client.post("/v1/embeddings", json={"model": "fake-document", "input": ["duck", " \n"]}).json()
    assert any(reply["data"][0]["embedding"])
    assert not any(reply["data"][1]["embedding"])
    assert served.metric("reasonir_texts_empty_total") == 1


def test_a_model_name_in_a_message_is_short_and_well_formed(shared: Served) -> None:
    with shared.client() as client:
        reply = client.post("/v1/embeddings", content=json.dumps({"model": "\ud800" * 9000, "input": "a"}).encode())
    assert reply.status_code == 404
    assert len(reply.json()["error"]["message"]) < 300


@pytest.mark.slow
def test_many_clients_at_once_get_their_own_vectors(serve: Serve) -> None:
    encoder = HeldEncoder(pause=0.005)
    served = serve(encoder, limits=Limits(batch_texts=16))
    alone = HeldEncoder()

    def ask(number: int) -> None:
        texts = [f"client {number} text {n}" for n in range(1 + number % 5)]
        with _openai(served) as client:
            for _ in range(4):
                reply = client.embeddings.create(model="held-document", input=texts)
                rows = np.asarray([one.embedding for one in reply.data], dtype=np.float32)
                np.testing.assert_array_equal(rows, alone._encode([f"document {text}" for text in texts]))

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        list(pool.map(ask, range(12)))
    assert encoder.most_at_once == 1
    assert len(encoder.calls) < 48, "nothing was joined"


@pytest.mark.slow
def test_the_local_encoder_behind_http_is_the_local_encoder(serve: Serve) -> None:
    from reasonir_agent.encoder import ReasonIREncoder

    encoder = ReasonIREncoder("minilm")
    served = serve(encoder)
    texts = ["Ducks keep their feet cold.", "long " * 600]
    with _openai(served) as client:
        reply = client.embeddings.create(model="minilm-document", input=texts)
        question = client.embeddings.create(model="minilm-query", input=texts)
    for given, encode in ((reply, encoder.encode_documents), (question, encoder.encode_queries)):
        rows = np.asarray([one.embedding for one in given.data], dtype=np.float32)
        np.testing.assert_allclose(rows, encode(texts), atol=1e-5)
    assert served.metric("reasonir_texts_cut_total") == 1
