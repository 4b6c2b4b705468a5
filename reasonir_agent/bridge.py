"""The synchronous face of asynchronous code: one event loop in a thread of its own, for the whole process.

A fresh loop for every call would leave HTTP connections behind that belong to a loop that is gone. Here they live on,
and a call that is interrupted (Ctrl-C) cancels what it had under way.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def run_sync(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end from synchronous code, with the caller's context variables.

    Works inside a running loop too (a notebook), since the work runs on another thread; that loop waits meanwhile.
    """
    loop = _background_loop()
    done: Future[T] = Future()
    task: list[asyncio.Task[T]] = []
    context = contextvars.copy_context()

    def start() -> None:
        task.append(loop.create_task(work, context=context))
        task[0].add_done_callback(lambda finished: _hand_over(finished, done))

    loop.call_soon_threadsafe(start)
    try:
        return done.result()
    except BaseException:
        loop.call_soon_threadsafe(lambda: [one.cancel() for one in task])
        raise


def _hand_over(task: asyncio.Task[T], done: Future[T]) -> None:
    if task.cancelled():
        done.cancel()
        return
    error = task.exception()
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(task.result())


def _background_loop() -> asyncio.AbstractEventLoop:
    global _loop  # noqa: PLW0603  one loop a process is the point
    with _lock:
        if _loop is None or _loop.is_closed():
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="reasonir-loop", daemon=True).start()
        return _loop
