"""What synthesis costs beside the model: overhead an item, throughput against the ideal, memory and disk a seed.

    python benchmarks/synthesize.py [--items 2000] [--concurrency 64] [--delay 0.5] [--rounds 3] [--seeds 1000 10000 100000]

The server is a process of its own and answers after `--delay` seconds. Both ways send the same requests by the same
client: the bare loop knows all of them beforehand and keeps `--concurrency` under way, with nothing kept, checked or
counted; the run makes items of three calls each (query, negative, judgement), with its journal, its outcomes and its
budget. For the overhead the delay is 0 and one call is under way, so that nothing hides behind waiting. Memory is the
peak of a process of its own that resumes a run of so many seeds whose items are half done, less that of one of 100 seeds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from reasonir_agent.bridge import run_sync
from reasonir_agent.llm import ChatModel, Meter, Reply, as_chat_model, open_chat_model
from reasonir_trainer.synthesis.calling import Call, Caller
from reasonir_trainer.synthesis.journal import Asked, Journal
from reasonir_trainer.synthesis.making import Patience, RunCaller
from reasonir_trainer.synthesis.opening import live_calls
from reasonir_trainer.synthesis.outcomes import Outcomes
from reasonir_trainer.synthesis.pipeline import How, MakeItem, Report, Run
from reasonir_trainer.synthesis.planning import Item, items_of
from reasonir_trainer.synthesis.pool import Stop
from reasonir_trainer.synthesis.progress import Progress
from reasonir_trainer.synthesis.rows import Negative, Outcome, Provenance, Row, Seed, SeedPlace
from reasonir_trainer.synthesis.run_folder import Inputs, Request, RunFolder
from reasonir_trainer.synthesis.settings import SynthesisSettings

STEPS = ("query", "negative 1", "judge 1")
WORDS = ("the water under the ice stays at four degrees because it is densest there " * 20).split()
SETTINGS = SynthesisSettings(model="openai:scripted", varied=0, hard=2, most_seeds=None)
SERVER = """
import asyncio, json, sys
REPLY = json.dumps({"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [{"index": 0,
    "finish_reason": "stop", "message": {"role": "assistant", "content": "a reply of some words " * 80}}],
    "usage": {"prompt_tokens": 300, "completion_tokens": 400, "total_tokens": 700}}).encode()
HEAD = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(REPLY)

async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            length = next(int(l.split(b":")[1]) for l in head.lower().split(b"\\r\\n") if l.startswith(b"content-length"))
            await reader.readexactly(length)
            await asyncio.sleep(float(sys.argv[1]))
            writer.write(HEAD + REPLY)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


def seed(number: int) -> Seed:
    text = f"Seed {number}. " + " ".join(WORDS)
    return Seed.of(source=f"documents/{number // 8}.md", start=0, end=len(text), heading="Ice > Ponds", text=text)


def calls_of(item: Item) -> list[Call]:
    """What is asked for an item; replies do not matter here, so that the bare loop can ask the same."""
    text = (("system", "Write training data."), ("user", f"{item.seed.text} {item.number}"))
    return [Call(item.id, step, 1, (*text, ("user", step))) for step in STEPS]


async def make(item: Item, caller: Caller) -> Outcome:
    replies = [await caller.reply(call) for call in calls_of(item)]
    return Row(
        id=item.id,
        kind=item.kind,
        query=replies[0].text,
        positive=item.seed.text,
        negatives=(Negative(text=replies[1].text, origin="written"),),
        seed=SeedPlace.of(item.seed),
        made=Provenance(model=SETTINGS.model, prompts=1, attempts=3),
    )


class SeedsAtHand:
    """Seeds that nobody judges."""

    def __init__(self, count: int) -> None:
        self.count = count

    def gather(self, folder: RunFolder, progress: Progress) -> int:
        return self.count

    async def judge(self, caller: RunCaller, workers: int, stop: Stop, patience: Patience, progress: Progress) -> None:
        return None

    def settle(self, file: Path) -> None:
        with file.open("w", encoding="utf-8") as writing:
            for number in range(self.count):
                writing.write(seed(number).model_dump_json() + "\n")


@contextmanager
def maker(folder: RunFolder) -> Iterator[MakeItem]:
    yield make


@contextmanager
def server(delay: float) -> Iterator[str]:
    """The chat server as a process of its own; gives its address."""
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(delay)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.terminate()
        process.wait(30)


def model(base_url: str, concurrency: int) -> ChatModel:
    return open_chat_model("openai:scripted", base_url=base_url, max_tokens=512, concurrency=concurrency)


@dataclass(frozen=True)
class Took:
    """Seconds by the wall's clock, and of this process's processors."""

    wall: float
    cpu: float

    @classmethod
    def by(cls, work: Callable[[], None]) -> Took:
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        return cls(time.perf_counter() - wall, time.process_time() - cpu)


