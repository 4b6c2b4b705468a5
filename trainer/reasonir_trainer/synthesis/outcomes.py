"""The finished items of a shard: which are done, and whether too many of them come to nothing.

Lines are appended in order of completion, which differs from run to run; which items there are does not. In memory are
the ids, counts by reason, and the first fifty outcomes as far as they are needed to judge how the run goes.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pydantic import ValidationError

from reasonir_agent.errors import StoreError
from reasonir_trainer.synthesis.journal import Lines
from reasonir_trainer.synthesis.rows import Outcome, Rejected

FIRST: Final = 50
"""Finished items after which it is judged once whether the run is worth going on with."""

_EXAMPLES: Final = 5
_EXAMPLE_CHARACTERS: Final = 200


class Outcomes:
    """The file of finished items.

    Args:
        file: where it is; made where it is not.

    Attributes:
        rows: how many rows there are.
        rejected: reason -> how many.

    Raises:
        StoreError: another process writes to it, or a line before the last is broken.
    """

    def __init__(self, file: Path) -> None:
        self.rows, self.rejected = 0, Counter[str]()
        self._done: set[int] = set()
        self._first: list[Rejected | None] = []
        self._lines = Lines(file)
        try:
            for number, (_, found) in enumerate(self._lines, start=1):
                self._count(str(found.get("id")), _refused(found, f"line {number} of {file}"))
        except BaseException:
            self._lines.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._lines.close()

    def __contains__(self, item: str) -> bool:
        return _number(item) in self._done

    def __len__(self) -> int:
        return len(self._done)

    @property
    def cut_off(self) -> int:
        """Torn last lines that were cut off at opening, 0 or 1."""
        return self._lines.cut_off

    def add(self, outcome: Outcome) -> None:
        """Add a finished item; when this returns, it survives a kill.

        Raises:
            StoreError: it cannot be written.
        """
        self._lines.append(outcome.model_dump_json())
        self._count(outcome.id, outcome if isinstance(outcome, Rejected) else None)

    def hopeless(self) -> str | None:
        """Why it makes no sense to go on, with counts and examples; None while it does."""
        refused = [one for one in self._first if one is not None]
        if len(self._first) < FIRST or len(refused) * 2 <= FIRST:
            return None
        reasons = Counter(one.reason for one in refused).most_common()
        lines = [f"{len(refused)} of the first {FIRST} finished items were rejected, more than half:"]
        lines += [f"  {count:3}  {reason}" for reason, count in reasons]
        lines += ["for example:", *(f"  {_told(one)}" for one in _spread(refused))]
        return "\n".join(lines)

    def _count(self, item: str, refused: Rejected | None) -> None:
        if _number(item) in self._done:
            return
        self._done.add(_number(item))
        if refused is None:
            self.rows += 1
        else:
            self.rejected[refused.reason] += 1
        if len(self._first) < FIRST:
            self._first.append(refused)


def _number(item: str) -> int:
    """An id as a number, a third of its text's size in memory; ids that are no hexadecimal digits by their letters."""
    try:
        return int(item, 16)
    except ValueError:
        return int.from_bytes(item.encode(errors="surrogatepass"), "big")


def _refused(found: dict[str, object], where: str) -> Rejected | None:
    """A line as a rejected item; None of a row."""
    if "reason" not in found:
        return None
    try:
        return Rejected.model_validate(found)
    except ValidationError as cause:
        raise StoreError(f"{where} is no finished item: {cause.errors()[0]['msg']}") from cause


def _spread(refused: list[Rejected]) -> list[Rejected]:
    """A few examples, of as many reasons as there are."""
    by_reason: dict[str, list[Rejected]] = {}
    for one in refused:
        by_reason.setdefault(one.reason, []).append(one)
    turns = range(max(len(group) for group in by_reason.values()))
    return [group[turn] for turn in turns for group in by_reason.values() if turn < len(group)][:_EXAMPLES]


def _told(one: Rejected) -> str:
    example = " ".join(one.example.split())[:_EXAMPLE_CHARACTERS]
    return f"{one.kind} {one.id}: {one.reason} ({one.detail})" + (f" | {example}" if example else "")
