"""`train(config)`: from a configuration to an encoder in a folder. Begun again, it goes on where it was.

The result is a folder of sentence-transformers (`model/`), adapters merged and prefixes inside, which `ReasonIREncoder`,
`ReasonIREmbeddings` and `SentenceTransformer` open by its path; beside it, for LoRA, the adapter alone (`adapter/`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformerTrainingArguments
from transformers import PrinterCallback

from reasonir_agent.errors import MissingExtra, StoreError, boundary
from reasonir_trainer.data.batches import Reading
from reasonir_trainer.data.examples import Source
from reasonir_trainer.data.mixing import Mix
from reasonir_trainer.data.reading import SourceSpec, read_source
from reasonir_trainer.training import processes
from reasonir_trainer.training.card import CARD, Facts, card
from reasonir_trainer.training.checking import check_data
from reasonir_trainer.training.config import TrainingConfig
from reasonir_trainer.training.estimate import Estimate, estimate
from reasonir_trainer.training.evaluating import HeldOut, is_better, measure, open_held_out
from reasonir_trainer.training.history import History
from reasonir_trainer.training.intensity import weighted
from reasonir_trainer.training.live import LiveEncoder
from reasonir_trainer.training.losses import ContrastiveLoss, LossSettings
from reasonir_trainer.training.model import Base, blend, blended, check_device, layers_of, load_base, network, quiet
from reasonir_trainer.training.plot import write_plot
from reasonir_trainer.training.resume import (
    ADAPTER_FOLDER,
    MODEL,
    finish_folder,
    last_checkpoint,
    open_run,
    write_whole,
)
from reasonir_trainer.training.saving import save_adapter, save_model
from reasonir_trainer.training.sharding import is_sharded, put, shard, whole_weights
from reasonir_trainer.training.sizes import kept_tokens, mini_batch_tokens
from reasonir_trainer.training.trainer import TRAINED, AnchorVectors, ContrastiveTrainer, Steps, load_trained
from reasonir_trainer.training.watching import BEST, Progress, Watcher


@dataclass(frozen=True, slots=True)
class Trained:
    """What a run gave.

    Attributes:
        model: folder of the encoder.
        adapter: folder of the adapter alone; None for method "full".
        steps: steps that were trained.
        before: nDCG@10 of the base on each held-out set; empty without sets.
        after: of the result.
        best_step: step whose weights were taken.
        blend: share of the way from the base that was taken.
    """

    model: Path
    adapter: Path | None
    steps: int
    before: dict[str, float]
    after: dict[str, float]
    best_step: int
    blend: float

    def as_json(self) -> dict[str, Any]:
        """The result as the command line prints it."""
        found = asdict(self)
        return found | {"model": str(self.model), "adapter": None if self.adapter is None else str(self.adapter)}


def train(
    config: TrainingConfig,
    tell: Callable[[Progress], None] = lambda _: None,
    *,
    foretell: Callable[[Estimate], None] | None = None,
) -> Trained:
    """Train, or go on training.

    Args:
        config: what is asked for.
        tell: told of the progress.
        foretell: told before the first step what the run takes; None leaves the estimate out.

    Raises:
        InputError: the configuration, a source or the output folder cannot be used.
        CheckpointError: the base cannot be used.
        StoreError: a file cannot be written.
        TrainingFailed: the loss is no number.
    """
    join(config)
    sources = read_sources(config)
    held_out = open_held_out(config.evaluation.sets)
    check_data(config, sources, held_out)
    base = load_base(config)
    if processes.is_first():
        open_run(config.output, identity_of(config, sources, held_out))
    processes.wait()
    start = (
        {name: one.detach().cpu().clone() for name, one in base.trainable().items()} if config.evaluation.blend else {}
    )
    if foretell is not None and processes.is_first():
        foretell(_estimate(config, base, sources))
    processes.wait()
    examples = _weighted(config, base, sources)
    if config.shard:
        shard(base.model, layers_of(network(base.model)), base.precision)
    history = _run(config, base, examples, held_out, tell)
    return _finish(config, base, held_out, history, start, sources)


def join(config: TrainingConfig) -> bool:
    """Join the other processes of the run, if there are any, and see that its device is here.

    Returns:
        whether this is the process that writes.

    Raises:
        InputError: the device is not here.
    """
    processes.join(on_cpu=config.device == "cpu" or not torch.cuda.is_available())
    check_device(config)
    return processes.is_first()


def estimate_run(config: TrainingConfig, *, rate: float | None = None) -> Estimate:
    """What a run takes, without running it or touching its folder.

    Args:
        config: what is asked for.
        rate: tokens a second; None measures it, for which the base is loaded. With a rate neither base nor data are read,
            and the tokens of a step are the most that the settings allow.

    Raises:
        InputError, CheckpointError: as `train`.
    """
    if rate is not None:
        return estimate(config, None, None, None, rate=rate)
    join(config)
    sources = read_sources(config)
    check_data(config, sources)
    return _estimate(config, load_base(config), sources)


def identity_of(config: TrainingConfig, sources: list[Source], held_out: list[HeldOut]) -> dict[str, Any]:
    """What a run is: continued under other settings, on other data or by another number of processes it would be another."""
    return {
        **config.identity(),
        "data": {source.name: source.hash for source in sources},
        "held_out": {one.name: one.split.hash for one in held_out},
        "processes": processes.count(),
    }


def read_sources(config: TrainingConfig) -> list[Source]:
    """The sources of a configuration.

    Raises:
        InputError: one is missing, empty or damaged.
    """
    return [
        read_source(
            SourceSpec(
                name=one.label,
                path=one.path,
                format=one.format,
                splits=one.splits,
                instruction=one.instruction,
                most=one.most,
                documents=one.documents,
            )
        )
        for one in config.sources
    ]


def _estimate(config: TrainingConfig, base: Base, sources: list[Source]) -> Estimate:
    """The estimate of a run; several processes share a machine in ways that no trial of one of them shows."""
    alone = processes.count() == 1
    return estimate(config, base if alone else None, make_mix(config, sources), make_reading(config, base, sources))


def _weighted(config: TrainingConfig, base: Base, sources: list[Source]) -> list[Source]:
    """The sources with weights by reasoning intensity, where they are asked for; sources without rewrites stay as they are."""
    if config.intensity is None:
        return sources
    if not any(one.rewritten for source in sources for one in source.examples):
        weighted(sources[0], LiveEncoder(base), config.intensity, seed=config.seed)  # says what is missing
    found = []
    for source in sources:
        own = replace(base, query_prefix=base.prefix_of(source.instruction))
        encoder = LiveEncoder(own, window=max(base.query_tokens, base.document_tokens))
        has_rewrites = any(one.rewritten for one in source.examples)
        found.append(weighted(source, encoder, config.intensity, seed=config.seed) if has_rewrites else source)
    return found


def make_mix(config: TrainingConfig, sources: list[Source], world: int = 1) -> Mix:
    """The plan of a run's batches; a part of a step is a batch of its own."""
    weights = [one.weight for one in config.sources if one.weight is not None]
    return Mix(
        sources,
        batch=config.batch // config.accumulate,
        steps=config.steps * config.accumulate,
        seed=config.seed,
        weights=weights or None,
        temperature=config.mixing_temperature,
        divisor=world,
    )


