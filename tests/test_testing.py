"""The fakes that we ship: the scripted chat server and the encoder without weights."""

from __future__ import annotations

import http.client
import json
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from reasonir_agent.testing import FakeEncoder, Reply, ScriptedChatServer, write_corpus
from reasonir_agent.types import Encoder

PATH = "/v1/chat/completions"
ASK = {"model": "m", "messages": [{"role": "user", "content": "one two, three"}]}


def connect(server: ScriptedChatServer) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(server.base_url).netloc, timeout=5)


def post(server: ScriptedChatServer, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    connection = connect(server)
    try:
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", path, payload, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


class TestServer:
    def test_a_completion_has_the_protocol_s_shape_and_counts_tokens(self) -> None:
        with ScriptedChatServer(["four five."]) as server:
            status, said = post(server, PATH, ASK)
        assert status == 200
        assert said["object"] == "chat.completion"
        assert said["choices"] == [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "four five."}}
        ]
        assert said["usage"] == {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7}
        assert server.requests == [ASK]
        assert server.prompts() == ["one two, three"]

    def test_a_list_is_said_in_turn_and_its_last_item_repeated(self) -> None:
        with ScriptedChatServer(["a", "b"]) as server:
            said = [post(server, PATH, ASK)[1]["choices"][0]["message"]["content"] for _ in range(4)]
        assert said == ["a", "b", "b", "b"]

    def test_a_function_sees_the_request(self) -> None:
        with ScriptedChatServer(lambda request: request["model"].upper()) as server:
            assert post(server, PATH, ASK)[1]["choices"][0]["message"]["content"] == "M"

    def test_an_empty_list_is_refused(self) -> None:
        with pytest.raises(ValueError, match="at least one answer"):
            ScriptedChatServer([])

    def test_statuses_bodies_and_headers_are_sent_as_told(self) -> None:
        with ScriptedChatServer([Reply("no", status=429, headers={"retry-after": "7"}), Reply(body=b"<p>")]) as server:
            assert post(server, PATH, ASK) == (429, {"error": {"message": "no", "type": "scripted", "code": None}})
            connection = connect(server)
            connection.request("POST", PATH, b"{}")
            response = connection.getresponse()
            assert (response.status, response.read()) == (200, b"<p>")
            connection.close()

    def test_a_dropped_connection_has_no_answer(self) -> None:
        with ScriptedChatServer([Reply(drop=True)]) as server, pytest.raises(ConnectionError):
            post(server, PATH, ASK)  # http.client's RemoteDisconnected is one

    def test_a_delay_is_waited(self) -> None:
        with ScriptedChatServer([Reply("late", delay=0.2)]) as server:
            began = time.perf_counter()
            post(server, PATH, ASK)
            assert time.perf_counter() - began >= 0.2

    def test_requests_at_the_same_time_are_counted(self) -> None:
        with ScriptedChatServer(lambda _: Reply("ok", delay=0.3)) as server:
            threads = [threading.Thread(target=post, args=(server, PATH, ASK)) for _ in range(3)]
            for one in threads:
                one.start()
            for one in threads:
                one.join()
            post(server, PATH, ASK)
        assert server.most_at_once == 3
        assert len(server.requests) == 4

    def test_a_key_is_asked_for(self) -> None:
        with ScriptedChatServer(["in"], api_key="k1") as server:
            assert post(server, PATH, ASK)[0] == 401
            assert post(server, PATH, ASK, authorization="Bearer k2")[0] == 401
            assert post(server, PATH, ASK, authorization="Bearer k1")[0] == 200
        assert len(server.requests) == 1

    def test_other_paths_are_404(self) -> None:
        with ScriptedChatServer(["x"]) as server:
            assert post(server, "/v2/chat", ASK)[0] == 404
            assert post(server, "/v1/embeddings", {"input": "a"})[0] == 404

    def test_embeddings_come_from_the_function(self) -> None:
        fake = FakeEncoder(dim=8)
        with ScriptedChatServer(embed=fake.encode_documents) as server:
            status, many = post(server, "/v1/embeddings", {"input": ["duck", "ice"]})
            _, one = post(server, "/v1/embeddings", {"input": "duck"})
        assert status == 200
        assert [row["index"] for row in many["data"]] == [0, 1]
        assert np.allclose(
            [row["embedding"] for row in many["data"]], FakeEncoder(dim=8).encode_queries(["duck", "ice"])
        )
        assert one["data"][0]["embedding"] == many["data"][0]["embedding"]

    def test_a_request_that_is_no_json_is_400(self) -> None:
        with ScriptedChatServer(["x"]) as server:
            assert post(server, PATH, b"not json")[0] == 400
            assert post(server, PATH, ASK)[0] == 200

    def test_a_script_that_raises_is_a_500_that_says_so(self) -> None:
        def script(_: Any) -> str:
            raise KeyError("oops")

        with ScriptedChatServer(script) as server:
            status, said = post(server, PATH, ASK)
        assert status == 500
        assert "the script raised KeyError('oops')" in said["error"]["message"]

    def test_closing_hangs_up_on_kept_connections(self) -> None:
        with ScriptedChatServer(["x"]) as server:
            connection = connect(server)
            connection.request("POST", PATH, json.dumps(ASK))
            assert connection.getresponse().read()
        with pytest.raises((http.client.HTTPException, OSError)):
            connection.request("POST", PATH, json.dumps(ASK))
            connection.getresponse()
        connection.close()
        assert len(server.requests) == 1

    def test_closing_one_that_never_served_does_not_hang(self) -> None:
        ScriptedChatServer(["x"]).close()

    def test_two_servers_have_two_addresses(self) -> None:
        with ScriptedChatServer(["a"]) as one, ScriptedChatServer(["b"]) as other:
            assert one.base_url != other.base_url
            assert one.base_url.startswith("http://127.0.0.1:")
            assert one.base_url.endswith("/v1")


