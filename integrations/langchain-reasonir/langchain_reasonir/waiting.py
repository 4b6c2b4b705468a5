"""Work that takes long, away from the event loop and from the loop's own threads.

An encoder does one batch at a time, so callers wait for each other. In the loop's default executor a burst of them would
occupy every thread and stall whatever else runs there; here they wait in the queue of a few threads of our own.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

THREADS: Final = 4

_lock = threading.Lock()
_pools: dict[int, ThreadPoolExecutor] = {}  # by process: a forked one has the pool and not its threads


async def in_worker(work: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> T:
    """Run `work` in one of our threads, with the caller's context variables."""
    call = partial(contextvars.copy_context().run, partial(work, *args, **options))
    return await asyncio.get_running_loop().run_in_executor(_pool(), call)


def _pool() -> ThreadPoolExecutor:
    with _lock:
        return _pools.setdefault(os.getpid(), ThreadPoolExecutor(THREADS, thread_name_prefix="reasonir"))
