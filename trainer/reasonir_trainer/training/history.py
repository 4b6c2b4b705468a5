"""What happened in a run, step by step: a JSON line for each step and each measurement.

A run that goes on from step n drops the lines after n, so the file reads as that of a run that was never interrupted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reasonir_agent.errors import StoreError, boundary
from reasonir_trainer.training.resume import write_whole

HISTORY: Final = "history.jsonl"


@dataclass(frozen=True, slots=True)
class Loss:
    """One step: its loss, the source of its (last) batch, the learning rate, tokens read and seconds taken."""

    step: int
    loss: float
    source: str
    rate: float
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Measured:
    """nDCG@10 of each held-out set after a step."""

    step: int
    sets: dict[str, float]

    @property
    def average(self) -> float:
        """Mean over the sets."""
        return sum(self.sets.values()) / len(self.sets)


class History:
    """The history of a run, in memory and in its file.

    Args:
        folder: of the run.
        upto: lines of later steps are dropped.
        writes: whether this process writes the file.
    """

    def __init__(self, folder: Path, *, upto: int, writes: bool = True) -> None:
        self._file, self._writes = folder / HISTORY, writes
        self.losses: list[Loss] = []
        self.measured: list[Measured] = []
        for line in self._lines():
            if line["step"] <= upto:
                self._take(line)
        if writes:
            with boundary(StoreError, f"writing {self._file}"):
                write_whole(self._file, "".join(f"{json.dumps(one)}\n" for one in self._all()))

    def add(self, one: Loss | Measured) -> None:
        """Write one more line.

        Raises:
            StoreError: it cannot be written.
        """
        (self.losses if isinstance(one, Loss) else self.measured).append(one)  # type: ignore[arg-type]
        if self._writes:
            with boundary(StoreError, f"writing {self._file}"), self._file.open("a", encoding="utf-8") as opened:
                opened.write(json.dumps(_as_json(one)) + "\n")

    def best(self) -> Measured | None:
        """The measurement with the highest average; the earliest of equal ones."""
        return max(self.measured, key=lambda one: (one.average, -one.step), default=None)

    def since_best(self) -> int:
        """Measurements after the best one."""
        best = self.best()
        return 0 if best is None else len([one for one in self.measured if one.step > best.step])

    def has_stopped(self, patience: int | None) -> bool:
        """Whether the last thing that happened was the measurement that used the patience up."""
        if patience is None or not self.measured:
            return False
        reached = self.losses[-1].step if self.losses else 0
        return self.measured[-1].step == reached and self.since_best() >= patience

    def _lines(self) -> list[dict[str, Any]]:
        if not self._file.is_file():
            return []
        found: list[dict[str, Any]] = []
        for line in self._file.read_text(encoding="utf-8").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:  # the line that was being written when the run was killed
                break
        return found

    def _take(self, line: dict[str, Any]) -> None:
        if "loss" in line:
            self.losses.append(Loss(**line))
        else:
            self.measured.append(Measured(line["step"], line["ndcg@10"]))

    def _all(self) -> list[dict[str, Any]]:
        both: list[Loss | Measured] = [*self.losses, *self.measured]
        ordered = sorted(both, key=lambda one: (one.step, isinstance(one, Measured)))
        return [_as_json(one) for one in ordered]


def _as_json(one: Loss | Measured) -> dict[str, Any]:
    if isinstance(one, Measured):
        return {"step": one.step, "ndcg@10": one.sets}
    return {
        "step": one.step,
        "loss": one.loss,
        "source": one.source,
        "rate": one.rate,
        "tokens": one.tokens,
        "seconds": one.seconds,
    }
