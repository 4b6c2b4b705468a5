"""Seeds: seconds and bytes of memory a seed, from documents to the choice. `python benchmarks/seeds.py [--seeds 20000]`.

Documents are drawn: prose of 200 words each, one in ten a near-copy of the one before. Memory is what Python and numpy
hold at most (tracemalloc) beyond what a twentieth as many seeds take, so that what is loaded once does not count; it is
measured in a run of its own, since measuring it takes time. Seconds are of the processor: all of it is one thread.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from reasonir_trainer.synthesis.near_duplicates import NearDuplicates
from reasonir_trainer.synthesis.seeds import SeedFile, SeedReport, candidates, choose
from reasonir_trainer.synthesis.settings import SynthesisSettings

SETTINGS = SynthesisSettings(model="openai:none", languages=("en",))
_IN_A_FILE = 100
FIELDS = ("biology", "economics", "law", "physics")
_COMMON = "the of and to in a is that for it as was with be by on not he his but at are this have from or had".split()


def write_documents(folder: Path, count: int) -> None:
    """So many records, a hundred in each file: one file's documents are in memory at a time."""
    chance = random.Random(0)
    names = [f"{a}{b}{c}" for a in ("wa", "ter", "lo") for b in ("ming", "den", "vast") for c in "abcdefghijklmnop"]
    last: list[str] = []
    for number in range(count // _IN_A_FILE):
        with (folder / f"{number}.jsonl").open("w") as file:
            for record in range(_IN_A_FILE):
                if record % 10 == 9:
                    last[chance.randrange(200)] = "changed"
                else:
                    last = [chance.choice(_COMMON if n % 2 else names) for n in range(200)]
                text = " ".join(word.title() + "." if n % 15 == 14 else word for n, word in enumerate(last))
                file.write(json.dumps({"id": f"{number}-{record}", "text": text}) + "\n")


def steps(folder: Path, target: Path) -> dict[str, Callable[[], object]]:
    """What is measured, in order; each takes up what the one before left on disk."""

    def gathered() -> None:
        candidates([str(folder)], SETTINGS, SeedReport(), file=target).close()

    def opened() -> SeedFile:
        return SeedFile(target)

    def compared() -> object:
        with SeedFile(target) as file:
            near = NearDuplicates(SETTINGS.near_duplicate)
            for seed in file:
                near.add(seed.text)
            ids = file.ids()
            return near, list(near.find(lambda number: file.get(ids[number]).text))

    def chosen() -> object:
        with SeedFile(target) as file:
            labelled = (one.model_copy(update={"field": FIELDS[int(one.id[:4], 16) % 4]}) for one in file)
            return choose(labelled, None, 0)

    return {
        "read, filter, de-duplicate": gathered,
        "open the file": opened,
        "near-duplicates": compared,
        "choose": chosen,
    }


def measured(count: int, *, memory: bool) -> dict[str, float]:
    """Seconds of the processor for each step, or bytes at most."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "documents"
        folder.mkdir()
        write_documents(folder, count)
        for step, work in steps(folder, Path(name) / "seeds.jsonl").items():
            gc.collect()
            if memory:
                tracemalloc.start()
            began = time.process_time()
            kept = work()
            found[step] = tracemalloc.get_traced_memory()[1] if memory else time.process_time() - began
            if memory:
                tracemalloc.stop()
            if isinstance(kept, SeedFile):
                kept.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20_000)
    count = parser.parse_args().seeds
    measured(100, memory=False)  # loads what is loaded once
    seconds = measured(count, memory=False)
    small, large = measured(count // 20, memory=True), measured(count, memory=True)
    print(f"{count} seeds of 200 words")
    for step, took in seconds.items():
        grown = (large[step] - small[step]) / (count - count // 20)
        print(f"{step:28} {took:7.2f} s  {took / count * 1e3:6.3f} ms a seed  {grown:7.0f} bytes a seed")


if __name__ == "__main__":
    main()
