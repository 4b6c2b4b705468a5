"""Indexing and searching at size: passages per second and where they go, re-indexing, latency, recall, memory.

    python benchmarks/index.py speed [--passages 2000]       # the local encoder, end to end, and its split
    python benchmarks/index.py again [--passages 100000]     # nothing changed; one changed file, until it is found
    python benchmarks/index.py search [--sizes 1000 10000 100000]   # exact against Chroma: p50, p95, recall, memory

`again` and `search` measure everything but the encoder, so their vectors are drawn at random under its fingerprint
(clusters of 50 around random centres; queries are near a passage). Each store is worked on by fresh processes, and
`again` runs the real command line. Stores are made in a temporary folder.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from reasonir_agent import Corpus, ReasonIREncoder

REASONIR = [sys.executable, "-m", "reasonir_agent.cli"]
PASSAGES_PER_FILE = 5


class RandomVectors:
    """The local encoder in everything but its document vectors, which are drawn at random by the text's hash."""

    def __init__(self) -> None:
        self._encoder = ReasonIREncoder()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def encode_documents(self, texts: list[str]) -> np.ndarray:
        """Unit vectors, float32 [n, 384]."""
        return np.stack([near(text) for text in texts])


def near(text: str) -> np.ndarray:
    """A unit vector near one of many centres, which the text's hash chooses."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    centre = np.random.default_rng(seed % 2_000).standard_normal(384)
    row = centre + 0.7 * np.random.default_rng(seed).standard_normal(384)
    return (row / np.linalg.norm(row)).astype(np.float32)


def write_files(folder: Path, passages: int) -> list[Path]:
    """Markdown files of five sections each, from the sentences of the example corpus; a section is one passage."""
    sentences = [
        sentence
        for path in sorted(Path("examples/corpus").glob("[!z]*.md"))
        for sentence in path.read_text(encoding="utf-8").split("\n\n", 1)[1].replace("\n", " ").split(". ")
    ]
    dice, files = random.Random(5), []
    for number in range(passages // PASSAGES_PER_FILE):
        file = folder / f"{number // 500:03}" / f"{number:06}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        parts = [
            f"## Note {number}.{part}\n\n{'. '.join(dice.sample(sentences, 5))}." for part in range(PASSAGES_PER_FILE)
        ]
        file.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
        files.append(file)
    return files


def speed(work: Path, passages: int) -> None:
    """End to end with the local encoder, and its split."""
    write_files(work / "texts", passages)
    encoder = ReasonIREncoder()
    encoder.encode_documents(["warm"] * 64)
    corpus = Corpus(work / "store", encoder, create=True)
    report = corpus.index(work / "texts")
    print(f"{report.passages} passages in {report.seconds:.1f} s: {report.passages / report.seconds:.1f} passages/s")
    named = sum(report.parts.values())
    for part, seconds in [*report.parts.items(), ("rest", report.seconds - named)]:
        print(f"  {part:8} {seconds:8.2f} s  {seconds / report.seconds:6.1%}")
    print(f"  peak memory {peak():.0f} MB")


def again(work: Path, passages: int) -> None:
    """The second run and the run after one change, by the command line."""
    files = write_files(work / "texts", passages)
    corpus = Corpus(work / "store", RandomVectors(), create=True)
    report = corpus.index(work / "texts")
    corpus.close()
    print(f"{report.passages} passages in {report.files} files, indexed in {report.seconds:.0f} s with random vectors")
    time.sleep(2.5)  # so that the files' times are told apart from the time of reading
    index = [*REASONIR, "index", str(work / "texts"), "--store", str(work / "store"), "--json"]
    command(index)
    taken = [command(index) for _ in range(3)]
    print(f"nothing changed: {median(taken)} ({taken[0][1]['encoded']} encoded, {taken[0][1]['unchanged']} unchanged)")
    changes, searches = [], []
    for number in range(3):
        word = f"quokkas{number}"
        files[number].write_text(f"## Changed\n\nA colony of {word} was seen near the harbour.\n", encoding="utf-8")
        changes.append(command(index))
        found = command([*REASONIR, "search", f"Where were {word} seen?", "--store", str(work / "store"), "--json"])
        assert found[1]["hits"][0]["source"] == str(files[number]), "the changed file must be found"
        searches.append(found)
    print(f"one changed file: index {median(changes)} ({changes[0][1]['encoded']} encoded)")
    print(f"... then search: {median(searches)}")


def command(words: list[str]) -> tuple[float, dict[str, Any]]:
    """Wall seconds of a whole process, and the object that it printed."""
    began = time.perf_counter()
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return time.perf_counter() - began, json.loads(done.stdout)


def median(taken: list[tuple[float, Any]]) -> str:
    seconds = [one for one, _ in taken]
    return f"median {statistics.median(seconds):.2f} s of {len(seconds)} (max {max(seconds):.2f})"


def search(work: Path, sizes: list[int]) -> None:
    """Exact against Chroma, each in a process of its own."""
    print(
        f"{'passages':>9} {'engine':7} {'build':>8} {'first':>8} {'p50':>8} {'p95':>8} {'recall@10':>9} {'memory':>9}"
    )
    for size in sizes:
        folder = work / f"texts-{size}"
        write_files(folder, size)
        store = work / f"store-{size}"
        corpus = Corpus(store, RandomVectors(), create=True)
        corpus.index(folder)
        corpus.close()
        for engine in ("exact", "chroma"):
            done = subprocess.run(
                [sys.executable, __file__, "one", "--store", str(store), "--engine", engine],
                check=True,
                capture_output=True,
                text=True,
            )
            one = json.loads(done.stdout)
            print(
                f"{size:>9,} {engine:7} {one['build']:>6.1f} s {one['first']:>5.0f} ms {one['p50']:>5.1f} ms "
                f"{one['p95']:>5.1f} ms {one['recall']:>9.3f} {one['memory']:>6.0f} MB",
                flush=True,
            )


def one(store: Path, engine: str) -> None:
    """One engine over one store: dense search alone, as `Store.nearest` does it."""
    exact_bytes = 10**12 if engine == "exact" else 0
    began = time.perf_counter()
    corpus = Corpus(store, RandomVectors(), exact_bytes=exact_bytes)
    with corpus.store.writing():
        trouble = corpus.store.refresh()
    assert trouble is None, trouble
    build = time.perf_counter() - began
    ids = corpus.store.database.passage_ids()
    dice = random.Random(1)
    asked = [p.encoded_text for p in corpus.passages(dice.sample(ids, 200)).values()]
    noise = np.random.default_rng(9)
    queries = [near(text) + 0.03 * noise.standard_normal(384).astype(np.float32) for text in asked]
    queries = [(row / np.linalg.norm(row)).astype(np.float32)[None] for row in queries]
    began = time.perf_counter()
    corpus.store.nearest(queries[0], 10)
    first = time.perf_counter() - began
    taken, found = [], []
    for query in queries:
        began = time.perf_counter()
        found.append({one for one, _ in corpus.store.nearest(query, 10)})
        taken.append(time.perf_counter() - began)
    memory = peak()
    truth = Corpus(store, RandomVectors(), exact_bytes=10**12)
    hits = [
        len(some & {one for one, _ in truth.store.nearest(query, 10)})
        for some, query in zip(found, queries, strict=True)
    ]
    marks = statistics.quantiles(taken, n=100)
    print(json.dumps({
        "build": build, "first": first * 1e3, "p50": marks[49] * 1e3, "p95": marks[94] * 1e3,
        "recall": sum(hits) / (10 * len(hits)), "memory": memory,
    }))  # fmt: skip


def peak() -> float:
    """Peak resident memory of this process in MB; memory-mapped files count while they are cached."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("what", choices=["speed", "again", "search", "one"])
    arguments.add_argument("--passages", type=int)
    arguments.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    arguments.add_argument("--store", type=Path)
    arguments.add_argument("--engine", choices=["exact", "chroma"])
    given = arguments.parse_args()
    if given.what == "one":
        one(given.store, given.engine)
        return
    with tempfile.TemporaryDirectory() as folder:
        if given.what == "speed":
            speed(Path(folder), given.passages or 2_000)
        elif given.what == "again":
            again(Path(folder), given.passages or 100_000)
        else:
            search(Path(folder), given.sizes)


if __name__ == "__main__":
    main()
