"""A run from the folder's first file to its last: seeds, items, data set. Each part may have been done by an earlier run.

The parts are handed in (how seeds are had, who answers calls, what makes an item), so that a run with a model, with
batches or with a stand-in are one piece of code. What may block for long (reading documents, finishing) happens on the
caller's thread, where Ctrl-C works as ever; what waits for the model happens on our event loop, where an interrupt
cancels what is under way and leaves a folder that the same command goes on with.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from reasonir_agent.bridge import run_sync
from reasonir_agent.errors import InputError, StoreError
from reasonir_agent.llm import Bounds, Meter, Price
from reasonir_trainer.synthesis.calling import Caller
from reasonir_trainer.synthesis.data_files import read_lines
from reasonir_trainer.synthesis.journal import Journal
from reasonir_trainer.synthesis.live_caller import meter_of
from reasonir_trainer.synthesis.making import Making, Patience, RunCaller
from reasonir_trainer.synthesis.outcomes import Outcomes
from reasonir_trainer.synthesis.planning import Item, needs_all_seeds, plan
from reasonir_trainer.synthesis.pool import End, Stop
from reasonir_trainer.synthesis.progress import Progress
from reasonir_trainer.synthesis.rows import Outcome, Seed
from reasonir_trainer.synthesis.run_folder import Request, RunFolder, Shard


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How a run works; nothing in here changes what it makes.

    Attributes:
        shard: which share of the seeds.
        bounds: of all runs in the folder together; seconds count from the beginning of this one.
        price: of the model.
        workers: items at once.
        force: go on with changed settings, and where most items come to nothing.
        seeds_only: end when the seeds are settled.
    """

    shard: Shard = field(default_factory=Shard)
    bounds: Bounds = field(default_factory=Bounds)
    price: Price | None = None
    workers: int = 8
    force: bool = False
    seeds_only: bool = False


class SeedStage(Protocol):
    """How seeds are had."""

    def gather(self, folder: RunFolder, progress: Progress) -> int:
        """Read the documents; returns how many candidates there are. Runs on the caller's thread.

        Raises:
            InputError: a document that was named does not exist, or nothing is left.
        """
        ...

    async def judge(self, caller: RunCaller, workers: int, stop: Stop, patience: Patience, progress: Progress) -> None:
        """Have the candidates of the shard judged."""
        ...

    def settle(self, file: Path) -> None:
        """Choose, and write the seeds, whole or not at all."""
        ...


OpenCaller = Callable[[Journal, Meter, Progress], AbstractAsyncContextManager[RunCaller]]
MakeItem = Callable[[Item, Caller], Awaitable[Outcome]]
OpenMaker = Callable[[RunFolder], AbstractContextManager[MakeItem]]


@dataclass(slots=True)
class Report:
    """What a run came to.

    Attributes:
        end: how it ended.
        message: why, where it ended early.
        seeds: that are settled.
        items: that there are to make.
        rows: made so far, earlier runs included.
        rejected: reason -> items.
        failed: items left undone because their calls failed.
        meter: what was spent, earlier runs included.
        warnings: what the user should know.
        seconds: of this run.
    """

    end: End
    message: str
    seeds: int
    items: int
    rows: int
    rejected: dict[str, int]
    failed: int
    meter: Meter
    warnings: list[str]
    seconds: float

    @property
    def is_complete(self) -> bool:
        """Whether every item is finished."""
        return self.end == "finished" and self.rows + sum(self.rejected.values()) >= self.items

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        usage = {
            "llm_calls": self.meter.llm_calls,
            "prompt_tokens": self.meter.prompt_tokens,
            "completion_tokens": self.meter.completion_tokens,
            "cost": self.meter.cost,
        }
        return {
            "end": self.end,
            "complete": self.is_complete,
            "seeds": self.seeds,
            "items": self.items,
            "rows": self.rows,
            "rejected": self.rejected,
            "failed": self.failed,
            "usage": usage,
            "seconds": round(self.seconds, 3),
            "warnings": self.warnings,
        }


