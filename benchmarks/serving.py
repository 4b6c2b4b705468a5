"""What HTTP and LangChain cost: the same texts through the encoder itself, `reasonir serve` and `ReasonIREmbeddings`, alternating.

    python benchmarks/serving.py [TEXTS.jsonl] [--clients 32] [--per-request 1 8 32] [--requests 2] [--rounds 3]

The server is a process of its own, `--clients` threads with `openai` clients ask it at the same time over real HTTP, and all
share the machine with it. The encoder's own time is one call with all texts, its best case. Each round times every way once;
the table gives medians and the ratio to the encoder's own. Texts are cut from TEXTS.jsonl ({text}) or the example corpus.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import torch
from openai import OpenAI

from langchain_reasonir import ReasonIREmbeddings
from reasonir_agent.encoder import ReasonIREncoder

Way = Callable[[], np.ndarray]


def cut_texts(file: Path | None, count: int) -> list[str]:
    """Pieces of 5 to 170 words, log-normal around 55, with fixed random numbers."""
    if file is None:
        found = [path.read_text(encoding="utf-8") for path in sorted(Path("examples/corpus").glob("*.md"))]
    else:
        found = [json.loads(line)["text"] for line in file.read_text(encoding="utf-8").splitlines()]
    words = [word for text in found if text.isascii() for word in text.split()]
    dice = random.Random(7)

    def piece(length: int) -> str:
        start = dice.randrange(len(words) - length)
        return " ".join(words[start : start + length])

    return [piece(int(min(170, max(5, dice.lognormvariate(4.0, 0.8))))) for _ in range(count)]


@contextmanager
def server(encoder: str) -> Iterator[str]:
    """`reasonir serve` without a store, as a process of its own; gives its address."""
    words = [sys.executable, "-m", "reasonir_agent.cli", "serve", "--port", "0", "--encoder", encoder]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        found = re.search(r"http://[\w.:]+", process.stdout.readline())
        assert found, "the server did not start"
        yield found[0].rstrip(":")
    finally:
        process.terminate()
        process.wait(30)


def over_http(clients: list[OpenAI], model: str, texts: list[str], per_request: int) -> Way:
    """All texts by many clients at once, each with its share, one request after the other."""
    requests = [texts[start : start + per_request] for start in range(0, len(texts), per_request)]

    def ask(number: int) -> list[np.ndarray]:
        found = []
        for request in requests[number :: len(clients)]:
            reply = clients[number].embeddings.create(model=model, input=request)
            found.append(np.asarray([one.embedding for one in reply.data], dtype=np.float32))
        return found

    def way() -> np.ndarray:
        with ThreadPoolExecutor(len(clients)) as pool:
            shares = list(pool.map(ask, range(len(clients))))
        rows = [shares[number % len(clients)][number // len(clients)] for number in range(len(requests))]
        return np.concatenate(rows)

    return way


def measure(ways: dict[str, Way], rounds: int, tokens: int) -> None:
    """Time every way once a round, in turn; print medians."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    vectors: dict[str, np.ndarray] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            vectors[name] = way()
            seconds[name].append(time.perf_counter() - began)
    own_name = next(iter(ways))
    own = statistics.median(seconds[own_name])
    for name, taken in seconds.items():
        ratios = [mine / theirs for mine, theirs in zip(taken, seconds[own_name], strict=True)]
        furthest = float(np.abs(vectors[name] - vectors[own_name]).max())
        median = statistics.median(taken)
        print(
            f"  {name:28} {median:7.2f} s {tokens / median:8.0f} tokens/s   throughput {own / median:5.2f} of its own"
            f"   time by round {' '.join(f'{ratio:.2f}' for ratio in ratios)}   furthest number {furthest:.1e}"
        )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("texts", type=Path, nargs="?")
    arguments.add_argument("--encoder", default="minilm")
    arguments.add_argument("--clients", type=int, default=32)
    arguments.add_argument("--per-request", type=int, nargs="+", default=[1, 8, 32])
    arguments.add_argument("--requests", type=int, default=2, help="of each client and round")
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    warnings.simplefilter("ignore")

    encoder = ReasonIREncoder(given.encoder)
    embeddings = ReasonIREmbeddings.from_encoder(encoder)
    print(
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, {given.clients} clients, {given.rounds} rounds"
    )
    with ExitStack() as opened:
        address = opened.enter_context(server(given.encoder))
        clients = [
            opened.enter_context(OpenAI(base_url=f"{address}/v1", api_key="none", timeout=600, max_retries=0))
            for _ in range(given.clients)
        ]
        for per_request in given.per_request:
            texts = cut_texts(given.texts, given.clients * given.requests * per_request)
            tokens = sum(min(encoder.window, n + 2) for n in encoder.count_tokens(texts))
            ways: dict[str, Way] = {
                "the encoder": lambda texts=texts: encoder.encode_documents(texts),
                "ReasonIREmbeddings": lambda texts=texts: np.asarray(embeddings.embed_documents(texts), np.float32),
                "/v1/embeddings": over_http(clients, f"{given.encoder}-document", texts, per_request),
            }
            print(f"\n{per_request} texts in a request: {len(texts)} texts, {tokens} tokens")
            for way in ways.values():  # connections and kernels
                way()
            measure(ways, given.rounds, tokens)


if __name__ == "__main__":
    main()
