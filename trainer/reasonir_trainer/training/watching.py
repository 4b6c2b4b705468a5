"""What is done around the steps: measuring, keeping the best weights, stopping early, telling the progress."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from safetensors.torch import save_file
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from reasonir_agent.errors import StoreError, boundary
from reasonir_trainer.training import processes
from reasonir_trainer.training.config import EvaluationSettings
from reasonir_trainer.training.evaluating import HeldOut, measure
from reasonir_trainer.training.history import History, Loss, Measured
from reasonir_trainer.training.live import LiveEncoder
from reasonir_trainer.training.model import Base
from reasonir_trainer.training.plot import write_plot
from reasonir_trainer.training.resume import finish_folder
from reasonir_trainer.training.sharding import whole_weights
from reasonir_trainer.training.trainer import TRAINED

BEST: Final = "best"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        step: steps that are done.
        steps: in all.
        loss: of the last one; None before the first.
        measured: the last measurement, if there is one.
        best: the best average so far.
        tokens_per_second: of the last step.
        doing: "training" or "measuring".
    """

    step: int
    steps: int
    loss: float | None = None
    measured: Measured | None = None
    best: float | None = None
    tokens_per_second: float = 0.0
    doing: str = "training"


class Watcher(TrainerCallback):
    """Follows a run.

    Args:
        base: what is trained.
        folder: of the run.
        history: where everything is written down.
        held_out: what is measured; may be empty.
        settings: when, and what follows.
        tell: told of the progress.
        writes: whether this process writes files.
    """

    def __init__(
        self,
        base: Base,
        folder: Path,
        history: History,
        held_out: list[HeldOut],
        settings: EvaluationSettings,
        tell: Callable[[Progress], None],
        *,
        writes: bool,
    ) -> None:
        self._base, self._folder, self._history, self._held_out = base, folder, history, held_out
        self._settings, self._tell, self._writes = settings, tell, writes
        self.encoder = LiveEncoder(base)
        self.report: Callable[[dict[str, float]], None] = lambda _: None  # tells TensorBoard and the like
        self._parts: list[tuple[str, float, int]] = []
        self._began = time.perf_counter()

    def on_batch(self, source: str, loss: float, tokens: int) -> None:
        """One part of a step is done."""
        self._parts.append((source, loss, tokens))

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Measure the base before the first step."""
        if state.global_step == 0 and not self._history.measured:
            self._measure(state)
        self._began = time.perf_counter()

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """A step begins."""
        self._parts = []

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> TrainerControl:
        """Write the step down; measure and stop when it is time."""
        now = time.perf_counter()
        tokens = sum(one for _, _, one in self._parts)
        loss = sum(one for _, one, _ in self._parts) / len(self._parts)
        rate = float(more["optimizer"].param_groups[0]["lr"])
        seconds = now - self._began
        self._history.add(Loss(state.global_step, loss, self._parts[-1][0], rate, tokens, round(seconds, 3)))
        self._say(state, tokens_per_second=tokens / seconds)
        due = state.global_step % self._settings.every == 0 or state.global_step >= state.max_steps
        if self._held_out and due:
            self._measure(state)
            if self._history.has_stopped(self._settings.patience):
                control.should_training_stop = True
        if due and self._writes:
            write_plot(self._folder, self._history.losses, self._history.measured, steps=state.max_steps)
        self._began = time.perf_counter()
        return control

    def _measure(self, state: TrainerState) -> None:
        if not self._held_out:
            return
        self._say(state, doing="measuring")
        before = self._history.best()
        found = Measured(state.global_step, processes.as_first_says(measure(self.encoder, self._held_out)))
        if before is None or found.average > before.average:
            keep_best(self._base, self._folder)
        processes.wait()
        self._history.add(found)
        self.report({f"ndcg@10/{name}": value for name, value in found.sets.items()} | {"ndcg@10": found.average})
        self._say(state)

    def _say(self, state: TrainerState, *, tokens_per_second: float = 0.0, doing: str = "training") -> None:
        best = self._history.best()
        self._tell(
            Progress(
                step=state.global_step,
                steps=state.max_steps,
                loss=self._history.losses[-1].loss if self._history.losses else None,
                measured=self._history.measured[-1] if self._history.measured else None,
                best=best.average if best else None,
                tokens_per_second=tokens_per_second,
                doing=doing,
            )
        )


def keep_best(base: Base, folder: Path) -> None:
    """Keep the weights of the moment as the best ones; every process must ask, the first one writes.

    Raises:
        StoreError: they cannot be written.
    """
    weights = whole_weights(base.trainable())
    if not processes.is_first():
        return
    aside = folder / f".{BEST}.part"
    with boundary(StoreError, f"writing the best weights into {folder}"):
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        save_file(weights, aside / TRAINED)
        finish_folder(aside, folder / BEST)
