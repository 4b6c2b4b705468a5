"""An encoder behind an OpenAI-compatible server, over real HTTP."""

from __future__ import annotations

import numpy as np
import pytest

from reasonir_agent.encoder import EncoderWarning, ReasonIREncoder
from reasonir_agent.errors import EncoderError, InputError
from reasonir_agent.testing import ScriptedChatServer
from tests.encoder.servers import Canned


def by_length(texts: list[str]) -> np.ndarray:
    """A vector from which the length of its text can be read: (3 n, 4 n, 0) becomes (0.6, 0.8, 0) at length one."""
    return np.array([[len(text), 1.0, 0.0] for text in texts], dtype=np.float32)


class Server:
    """A scripted server that notes the batches of texts it was sent."""

    def __init__(self, embed=by_length, **arguments) -> None:
        self.batches: list[list[str]] = []

        def noting(texts: list[str]) -> np.ndarray:
            self.batches.append(texts)
            return embed(texts)

        self.server = ScriptedChatServer(embed=noting, **arguments)

    def __enter__(self):
        self.base_url = self.server.__enter__().base_url
        return self

    def __exit__(self, *details):
        self.server.__exit__(*details)

    def open(self, name: str = "some-model", **arguments) -> ReasonIREncoder:
        return ReasonIREncoder(name, base_url=self.base_url, **arguments)


def test_vectors_come_as_unit_vectors_in_the_order_of_the_caller_over_batches_of_32():
    texts = ["x" * n for n in np.random.default_rng(5).permutation(np.arange(1, 71))]
    with Server() as server:
        encoder = server.open()
        vectors = encoder.encode_queries(texts)
        # the probes of the fingerprint come first: three texts by both roads
        assert sorted(len(batch) for batch in server.batches) == [6, 6, 32, 32]
    assert encoder.dim == 3 and vectors.dtype == np.float32
    wanted = by_length(texts)
    np.testing.assert_allclose(vectors, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), atol=1e-6)


def test_duplicates_and_empty_texts_are_not_sent():
    with Server() as server:
        encoder = server.open()
        with pytest.warns(EncoderWarning, match="2 of 5 texts are empty"):
            vectors = encoder.encode_documents(["b", "", "aa", "b", " "])
        assert server.batches[1:] == [["b", "aa"]]
        assert encoder.encode_documents([]).shape == (0, 3)
    assert [bool(v.any()) for v in vectors] == [True, False, True, True, False]
    assert (encoder.counters.empty, encoder.counters.duplicates) == (2, 1)


def test_prefixes_are_put_on_here():
    with Server() as server:
        known = server.open("reasonir/ReasonIR-8B", task="pony")
        known.encode_queries(["why"])
        known.encode_documents(["because"])
        other = server.open("other", query_instruction="q: ", document_instruction="d: ")
        other.encode_queries(["why"])
        other.encode_documents(["because"])
        sent = [batch[0] for batch in server.batches if len(batch) == 1]
    assert sent == [
        "<|user|>\nGiven a pony question, retrieve relevant passages that help answer the question\n<|embed|>\nwhy",
        "<|embed|>\nbecause",
        "q: why",
        "d: because",
    ]


def test_a_remote_encoder_has_a_fingerprint_of_its_own_without_the_address():
    with Server() as one, Server() as other:
        first, second = one.open().fingerprint, other.open().fingerprint
        assert first == second
        assert first.weights == "remote:some-model"
        assert one.base_url not in str(first.as_json())
        assert one.open("another").fingerprint.id != first.id


def test_tokens_are_estimated_and_the_vocabulary_is_not_known():
    with Server() as server:
        encoder = server.open()
        assert encoder.count_tokens(["", "abc", "中文", "\ud800"]) == [1, 2, 3, 1]
        assert encoder.unknown_share(["中文"]) == 0.0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda texts: by_length(texts)[:-1], "gave 1 vectors for 2 texts"),
        (lambda texts: by_length([*texts, "more"]), "gave 3 vectors for 2 texts"),
        (lambda texts: np.ones((len(texts), 5)), "gave vectors of 5 numbers, expected 3"),
        (lambda texts: np.full((len(texts), 3), np.nan), "gave numbers that are not finite"),
        (lambda texts: np.full((len(texts), 3), np.inf), "gave numbers that are not finite"),
        (lambda texts: np.full((len(texts), 3), 1e300), "gave numbers that are not finite"),
        (lambda texts: np.full((len(texts), 3), None), "gave numbers that are not finite"),
        (lambda texts: np.full((len(texts), 3), "x"), "gave something else than a vector"),
        (lambda texts: np.full((len(texts), 3, 2), 1.0), "gave something else than a vector"),
    ],
)
def test_an_answer_that_cannot_be_used_is_an_error_and_no_vector(wrong, said):
    with Server(lambda texts: wrong(texts) if "one" in texts else by_length(texts)) as server:
        encoder = server.open()
        with pytest.raises(EncoderError, match=said) as caught:
            encoder.encode_queries(["one", "two"])
        assert "'some-model' at http://127.0.0.1:" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_failing_server_is_asked_again_and_then_named():
    with Canned(500, {"error": {"message": "the GPU fell off"}}) as server:
        with pytest.raises(
            EncoderError, match=r"encoding with 'm' at http://127.*failed: .*the GPU fell off"
        ) as caught:
            ReasonIREncoder("m", base_url=server.base_url)
        assert len(server.posts) == 4
    assert "\n" not in str(caught.value)