def make_reading(config: TrainingConfig, base: Base, sources: list[Source]) -> Reading:
    """How a run's texts become tokens."""
    return Reading(
        tokenizer=base.tokenizer,
        query_prefixes={source.name: base.prefix_of(source.instruction) for source in sources},
        document_prefix=base.document_prefix,
        query_tokens=base.query_tokens,
        document_tokens=base.document_tokens,
        negatives=config.negatives,
        pool_prefix=base.checkpoint.pool_prefix,
        seed=config.seed,
    )


def make_loss(config: TrainingConfig, base: Base) -> ContrastiveLoss:
    """A run's loss; sizes of mini-batches by device where the configuration says nothing."""
    return ContrastiveLoss(
        base.model,
        LossSettings(**config.loss.model_dump()),
        mini_batch_tokens=mini_batch_tokens(config, base.model.device),
        keep_tokens=kept_tokens(config, base.model.device),
    )


def _run(
    config: TrainingConfig,
    base: Base,
    sources: list[Source],
    held_out: list[HeldOut],
    tell: Callable[[Progress], None],
) -> History:
    last = last_checkpoint(config.output)
    reached = 0 if last is None else int(last.name.rpartition("-")[2])
    is_first = processes.is_first()
    history = History(config.output, upto=reached, writes=is_first)
    arguments = _arguments(config, base)
    watcher = Watcher(base, config.output, history, held_out, config.evaluation, tell, writes=is_first)
    if reached >= config.steps or history.has_stopped(config.evaluation.patience):
        load_trained(base.model, last / TRAINED)  # type: ignore[operator]
        return history
    mix = make_mix(config, sources, arguments.world_size)
    trainer = ContrastiveTrainer(
        model=base.model,
        args=arguments,
        loss=make_loss(config, base),
        steps=Steps(mix, make_reading(config, base, sources), rank=arguments.process_index, world=arguments.world_size),
        anchor=_anchor(config, base),
        on_batch=watcher.on_batch,
        keep=config.keep_checkpoints,
        callbacks=[watcher],
    )
    trainer.remove_callback(PrinterCallback)
    if config.report_to:
        watcher.report = trainer.report
    with quiet():
        trainer.train(resume_from_checkpoint=None if last is None else str(last))
    return history


