"""The items of a plan made one after the other, many at once, until all are done or there is a reason to stop.

What a failed call means is decided here. A bound that is reached lets what is under way end. A call that failed for
reasons of the server says nothing about its item: the item stays undone and is tried once more at the end, and by the
next run; too many such failures without a single reply in between end the run. Everything that an item itself comes to
is an outcome, and is written down before the next item begins.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from reasonir_agent.errors import BudgetSpent, ChatError, ChatUnavailable
from reasonir_trainer.synthesis.calling import Caller
from reasonir_trainer.synthesis.live_caller import CallFailed, NeverReached
from reasonir_trainer.synthesis.outcomes import Outcomes
from reasonir_trainer.synthesis.planning import Item
from reasonir_trainer.synthesis.pool import Stop, work_through
from reasonir_trainer.synthesis.progress import Progress
from reasonir_trainer.synthesis.rows import Outcome, Rejected

T = TypeVar("T")

REFUSED: Final = "the model's server refused"
_ROUNDS: Final = 2
_PATIENCE: Final = 24
"""Failed calls in a row, without a reply in between, after which the model counts as unavailable."""

_HARD_FAILURE: Final = 6
"""How many of these a failure counts for that no retry can mend (connection refused, key refused)."""


class RunCaller(Caller, Protocol):
    """A caller that knows which pieces of work are under way."""

    def begin(self, item: str) -> None:
        """Work on an item, or a seed, begins."""
        ...

    def end(self, item: str) -> None:
        """It has ended."""
        ...


Make = Callable[[Item], Awaitable[Outcome]]


@dataclass(slots=True)
class Patience:
    """How many calls may fail in a row.

    Attributes:
        replies: how many replies there were so far.
        stop: what is told when it is at its end.
        last: what the latest failure said.
    """

    replies: Callable[[], int]
    stop: Stop
    last: str = ""
    _failures: int = 0
    _seen: int = -1

    def failed(self, error: ChatUnavailable) -> None:
        """A call failed in a way that says nothing about what it was made for."""
        self.last = str(error)
        if isinstance(error, NeverReached):
            self.stop.cut("unavailable", str(error))
            return
        replies = self.replies()
        if replies != self._seen:
            self._seen, self._failures = replies, 0
        self._failures += 1 if isinstance(error, CallFailed) else _HARD_FAILURE
        if self._failures >= _PATIENCE:
            self.stop.cut("unavailable", str(error))


@dataclass(slots=True)
class Making:
    """Makes items.

    Attributes:
        make: what makes one.
        caller: told of what is under way.
        outcomes: where they are kept.
        stop: the reason to end early.
        patience: with the server.
        progress: what is shown.
        workers: items at once.
        force: go on where most items come to nothing.
    """

    make: Make
    caller: RunCaller
    outcomes: Outcomes
    stop: Stop
    patience: Patience
    progress: Progress
    workers: int
    force: bool = False
    _failed: set[str] = field(default_factory=set, init=False)

    async def through(self, plan: Callable[[], Iterator[Item]]) -> int:
        """Make every item that is not done.

        Args:
            plan: gives the items, each time from the beginning.

        Returns:
            How many are left undone because their calls failed.

        Raises:
            StoreError: an outcome or a reply cannot be kept.
        """
        self._judge()
        for _ in range(_ROUNDS):
            self._failed.clear()
            self.progress.failed = 0
            undone = (item for item in plan() if item.id not in self.outcomes)
            await work_through(undone, self._item, workers=self.workers, stop=self.stop)
            if self.stop.is_asked or not self._failed:
                break
        return 0 if self.stop.is_asked else len(self._failed)

    async def _item(self, item: Item) -> None:
        outcome = await tried(lambda: self._made(item), item.id, self.caller, self.stop, self.patience)
        if outcome is None:
            self._failed.add(item.id)
            self.progress.failed = 0 if self.stop.is_asked else len(self._failed)
            return
        self.outcomes.add(outcome)
        self.progress.done += 1
        self._judge()

    async def _made(self, item: Item) -> Outcome:
        try:
            return await self.make(item)
        except (BudgetSpent, ChatUnavailable):
            raise
        except ChatError as failure:
            detail = str(failure)
            return Rejected(id=item.id, kind=item.kind, reason=REFUSED, detail=detail, seed=item.seed.id, attempts=1)

    def _judge(self) -> None:
        why = None if self.force else self.outcomes.hopeless()
        if why is not None:
            self.stop.cut("rejecting", why)


async def tried(
    work: Callable[[], Awaitable[T]], name: str, caller: RunCaller, stop: Stop, patience: Patience
) -> T | None:
    """Do a piece of work that calls the model; None where it is left undone for reasons that are not its own.

    Args:
        work: what is done.
        name: of the item or seed.
        caller: told of what is under way.
        stop: told when a bound is reached.
        patience: with a server that fails.
    """
    caller.begin(name)
    try:
        return await work()
    except BudgetSpent as spent:
        stop.drain("bound", f"the bound on {spent.bound} is reached")
    except ChatUnavailable as failure:
        patience.failed(failure)
    finally:
        caller.end(name)
    return None
