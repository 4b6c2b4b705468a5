"""Start `langgraph dev` over the example corpus, ask it twice, and look at what comes back.

    .venv-langgraph/bin/python examples/05_langgraph_server/check.py

Run without a model and with one that is a script on this machine; nothing outside of it is reached. The server raises
an error where a step blocks its event loop, so a run that succeeds is the proof that none does.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from reasonir_agent.testing import ScriptedChatServer

HERE = Path(__file__).resolve().parent
CORPUS = HERE.parent / "corpus"
QUESTION = "How can drilling a hole at the end of a crack stop it from growing?"
QUOTE = "the sharper the tip, the higher the stress"
STEPS = ["rewrite", "retrieve", "rerank", "answer"]


def script(request: Mapping[str, Any]) -> str:
    """What the scripted model says to the three kinds of requests."""
    prompt = "\n".join(str(message["content"]) for message in request["messages"])
    if "Reply with one JSON object" in prompt:
        passages = prompt.split('<passage n="')[1:]
        number = next((n for n, passage in enumerate(passages, start=1) if QUOTE in passage), 1)
        said = {"found": True, "answer": f"A round hole blunts the tip [{number}].", "citations": []}
        return json.dumps({**said, "citations": [{"n": number, "quote": QUOTE}]})
    if "Score: N" in prompt:
        return "Score: 5" if "radius of curvature" in prompt else "Score: 1"
    return "Stress concentration: the local stress at a crack's tip depends on its radius of curvature."


@contextmanager
def served(folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """The address of a development server over a copy of this folder."""
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns(".langgraph_api", "__pycache__"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "server.log"
    command = [str(Path(sys.executable).with_name("langgraph")), "dev", "--no-browser", "--no-reload"]
    quiet = {"LANGGRAPH_CLI_NO_ANALYTICS": "1", "LANGSMITH_TRACING": "false", "HF_HUB_OFFLINE": "1"}
    with log.open("w") as output:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            env={**os.environ, **quiet, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait(f"http://127.0.0.1:{port}/ok", server)
            yield f"http://127.0.0.1:{port}"
        except BaseException:
            sys.stderr.write(log.read_text()[-6000:])
            raise
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait(address: str, server: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + 120
    while time.monotonic() < ends:
        if server.poll() is not None:
            raise SystemExit(f"the server ended with {server.returncode} before it was up")
        try:
            with urlopen(address, timeout=5) as reply:
                if reply.status == 200:
                    return
        except (URLError, OSError):
            time.sleep(0.3)
    raise SystemExit("the server was not up within two minutes")


def post(address: str, body: Mapping[str, Any]) -> str:
    """The text of the reply to one request."""
    request = Request(address, json.dumps(body).encode(), {"content-type": "application/json"})
    with urlopen(request, timeout=180) as reply:
        return str(reply.read().decode())


def expect(fact: bool, what: str) -> None:
    """End with an error unless the fact holds; an assert would be switched off by -O."""
    if not fact:
        raise SystemExit(f"FAILED: {what}")


def check(title: str, address: str, *, has_model: bool) -> None:
    """Ask one question and wait, then another and watch the steps."""
    asked = {"assistant_id": "reasonir", "input": {"question": QUESTION}}
    began = time.monotonic()
    state = json.loads(post(f"{address}/runs/wait", asked))
    expect("__error__" not in state, f"the run failed: {state.get('__error__')}")
    expect(not state["abstained"] and bool(state["citations"]), f"no cited answer: {state}")
    expect("stress-concentration.md" in state["citations"][0]["source"], f"another document: {state['citations']}")
    expect(bool(state["usage"]["llm_calls"]) == has_model, f"model calls: {state['usage']}")
    print(f"{title}: {state['answer']!r} ({time.monotonic() - began:.1f} s)")
    for one in state["citations"]:
        print(f"  [{one['n']}] {Path(one['source']).name}:{one['start']}-{one['end']} {one['quote']!r}")
    where = {"question": "Why does water boil below 100 degrees on a mountain?", "where": ["source=*/boiling*"]}
    streamed = post(f"{address}/runs/stream", {**asked, "input": where, "stream_mode": "updates"})
    events = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: {")]
    steps = [name for event in events for name in event if name in STEPS]
    expect(steps == STEPS, f"the stream told {steps}: {streamed[:2000]}")
    hits = next(event["rerank"]["hits"] for event in events if "rerank" in event)
    expect(bool(hits), "the filter found nothing")
    print(f"  streamed: {' -> '.join(steps)}, {len(hits)} hits")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = folder / "store"
        command = [sys.executable, "-m", "reasonir_agent.cli", "index", str(CORPUS), "--store", str(store)]
        subprocess.run([*command, "--encoder", "minilm"], check=True)
        environment = {"REASONIR_STORE": str(store), "REASONIR_LLM": ""}
        with served(folder / "alone", environment) as address:
            check("without a model", address, has_model=False)
        with ScriptedChatServer(script) as model:
            given = {"REASONIR_LLM": "openai:scripted", "OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": "none"}
            with served(folder / "with", {**environment, **given}) as address:
                check("with a scripted model", address, has_model=True)
    print("langgraph dev: ok")


if __name__ == "__main__":
    main()
