"""What a training run is asked for: one YAML file, read into frozen settings, every mistake one sentence.

Paths are relative to the file's folder; a leading ~ is the home folder. `identity` is what must not change when a run is
continued: everything but where data and results stand and what only changes how fast they come. What was read there, not its
path, tells one run from another: `run.identity_of` adds its hashes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from reasonir_agent.errors import InputError
from reasonir_trainer.data.reading.opening import FORMATS
from reasonir_trainer.training.mistakes import sentence

Method = Literal["lora", "qlora", "full"]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceSettings(_Settings):
    """One source of examples; see `data.reading.SourceSpec`. `weight` is its share in the mix, `licence` is for the card."""

    path: Path
    name: str = ""
    format: str = "auto"
    splits: tuple[str, ...] = ()
    instruction: str | None = None
    weight: float | None = Field(default=None, ge=0)
    most: int | None = Field(default=None, ge=1)
    documents: Path | None = None
    licence: str = ""

    @field_validator("format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        if value != "auto" and value not in FORMATS:
            raise ValueError(f"must be auto or one of {', '.join(FORMATS)}")
        return value

    @property
    def label(self) -> str:
        """Name of the source: given, or the path's."""
        return self.name or (self.path.name if self.path.suffix == "" else self.path.stem)


class LoraSettings(_Settings):
    """Low-rank adapters.

    Attributes:
        rank: of the two matrices.
        alpha: the product counts alpha / rank.
        dropout: before the first matrix.
        targets: "all" for every linear layer of the network, or the name or names of modules ("query", "value").
        layers: numbers of the network's layers that get adapters, from 0; empty means all. Below the first of them nothing is
            differentiated, which saves time, and what the base knows about words stays as it is.
    """

    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32.0, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: tuple[str, ...] = ("all",)
    layers: tuple[int, ...] = ()

    @field_validator("targets", mode="before")
    @classmethod
    def _one_name(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("layers")
    @classmethod
    def _numbers(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(one < 0 for one in value) or len(set(value)) < len(value):
            raise ValueError("must hold different numbers from 0")
        return tuple(sorted(value))


class LossConfig(_Settings):
    """See `losses.LossSettings`, which explains each and checks the rest."""

    temperature: float = Field(default=0.02, gt=0)
    near_duplicate: float | None = Field(default=None, gt=0, le=1)
    margin: float | None = Field(default=None, ge=0)
    contrast: float = Field(default=1.0, ge=0)
    distill: float = Field(default=0.0, ge=0)
    grade_temperature: float = Field(default=1.0, gt=0)
    distill_temperature: float = Field(default=0.05, gt=0)
    anchor: float = Field(default=0.0, ge=0)


class IntensitySettings(_Settings):
    """See `intensity.weighted`, which explains each."""

    most: float = Field(default=5.0, gt=1)
    temperature: float = Field(default=0.02, gt=0)
    others: int = Field(default=63, ge=0)


class EvaluationSet(_Settings):
    """A held-out data set, as `reasonir evaluate` opens it. `most_queries` and `most_documents` cut it for speed.

    `rewritten` (JSON lines {id, rewritten}) makes it two: with the original queries, and with the rewritten ones.
    """

    path: Path
    name: str = ""
    splits: tuple[str, ...] = ()
    most_queries: int | None = Field(default=None, ge=1)
    most_documents: int | None = Field(default=None, ge=1)
    rewritten: Path | None = None

    @property
    def label(self) -> str:
        """Name of the set: given, or the folder's."""
        return self.name or self.path.name


class EvaluationSettings(_Settings):
    """When nDCG@10 is measured, and what follows from it.

    Attributes:
        sets: held-out data; empty measures nothing.
        every: steps between two measurements.
        patience: measurements without a better average after which training stops; None trains to the end.
        blend: shares of the way from the base to the best weights that are tried at the end; the best is kept.
        most_loss: share of its nDCG@10 that a set may lose: of what is tried at the end, what keeps to it goes before what
            does not, whatever the averages; None goes by the average alone.
    """

    sets: tuple[EvaluationSet, ...] = ()
    every: int = Field(default=100, ge=1)
    patience: int | None = Field(default=None, ge=1)
    blend: tuple[float, ...] = ()
    most_loss: float | None = Field(default=None, ge=0, lt=1)

    @field_validator("blend")
    @classmethod
    def _shares(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 < one <= 1 for one in value):
            raise ValueError("must hold shares above 0 and at most 1")
        return value


class TrainingConfig(_Settings):
    """A training run.

    Attributes:
        base: what is trained: a known name ("minilm"), a folder, or a hub name.
        output: folder of the run.
        sources: what is learnt from.
        method: "lora", "qlora" (4-bit base, needs a GPU) or "full".
        lora: for the first two.
        mixing_temperature: see `data.mixing`; used where no source has a weight.
        negatives: most hard negatives of an example in a batch.
        batch: examples of a step over all processes, accumulation included.
        accumulate: parts that a step's batch is split into; negatives do not cross parts.
        steps: optimizer steps.
        learning_rate: highest.
        schedule: after the warm-up: constant, or falling to 0.
        warmup: share of the steps.
        weight_decay: of AdamW.
        most_gradient: length at which the gradient is cut.
        query_tokens: most tokens of a query; None takes the base's window, at most 2,048.
        document_tokens: likewise.
        query_instruction: for sources without an instruction of their own; None is the base's.
        loss: what is learnt.
        intensity: weights by how much reasoning an example needs; None weighs all alike.
        dropout: whether the base's dropout is used.
        freeze_embeddings: for method "full": leave the token embeddings as they are.
        precision: "auto" takes bfloat16 where the hardware is fast at it.
        attention: "auto" takes eager attention on a CPU, whose backward is faster there.
        gradient_checkpointing: compute activations again instead of keeping them.
        shard: with several processes, each holds a part of the weights, their gradients and the optimizer's state (FSDP2)
            instead of a copy; for method "full".
        mini_batch_tokens: tokens that go through the network at a time; None chooses by device.
        keep_tokens: tokens whose graph is kept; None chooses by device.
        evaluation: nDCG@10 on held-out data.
        save_every: steps between checkpoints.
        keep_checkpoints: how many are kept.
        seed: decides what is left to chance.
        report_to: "tensorboard", "wandb" or both, where they are installed.
        push_to: hub repository ("owner/name") that `reasonir-trainer train` sends the result to, or "".
        push_public: let everybody see it; otherwise the repository is private.
    """

    base: str = "minilm"
    output: Path
    sources: tuple[SourceSettings, ...]
    method: Method = "lora"
    lora: LoraSettings = LoraSettings()
    mixing_temperature: float = Field(default=1.0, ge=1)
    negatives: int = Field(default=1, ge=0)
    batch: int = Field(default=128, ge=2)
    accumulate: int = Field(default=1, ge=1)
    steps: int = Field(default=300, ge=1)
    learning_rate: float = Field(default=2e-5, gt=0)
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup: float = Field(default=0.06, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    most_gradient: float = Field(default=1.0, gt=0)
    query_tokens: int | None = Field(default=None, ge=8)
    document_tokens: int | None = Field(default=None, ge=8)
    query_instruction: str | None = None
    loss: LossConfig = LossConfig()
    intensity: IntensitySettings | None = None
    dropout: bool = False
    freeze_embeddings: bool = False
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = "auto"
    device: str = "auto"
    gradient_checkpointing: bool = False
    shard: bool = False
    mini_batch_tokens: int | None = Field(default=None, ge=1)
    keep_tokens: int | None = Field(default=None, ge=0)
    evaluation: EvaluationSettings = EvaluationSettings()
    save_every: int = Field(default=100, ge=1)
    keep_checkpoints: int = Field(default=2, ge=1)
    seed: int = Field(default=0, ge=0)
    report_to: tuple[Literal["tensorboard", "wandb"], ...] = ()
    push_to: str = ""
    push_public: bool = False

    @model_validator(mode="after")
    def _whole(self) -> TrainingConfig:
        if not self.sources:
            raise ValueError("sources must name at least one source of examples")
        labels = [one.label for one in self.sources]
        if len(set(labels)) < len(labels):
            raise ValueError(f"sources must have different names, got {', '.join(labels)}")
        weighted = [one.weight is not None for one in self.sources]
        if any(weighted) and not all(weighted):
            raise ValueError("sources must all have a weight, or none of them")
        if self.batch % self.accumulate or self.batch // self.accumulate < 2:
            raise ValueError(
                f"batch ({self.batch}) must be a multiple of accumulate ({self.accumulate}), 2 or more a part"
            )
        if self.evaluation.blend and not self.evaluation.sets:
            raise ValueError("evaluation.blend needs evaluation.sets to choose by")
        if self.evaluation.most_loss is not None and not self.evaluation.blend:
            raise ValueError(
                "evaluation.most_loss says which shares of evaluation.blend may be taken, and none are given; add them, such "
                "as blend: [0.5, 0.75]"
            )
        if self.shard and self.method != "full":
            raise ValueError(
                f"shard is for method full; method {self.method} trains so few weights that every process holds them all: "
                "leave shard out"
            )
        if not self.loss.contrast + self.loss.distill + self.loss.anchor > 0:
            raise ValueError("loss has no part: one of contrast, distill and anchor must be above 0")
        return self

    def identity(self) -> dict[str, Any]:
        """What a run that is continued must share with its beginning, as plain JSON.

        Of sources and held-out sets it holds nothing that their data tell. A base in a folder is known by its place.
        """
        found = self.model_dump(mode="json", exclude=set(_FREE))
        found["sources"] = [{"name": one.label, "weight": one.weight} for one in self.sources]
        del found["evaluation"]["sets"]
        if Path(self.base).is_dir():
            found["base"] = str(Path(self.base).resolve())
        optional = ((found, "intensity"), (found["evaluation"], "most_loss"))
        for one, name in optional:  # left out is as if it did not exist
            if one[name] is None:
                del one[name]
        if not self.lora.layers:
            del found["lora"]["layers"]
        if not self.shard:
            del found["shard"]
        return found


_FREE: Final = (
    *("output", "save_every", "keep_checkpoints", "report_to", "push_to", "push_public", "mini_batch_tokens"),
    *("keep_tokens", "device", "gradient_checkpointing"),
)


def read_config(file: Path) -> TrainingConfig:
    """Read a configuration.

    Raises:
        InputError: the file cannot be read, or a setting is unknown or wrong; the sentence names it.
    """
    return make_config(read_settings(file), folder=file.parent, where=str(file))


def read_settings(file: Path) -> dict[str, Any]:
    """The settings of a YAML file, unchecked.

    Raises:
        InputError: it cannot be read, or holds no settings.
    """
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as cause:
        raise InputError(f"the configuration {str(file)!r} cannot be read: {cause}") from cause
    except yaml.YAMLError as cause:
        raise InputError(f"{file} is no YAML: {' '.join(str(cause).split())}") from cause
    if not isinstance(found, dict):
        raise InputError(f"{file} must hold settings (name: value), got {type(found).__name__}")
    return found


def make_config(settings: dict[str, Any], *, folder: Path = Path(), where: str = "the configuration") -> TrainingConfig:
    """Settings, checked.

    Args:
        settings: as a YAML file holds them.
        folder: what paths are relative to.
        where: start of a message.

    Raises:
        InputError: a setting is unknown or wrong.
    """
    try:
        config = TrainingConfig.model_validate(settings)
    except ValidationError as cause:
        raise InputError(f"{where}: {sentence(cause, TrainingConfig)}") from cause
    return _with_paths(config, folder)


def _with_paths(config: TrainingConfig, folder: Path) -> TrainingConfig:
    def at(path: Path | None) -> Path | None:
        return None if path is None else folder / _from_home(path)

    sources = tuple(
        one.model_copy(update={"path": at(one.path), "documents": at(one.documents)}) for one in config.sources
    )
    sets = tuple(
        one.model_copy(update={"path": at(one.path), "rewritten": at(one.rewritten)}) for one in config.evaluation.sets
    )
    evaluation = config.evaluation.model_copy(update={"sets": sets})
    base = str(_from_home(Path(config.base))) if config.base.startswith("~") else config.base
    base = str(folder / base) if (folder / base).is_dir() else base
    return config.model_copy(
        update={"output": at(config.output), "sources": sources, "evaluation": evaluation, "base": base}
    )


def _from_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as cause:
        raise InputError(f"the home folder of {str(path)!r} is not known; write the whole path") from cause