class Run:
    """One run in a folder.

    Args:
        folder: see there.
        request: what is made.
        how: and how.
        seeds: how seeds are had.
        open_caller: who answers calls.
        open_maker: what makes items.
        progress: what is shown meanwhile.
    """

    def __init__(
        self,
        folder: RunFolder,
        request: Request,
        how: How,
        *,
        seeds: SeedStage,
        open_caller: OpenCaller,
        open_maker: OpenMaker,
        progress: Progress | None = None,
    ) -> None:
        self._folder, self._request, self._how = folder, request, how
        self._seeds, self._open_caller, self._open_maker = seeds, open_caller, open_maker
        self._progress = progress or Progress()
        self._stop = Stop()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failed = 0

    def interrupt(self) -> bool:
        """End soon, from any thread or a signal's handler; False where nothing waits for a model just now."""
        if self._loop is None:
            return False
        self._loop.call_soon_threadsafe(self._stop.cut, "interrupted", "interrupted")
        return True

    def work(self) -> Report:
        """Do what is left to do.

        Raises:
            InputError: the folder is for something else, or the documents cannot be used.
            StoreError: another process works on this shard, or a file is broken or cannot be written.
        """
        began = time.monotonic()
        self._refuse_a_blind_shard()
        forced = self._folder.open(self._request, force=self._how.force)
        warnings = [f"the folder was begun with other settings: {'; '.join(forced)}"] if forced else []
        with ExitStack() as opened:
            outcomes = opened.enter_context(Outcomes(self._folder.items))
            journal = opened.enter_context(Journal(self._folder.calls, wanted=lambda item: item not in outcomes))
            if journal.cut_off or outcomes.cut_off:
                warnings.append("an earlier run was killed while it wrote; a torn last line was cut off")
            meter = meter_of(journal.before, self._how.bounds, self._how.price)
            self._progress.meter, self._progress.outcomes = meter, outcomes
            settled = self._settled_seeds(journal, meter)
            seeds = items = 0
            if settled is not None:
                seeds = sum(self._folder.shard.holds(seed.id) for seed in seeds_of(settled))
                items = seeds * self._request.settings.items_each
                if not self._how.seeds_only:
                    self._make(settled, items, journal, outcomes, meter)
            return Report(
                end=self._stop.end,
                message=self._stop.message,
                seeds=seeds,
                items=items,
                rows=outcomes.rows,
                rejected=dict(outcomes.rejected.most_common()),
                failed=self._failed,
                meter=meter,
                warnings=warnings,
                seconds=time.monotonic() - began,
            )

    def _settled_seeds(self, journal: Journal, meter: Meter) -> Path | None:
        """The file of seeds, made where it is not there; None where the run ended before."""
        for file in (self._folder.all_seeds, self._folder.seeds):
            if file.exists():
                return file
        candidates = self._seeds.gather(self._folder, self._progress)
        self._progress.begin("judging seeds", total=candidates)

        async def judge(caller: RunCaller) -> None:
            patience = Patience(lambda: journal.kept, self._stop)
            await self._seeds.judge(caller, self._how.workers, self._stop, patience, self._progress)

        self._with_caller(judge, journal, meter)
        if self._stop.is_asked:
            return None
        self._progress.begin("choosing seeds")
        self._seeds.settle(self._folder.seeds)
        return self._folder.seeds

    def _refuse_a_blind_shard(self) -> None:
        if (
            self._folder.shard.is_whole
            or self._folder.all_seeds.exists()
            or not needs_all_seeds(self._request.settings)
        ):
            return
        raise InputError(
            "with most_seeds, mined negatives or an encoder an item depends on all seeds, of which a shard knows only its "
            f"own; make them first without --shard by --seeds-only, so that every shard finds {self._folder.all_seeds}"
        )

    def _make(self, seeds: Path, items: int, journal: Journal, outcomes: Outcomes, meter: Meter) -> None:
        if all(item.id in outcomes for item in self._plan(seeds)):
            return
        self._progress.begin("making items", total=items, done=len(outcomes))
        with self._open_maker(self._folder) as make:

            async def through(caller: RunCaller) -> None:
                making = Making(
                    make=lambda item: make(item, caller),
                    caller=caller,
                    outcomes=outcomes,
                    stop=self._stop,
                    patience=Patience(lambda: journal.kept, self._stop),
                    progress=self._progress,
                    workers=self._how.workers,
                    force=self._how.force,
                )
                self._failed = await making.through(lambda: self._plan(seeds))

            self._with_caller(through, journal, meter)

    def _plan(self, seeds: Path) -> Iterator[Item]:
        return plan(seeds_of(seeds), self._request.settings, self._folder.shard)

    def _with_caller(self, work: Callable[[RunCaller], Awaitable[None]], journal: Journal, meter: Meter) -> None:
        async def inside() -> None:
            self._loop = asyncio.get_running_loop()
            try:
                async with self._open_caller(journal, meter, self._progress) as caller:
                    await work(caller)
            finally:
                self._loop = None

        run_sync(inside())


def seeds_of(file: Path) -> Iterator[Seed]:
    """The seeds of a file, one at a time.

    Raises:
        StoreError: a line is no seed.
    """
    for number, _, line in read_lines(file):
        try:
            yield Seed.model_validate_json(line)
        except ValidationError as cause:
            raise StoreError(f"line {number} of {file} is no seed: {cause.errors()[0]['msg']}") from cause
