"""Many pieces of work at once, from a plan that is read as it is needed, with an end that may come early.

An early end has two forms. Draining begins nothing new and lets go on what is under way; cutting cancels that too. The
first reason counts. Who asks for the end need not be on the loop's thread (a signal).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Literal, TypeVar

T = TypeVar("T")

End = Literal["finished", "bound", "unavailable", "rejecting", "interrupted"]
"""How a run ended: everything done; a bound reached; no call can succeed; too many items come to nothing; Ctrl-C."""


class Stop:
    """Whether the work ends before its end, and why.

    Attributes:
        end: "finished" until something else is asked for.
        message: the reason in a sentence, "" for none.
    """

    def __init__(self) -> None:
        self.end: End = "finished"
        self.message = ""
        self._cut = asyncio.Event()

    @property
    def is_asked(self) -> bool:
        """Whether nothing new may be begun."""
        return self.end != "finished"

    def drain(self, end: End, message: str) -> None:
        """Begin nothing new."""
        if not self.is_asked:
            self.end, self.message = end, message

    def cut(self, end: End, message: str) -> None:
        """Begin nothing new, and cancel what is under way."""
        if not self._cut.is_set():
            self.end, self.message = end, message
            self._cut.set()

    async def wait_for_cut(self) -> None:
        """Until what is under way has to be cancelled."""
        await self._cut.wait()


async def work_through(jobs: Iterator[T], work: Callable[[T], Awaitable[None]], *, workers: int, stop: Stop) -> None:
    """Do every job, so many at once; returns when all are done or the stop is obeyed.

    Raises:
        Exception: what a job raised; the others are cancelled.
    """

    async def worker() -> None:
        for job in jobs:
            await work(job)
            if stop.is_asked:
                return

    async def watch() -> None:
        await stop.wait_for_cut()
        for task in tasks:
            task.cancel()

    if stop.is_asked:
        return
    tasks = [asyncio.create_task(worker()) for _ in range(workers)]
    watcher = asyncio.create_task(watch())
    try:
        for task in asyncio.as_completed(tasks):
            with suppress(asyncio.CancelledError):
                await task
    finally:
        watcher.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(watcher, *tasks, return_exceptions=True)
