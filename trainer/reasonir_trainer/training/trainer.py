"""sentence-transformers' trainer with our batches, our checkpoints and our eyes on it.

A step's batch is a function of the step (`data.mixing`), so skipping to a step costs nothing. A checkpoint holds the trained
weights (an adapter's alone), optimizer, schedule and random states; it is written aside and renamed when it is whole, so a
kill at any moment leaves the one before it. The base's weights are never copied.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformerTrainer
from torch import nn
from torch.utils.data import DataLoader, Dataset
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME

from reasonir_agent.errors import EncoderError, ReasonIRError, StoreError
from reasonir_trainer.data.batches import Batch, Reading, Side
from reasonir_trainer.data.mixing import Mix
from reasonir_trainer.training import processes
from reasonir_trainer.training.live import LiveEncoder
from reasonir_trainer.training.resume import CHECKPOINTS, finish_folder, name_of, prune
from reasonir_trainer.training.sharding import is_sharded, load_optimizer, put, save_optimizer, whole_weights

TRAINED: Final = "trained.safetensors"
_WRITING: Final = ".writing"


class TrainingFailed(EncoderError):
    """The loss is no number: training cannot go on."""


class Steps(Dataset[Batch]):
    """Part `number` of the run's batches (a step has `accumulate` of them), as this process sees it."""

    def __init__(self, mix: Mix, reading: Reading, *, rank: int, world: int) -> None:
        self._mix, self._reading, self._rank, self._world = mix, reading, rank, world

    def __len__(self) -> int:
        return self._mix.steps

    def __getitem__(self, number: int) -> Batch:
        return self._reading.batch(self._mix.draw(number), rank=self._rank, world=self._world)


class ContrastiveTrainer(SentenceTransformerTrainer):
    """The trainer.

    Args:
        steps: the batches.
        anchor: encodes with the base's first weights, for the loss's anchor; None without one.
        on_batch: told the source, the loss and the tokens of each batch, over all processes.
        keep: checkpoints that are kept.
        rest: what `SentenceTransformerTrainer` takes.
    """

    def __init__(
        self,
        *,
        steps: Steps,
        anchor: AnchorVectors | None,
        on_batch: Callable[[str, float, int], None],
        keep: int,
        **rest: Any,
    ) -> None:
        super().__init__(**rest)
        self._steps, self._anchor, self._on_batch, self._keep = steps, anchor, on_batch, keep
        self._folder = Path(str(self.args.output_dir))
        self._is_sharded = is_sharded(self.model)
        if self._is_sharded:  # gradients are exchanged by FSDP2: nothing may wrap the model once more
            self.is_distributed_loading_by_transformers = True

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """The card is ours (`card.py`)."""

    def get_train_dataloader(self) -> DataLoader[Batch]:
        """Batches in order of their steps; each process reads its own part, so nothing is sharded."""
        return DataLoader(self._steps, batch_size=1, shuffle=False, collate_fn=_only)

    def _prepare_inputs(self, inputs: Any) -> dict[str, Any]:
        """A batch as tensors on the device."""
        if not isinstance(inputs, Batch):
            return inputs  # type: ignore[no-any-return]
        tensors = as_tensors(inputs, self.args.device)
        if self._anchor is not None:
            tensors["facts"] |= self._anchor.of(inputs, self.args.device)
        return tensors

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> None:
        """The loss is a mean over queries; parts of a step count alike."""

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted."""
        return 0

    def collect_features(self, inputs: dict[str, Any]) -> tuple[list[dict[str, Any]], Any]:
        """The two sides, and what the loss must know."""
        return [inputs["queries"], inputs["documents"]], inputs["facts"]

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """One part of a step; a loss that is no number ends the run."""
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        local = float(loss) * self.current_gradient_accumulation_steps
        value, tokens = processes.over_all(local, inputs.queries.tokens + inputs.documents.tokens, self.args.device)
        if not value < float("inf"):
            raise TrainingFailed(
                f"the loss of step {self.state.global_step + 1} is {value} (source {inputs.source!r}); begin again in "
                "another output folder with a lower learning_rate, or with precision: float32"
            )
        self._on_batch(inputs.source, value, tokens)
        return loss

    def report(self, values: dict[str, float]) -> None:
        """Tell TensorBoard and the like, and leave it open whether the step's loss is told too."""
        told_anyway = self.control.should_log
        self.log(values)
        self.control.should_log = told_anyway

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Write a checkpoint aside, and rename it when it is whole."""
        aside = self._folder / CHECKPOINTS / _WRITING
        if self.args.should_save:
            shutil.rmtree(aside, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        name = name_of(self.state.global_step)
        try:
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                finish_folder(aside / name, self._folder / CHECKPOINTS / name)
                prune(self._folder, self._keep)
        except Exception as cause:
            shutil.rmtree(aside, ignore_errors=True)
            if isinstance(cause, ReasonIRError):
                raise
            reason = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
            raise StoreError(
                f"the checkpoint of step {self.state.global_step} cannot be written into {self._folder} ({reason}); make room and "
                "start again: training goes on from the checkpoint before it"
            ) from cause
        self.accelerator.wait_for_everyone()

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._folder / CHECKPOINTS / _WRITING)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, torch.Tensor] | None = None) -> None:
        weights = whole_weights({name: one for name, one in self.model.named_parameters() if one.requires_grad})
        if self.args.should_save:
            folder = Path(str(output_dir or self.args.output_dir))
            folder.mkdir(parents=True, exist_ok=True)
            save_file(weights, folder / TRAINED)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not self._is_sharded:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        folder, optimizer, schedule = Path(output_dir), *self._what_steps()
        save_optimizer(self.model, optimizer, folder / OPTIMIZER_NAME)
        if self.args.should_save:
            torch.save(schedule.state_dict(), folder / SCHEDULER_NAME)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if not self._is_sharded or checkpoint is None:
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        optimizer, schedule = self._what_steps()
        load_optimizer(self.model, optimizer, Path(checkpoint) / OPTIMIZER_NAME)
        schedule.load_state_dict(torch.load(Path(checkpoint) / SCHEDULER_NAME, weights_only=True))

    @contextmanager
    def _defer_fsdp_gradient_reduction(self) -> Iterator[None]:
        """Each part of a step is reduced at once: whole gradients of several parts have no place where weights have none."""
        yield

    def _what_steps(self) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        """The optimizer, out of accelerate's wrapping, and the schedule of its rate."""
        assert self.optimizer is not None and self.lr_scheduler is not None
        return getattr(self.optimizer, "optimizer", self.optimizer), self.lr_scheduler

    def _load_from_checkpoint(self, checkpoint_path: str, model: Any = None) -> None:
        load_trained(self.model, Path(checkpoint_path) / TRAINED)