def _anchor(config: TrainingConfig, base: Base) -> AnchorVectors | None:
    if not config.loss.anchor:
        return None
    first = load_base(config.model_copy(update={"method": "full", "dropout": False}))
    for one in first.model.parameters():
        one.requires_grad_(False)
    return AnchorVectors(LiveEncoder(first, window=max(base.query_tokens, base.document_tokens)))


def _arguments(config: TrainingConfig, base: Base) -> SentenceTransformerTrainingArguments:
    for name in config.report_to:
        _check_installed(name)
    schedule = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine"}[config.schedule]
    with boundary(StoreError, f"preparing {config.output}"):
        return SentenceTransformerTrainingArguments(
            output_dir=str(config.output),
            max_steps=config.steps,
            per_device_train_batch_size=max(1, config.batch // config.accumulate // processes.count()),
            gradient_accumulation_steps=config.accumulate,
            learning_rate=config.learning_rate,
            lr_scheduler_type=schedule,
            warmup_steps=round(config.warmup * config.steps),
            weight_decay=config.weight_decay,
            max_grad_norm=config.most_gradient,
            bf16=base.precision is torch.bfloat16,
            use_cpu=base.model.device.type == "cpu",
            save_strategy="steps",
            save_steps=config.save_every,
            logging_strategy="no" if not config.report_to else "steps",
            logging_steps=10,
            logging_nan_inf_filter=False,
            report_to=list(config.report_to) or "none",
            disable_tqdm=True,
            seed=config.seed,
            data_seed=config.seed,
            dataloader_pin_memory=False,
            dataloader_drop_last=True,  # our batches are whole; said so that nobody warns of it
            ddp_find_unused_parameters=False,
        )


def _check_installed(name: str) -> None:
    import importlib.util

    if importlib.util.find_spec(name) is None:
        raise MissingExtra(
            f"report_to {name} needs the package {name!r}, which is not installed; run: pip install {name}"
        )


def _finish(
    config: TrainingConfig,
    base: Base,
    held_out: list[HeldOut],
    history: History,
    start: dict[str, torch.Tensor],
    sources: list[Source],
) -> Trained:
    best = history.best()
    trained = history.losses[-1].step if history.losses else 0
    if best is not None:
        load_trained(base.model, config.output / BEST / TRAINED)
    before = dict(history.measured[0].sets) if history.measured else {}
    share, after = 1.0, dict(best.sets) if best else {}
    encoder = LiveEncoder(base)
    for one in config.evaluation.blend if best is not None and best.step > 0 else ():
        with blended(base, start, one):
            found = processes.as_first_says(measure(encoder, held_out))
        if is_better(found, after, before, config.evaluation.most_loss):
            share, after = one, found
    if share < 1.0:
        blend(base, start, share)
    facts = Facts(
        config=config,
        base=base.name,
        sources=sources,
        counts=make_mix(config, sources, processes.count()).counts(),
        steps=trained,
        before=before,
        after=after,
        best_step=best.step if best else trained,
        blend=share,
    )
    model, adapter = _write(config, base, facts)
    if processes.is_first():
        write_plot(config.output, history.losses, history.measured, steps=config.steps)
    return Trained(
        model=model,
        adapter=adapter,
        steps=trained,
        before=before,
        after=after,
        best_step=facts.best_step,
        blend=share,
    )


def _to_save(config: TrainingConfig, base: Base) -> Base | None:
    """What the first process saves, None in the others: weights in parts, or in 4 bits, are put into a fresh base."""
    if config.method != "qlora" and not is_sharded(base.model):
        return base if processes.is_first() else None
    weights = whole_weights(base.trainable())
    if not processes.is_first():
        return None
    method = "lora" if config.method == "qlora" else config.method
    fresh = load_base(config.model_copy(update={"method": method, "device": "cpu"}))
    for name, one in fresh.trainable().items():
        put(one, weights[name])
    return fresh


def _write(config: TrainingConfig, base: Base, facts: Facts) -> tuple[Path, Path | None]:
    wanted: list[tuple[str, Any]] = [(MODEL, save_model)]
    if config.method != "full":
        wanted.append((ADAPTER_FOLDER, save_adapter))
    whole = _to_save(config, base)
    if whole is not None:
        for name, save in wanted:
            aside = config.output / f".{name}.part"
            with boundary(StoreError, f"writing the result into {config.output}"), quiet():
                shutil.rmtree(aside, ignore_errors=True)
                save(whole, aside)
                write_whole(aside / CARD, card(facts, is_adapter=name == ADAPTER_FOLDER))
                finish_folder(aside, config.output / name)
    processes.wait()
    return config.output / MODEL, config.output / ADAPTER_FOLDER if len(wanted) > 1 else None