def test_a_server_without_embeddings_is_named():
    with ScriptedChatServer() as server, pytest.raises(EncoderError, match="no such path: /v1/embeddings"):
        ReasonIREncoder("m", base_url=server.base_url)


@pytest.mark.parametrize("body", [{}, [], "text", {"data": []}, {"data": [{"index": 0, "embedding": []}]}])
def test_an_answer_of_another_shape_is_an_error(body):
    with Canned(200, body) as server, pytest.raises(EncoderError):
        ReasonIREncoder("m", base_url=server.base_url)


@pytest.mark.slow
def test_a_server_that_cannot_be_reached_is_named():
    with pytest.raises(EncoderError, match=r"the models at http://127\.0\.0\.1:9/v1 failed: .*refused"):
        ReasonIREncoder("m", base_url="http://127.0.0.1:9/v1")


@pytest.mark.parametrize("name", [None, ""])
def test_without_a_name_the_servers_only_model_is_taken(name):
    one, two = {"id": "only"}, {"id": "other"}
    with Canned(200, lambda texts: by_length(texts), models=[one]) as server:
        assert ReasonIREncoder(name, base_url=server.base_url).name == "only"
        assert server.posts[0]["model"] == "only"
    with Canned(200, lambda texts: by_length(texts), models=[one, two]) as server:
        with pytest.raises(InputError, match=r"needs the server's model name: .* lists only, other"):
            ReasonIREncoder(name, base_url=server.base_url)
        assert not server.posts
    with Server() as silent, pytest.raises(InputError, match="needs the server's model name"):
        silent.open(name)


@pytest.mark.parametrize("address", ["", "localhost:8000/v1", "ftp://host/v1", "file:///etc/passwd"])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(InputError, match="must start with http:// or https://"):
        ReasonIREncoder("m", base_url=address)


def test_an_address_without_v1_gets_a_hint():
    with Server() as server, pytest.raises(EncoderError, match=r"404.*the address must end in /v1"):
        ReasonIREncoder("m", base_url=server.base_url.removesuffix("/v1"))


@pytest.mark.parametrize("key", ["sk-secret-1234567890", "plain words and signs!", "a1b2c3d4"])
def test_a_refused_key_is_never_in_the_message(key):
    with Server(api_key="the right one") as server, pytest.raises(EncoderError) as caught:
        server.open(api_key=key)
    assert "401" in str(caught.value)
    assert key not in str(caught.value)
    with Canned(403, {"error": {"message": f"we do not like {key}, nor {key}"}}) as plain:
        with pytest.raises(EncoderError, match="we do not like") as caught:
            ReasonIREncoder("m", base_url=plain.base_url, api_key=key)
        assert key not in str(caught.value)


def test_the_right_key_is_sent():
    with Server(api_key="the right one") as server:
        assert server.open(api_key="the right one").encode_queries(["why"]).shape == (1, 3)


def test_a_password_in_the_address_is_never_in_the_message():
    with Canned(404, {"error": {"message": "no"}}) as server:
        address = server.base_url.replace("http://", "http://user:pass-word@")
        with pytest.raises(EncoderError, match="at http://") as caught:
            ReasonIREncoder("m", base_url=address)
    assert "pass-word" not in str(caught.value)


def test_a_remote_encoder_needs_no_torch(fresh_python):
    with Server() as server:
        code = f"""
import sys
from reasonir_agent.encoder import ReasonIREncoder
print(ReasonIREncoder("m", base_url={server.base_url!r}).encode_queries(["why"]).shape)
print(sorted({{"torch", "transformers", "huggingface_hub", "sentence_transformers"}} & set(sys.modules)))
"""
        assert fresh_python(code).splitlines() == ["(1, 3)", "[]"]
