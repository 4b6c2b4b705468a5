"""A run with a stand-in for the making of items: two calls each, and a rule that rejects some. Real HTTP, real files."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from reasonir_agent.llm import Meter, open_chat_model
from reasonir_agent.testing import Answer, Reply
from reasonir_trainer.synthesis.calling import Call, Caller
from reasonir_trainer.synthesis.journal import Journal
from reasonir_trainer.synthesis.live_caller import LiveCaller
from reasonir_trainer.synthesis.making import Patience, RunCaller, tried
from reasonir_trainer.synthesis.pipeline import How, MakeItem, OpenCaller, Report, Run
from reasonir_trainer.synthesis.planning import Item
from reasonir_trainer.synthesis.pool import Stop, work_through
from reasonir_trainer.synthesis.progress import Progress
from reasonir_trainer.synthesis.rows import Negative, Outcome, Provenance, Rejected, Row, Seed, SeedPlace
from reasonir_trainer.synthesis.run_folder import Inputs, Request, RunFolder, Shard
from reasonir_trainer.synthesis.settings import SynthesisSettings

WORDS = "tide kiln moth gear salt fern loom wick ash pond bell rope".split()


def seed(number: int) -> Seed:
    text = " ".join([f"seed{number}", *WORDS])
    return Seed.of(
        source=f"doc{number // 5}.txt", start=number * 100, end=number * 100 + len(text), heading="", text=text
    )


def settings(**changes: Any) -> SynthesisSettings:
    return SynthesisSettings(**({"model": "openai:scripted", "varied": 1, "hard": 1} | changes))


def request(**changes: Any) -> Request:
    return Request(settings(**changes), Inputs(("docs",), 1, "00"))


def says(asked: Mapping[str, Any]) -> str:
    """What the model says: a function of the request alone."""
    messages = [(one["role"], one["content"]) for one in asked["messages"]]
    words = hashlib.sha256(str(messages).encode()).hexdigest()
    return " ".join(words[start : start + 4] for start in range(0, 40, 4))


def scripted(
    *, delay: float = 0.0, instead: Callable[[Mapping[str, Any]], Answer | None] = lambda asked: None
) -> Callable[[Mapping[str, Any]], Answer]:
    def script(asked: Mapping[str, Any]) -> Answer:
        answer = instead(asked)
        return Reply(says(asked), delay=delay) if answer is None else answer

    return script


async def make(item: Item, caller: Caller, *, most_rejected: int = 3) -> Outcome:
    """A query and a negative; an item whose query begins with one of the first digits is rejected."""
    asked = (("user", f"query {item.kind} {item.number}: {item.seed.text}"),)
    query = (await caller.reply(Call(item.id, "query", 1, asked))).text
    if query[0] in "0123456789abcdef"[:most_rejected]:
        return Rejected(
            id=item.id,
            kind=item.kind,
            reason=f"begins with {query[0]}",
            detail="no",
            example=query,
            seed=item.seed.id,
            attempts=1,
        )
    turn = (*asked, ("assistant", query), ("user", "negative"))
    negative = (await caller.reply(Call(item.id, "negative 1", 1, turn))).text
    return Row(
        id=item.id,
        kind=item.kind,
        query=query,
        positive=item.seed.text,
        negatives=(Negative(text=negative, origin="written"),),
        seed=SeedPlace.of(item.seed),
        made=Provenance(model="openai:scripted", prompts=1, attempts=2),
    )


class SeedsAtHand:
    """The stage of seeds without documents: so many seeds, each judged by one call."""

    def __init__(self, count: int, shard: Shard | None = None) -> None:
        self.seeds = [seed(number) for number in range(count)]
        self.shard = shard or Shard()
        self.judged: dict[str, float] = {}

    def gather(self, folder: RunFolder, progress: Progress) -> int:
        self.seeds = [one for one in self.seeds if folder.shard.holds(one.id)]
        return len(self.seeds)

    async def judge(self, caller: RunCaller, workers: int, stop: Stop, patience: Patience, progress: Progress) -> None:
        async def one(seed: Seed) -> None:
            call = Call(seed.id, "quality", 1, (("user", f"judge {seed.text}"),))
            reply = await tried(lambda: caller.reply(call), seed.id, caller, stop, patience)
            if reply is not None:
                self.judged[seed.id] = float(int(reply.text[0], 16) % 6)

        await work_through(iter(self.seeds), one, workers=workers, stop=stop)

    def settle(self, file: Path) -> None:
        lines = [one.model_copy(update={"quality": self.judged[one.id]}).model_dump_json() + "\n" for one in self.seeds]
        file.write_text("".join(lines), encoding="utf-8")


def live(base_url: str, *, concurrency: int = 8, max_retries: int = 2) -> OpenCaller:
    """Calls over real HTTP."""

    @asynccontextmanager
    async def opened(journal: Journal, meter: Meter, progress: Progress) -> AsyncIterator[RunCaller]:
        model = open_chat_model(
            "openai:scripted",
            base_url=base_url,
            api_key="sk-loopback",
            max_retries=max_retries,
            max_tokens=64,
            concurrency=concurrency,
        )
        yield LiveCaller(model, journal, meter)

    return opened


def maker(
    one: Callable[[Item, Caller], Awaitable[Outcome]] = make,
) -> Callable[[RunFolder], Any]:
    @contextmanager
    def opened(folder: RunFolder) -> Iterator[MakeItem]:
        yield one

    return opened


def run(
    out: Path,
    caller: str | Callable[[Journal, Meter, Progress], AbstractAsyncContextManager[RunCaller]],
    *,
    seeds: int = 10,
    how: How | None = None,
    asked: Request | None = None,
    making: Callable[[Item, Caller], Awaitable[Outcome]] = make,
) -> Run:
    """A run that has not begun; `caller` is a server's address, or what opens a caller."""
    how = how or How()
    return Run(
        RunFolder(out, how.shard),
        asked or request(),
        how,
        seeds=SeedsAtHand(seeds),
        open_caller=live(caller) if isinstance(caller, str) else caller,
        open_maker=maker(making),
    )


def made(*folders: Path) -> list[str]:
    """Every finished item of folders, in order of id."""
    lines = [
        line for folder in folders for file in folder.glob("items-*.jsonl") for line in file.read_text().splitlines()
    ]
    return sorted(lines, key=lambda line: line.split('"')[3])


def done(report: Report) -> int:
    """Finished items."""
    return report.rows + sum(report.rejected.values())


def asked_for(requests: Sequence[Mapping[str, Any]]) -> list[str]:
    """The last message of each request."""
    return [str(one["messages"][-1]["content"]) for one in requests]
