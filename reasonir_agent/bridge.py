"""The synchronous face of asynchronous code: one event loop in a thread of its own, for the whole process.

A fresh loop for every call would leave HTTP connections behind that belong to a loop that is gone. Here they live on,
and a call that is interrupted (Ctrl-C) cancels what it had under way. Asynchronous code whose connections have to outlive
the caller's loop runs there too, by `on_our_loop`.
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
_thread: threading.Thread | None = None


def run_sync(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end from synchronous code, with the caller's context variables.

    Works inside a running loop too (a notebook), since the work runs on another thread; that loop waits meanwhile.

    Raises:
        RuntimeError: it was called by work that runs here already, and would wait for itself.
    """
    loop = _background_loop()
    if threading.current_thread() is _thread:
        work.close()
        raise RuntimeError("synchronous calls cannot be made from inside an asynchronous step; await the work instead")
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


async def on_our_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the process's loop and wait for it from any other; cancelling the caller cancels it."""
    loop = _background_loop()
    if asyncio.get_running_loop() is loop:
        return await work
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))


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
    global _loop, _thread  # noqa: PLW0603  one loop a process is the point
    with _lock:
        # a forked process has the loop and not its thread
        if _loop is None or _thread is None or not _thread.is_alive():
            _loop = asyncio.new_event_loop()
            _thread = threading.Thread(target=_loop.run_forever, name="reasonir-loop", daemon=True)
            _thread.start()
        return _loop
