"""`reasonir serve` as a process of its own: what it prints, what it answers, how it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import openai
import pytest

from tests.cli.conftest import Run

Call = Callable[..., Run]


class Process:
    """A server, its address, and the line that it printed."""

    def __init__(self, *words: object, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "reasonir_agent.cli", "serve", "--port", "0", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        found = re.search(r"http://[\w.:\[\]]+:\d+", self.line)
        assert found, self.process.communicate(timeout=30)
        self.url = found[0]

    def end(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        """Exit code and what else it printed."""
        self.process.send_signal(how)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def call(*words: object, **environment: str) -> Process:
        started.append(Process(*words, **environment))
        return started[-1]

    yield call
    for one in started:
        one.process.kill()
        one.process.communicate(timeout=30)


@pytest.mark.slow
def test_with_a_store_everything_is_served_and_ctrl_c_ends_it(
    start: Callable[..., Process], indexed: Path, texts: dict[str, str]
) -> None:
    server = start("--store", indexed / "store")
    assert re.fullmatch(
        r"serving at http://127\.0\.0\.1:\d+: embeddings and rerank by minilm, search over \d+ passages, "
        r"answers by quoted sentences; API at http://127\.0\.0\.1:\d+/docs\n",
        server.line,
    )
    with httpx.Client(base_url=server.url, timeout=60) as client:
        health = client.get("/health").json()
        assert (health["encoder"], health["dim"], health["chat"]) == ("minilm", 384, None)
        assert health["passages"] > 0
        found = client.post("/search", json={"question": "Why do ducks not freeze?"}).json()
        assert "counter-current" in found["hits"][0]["text"]
    with openai.OpenAI(base_url=server.url + "/v1", api_key="none") as client:
        ids = [one.id for one in client.models.list()]
        assert ids == ["minilm-query", "minilm-document", "minilm-rerank", "reasonir-agent"]
        said = client.chat.completions.create(
            model="reasonir-agent", messages=[{"role": "user", "content": "Why do ducks not freeze to the ice?"}]
        )
        assert "blood" in str(said.choices[0].message.content)
    assert server.end(signal.SIGINT) == (130, "", "interrupted\n")


@pytest.mark.slow
def test_without_a_store_it_encodes_and_sigterm_ends_it_well(start: Callable[..., Process]) -> None:
    server = start(REASONIR_TOKEN="a-long-secret")
    assert "embeddings and rerank by reasonir-mini, no store at .reasonir, so no search and no answers" in server.line
    with openai.OpenAI(base_url=server.url + "/v1", api_key="a-long-secret") as client:
        assert len(client.embeddings.create(model="reasonir-mini-query", input="Why?").data[0].embedding) == 384
    with httpx.Client(base_url=server.url, timeout=30) as client:
        assert client.get("/v1/models").status_code == 401
        refused = client.post("/search", json={"question": "Why?"}, headers={"authorization": "Bearer a-long-secret"})
        assert refused.status_code == 501
        assert "start it with --store" in refused.json()["error"]["message"]
    code, out, err = server.end()
    assert (code, out, err) == (0, "", "")
    assert "a-long-secret" not in server.line


@pytest.mark.slow
def test_a_request_under_way_is_answered_before_the_end(start: Callable[..., Process]) -> None:
    server = start()
    body = {"model": "reasonir-mini-document", "input": [f"text {n} " * 30 for n in range(200)]}
    with httpx.Client(base_url=server.url, timeout=60) as client:
        import concurrent.futures

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            reply = pool.submit(client.post, "/v1/embeddings", json=body)
            while "reasonir_requests_under_way 2.0" not in httpx.get(f"{server.url}/metrics").text:
                assert not reply.done(), "it was too fast for this test"
                time.sleep(0.01)
            code, _, err = server.end()
            assert len(reply.result().json()["data"]) == 200
    assert (code, err) == (0, "")


@pytest.mark.slow
def test_a_client_that_is_killed_disturbs_nobody(start: Callable[..., Process]) -> None:
    server = start()
    script = (
        "import httpx, sys; print('sending', flush=True)\n"
        f"httpx.post('{server.url}/v1/embeddings', timeout=60,"
        " json={'model': 'reasonir-mini-document', 'input': [f'text {n} ' * 60 for n in range(2000)]})"
    )
    client = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    client.stdout.readline()
    metrics = f"{server.url}/metrics"
    while "reasonir_batch_texts_count 1.0" not in httpx.get(metrics).text:
        time.sleep(0.01)
    client.kill()
    client.communicate()
    reply = httpx.post(
        f"{server.url}/v1/embeddings", json={"model": "reasonir-mini-query", "input": "next"}, timeout=60
    )
    assert reply.status_code == 200
    dropped = re.search(r"reasonir_texts_dropped_total ([\d.]+)", httpx.get(metrics).text)
    assert dropped is not None
    assert float(dropped[1]) > 1000
    assert server.end()[0] == 0


def test_a_taken_port_is_told_before_anything_is_loaded(run: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        began = time.monotonic()
        told = run("serve", "--port", port)
    assert told.code == 2
    assert told.err == f"error: the port {port} of 127.0.0.1 is taken; choose another with --port\n"
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "other machines can reach 0.0.0.0, so a token is needed: set the environment variable"),
        (
            ["--host", "nowhere.invalid", "--port", "0"],
            "other machines can reach nowhere.invalid, so a token is needed",
        ),
        (["--store", "missing"], "there is no store at missing"),
        (["--port", "0", "--encoder", "nobody"], "unknown encoder 'nobody'"),
        (["--max-texts", "0"], "the limit texts must be 1 or more, got 0"),
        (["--port", "70000"], "65535"),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_sentence(run: Call, words: list[str], said: str) -> None:
    told = run("serve", *words)
    assert told.code == 2
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert said in told.err
    assert told.err.count("\n") == 1


def test_an_address_of_another_machine_is_refused_in_one_sentence(run: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REASONIR_TOKEN", "a-long-secret")
    told = run("serve", "--host", "192.0.2.1", "--port", "0")
    assert told.code == 2
    assert told.err.startswith("error: cannot listen on port 0 of 192.0.2.1: ")
    assert "a-long-secret" not in told.err