class AnchorVectors:
    """Vectors of texts by the base's first weights, computed when a text is first met."""

    def __init__(self, encoder: LiveEncoder) -> None:
        self._encoder = encoder
        self._known: dict[tuple[bool, str], torch.Tensor] = {}

    def of(self, batch: Batch, device: torch.device) -> dict[str, torch.Tensor]:
        """What the loss compares with, in the loss's order."""
        return {
            "anchor_queries": self._vectors(batch.queries.texts, is_query=True).to(device),
            "anchor_documents": self._vectors(batch.documents.texts, is_query=False).to(device),
        }

    def _vectors(self, texts: list[str], *, is_query: bool) -> torch.Tensor:
        new = list({text: None for text in texts if (is_query, text) not in self._known})
        if new:
            found = self._encoder.encode_queries(new) if is_query else self._encoder.encode_documents(new)
            self._encoder.forget()
            for text, vector in zip(new, torch.from_numpy(found).half(), strict=True):
                self._known[is_query, text] = vector
        return torch.stack([self._known[is_query, text] for text in texts]).float()


def load_trained(model: nn.Module, file: Path) -> None:
    """Put trained weights into a model.

    Raises:
        StoreError: the file does not fit the model.
    """
    stored = load_file(file)
    wanted = {name: one for name, one in model.named_parameters() if one.requires_grad}
    if stored.keys() != wanted.keys():
        raise StoreError(f"{file} holds other weights than those that are trained; it belongs to another run")
    for name, one in wanted.items():
        put(one, stored[name])


def as_tensors(batch: Batch, device: torch.device) -> dict[str, Any]:
    """A batch as the loss takes it: two sides of features, and facts."""
    facts = {
        "query_order": batch.queries.order,
        "document_order": batch.documents.order,
        "own": batch.own,
        "grades": batch.grades,
        "weights": batch.weights,
        "known": batch.known,
        "keys": batch.keys,
    }
    return {
        "queries": _features(batch.queries, device),
        "documents": _features(batch.documents, device),
        "facts": {name: torch.from_numpy(value).to(device) for name, value in facts.items()},
    }


def _features(side: Side, device: torch.device) -> dict[str, Any]:
    return {
        "input_ids": torch.from_numpy(side.ids).to(device),
        "attention_mask": torch.from_numpy(side.attended).to(device),
        "prompt_length": side.prompt,
    }


def _only(batches: list[Batch]) -> Batch:
    return batches[0]
