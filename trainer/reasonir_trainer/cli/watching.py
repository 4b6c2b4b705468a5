"""A run's progress on stderr: a live picture on a terminal, a plain line now and then elsewhere; and Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Final

from reasonir_trainer.cli import screen

if TYPE_CHECKING:
    from reasonir_trainer.synthesis.progress import Progress

_FRAMES: Final = 4  # pictures a second
_EVERY: Final = 10.0  # seconds between plain lines


@contextmanager
def watching(*, every: float = _EVERY) -> Iterator[Progress]:
    """Show the progress that is handed out while the block runs."""
    from reasonir_trainer.synthesis.progress import Progress

    progress, console = Progress(), screen.err
    if console.is_terminal and not console.is_dumb_terminal:
        from rich.live import Live

        with Live(progress, console=console, transient=True, refresh_per_second=_FRAMES, redirect_stdout=False):
            yield progress
        return
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(every):
            screen.note(progress.line(), style="none")

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield progress
    finally:
        ended.set()
        teller.join()


@contextmanager
def interruptible(interrupt: Callable[[], bool]) -> Iterator[None]:
    """Let the first Ctrl-C (or a termination) end the block in good order, and the second one at once.

    Args:
        interrupt: asks for the end; False where nothing would hear it, and the block is left at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = False

    def handler(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked or not interrupt():
            raise KeyboardInterrupt
        asked = True

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
