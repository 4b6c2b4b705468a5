"""Asynchronous work from synchronous code, and on the process's own loop."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import multiprocessing
import threading
import time
from collections.abc import AsyncIterator

import pytest

from reasonir_agent import bridge
from reasonir_agent.bridge import on_our_loop, run_sync

WHO: contextvars.ContextVar[str] = contextvars.ContextVar("WHO", default="nobody")


async def give(value: int) -> int:
    await asyncio.sleep(0)
    return value


async def fail() -> None:
    await asyncio.sleep(0)
    raise LookupError("as it was raised")


async def thread_name() -> str:
    return threading.current_thread().name


async def who() -> str:
    await asyncio.sleep(0)
    return WHO.get()


def test_a_result_comes_back() -> None:
    assert run_sync(give(7)) == 7


def test_an_exception_comes_back_as_it_was_raised() -> None:
    with pytest.raises(LookupError, match="as it was raised"):
        run_sync(fail())


def test_all_calls_share_one_thread() -> None:
    assert {run_sync(thread_name()) for _ in range(3)} == {"reasonir-loop"}


def test_the_caller_s_context_variables_are_seen() -> None:
    token = WHO.set("me")
    try:
        assert run_sync(who()) == "me"
    finally:
        WHO.reset(token)
    assert run_sync(who()) == "nobody"


async def test_it_works_inside_a_running_loop() -> None:
    assert run_sync(give(3)) == 3


def test_calls_from_many_threads_do_not_mix() -> None:
    results: dict[int, int] = {}
    threads = [threading.Thread(target=lambda n=n: results.update({n: run_sync(give(n))})) for n in range(16)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert results == {n: n for n in range(16)}


def test_an_interrupted_call_cancels_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    began, cancelled = threading.Event(), threading.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def interrupted(self: object, timeout: float | None = None) -> None:
        assert began.wait(5)
        raise KeyboardInterrupt

    monkeypatch.setattr(bridge.Future, "result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_sync(work())
    monkeypatch.undo()
    assert cancelled.wait(5)
    assert run_sync(give(1)) == 1


def test_work_that_waits_for_itself_is_an_error_and_no_deadlock() -> None:
    async def step() -> int:
        return run_sync(give(1))

    with pytest.raises(RuntimeError, match="synchronous calls cannot be made"):
        run_sync(step())


async def test_work_goes_to_the_process_s_loop_and_back() -> None:
    assert await on_our_loop(thread_name()) == "reasonir-loop"
    assert await on_our_loop(give(5)) == 5
    with pytest.raises(LookupError):
        await on_our_loop(fail())


async def test_cancelling_the_caller_cancels_the_work_on_the_process_s_loop() -> None:
    began, cancelled = threading.Event(), threading.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    task = asyncio.create_task(on_our_loop(work()))
    await asyncio.to_thread(began.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(cancelled.wait, 5)


async def test_callers_cancelled_together_are_cancelled_together_on_the_process_s_loop() -> None:
    """Else the first gives up its place (a gate, a connection) to the second, which begins in order to be cancelled.
    Between the two, the caller's loop is busy for a while, as on a crowded machine."""
    place = asyncio.Lock()
    both_wait, first_has_left = threading.Event(), threading.Event()
    began: list[str] = []

    async def work(name: str) -> None:
        if name == "second":
            both_wait.set()
        try:
            async with place:
                began.append(name)
                await asyncio.sleep(60)
        finally:
            if name == "first":
                first_has_left.set()

    async def crowd() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            first_has_left.wait(0.5)

    first = asyncio.create_task(on_our_loop(work("first")))
    crowded = asyncio.create_task(crowd())
    second = asyncio.create_task(on_our_loop(work("second")))
    assert await asyncio.to_thread(both_wait.wait, 5)
    for task in (first, crowded, second):
        task.cancel()
    await asyncio.gather(first, crowded, second, return_exceptions=True)
    assert await asyncio.to_thread(first_has_left.wait, 5)
    await on_our_loop(give(1))
    assert began == ["first"]


async def test_on_the_process_s_loop_itself_nothing_is_handed_over() -> None:
    async def nested() -> int:
        return await on_our_loop(give(9))

    assert await on_our_loop(nested()) == 9


def in_child(pipe: multiprocessing.connection.Connection) -> None:
    pipe.send(run_sync(give(4)))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_gets_a_loop_of_its_own() -> None:
    assert run_sync(give(1)) == 1  # the parent's loop is there
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=in_child, args=(there,))
    child.start()
    try:
        assert here.poll(10), "the child waits for a thread that it does not have"
        assert here.recv() == 4
    finally:
        child.join(timeout=5)
        if child.is_alive():
            child.kill()
    assert child.exitcode == 0


def test_generators_left_in_a_circle_are_closed_when_the_collection_is_over() -> None:
    """As a client leaves them whose stream breaks off. The collector runs here, and takes its time over the circle."""
    closed: list[str] = []
    closed_meanwhile: list[int] = []

    class Stream:
        def __init__(self) -> None:
            self.outer = self.events(self.numbers())
            self.slow = Slow()

        async def numbers(self) -> AsyncIterator[int]:
            try:
                yield 1
            finally:
                closed.append(threading.current_thread().name)

        async def events(self, within: AsyncIterator[int]) -> AsyncIterator[int]:
            try:
                async for one in within:
                    yield one
            finally:
                closed.append(threading.current_thread().name)

    class Slow:
        def __del__(self) -> None:
            time.sleep(0.05)
            closed_meanwhile.append(len(closed))

    async def leave() -> None:
        for _ in range(3):
            async for _ in Stream().outer:
                break

    gc.collect()
    gc.disable()
    try:
        run_sync(leave())
        assert closed == [], "they wait for the collector"
        gc.collect()
    finally:
        gc.enable()
    for _ in range(200):
        if len(closed) < 6:
            time.sleep(0.02)
    assert closed == ["reasonir-loop"] * 6
    assert closed_meanwhile == [0] * 3


def test_generators_left_on_the_loop_itself_are_closed_there() -> None:
    where: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            where.append(threading.current_thread().name)

    async def leave() -> None:
        async for _ in numbers():
            break
        await asyncio.sleep(0.01)

    run_sync(leave())
    assert where == ["reasonir-loop"]
