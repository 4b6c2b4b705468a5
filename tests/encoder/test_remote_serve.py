"""A remote encoder over `reasonir serve`'s own application: the server's vectors and fingerprint are the local ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reasonir_agent import Corpus
from reasonir_agent.encoder import EncoderWarning, ReasonIREncoder
from reasonir_agent.errors import EncoderError, EncoderMismatch, InputError
from reasonir_agent.testing import FakeEncoder, ScriptedChatServer, write_corpus
from tests.encoder.servers import Canned, answer
from tests.server.conftest import running

TEXTS = ["What makes the sky blue?", "", "中文", "a\nb\n", "What makes the sky blue?"]


def remote(server: Any, name: str | None = None, **arguments: Any) -> ReasonIREncoder:
    return ReasonIREncoder(name, base_url=f"{server.url}/v1", **arguments)


@pytest.fixture
def tiny(open_golden: Any) -> ReasonIREncoder:
    return open_golden()


@pytest.mark.slow
def test_vectors_and_fingerprint_are_the_local_ones(tiny: ReasonIREncoder) -> None:
    with running(tiny) as server:
        far = remote(server)
        assert (far.name, far.dim, far.window) == ("reasonir-tiny", tiny.dim, tiny.window)
        assert far.fingerprint == tiny.fingerprint
        assert far.fingerprint.as_json() == tiny.fingerprint.as_json()
        assert (far.query_prefix, far.document_prefix) == (tiny.query_prefix, tiny.document_prefix)
        with pytest.warns(EncoderWarning, match="1 of 5 texts are empty"):
            np.testing.assert_allclose(far.encode_queries(TEXTS), tiny.encode_queries(TEXTS), atol=1e-5)
            np.testing.assert_allclose(far.encode_documents(TEXTS), tiny.encode_documents(TEXTS), atol=1e-5)
        assert not np.allclose(far.encode_queries(["x"]), far.encode_documents(["x"]), atol=1e-3)


@pytest.mark.slow
def test_long_queries_are_read_in_the_servers_windows_and_long_documents_cut(minilm: Any) -> None:
    local = minilm()
    long = "why is the sky blue and the sea green " * 100
    with running(local) as server:
        far = remote(server, "minilm")
        assert far.abstain_below == local.abstain_below
        np.testing.assert_allclose(far.encode_queries([long]), local.encode_queries([long]), atol=1e-5)
        with pytest.warns(EncoderWarning, match="1 of 1 documents are longer than the window of 256"):
            far_vector = far.encode_documents([long * 100])  # ten times what the server takes in one text
        with pytest.warns(EncoderWarning):
            np.testing.assert_allclose(far_vector, local.encode_documents([long * 100]), atol=1e-5)


def test_a_store_made_there_is_searched_from_here(tmp_path: Path) -> None:
    there = FakeEncoder("theirs", dim=32)
    write_corpus(tmp_path / "texts", {"sky.txt": "The sky scatters blue light.", "ice.txt": "Ducks stand on ice."})
    with Corpus(tmp_path / "store", there, create=True) as corpus:
        corpus.index([tmp_path / "texts"])
    with running(there) as server, Corpus(tmp_path / "store", remote(server)) as corpus:
        hits = corpus.find(["why is the sky blue"], 1)
        assert "sky.txt" in hits[0].passage.source
        np.testing.assert_allclose(hits[0].dense_score, there.encode_queries(["why is the sky blue"])[0] @ there.encode_documents([hits[0].passage.encoded_text])[0], atol=1e-5)  # fmt: skip
    with (
        running(FakeEncoder("others", dim=32)) as server,
        pytest.raises(EncoderMismatch, match="cannot be searched with"),
    ):
        Corpus(tmp_path / "store", remote(server))


def test_a_store_of_somebody_elses_server_is_compared_at_every_open(tmp_path: Path) -> None:
    write_corpus(tmp_path / "texts", {"sky.txt": "The sky scatters blue light."})
    sound, changed = FakeEncoder("m", dim=32), FakeEncoder("m2", dim=32)

    def opened(encoder: FakeEncoder, noise: float = 0.0) -> Any:
        def embed(texts: list[str]) -> Any:
            vectors = encoder.encode_queries(texts)
            return vectors + noise * np.sin(np.arange(vectors.size).reshape(vectors.shape))

        return ScriptedChatServer(embed=embed)

    with opened(sound) as server, Corpus(tmp_path / "store", ReasonIREncoder("m", base_url=server.base_url), create=True) as corpus:  # fmt: skip
        corpus.index([tmp_path / "texts"])
    with opened(sound, noise=1e-3) as server, Corpus(tmp_path / "store", ReasonIREncoder("m", base_url=server.base_url)) as corpus:  # fmt: skip
        assert corpus.find(["blue sky"], 1)
    with opened(changed) as server, pytest.raises(EncoderMismatch, match="the server's model changed: 'm' gives other"):
        Corpus(tmp_path / "store", ReasonIREncoder("m", base_url=server.base_url))


@pytest.mark.parametrize(
    "arguments",
    [{"query_instruction": "x"}, {"task": "biology"}, {"document_instruction": ""}, {"max_tokens": 100}],
)
def test_the_servers_instruction_holds(arguments: dict) -> None:
    with running(FakeEncoder()) as server, pytest.raises(InputError, match="puts the instruction on itself"):
        remote(server, **arguments)


@pytest.mark.slow
def test_a_task_cannot_be_set_from_afar(tiny: ReasonIREncoder) -> None:
    with running(tiny) as server, pytest.raises(InputError, match="puts the instruction on itself; start it with"):
        remote(server).for_task("biology")
    with running(FakeEncoder()) as server:
        far = remote(server)
        assert far.for_task("biology") is far  # it takes none


def test_names_with_and_without_a_role_and_other_spellings() -> None:
    with running(FakeEncoder("reasonir-8b")) as server:
        names = ("reasonir-8b", "reasonir-8b-query", "reasonir-8b-document", "reasonir/ReasonIR-8B", None, "")
        assert {remote(server, name).name for name in names} == {"reasonir-8b"}
        with pytest.raises(InputError, match="offers the encoder 'reasonir-8b'; not 'minilm'"):
            remote(server, "minilm")


def test_the_token_is_needed_and_never_shown() -> None:
    with running(FakeEncoder(), token="a long token of words") as server:
        assert remote(server, api_key="a long token of words").dim == 64
        for key in (None, "another long token"):
            with pytest.raises((EncoderError, InputError)) as caught:
                remote(server, "fake", api_key=key)
            assert "another long token" not in str(caught.value)


def announced(**changes: Any) -> list[dict[str, Any]]:
    about = {"fingerprint": {"id": "0123456789abcdef", "dim": 3}, "dim": 3, "window": 100}
    return [
        {"id": f"x-{role}", "reasonir": {**about, "role": role, **(changes if role == "query" else {})}}
        for role in ("query", "document")
    ]


@pytest.mark.parametrize(
    ("models", "said"),
    [
        (announced(dim="3"), "announces 'x' with the dim '3'"),
        (announced(dim=True), "announces 'x' with the dim 'True'"),
        (announced(dim=0), "announces 'x' with the dim '0'"),
        (announced(window=None), "announces 'x' with the window 'None'"),
        (announced(window=-5), "announces 'x' with the window '-5'"),
        (announced(window=99), "announces two different encoders as 'x'"),
        (announced(fingerprint={"id": "f" * 16, "dim": 3}), "announces two different encoders as 'x'"),
        (announced(fingerprint={"id": "../../store"}), "a fingerprint's id must be letters and digits"),
        (announced(fingerprint="abc"), "a fingerprint must be an object"),
        (announced(fingerprint={"id": "0123456789abcdef", "dim": 5}), "with a fingerprint of another dim than 3"),
        (announced(role="both"), "announces the model 'x-query' with the role 'both'"),
        (announced()[:1], "announces only the query road of 'x'"),
        (announced() + [{**m, "id": m["id"].replace("x", "y")} for m in announced()], "name one of them"),
    ],
)
def test_what_a_server_says_of_itself_is_checked(models: list, said: str) -> None:
    with Canned(200, lambda texts: np.ones((len(texts), 3)), models=models) as server:
        with pytest.raises((EncoderError, InputError), match=said):
            ReasonIREncoder(None, base_url=server.base_url)
        assert not server.posts


def test_vectors_of_another_length_than_announced_are_refused() -> None:
    four = Canned(200, lambda texts: np.ones((len(texts), 4)), models=announced())
    with four as server, pytest.raises(EncoderError, match="gave vectors of 4 numbers, expected 3"):
        ReasonIREncoder("x", base_url=server.base_url)
    with Canned(200, lambda texts: np.ones((len(texts), 3)), models=announced()) as server:
        assert ReasonIREncoder("x", base_url=server.base_url).fingerprint.id == "0123456789abcdef"


def test_a_server_of_ours_that_is_busy_is_never_taken_for_another() -> None:
    asked = []

    def listing_fails(request: dict) -> tuple[int, object]:
        asked.append(request)
        return 200, answer(np.ones((len(request["input"]), 3)))

    with (
        Canned(listing_fails, models_status=503) as server,
        pytest.raises(EncoderError, match=r"asking for the models .* HTTP 503"),
    ):
        ReasonIREncoder("x", base_url=server.base_url)
    assert asked == []


def test_a_model_of_zeros_is_refused() -> None:
    zeros = Canned(200, lambda texts: np.zeros((len(texts), 3)))
    with zeros as server, pytest.raises(EncoderError, match="gave vectors of zeros"):
        ReasonIREncoder("m", base_url=server.base_url)
