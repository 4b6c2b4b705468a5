"""What servers do wrong, over real HTTP: each is one clear sentence or is mended, and nothing is lost."""

from __future__ import annotations

import base64
import re
import threading
import time
import tracemalloc

import numpy as np
import pytest

from reasonir_agent.encoder import EncoderWarning, ReasonIREncoder
from reasonir_agent.encoder.remote import sender
from reasonir_agent.encoder.remote.sender import plan
from reasonir_agent.errors import EncoderError, InputError
from tests.encoder.servers import Canned, answer
from tests.server.conftest import until


def numbered(texts: list[str]) -> np.ndarray:
    """Each text's own vector: its length in characters, beside 1."""
    return np.array([[len(text), 1.0, 0.0] for text in texts], dtype=np.float32)


def unit(texts: list[str]) -> np.ndarray:
    rows = numbered(texts)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def is_probe(request: dict) -> bool:
    return "What makes the sky blue?" in request["input"]


def only_texts(reply):
    """A server that answers probes rightly and everything else by `reply`."""

    def status(request: dict) -> tuple[int, object]:
        return (200, numbered) if is_probe(request) else reply(request)

    return Canned(status)


def opened(server: Canned, **arguments) -> ReasonIREncoder:
    return ReasonIREncoder("m", base_url=server.base_url, **arguments)


def said_by(server: Canned, texts=("one", "two"), kind=EncoderError) -> str:
    with server:
        encoder = opened(server)
        with pytest.raises(kind) as caught:
            encoder.encode_documents(list(texts))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- answers that are mended


def test_another_order_is_put_right_by_the_indices() -> None:
    def backwards(request: dict) -> tuple[int, object]:
        texts = request["input"]
        return 200, answer(numbered(texts)[::-1], list(range(len(texts)))[::-1])

    with only_texts(backwards) as server:
        np.testing.assert_allclose(
            opened(server).encode_documents(["a", "bb", "ccc"]), unit(["a", "bb", "ccc"]), atol=1e-6
        )


def test_vectors_in_base64_are_read() -> None:
    def coded(request: dict) -> tuple[int, object]:
        assert request["encoding_format"] == "base64"
        rows = [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in numbered(request["input"])]
        return 200, answer(rows)

    with only_texts(coded) as server:
        np.testing.assert_allclose(opened(server).encode_documents(["a", "bb"]), unit(["a", "bb"]), atol=1e-6)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (413, {"error": "batch size 32 > maximum allowed batch size 4", "error_type": "Validation"}),
        (422, {"detail": "List should have at most 4 items"}),
        (400, {"object": "error", "message": "too many inputs"}),
        (413, b"<html>Request Entity Too Large</html>"),
    ],
)
def test_a_batch_that_is_too_large_is_halved_and_later_ones_are_smaller(status: int, said: object) -> None:
    texts = [f"{'x' * n}" for n in range(1, 71)]

    def most_four(request: dict) -> tuple[int, object]:
        return (status, said) if len(request["input"]) > 4 else (200, numbered)

    with only_texts(most_four) as server:
        encoder = opened(server)
        np.testing.assert_allclose(encoder.encode_documents(texts), unit(texts), atol=1e-6)
        before = len(server.posts)
        np.testing.assert_allclose(encoder.encode_documents(texts[:10]), unit(texts[:10]), atol=1e-6)
        assert sum(len(request["input"]) for request in server.posts[before:]) == 10  # nothing was refused again


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 529])
def test_a_passing_failure_is_asked_again(status: int) -> None:
    failures = iter([status, status, status])

    def thrice(request: dict) -> tuple[int, object]:
        code = next(failures, 200)
        return (code, {"error": "busy"}) if code != 200 else (200, numbered)

    with only_texts(thrice) as server:
        np.testing.assert_allclose(opened(server).encode_documents(["a"]), unit(["a"]), atol=1e-6)
        assert len(server.posts) == 1 + 4


def test_retry_after_is_waited_for() -> None:
    asked: list[float] = []

    def once(request: dict) -> tuple[int, object]:
        asked.append(time.monotonic())
        return (200, numbered) if len(asked) > 1 else (429, {"error": "slow down"})

    for header in ({"retry-after-ms": "300"}, {"retry-after-ms": "none", "retry-after": "0.3"}):
        asked.clear()
        with Canned(lambda r: (200, numbered) if is_probe(r) else once(r), headers=header) as server:
            opened(server).encode_documents(["a"])
        assert 0.29 < asked[1] - asked[0] < 5


def test_a_connection_that_breaks_is_tried_again() -> None:
    cut = iter([b"", b""])

    def broken(request: dict) -> tuple[int, object]:
        if next(cut, None) is not None:
            raise ConnectionResetError
        return 200, numbered

    with only_texts(broken) as server:
        np.testing.assert_allclose(opened(server).encode_documents(["a"]), unit(["a"]), atol=1e-6)


