"""`reasonir serve`, used as any OpenAI-compatible server: embeddings by role, the agent as a chat model, reranking.

    python examples/08_http_server.py                                # the chat model is a script on this machine
    python examples/08_http_server.py --llm openai:gpt-5-mini        # a real one, with OPENAI_API_KEY set

The server runs as a process of its own and is stopped at the end. Any chat page that speaks OpenAI's protocol can take the
place of this script: its address is http://127.0.0.1:PORT/v1, the model is reasonir-agent.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from openai import OpenAI

from reasonir_agent.testing import ScriptedChatServer

CORPUS = Path(__file__).parent / "corpus"
FILES = ("stress-concentration", "metal-fatigue", "ice-density", "duck-feathers", "bank-runs", "pasta-dough")
QUESTION = "How can drilling a hole at the end of a crack stop it from growing?"
REASONIR = (sys.executable, "-m", "reasonir_agent.cli")


def script(request: dict) -> str:
    """What the scripted model says to the three kinds of requests; it has not understood anything."""
    prompt = "\n".join(str(message["content"]) for message in request["messages"])
    if "Reply with one JSON object" in prompt:
        quote = "the sharper the tip, the higher the stress"
        passages = prompt.split('<passage n="')[1:]
        number = next((n for n, passage in enumerate(passages, start=1) if quote in passage), 1)
        answer = f"A crack's sharp tip concentrates the stress; a round hole there blunts it [{number}]."
        return json.dumps({"found": True, "answer": answer, "citations": [{"n": number, "quote": quote}]})
    if "Score: N" in prompt:
        return "Score: 5" if "radius of curvature" in prompt else "Score: 1"
    return "The problem is stress concentration: the local stress at a notch depends on the radius of its tip."


@contextmanager
def served(store: str, llm: str, environment: dict[str, str]) -> Iterator[str]:
    """Run the server on a free port, and stop it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = (*REASONIR, "serve", "--store", store, "--llm", llm, "--port", str(port))
    server = subprocess.Popen(command, env={**os.environ, "REASONIR_TOKEN": "", **environment})
    try:
        wait_for(f"http://127.0.0.1:{port}", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


def wait_for(url: str, server: subprocess.Popen) -> None:
    """Until /health answers."""
    while server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as reply:
                print("served:", json.load(reply))
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server did not start")


def embed(client: OpenAI) -> None:
    """A question and a passage take different roads: the model's name says which."""
    passages = ["A round hole has a large radius.", "Salt slows the yeast."]
    query = client.embeddings.create(model="minilm-query", input=QUESTION).data[0].embedding
    documents = client.embeddings.create(model="minilm-document", input=passages).data
    for text, document in zip(passages, documents, strict=True):
        cosine = sum(a * b for a, b in zip(query, document.embedding, strict=True))
        print(f"  cosine {cosine:.2f}  {text}")


def chat(client: OpenAI) -> None:
    """The agent as a chat model: its steps come first, then the answer, whose quotes have been checked."""
    stream = client.chat.completions.create(
        model="reasonir-agent", messages=[{"role": "user", "content": QUESTION}], stream=True
    )
    for chunk in stream:
        delta = chunk.choices[0].delta
        for line in (getattr(delta, "reasoning_content", None) or "").splitlines():
            print(f"  ({line})")
        print(delta.content or "", end="")
        for one in getattr(chunk, "citations", None) or []:
            print(f"\n  payload: [{one['n']}] {Path(one['source']).name}:{one['start']}-{one['end']} {one['verified']}")


def rerank(url: str) -> None:
    """The shape of Cohere and Jina, which Open WebUI, Dify and LiteLLM speak."""
    documents = [(CORPUS / f"{name}.md").read_text(encoding="utf-8") for name in FILES[:3]]
    for model in ("minilm-rerank", "reasonir-rerank"):
        body = json.dumps({"model": model, "query": QUESTION, "documents": documents, "top_n": 2}).encode()
        request = urllib.request.Request(f"{url}/v1/rerank", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as reply:
            results = json.load(reply)["results"]
        print(f"  {model}:", [(FILES[one["index"]], round(one["relevance_score"], 2)) for one in results])


def show(store: str, llm: str, environment: dict[str, str]) -> None:
    with served(store, llm, environment) as url:
        with OpenAI(base_url=f"{url}/v1", api_key="none") as client:
            print("models:", [model.id for model in client.models.list()])
            print("== embeddings")
            embed(client)
            print("== chat")
            chat(client)
        print("== rerank")
        rerank(url)
    print("stopped")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--llm", help="provider:model; without it a scripted server is used")
    llm = arguments.parse_args().llm
    with tempfile.TemporaryDirectory() as folder:
        store = str(Path(folder) / "store")
        paths = [str(CORPUS / f"{name}.md") for name in FILES]
        subprocess.run((*REASONIR, "index", *paths, "--store", store, "--encoder", "minilm"), check=True)
        if llm:
            show(store, llm, {})
            return
        with ScriptedChatServer(script) as chat_server:
            show(store, "openai:scripted", {"OPENAI_BASE_URL": chat_server.base_url, "OPENAI_API_KEY": "none"})


if __name__ == "__main__":
    main()
