"""Cold process to printed hits: `reasonir search` over a store of 10,000 passages, and `reasonir --help`.

    python benchmarks/cold_search.py [--passages 10000] [--rounds 5]

The store is made once in a temporary folder from generated texts (random vectors would not pass the encoder check, so
the texts are encoded; this takes some minutes on two cores). Prints minimum, median and maximum in seconds.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

QUESTION = "How can making a hole in a damaged sheet make it stronger?"


def timed(command: list[str], rounds: int) -> list[float]:
    """Wall seconds of a command as a whole process, after one warm-up."""
    found = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        found.append(time.perf_counter() - began)
    return found[1:]


def write_texts(file: Path, count: int) -> None:
    """So many short distinct records, from the sentences of the example corpus."""
    sentences = [
        sentence
        for path in sorted(Path("examples/corpus").glob("[!z]*.md"))
        for sentence in path.read_text(encoding="utf-8").split("\n\n", 1)[1].replace("\n", " ").split(". ")
    ]
    dice = random.Random(3)
    with file.open("w", encoding="utf-8") as stream:
        for number in range(count):
            stream.write(
                json.dumps({"id": number, "text": f"{number}. " + ". ".join(dice.sample(sentences, 2))}) + "\n"
            )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--passages", type=int, default=10_000)
    arguments.add_argument("--rounds", type=int, default=5)
    given = arguments.parse_args()
    reasonir = [sys.executable, "-m", "reasonir_agent.cli"]
    with tempfile.TemporaryDirectory() as folder:
        texts, store = Path(folder) / "texts.jsonl", Path(folder) / "store"
        write_texts(texts, given.passages)
        began = time.perf_counter()
        subprocess.run([*reasonir, "index", str(texts), "--store", str(store)], check=True)
        print(f"indexed in {time.perf_counter() - began:.0f} s")
        rows = {
            "reasonir --help": timed([*reasonir, "--help"], given.rounds),
            f"reasonir search, {given.passages} passages": timed(
                [*reasonir, "search", QUESTION, "--store", str(store)], given.rounds
            ),
            f"reasonir ask, {given.passages} passages": timed(
                [*reasonir, "ask", QUESTION, "--store", str(store)], given.rounds
            ),
        }
    for name, taken in rows.items():
        print(f"{name:40} min {min(taken):.2f}  median {statistics.median(taken):.2f}  max {max(taken):.2f} s")


if __name__ == "__main__":
    main()