# -- answers that are told


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (lambda texts: answer(numbered(texts)[:1]), "gave 1 vectors for 2 texts"),
        (lambda texts: answer(numbered([*texts, "c"])), "gave 3 vectors for 2 texts"),
        (lambda texts: answer(numbered(texts), [0, 0]), r"gave vectors with the indices \[0, 0\], expected 0 to 1"),
        (lambda texts: answer(numbered(texts), [1, 2]), r"with the indices \[1, 2\]"),
        (lambda texts: answer(numbered(texts), ["0", "1"]), r"with the indices \['0', '1'\]"),
        (lambda texts: answer(numbered(texts), [False, True]), r"with the indices \[False, True\]"),
        (lambda texts: {"data": [{"embedding": [1.0, 2.0, 3.0]}] * 2}, r"with the indices \[None, None\]"),
        (lambda texts: {"data": ["x", "y"]}, r"with the indices \[None, None\]"),
        (lambda texts: answer([[1.0, 2.0, 3.0], [1.0, 2.0]]), "gave vectors of 2 and 3 numbers in one answer"),
        (lambda texts: answer(["AAAA", "AAAA"]), "gave something else than a vector: 'AAAA'"),
        (lambda texts: answer(["no base64!", "x"]), "gave something else than a vector: 'no base64!'"),
        (lambda texts: answer([{"a": 1}, {}]), "gave something else than a vector"),
        (lambda texts: answer([[[1.0]], [[1.0]]]), "gave something else than a vector"),
        (lambda texts: b"<!doctype html><html>Sign in to the portal</html>", "gave no JSON: '<!doctype html>"),
        (lambda texts: b"\x00\xff garbage", "gave no JSON"),
        (lambda texts: b"", "gave no JSON: ''"),
        (lambda texts: b"[" * 100_000, "gave no JSON"),
        (lambda texts: [1, 2], r"gave no JSON object: '\[1, 2\]'"),
        (lambda texts: {"error": "all is well"}, "gave an answer without vectors"),
        (lambda texts: answer(np.ones((2, 5))), "gave vectors of 5 numbers, expected 3"),
    ],
)
def test_an_unusable_answer_is_told_in_words(reply, said: str) -> None:
    message = said_by(only_texts(lambda request: (200, reply(request["input"]))))
    assert re.search(said, message), message
    assert message.startswith("'m' at http://127.0.0.1:")


def test_another_dimension_in_a_later_batch_loses_nothing_silently() -> None:
    texts = [f"text {n}" for n in range(100)]

    def later(request: dict) -> tuple[int, object]:
        return 200, answer(np.ones((len(request["input"]), 4))) if "text 70" in request["input"] else numbered

    assert "gave vectors of 4 numbers, expected 3" in said_by(only_texts(later), texts)


def test_a_server_that_is_busy_forever_is_given_up() -> None:
    server = only_texts(lambda request: (429, {"error": {"message": "quota exceeded"}}))
    assert "failed: HTTP 429: quota exceeded" in said_by(server)
    assert len(server.posts) == 1 + 4


def test_a_server_that_asks_for_an_hour_is_not_waited_for() -> None:
    headers = {"retry-after-ms": "none", "retry-after": "3600"}
    server = Canned(lambda r: (200, numbered) if is_probe(r) else (429, {"error": "later"}), headers=headers)
    assert "it asks to come again in 3,600 s" in said_by(server)
    assert len(server.posts) == 2


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_refusal_that_is_not_about_size_is_not_repeated(status: int) -> None:
    server = only_texts(lambda request: (status, {"detail": "the model m is unknown"}))
    assert f"failed: HTTP {status}: the model m is unknown" in said_by(server)
    assert len(server.posts) == 2


def test_the_first_failure_stops_the_rest() -> None:
    texts = [f"text {n}" for n in range(32 * 40)]
    others = threading.Event()

    def one_bad(request: dict) -> tuple[int, object]:
        if "text 0" in request["input"]:
            return 400, {"error": "the first batch is wrong"}
        others.wait(20)
        return 200, numbered

    server = only_texts(one_bad)
    assert "the first batch is wrong" in said_by(server, texts)  # though the others hang
    others.set()
    assert len(server.posts) < 12  # of 41


def test_a_failure_ends_the_pauses_of_the_others() -> None:
    texts = [f"text {n}" for n in range(64)]

    def one_waits(request: dict) -> tuple[int, object]:
        if "text 0" in request["input"]:
            return 429, {"error": "wait"}
        time.sleep(0.3)
        return 400, {"error": "no"}

    server = Canned(lambda r: (200, numbered) if is_probe(r) else one_waits(r), headers={"retry-after-ms": "20000"})
    began = time.monotonic()
    assert "HTTP 400: no" in said_by(server, texts)
    until(lambda: not any(one.name.startswith("reasonir-remote") for one in threading.enumerate()), 10)
    assert time.monotonic() - began < 15  # of the 20 seconds that the server asked for