def bare(chat: ChatModel, items: int, concurrency: int) -> Took:
    """A plain loop over the same requests."""
    calls = [
        call for number in range(items // 2) for item in items_of(seed(number), SETTINGS) for call in calls_of(item)
    ]
    waiting = iter(calls)

    async def worker() -> None:
        for call in waiting:
            await chat.complete(call.messages, meter=Meter())

    async def loop() -> None:
        await asyncio.gather(*(worker() for _ in range(concurrency)))

    return Took.by(lambda: run_sync(loop()))


def synthesized(chat: ChatModel, items: int, concurrency: int) -> Took:
    """A run: from an empty folder to the last outcome."""
    reports: list[Report] = []
    with tempfile.TemporaryDirectory() as folder:
        run = a_run(Path(folder) / "run", items // 2, chat, concurrency)
        took = Took.by(lambda: reports.append(run.work()))
    assert reports[0].is_complete and reports[0].rows == items
    return took


def a_run(out: Path, seeds: int, chat: ChatModel, concurrency: int) -> Run:
    workers = concurrency + concurrency // 4 + 1 if concurrency > 1 else 1
    return Run(
        RunFolder(out),
        Request(SETTINGS, Inputs((), 0, "")),
        How(workers=workers),
        seeds=SeedsAtHand(seeds),
        open_caller=live_calls(chat),
        open_maker=maker,
    )


def overhead(items: int, rounds: int) -> None:
    """Milliseconds an item that a run takes beyond the bare loop, one call at a time, replies at once."""
    with server(0) as address:
        chat = model(address, 1)
        bare(chat, 20, 1)
        found = [(bare(chat, items, 1), synthesized(chat, items, 1)) for _ in range(rounds)]
    for name in ("wall", "cpu"):
        loops, runs = ([getattr(one, name) for one in ways] for ways in zip(*found, strict=True))
        each = [1000 * (run - loop) / items for loop, run in zip(loops, runs, strict=True)]
        print(
            f"overhead ({name}): {statistics.median(each):.2f} ms an item of {len(STEPS)} calls (by round "
            f"{' '.join(f'{one:.2f}' for one in each)}); bare loop {1000 * statistics.median(loops) / items:.2f} ms an "
            f"item, run {1000 * statistics.median(runs) / items:.2f} ms"
        )


def throughput(items: int, concurrency: int, delay: float, rounds: int) -> None:
    """Share of the ideal: all calls, `concurrency` at a time, `delay` seconds each."""
    with server(delay) as address:
        chat = model(address, concurrency)
        bare(chat, 2 * concurrency, concurrency)
        found = [(bare(chat, items, concurrency), synthesized(chat, items, concurrency)) for _ in range(rounds)]
    ideal = items * len(STEPS) * delay / concurrency
    loops, runs = ([one.wall for one in ways] for ways in zip(*found, strict=True))
    print(
        f"throughput at {concurrency} calls of {delay * 1000:.0f} ms: {ideal / statistics.median(runs):.1%} of the ideal "
        f"{ideal:.1f} s (by round {' '.join(f'{ideal / one:.1%}' for one in runs)}); the bare loop "
        f"{ideal / statistics.median(loops):.1%}"
    )


class AtOnce:
    """A chat model in this process, so that what is measured is the run's memory and not a connection's."""

    async def ainvoke(self, input: object, **options: object) -> SimpleNamespace:
        usage = {"input_tokens": 300, "output_tokens": 400}
        return SimpleNamespace(content="a reply of some words " * 80, usage_metadata=usage)


def half_done(out: Path, seeds: int) -> None:
    """A folder as a killed run leaves it: of each seed one item is finished, of the other a call is answered."""
    folder = RunFolder(out)
    folder.open(Request(SETTINGS, Inputs((), 0, "")))
    SeedsAtHand(seeds).settle(folder.seeds)
    reply = Reply("a reply of some words " * 80, prompt_tokens=300, completion_tokens=400, ended="stop")

    class Known:
        async def reply(self, call: Call) -> Reply:
            return reply

    async def fill(journal: Journal, outcomes: Outcomes) -> None:
        for number in range(seeds):
            first, second = items_of(seed(number), SETTINGS)
            outcomes.add(await make(first, Known()))
            for call in (*calls_of(first), calls_of(second)[0]):
                journal.keep(Asked.of(call), reply)
                journal.forget(call.key)

    with Journal(folder.calls) as journal, Outcomes(folder.items) as outcomes:
        asyncio.run(fill(journal, outcomes))


def resumed(out: str, seeds: int, said: str) -> None:
    """Resume in this process, and write its peak down."""

    run = Run(
        RunFolder(Path(out)),
        Request(SETTINGS, Inputs((), 0, "")),
        How(workers=64),
        seeds=SeedsAtHand(seeds),
        open_caller=live_calls(as_chat_model(AtOnce(), concurrency=64)),
        open_maker=maker,
    )
    began = time.perf_counter()
    report = run.work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    told = {"peak": peak, "rows": report.rows, "seconds": time.perf_counter() - began}
    Path(said).write_text(json.dumps(told), encoding="utf-8")


def memory(counts: list[int]) -> None:
    """Peak of a resumed run, by the number of seeds."""
    context = multiprocessing.get_context("spawn")
    least: float | None = None
    for count in (100, *counts):
        with tempfile.TemporaryDirectory() as folder:
            out, said = Path(folder) / "run", Path(folder) / "said.json"
            half_done(out, count)
            process = context.Process(target=resumed, args=(str(out), count, str(said)))
            process.start()
            process.join()
            told = json.loads(said.read_text(encoding="utf-8"))
            disk = sum(file.stat().st_size for file in out.iterdir())
        assert told["rows"] == 2 * count
        if least is None:
            least = told["peak"]
            continue
        each = (told["peak"] - least) / count
        print(
            f"memory, {count:>7,} seeds: peak {told['peak'] / 1e6:6.0f} MB, {each:5.0f} bytes a seed beyond the program; "
            f"on disk {disk / count / 1000:.1f} kB a seed; resumed and finished in {told['seconds']:.1f} s"
        )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--items", type=int, default=2_000)
    arguments.add_argument("--concurrency", type=int, default=64)
    arguments.add_argument("--delay", type=float, default=0.5)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seeds", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    given = arguments.parse_args()
    overhead(given.items, given.rounds)
    throughput(given.items, given.concurrency, given.delay, given.rounds)
    memory(given.seeds)


if __name__ == "__main__":
    main()