class TestEncoder:
    def test_it_keeps_to_the_protocol(self) -> None:
        assert isinstance(FakeEncoder(), Encoder)

    def test_vectors_are_unit_float32_and_the_same_for_both_roads(self) -> None:
        fake = FakeEncoder(dim=16)
        queries, documents = fake.encode_queries(["a duck", "ice"]), fake.encode_documents(["a duck", "ice"])
        assert queries.dtype == np.float32
        assert queries.shape == (2, 16)
        assert np.allclose(np.linalg.norm(queries, axis=1), 1)
        assert np.array_equal(queries, documents)

    def test_texts_that_share_words_are_closer(self) -> None:
        near, far, question = FakeEncoder().encode_documents(
            ["ducks stand on ice", "inflation erodes debts", "why do ducks like ice"]
        )
        assert near @ question > far @ question + 0.2

    def test_case_is_folded_and_order_does_not_matter(self) -> None:
        one, two = FakeEncoder().encode_queries(["Ice Duck", "duck ice"])
        assert one @ two == pytest.approx(1.0, abs=1e-6)

    def test_empty_text_is_a_zero_vector(self) -> None:
        assert not FakeEncoder().encode_queries(["", "  "]).any()
        assert FakeEncoder(dim=5).encode_queries([]).shape == (0, 5)

    def test_documents_are_remembered_and_queries_are_not(self) -> None:
        fake = FakeEncoder()
        fake.encode_documents(["one", "two"])
        fake.encode_queries(["three"])
        assert fake.encoded == ["one", "two"]

    def test_name_and_dimension_make_the_fingerprint_and_the_vectors(self) -> None:
        ids = {FakeEncoder().fingerprint.id, FakeEncoder("b").fingerprint.id, FakeEncoder(dim=8).fingerprint.id}
        assert len(ids) == 3
        assert FakeEncoder().fingerprint == FakeEncoder().fingerprint
        assert json.loads(json.dumps(FakeEncoder().fingerprint.as_json()))["dim"] == 64
        assert not np.allclose(FakeEncoder("a").encode_queries(["x"]), FakeEncoder("b").encode_queries(["x"]))

    def test_tokens_are_words_and_signs(self) -> None:
        assert FakeEncoder().count_tokens(["Ducks, on ice!", ""]) == [5, 0]

    def test_words_outside_of_latin_script_are_unknown(self) -> None:
        assert FakeEncoder().unknown_share(["ducks 鸭子"]) == 0.5
        assert FakeEncoder().unknown_share([]) == 0.0


def test_a_corpus_is_written_by_name_or_by_number(tmp_path: Path) -> None:
    named = write_corpus(tmp_path / "a", {"x/one.md": "# One", "two.txt": "zwei ü"})
    numbered = write_corpus(tmp_path / "b", ["first", "second"])
    assert [Path(p).relative_to(tmp_path).as_posix() for p in named] == ["a/x/one.md", "a/two.txt"]
    assert Path(named[1]).read_text(encoding="utf-8") == "zwei ü"
    assert [Path(p).name for p in numbered] == ["0.txt", "1.txt"]
