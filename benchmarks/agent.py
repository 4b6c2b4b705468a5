"""What the agent costs beside the chat model, and what rerankers lose when a model's replies are malformed.

    python benchmarks/agent.py overhead [--sizes 1000 100000] [--questions 30]   # outside of the model's time
    python benchmarks/agent.py rerank [--rounds 7]        # 100 passages, 32 at a time, replies after 200 ms: ideal 800 ms
    python benchmarks/agent.py malformed                  # share of passages lost, beside LlamaIndex and LangChain

The chat model is a scripted server with a fixed latency, a process of its own. `overhead` runs whole questions (rewrite,
search, rerank 30 and more, grade, answer, check of quotes) over stores whose vectors are random (see index.py). Of each
question's time it takes the stretches in which a call to the model is under way, and the encoder's time, and prints what
is left. The machine's other work is in these figures.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from index import RandomVectors, write_files

from reasonir_agent import AgentSettings, Corpus, build_agent
from reasonir_agent.bridge import run_sync
from reasonir_agent.llm import ChatModel, Meter, open_chat_model
from reasonir_agent.reranking import ChatReranker, judge
from reasonir_agent.testing import Reply, ScriptedChatServer
from reasonir_agent.types import Hit, Passage

DEPTH, CONCURRENCY = 100, 32
SUITE_PASSAGES = 20


def agents_model(latency: float) -> Callable[[Mapping[str, Any]], Reply]:
    """What a well-behaved model says at each step; passages get scores by their hash."""

    def say(request: Mapping[str, Any]) -> Reply:
        system, text = (str(message["content"]) for message in request["messages"][:2])
        passages = re.findall(r"<passage[^>]*>\n(.*?)\n</passage>", text, flags=re.DOTALL)
        if system.startswith("You prepare"):
            said = f"The essential problem behind this. {text[:1800]}"
        elif system.startswith("You judge"):
            said = f"Score: {hashlib.sha256(passages[-1].encode()).digest()[0] % 6}"
        elif system.startswith("You decide"):
            said = '{"verdict": "answer", "missing": []}'
        elif system.startswith("You answer"):
            quote = " ".join(passages[0].split("\n")[-1].split()[:8])
            said = json.dumps({"found": True, "answer": "So it is [1].", "citations": [{"n": 1, "quote": quote}]})
        else:
            said = json.dumps({"pairs": [{"pair": one["pair"], "supported": True} for one in json.loads(text)]})
        return Reply(said, delay=latency)

    return say


@contextmanager
def server(latency: float) -> Iterator[str]:
    """The scripted server as a process of its own; gives its address."""
    words = [sys.executable, __file__, "serve", "--latency", str(latency)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.communicate(timeout=30)  # it ends with its input


def serve(latency: float) -> None:
    with ScriptedChatServer(agents_model(latency)) as one:
        print(one.base_url, flush=True)
        sys.stdin.read()


class Stretches:
    """Times at which something was under way; overlapping ones count once."""

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []

    @contextmanager
    def one(self) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.spans.append((began, time.perf_counter()))

    def seconds(self) -> float:
        total, until = 0.0, 0.0
        for begin, end in sorted(self.spans):
            total += max(0.0, end - max(begin, until))
            until = max(until, end)
        return total


class TimedModel:
    """The client of the chat server, watched."""

    def __init__(self, model: Any, stretches: Stretches) -> None:
        self.model, self.stretches = model, stretches

    async def ainvoke(self, messages: Any, **options: Any) -> Any:
        with self.stretches.one():
            return await self.model.ainvoke(messages, **options)


class TimedEncoder:
    """An encoder, watched."""

    def __init__(self, encoder: Any, stretches: Stretches) -> None:
        self.encoder, self.stretches = encoder, stretches

    def __getattr__(self, name: str) -> Any:
        return getattr(self.encoder, name)

    def encode_queries(self, texts: Sequence[str]) -> Any:
        with self.stretches.one():
            return self.encoder.encode_queries(texts)


def chat_at(url: str) -> ChatModel:
    return open_chat_model("openai:scripted", base_url=url, concurrency=CONCURRENCY, max_retries=0)


def overhead(work: Path, sizes: list[int], questions: int, latency: float) -> None:
    """Whole questions; what is neither the model's time nor the encoder's."""
    print(f"{questions} questions for each size, replies after {latency * 1000:.0f} ms; milliseconds, p50 / p95")
    print(f"{'passages':>9} {'whole':>15} {'model':>15} {'encoder':>13} {'the rest':>13} {'calls':>5}")
    encoder = RandomVectors()
    for size in sizes:
        files = write_files(work / f"texts-{size}", size)
        if not (work / f"store-{size}").exists():
            with Corpus(work / f"store-{size}", encoder, create=True) as corpus:
                corpus.index(work / f"texts-{size}")
        with server(latency) as url, Corpus(work / f"store-{size}", encoder) as corpus:
            asked = [ask_for(file) for file in files[:: max(1, len(files) // (questions + 3))]][: questions + 3]
            rows = [timed(question, corpus, url) for question in asked][3:]  # the first ones open files and connections
        cells = [marks([row[name] for row in rows]) for name in ("whole", "model", "encoder", "rest")]
        calls = statistics.median(row["calls"] for row in rows)
        print(f"{size:>9,} {cells[0]:>15} {cells[1]:>15} {cells[2]:>13} {cells[3]:>13} {calls:>5.0f}", flush=True)


def ask_for(file: Path) -> str:
    return f"Why is it that {file.read_text(encoding='utf-8').split('. ')[1]}?"


def timed(question: str, corpus: Corpus, url: str) -> dict[str, float]:
    """One question, in milliseconds."""
    model, encoder = Stretches(), Stretches()
    chat = chat_at(url)
    chat.model = TimedModel(chat.model, model)
    corpus.encoder = TimedEncoder(getattr(corpus.encoder, "encoder", corpus.encoder), encoder)
    settings = AgentSettings(concurrency=CONCURRENCY)
    graph = build_agent(store=corpus, encoder=corpus.encoder, chat_model=chat, settings=settings)
    began = time.perf_counter()
    state = run_sync(graph.ainvoke({"question": question}))
    whole = time.perf_counter() - began
    assert state["citations"], state["warnings"]
    both = Stretches()
    both.spans = model.spans + encoder.spans
    parts = {"whole": whole, "model": model.seconds(), "encoder": encoder.seconds(), "rest": whole - both.seconds()}
    return {**{name: 1000 * seconds for name, seconds in parts.items()}, "calls": len(model.spans)}


def marks(values: list[float]) -> str:
    found = statistics.quantiles(values, n=20, method="inclusive")
    return f"{found[9]:,.0f} / {found[18]:,.0f}"


def rerank(rounds: int, latency: float) -> None:
    """A hundred passages at once; ideal is as many waves as the concurrency needs, and nothing else."""
    hits = [Hit(passage(f"Passage number {n} about matter {n % 7}. " * 12, n), 0.5) for n in range(DEPTH)]
    waves = -(-DEPTH // CONCURRENCY)
    taken = []
    with server(latency) as url:
        chat = chat_at(url)
        for _ in range(rounds + 1):
            began = time.perf_counter()
            judged = run_sync(judge("What is the matter?", hits, ChatReranker(chat), weight=0.5, meter=Meter()))
            taken.append(time.perf_counter() - began)
            assert (judged.scored, judged.failures) == (DEPTH, 0), judged.warnings
    first, taken = taken[0], taken[1:]
    ideal, middle = waves * latency, statistics.median(taken)
    print(
        f"{DEPTH} passages, {CONCURRENCY} at a time, {latency * 1000:.0f} ms a reply: median {middle * 1000:.0f} ms of "
        f"{rounds} (min {min(taken) * 1000:.0f}, max {max(taken) * 1000:.0f}; first {first * 1000:.0f}), "
        f"{middle / ideal:.2f} x the ideal {ideal * 1000:.0f} ms"
    )


def passage(text: str, number: int) -> Passage:
    return Passage.make(f"{number}.md", 0, len(text), text)


# What each reranker expects of its model, and how it can be malformed. `ids` are counted from 1.


def as_llama_index(ids: Sequence[int]) -> str:
    return "\n".join(f"Doc: {n}, Relevance: {9 - n % 5}" for n in ids)


def as_langchain(ids: Sequence[int]) -> str:
    return json.dumps({"ranked_document_ids": [n - 1 for n in ids]})


def as_ours(ids: Sequence[int]) -> str:
    return f"Score: {ids[0] % 6}" if ids else ""


Write = Callable[[Sequence[int]], str]
MALFORMED: dict[str, Callable[[Write, list[int], int], str | Reply]] = {
    "well formed": lambda write, ids, call: write(ids),
    "talk around it": lambda write, ids, call: f"Sure! Here you are:\n{write(ids)}\nAnything else?",
    "a code fence": lambda write, ids, call: f"```\n{write(ids)}\n```",
    "a think block": lambda write, ids, call: f"<think>\nLet me see, 3 or 4.\n</think>\n{write(ids)}",
    "half left out": lambda write, ids, call: write(ids[: len(ids) // 2] if len(ids) > 1 else ids[call % 2 :]),
    "numbers that are none": lambda write, ids, call: write([n + 100 for n in ids]) if len(ids) > 1 else "Score: 10",
    "two at once": lambda write, ids, call: write([ids[0]] * len(ids)) if len(ids) > 1 else "Score: 1. No, score: 5",
    "cut off": lambda write, ids, call: write(ids)[: len(write(ids)) // 2],
    "another format": lambda write, ids, call: json.dumps({"result": [{"id": n} for n in ids]}),
    "words for numbers": lambda write, ids, call: "The first document is the best, then the second.",
    "another language": lambda write, ids, call: "最相关的是第三篇。",
    "a refusal": lambda write, ids, call: "I cannot help with that.",
    "nothing": lambda write, ids, call: "",
    "no choices": lambda write, ids, call: Reply(body=b'{"id": "x", "object": "chat.completion", "choices": []}'),
    "a web page": lambda write, ids, call: Reply(body=b"<html><body>Welcome</body></html>"),
    "error 500": lambda write, ids, call: Reply("broken", status=500),
}


def malformed() -> None:
    """Share of passages that do not come back, and whether the call failed altogether."""
    texts = [f"Fact {n}: the river rose by {n} centimetres in the night." for n in range(SUITE_PASSAGES)]
    rerankers = {"ours": by_ours, "LlamaIndex LLMRerank": by_llama_index, "LangChain listwise": by_langchain}
    print(f"share of {SUITE_PASSAGES} passages lost; ! where the call raised and the caller has nothing")
    print(f"{'replies':<24}" + "".join(f"{name:>24}" for name in rerankers))
    lost: dict[str, list[float]] = {name: [] for name in rerankers}
    for kind, spoil in MALFORMED.items():
        cells = []
        for name, run in rerankers.items():
            with ScriptedChatServer(spoiled(spoil)) as one:
                try:
                    kept, mark = len(set(run(one.base_url, texts)) & set(texts)), ""
                except Exception as problem:
                    kept, mark = 0, f"! {type(problem).__name__} "
            lost[name].append(1 - kept / len(texts))
            cells.append(f"{mark}{lost[name][-1]:.0%}")
        print(f"{kind:<24}" + "".join(f"{cell:>24}" for cell in cells), flush=True)
    means = [statistics.mean(lost[name][1:]) for name in rerankers]
    print(f"{'mean of the malformed':<24}" + "".join(f"{mean:>24.0%}" for mean in means))


def spoiled(spoil: Callable[[Write, list[int], int], str | Reply]) -> Callable[[Mapping[str, Any]], str | Reply]:
    """A script that writes what the asking reranker expects, spoiled."""
    calls = iter(range(10_000))

    def say(request: Mapping[str, Any]) -> str | Reply:
        text = "\n".join(str(message["content"]) for message in request["messages"])
        call = next(calls)
        if text.startswith("You judge"):
            return spoil(as_ours, [int(re.findall(r"Fact (\d+):", text)[0]) + 1], call)
        count = text.count("the river rose")
        write = as_langchain if "Document ID" in text else as_llama_index
        return spoil(write, list(range(1, count + 1)), call)

    return say


def by_ours(url: str, texts: list[str]) -> list[str]:
    hits = [Hit(passage(text, n), 0.5) for n, text in enumerate(texts)]
    judged = run_sync(judge("How did the river rise?", hits, ChatReranker(chat_at(url)), weight=0.5, meter=Meter()))
    return [hit.passage.text for hit in judged.hits]


def by_llama_index(url: str, texts: list[str]) -> list[str]:
    from llama_index.core import QueryBundle
    from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata
    from llama_index.core.postprocessor import LLMRerank
    from llama_index.core.schema import NodeWithScore, TextNode
    from openai import OpenAI

    class Scripted(CustomLLM):
        @property
        def metadata(self) -> LLMMetadata:
            return LLMMetadata(model_name="scripted")

        def complete(self, prompt: str, formatted: bool = False, **options: Any) -> CompletionResponse:
            with OpenAI(base_url=url, api_key="none", max_retries=0) as client:
                said = client.chat.completions.create(model="x", messages=[{"role": "user", "content": prompt}])
            return CompletionResponse(text=said.choices[0].message.content or "")

        def stream_complete(self, prompt: str, formatted: bool = False, **options: Any) -> Any:
            yield self.complete(prompt)

    nodes = [NodeWithScore(node=TextNode(text=text), score=0.5) for text in texts]
    reranker = LLMRerank(llm=Scripted(), top_n=len(texts))
    found = reranker.postprocess_nodes(nodes, query_bundle=QueryBundle("How did the river rise?"))
    return [node.node.get_content() for node in found]


def by_langchain(url: str, texts: list[str]) -> list[str]:
    from langchain_classic.retrievers.document_compressors import LLMListwiseRerank
    from langchain_core.documents import Document
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="scripted", base_url=url, api_key="none", max_retries=0)
    reranker = LLMListwiseRerank.from_llm(model, top_n=len(texts))
    found = reranker.compress_documents([Document(text) for text in texts], "How did the river rise?")
    return [one.page_content for one in found]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("what", choices=["overhead", "rerank", "malformed", "serve"])
    arguments.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000])
    arguments.add_argument("--questions", type=int, default=30)
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--latency", type=float, default=0.2, help="seconds of each reply")
    arguments.add_argument("--work", type=Path, help="keep the stores in this folder, and use those that are there")
    given = arguments.parse_args()
    if given.what == "serve":
        serve(given.latency)
    elif given.what == "rerank":
        rerank(given.rounds, given.latency)
    elif given.what == "malformed":
        malformed()
    else:
        with tempfile.TemporaryDirectory() as folder:
            overhead(given.work or Path(folder), given.sizes, given.questions, given.latency)


if __name__ == "__main__":
    main()
