"""The synchronous face of asynchronous code: one event loop in a thread of its own, for the whole process.

A fresh loop for every call would leave HTTP connections behind that belong to a loop that is gone. Here they live on,
and a call that is interrupted (Ctrl-C) cancels what it had under way. Asynchronous code whose connections have to outlive
the caller's loop runs there too, by `on_our_loop`.

A stream that breaks off leaves its generators, suspended and in a circle, to the garbage collector, which may run on any
thread. asyncio would begin to close the first of them while the collector, on its own thread, is still at the others:
"async generator already executing". Those of our loop are closed when the collection is over, one after the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import sys
import threading
from collections import deque
from collections.abc import AsyncGenerator, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None
_given_up: deque[Future[Any]] = deque()


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
    """Run a coroutine on the process's loop and wait for it from any other; cancelling the caller cancels it.

    Callers that are cancelled together are cancelled together there: one by one, the first would make room for the
    second, which would begin and send its request before its own turn to be cancelled came.
    """
    loop = _background_loop()
    here = asyncio.get_running_loop()
    if here is loop:
        return await work
    running = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return await asyncio.shield(asyncio.wrap_future(running))
    except asyncio.CancelledError:
        _given_up.append(running)
        here.call_soon(loop.call_soon_threadsafe, _cancel_all)  # when the others of this turn have come here too
        raise


def _cancel_all() -> None:
    while _given_up:
        _given_up.popleft().cancel()


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
            _loop.call_soon(_Closing(_loop).begin)
            _thread = threading.Thread(target=_loop.run_forever, name="reasonir-loop", daemon=True)
            _thread.start()
        return _loop


class _Closing:
    """Closes the asynchronous generators of a loop that were left in the middle."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._left: list[AsyncGenerator[Any, Any]] = []
        self._under_way: set[asyncio.Task[None]] = set()  # the loop itself holds no task

    def begin(self) -> None:
        """To be called on the loop, which has set hooks of its own by then."""
        sys.set_asyncgen_hooks(finalizer=self._found)
        gc.callbacks.append(self._collected)

    def _found(self, generator: AsyncGenerator[Any, Any]) -> None:
        self._left.append(generator)
        if threading.current_thread() is _thread:  # the collection is over when the loop goes on
            self._loop.call_soon(self._close)

    def _collected(self, phase: str, _: dict[str, int]) -> None:
        if phase == "stop" and self._left and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._close)

    def _close(self) -> None:
        left, self._left = self._left, []
        if left:
            task = self._loop.create_task(_close_each(left))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)


async def _close_each(generators: list[AsyncGenerator[Any, Any]]) -> None:
    for generator in generators:
        with contextlib.suppress(Exception):  # its connection is gone; nobody waits for it
            await generator.aclose()