# -- several at once


def test_requests_are_under_way_together_and_bounded() -> None:
    now, most, lock = [0], [0], threading.Lock()

    def slow(request: dict) -> tuple[int, object]:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.05)
        with lock:
            now[0] -= 1
        return 200, numbered

    texts = ["x" * (n + 1) for n in range(32 * 24)]
    with only_texts(slow) as server:
        encoder = opened(server)
        found: list[np.ndarray] = []
        callers = [threading.Thread(target=lambda: found.append(encoder.encode_documents(texts))) for _ in range(3)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert 4 <= most[0] <= 8
    for vectors in found:
        np.testing.assert_allclose(vectors, unit(texts), atol=1e-6)


def test_batches_are_bounded_by_texts_and_by_characters() -> None:
    assert plan([], 32) == []
    assert [len(batch) for batch in plan(["x"] * 70, 32)] == [32, 32, 6]
    long = "x" * (sender.CHARACTERS // 2)
    assert plan([long, long, "y", long, long], 32) == [[long, long], ["y", long], [long]]
    alone = "x" * (sender.CHARACTERS + 5)
    assert plan(["a", alone, "b"], 32) == [["a"], [alone], ["b"]]


# -- texts


@pytest.mark.parametrize("texts", ["one text", ["a", None], [b"bytes"], [1], None, 5, [["a"]]])
@pytest.mark.parametrize("road", ["encode_queries", "encode_documents"])
def test_what_is_no_list_of_texts_is_refused_before_anything_is_sent(texts, road: str) -> None:
    with Canned(200, numbered) as server:
        encoder = opened(server)
        with pytest.raises(InputError, match="expected"):
            getattr(encoder, road)(texts)
        assert len(server.posts) == 1


def test_an_empty_batch_is_no_request() -> None:
    with Canned(200, numbered) as server:
        encoder = opened(server)
        assert encoder.encode_queries([]).shape == encoder.encode_documents([]).shape == (0, 3)
        assert len(server.posts) == 1


def test_ten_megabytes_as_a_query_are_refused_here() -> None:
    with Canned(200, numbered) as server:
        encoder = opened(server)
        with pytest.raises(InputError, match="a query may have up to 1,000,000 characters, got 10,000,000"):
            encoder.encode_queries(["x" * 10_000_000])
        assert len(server.posts) == 1


def test_ten_megabytes_as_a_document_are_cut_with_a_counted_warning() -> None:
    with Canned(200, numbered) as server:
        encoder = opened(server)
        tracemalloc.start()
        with pytest.warns(EncoderWarning, match="1 of 2 documents are longer than the window of 8192 tokens"):
            encoder.encode_documents(["word " * 2_000_000, "short"])
        assert tracemalloc.get_traced_memory()[1] < 60_000_000
        tracemalloc.stop()
        assert encoder.counters.cut == 1
        assert 20_000 < max(len(text) for text in server.posts[-1]["input"]) < 8192 * 3


def test_a_text_that_the_server_refuses_alone_is_told_with_its_length() -> None:
    words = "This model's maximum context length is 512 tokens. However, you requested 900 tokens."

    def short_only(request: dict) -> tuple[int, object]:
        return (400, {"message": words}) if any(len(text) > 3000 for text in request["input"]) else (200, numbered)

    message = said_by(only_texts(short_only), ["a", "b" * 3600, "c", "d"])
    assert "maximum context length is 512" in message
    assert "takes no text of 3,600 characters" in message


# -- keys


def test_a_key_is_sent_as_a_bearer_token_and_no_key_as_nothing() -> None:
    with Canned(200, numbered) as server:
        opened(server, api_key="abcd-efgh\n")  # as it comes out of a file
        opened(server)
    assert server.keys == ["Bearer abcd-efgh", None]


@pytest.mark.parametrize("key", ["sk-1\nInjected: yes", "schlüssel", "a\x00b"])
def test_a_key_that_no_header_can_hold_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(InputError, match="cannot be sent in a header") as caught:
        ReasonIREncoder("m", base_url="http://127.0.0.1:9/v1", api_key=key)
    assert key not in str(caught.value)
    assert key not in repr(caught.value.__context__)


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
@pytest.mark.parametrize(
    "shape", ["{}", "<html>{}</html>", '{{"error": "key {} is wrong"}}', '{{"detail": [{{"got": "{}"}}]}}']
)
def test_a_key_that_a_server_repeats_is_never_in_the_message(status: int, shape: str) -> None:
    key = "plain words 42"
    with Canned(status, shape.format(key).encode()) as server, pytest.raises(EncoderError) as caught:
        opened(server, api_key=key)
    assert key not in str(caught.value)
    assert key not in repr(caught.value.__cause__)
