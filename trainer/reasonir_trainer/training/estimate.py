"""What a run takes, before it starts: memory and time.

Memory is counted on the network's skeleton, which has shapes and no numbers, so it costs nothing and needs no weights:

    weights      parameters x bytes
    gradients    trained parameters x bytes
    optimizer    AdamW's two moments of every trained parameter
    activations  what the backward pass of one mini-batch keeps, and of the tokens whose graph is kept as well. GradCache holds
                 no more than that at a time, whatever the batch
    vectors      of the batch, their gradients, and a block of the score matrix

Time is tokens of a step over tokens a second. The tokens are counted on one batch of each source. The rate is that of a short
trial on this machine (GradCache: a pass without a graph for the tokens whose graph is not kept, then one with a graph; with an
anchor one more without, for the base's vectors), or what the user states. What is left out is said in `LEFT_OUT`, and printed.

With a stated rate nothing is run, so the estimate may be for a device that is not here: the one that the configuration names;
under `device: auto` the machine's own, or a GPU where the run is meant for one (`is_meant_for_gpu`). All is counted for one
process that holds the whole network; shards of several are not counted, and with several no trial is made.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoConfig, AutoModel

from reasonir_agent.errors import CheckpointError, InputError, boundary
from reasonir_trainer.data.batches import Batch, Reading
from reasonir_trainer.data.mixing import Mix
from reasonir_trainer.training import processes
from reasonir_trainer.training.config import TrainingConfig
from reasonir_trainer.training.losses import ROWS_AT_ONCE
from reasonir_trainer.training.model import (
    Base,
    attention_of,
    device_of,
    dtype_of,
    has_adapter,
    has_billions,
    is_trained,
    precision_of,
    quiet,
    targets,
)
from reasonir_trainer.training.shape import shape_folder
from reasonir_trainer.training.sizes import kept_tokens, mini_batch_tokens

LEFT_OUT: Final = (
    "left out: the program itself and the device's own context (0.5 to 1 GB), what the allocator loses to fragments, working "
    "space of single operations, loading and saving, measuring on held-out data, the optimizer's own time"
)
_FOUR_BITS: Final = 4.127 / 8
"""Bytes of a 4-bit weight with its twice quantised constants (QLoRA, arXiv 2305.14314: 0.127 bits a weight)."""
_FLOAT: Final = 4
_LONGEST: Final = 2048
_SCORES: Final = 4
"""Matrices of the size of a block of scores that are there at once: cosines, scores, mask and gradient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes on one device."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    vectors: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a run takes.

    Attributes:
        parameters: of the network, adapters included.
        trained: of them.
        memory: in bytes, on one device that holds all of the network.
        device: that it was estimated for.
        is_here: whether this machine has such a device.
        processes: of the run; the memory is one's, and what they share out among them is not counted.
        steps: of the run.
        tokens_per_step: mean; where no text was read, the most that the settings allow.
        is_bound: whether `tokens_per_step` is that most.
        tokens_per_second: None where nothing is known about it.
        is_measured: whether by a trial, otherwise as stated.
    """

    parameters: int
    trained: int
    memory: Memory
    device: str
    is_here: bool
    processes: int
    steps: int
    tokens_per_step: float
    is_bound: bool
    tokens_per_second: float | None
    is_measured: bool

    @property
    def seconds(self) -> float | None:
        """Of all steps; None without a rate."""
        if not self.tokens_per_second:
            return None
        return self.steps * self.tokens_per_step / self.tokens_per_second

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"seconds": self.seconds, "total_bytes": self.memory.total, "left_out": LEFT_OUT}

    def lines(self) -> list[str]:
        """What the user is told."""
        parts = ", ".join(f"{name} {_bytes(size)}" for name, size in asdict(self.memory).items())
        most = "at most " if self.is_bound else ""
        where = self.device if self.is_here else f"{self.device} (none is here)"
        found = [
            f"parameters: {self.parameters:,}, of which {self.trained:,} are trained",
            f"memory on one {where}: {_bytes(self.memory.total)} ({parts}); for one process, shards not counted",
        ]
        work = f"{self.steps:,} steps of {most}{self.tokens_per_step:,.0f} tokens"
        if self.seconds is None:
            why = "no trial is made of several processes" if self.processes > 1 else "no rate is known"
            found.append(f"time: {work}; {why}, state a rate with --dry-run --tokens-per-second")
        else:
            how = "measured in a short trial" if self.is_measured else "as stated"
            found.append(f"time: {most}{_time(self.seconds)}, {work} at {self.tokens_per_second:,.0f} tokens/s ({how})")
        return [*found, LEFT_OUT]


def estimate(
    config: TrainingConfig, base: Base | None, mix: Mix | None, reading: Reading | None, *, rate: float | None = None
) -> Estimate:
    """What a run takes.

    Args:
        config: of the run.
        base: for the trial; None makes none, and of the base's files only config.json is read.
        mix: its batches; None takes the most that the settings allow.
        reading: how their texts become tokens.
        rate: tokens a second as the user states it, on a device that need not be here; None makes a trial where there is a base.

    Raises:
        InputError: the device is not there or cannot do what is asked, or the trial does not fit into memory.
        CheckpointError: the base's configuration cannot be read.
    """
    folder = shape_folder(config.base) if base is None else base.checkpoint.folder
    shape = _shape(folder)
    device = device_of(config) if rate is None else stated_device(config, shape)
    batches = _one_of_each(mix, reading) if mix is not None and reading is not None else []
    longest = max((_longest(one) for _, one in batches), default=_most_tokens(config, shape))
    memory, parameters, trained = count_memory(config, folder, device, longest)
    most = config.batch * (
        _most_tokens(config, shape, "query") + (1 + config.negatives) * _most_tokens(config, shape, "document")
    )
    measured = rate is None and base is not None and bool(batches)
    if measured and base is not None:
        rate = trial(config, base, [batch for _, batch in batches])
    return Estimate(
        parameters=parameters,
        trained=trained,
        memory=memory,
        device=device.type,
        is_here=device.type != "cuda" or torch.cuda.is_available(),
        processes=processes.count(),
        steps=config.steps,
        tokens_per_step=config.accumulate * _mean_tokens(batches) if batches else most,
        is_bound=not batches,
        tokens_per_second=rate,
        is_measured=measured,
    )


def stated_device(config: TrainingConfig, shape: Mapping[str, Any]) -> torch.device:
    """What a run of a stated rate works on; it need not be on this machine.

    Args:
        config: of the run.
        shape: the base's config.json.

    Raises:
        InputError: there is no such kind of device, or the method does not work on it.
    """
    if config.device != "auto":
        with boundary(InputError, f"reading the device {config.device!r}"):
            device = torch.device(config.device)
    elif is_meant_for_gpu(config, shape):
        device = torch.device("cuda")
    else:
        device = device_of(config)
    if config.method == "qlora" and device.type != "cuda":
        raise InputError(
            f"method qlora needs an NVIDIA GPU, got device {config.device!r}; use device: cuda, or method lora"
        )
    return device


def is_meant_for_gpu(config: TrainingConfig, shape: Mapping[str, Any]) -> bool:
    """Whether the settings say so: 4-bit weights, flash attention, or a base of billions of weights in bfloat16."""
    return (
        config.method == "qlora"
        or config.attention == "flash_attention_2"
        or (config.precision == "bfloat16" and has_billions(shape))
    )


def count_memory(config: TrainingConfig, folder: Path, device: torch.device, longest: int) -> tuple[Memory, int, int]:
    """Bytes of a run, its parameters, and how many of them are trained.

    Args:
        config: of the run.
        folder: with the base's config.json.
        device: that it runs on.
        longest: tokens of the longest text.
    """
    with FakeTensorMode(), quiet():
        network = _skeleton(config, folder, device)
        kept = _activations(network, config, device, longest)
    parameters = list(network.parameters())
    trained = [one for one in parameters if one.requires_grad]
    gradients = sum(one.numel() * one.element_size() for one in trained)
    weights = sum(_weight_bytes(network, config))
    if config.loss.anchor:
        weights += sum(one.numel() for one in parameters if not _is_low_rank(network, one)) * _FLOAT
    documents = config.batch // config.accumulate * (1 + config.negatives)
    vectors = (config.batch // config.accumulate + documents) * int(network.config.hidden_size) * _FLOAT * 2
    scores = min(ROWS_AT_ONCE, config.batch) * documents * _FLOAT * _SCORES
    memory = Memory(
        weights=round(weights),
        gradients=gradients,
        optimizer=2 * gradients,
        activations=kept,
        vectors=vectors + scores,
    )
    return memory, sum(one.numel() for one in parameters), sum(one.numel() for one in trained)


def trial(config: TrainingConfig, base: Base, batches: list[Batch]) -> float:
    """Tokens a second on one mini-batch, as GradCache goes through it.

    Raises:
        InputError: it does not fit into memory.
    """
    side = max((one.documents for one in batches), key=lambda one: one.ids.shape[1])
    rows = max(1, mini_batch_tokens(config, base.model.device) // side.ids.shape[1])
    device = base.model.device
    ids, attended = (torch.from_numpy(one[:rows]).to(device) for one in (side.ids, side.attended))
    features = {"input_ids": ids, "attention_mask": attended, "prompt_length": side.prompt}
    tokens = int(attended.sum())
    try:
        without, with_graph = (_seconds(base, features, with_graph=one) for one in (False, True))
    except torch.OutOfMemoryError as cause:
        raise InputError(
            f"a mini-batch of {rows} x {side.ids.shape[1]} tokens does not fit into the memory of {device}; lower "
            "mini_batch_tokens, or use gradient_checkpointing: true"
        ) from cause
    finally:
        base.model.zero_grad(set_to_none=True)
    total = sum(one.queries.tokens + one.documents.tokens for one in batches) / len(batches)
    twice = max(0.0, 1 - kept_tokens(config, device) / total)  # share of the tokens that are gone through twice
    anchored = 1.0 if config.loss.anchor else 0.0  # a text that comes again is not encoded again: this is the most
    return tokens / (with_graph + (twice + anchored) * without)


def _seconds(base: Base, features: Mapping[str, Any], *, with_graph: bool) -> float:
    """Of the second of two passes; random numbers are put back."""
    device = base.model.device
    taken = 0.0
    half = base.precision is torch.bfloat16
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for _ in range(2):
            began = time.perf_counter()
            with torch.set_grad_enabled(with_graph), torch.autocast(device.type, torch.bfloat16, enabled=half):
                found = base.model(dict(features))["sentence_embedding"]
            if with_graph:
                found.float().sum().backward()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            taken = time.perf_counter() - began
    return taken


class _LowRank(nn.Module):
    """A linear layer with an adapter beside it, in float32 as peft holds it."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base
        self.first = nn.Linear(base.in_features, rank, bias=False)
        self.second = nn.Linear(rank, base.out_features, bias=False)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        found = self.base(states)
        return found + self.second(self.first(states.float())).to(found.dtype)  # type: ignore[no-any-return]


def _skeleton(config: TrainingConfig, folder: Path, device: torch.device) -> Any:
    """The network of a base with the run's adapters, without numbers."""
    with boundary(CheckpointError, f"reading {folder / 'config.json'}"):
        shape = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    attention = "eager" if attention_of(config, device) == "eager" else "sdpa"
    network: Any = AutoModel.from_config(  # type: ignore[no-untyped-call]
        shape, attn_implementation=attention, dtype=dtype_of(shape.to_dict(), config), trust_remote_code=False
    )
    network.config.use_cache = False
    if getattr(network, "pooler", None) is not None:
        network.pooler = None  # no vector goes through it
    if config.method == "full":
        for name, one in network.named_parameters():
            one.requires_grad_(is_trained(name, config))
        return network
    wanted = targets(network, config.lora)
    for one in network.parameters():
        one.requires_grad_(False)
    for name, module in list(network.named_modules()):
        outer, _, last = name.rpartition(".")
        if isinstance(module, nn.Linear) and has_adapter(name, wanted, config.lora):
            setattr(network.get_submodule(outer), last, _LowRank(module, config.lora.rank))
    return network


def _activations(network: Any, config: TrainingConfig, device: torch.device, longest: int) -> int:
    """Bytes that a mini-batch's backward pass needs, and those of the tokens whose graph is kept."""
    examples = config.batch // config.accumulate
    rows = min(max(1, mini_batch_tokens(config, device) // longest), examples * (1 + config.negatives))
    own = {one.untyped_storage()._cdata for one in network.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        place = tensor.untyped_storage()._cdata
        if place not in own:
            kept[place] = tensor
        return tensor

    ids = torch.zeros(rows, longest, dtype=torch.long)
    half = _is_half(config, device)
    network.eval()
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda one: one),
        torch.autocast("cpu", torch.bfloat16, enabled=half),
    ):
        network(input_ids=ids, attention_mask=torch.ones_like(ids))
    size = sum(one.untyped_storage().nbytes() for one in kept.values())
    if config.gradient_checkpointing:  # the input of every layer, and one layer that is computed again
        layers = int(network.config.num_hidden_layers)
        width = int(network.config.hidden_size) * _residual_bytes(network)
        size = size // layers + layers * rows * longest * width
    mini = rows * longest
    held = min(mini + kept_tokens(config, device), examples * (2 + config.negatives) * longest)  # no more than there is
    return round(size * held / mini)


def _is_half(config: TrainingConfig, device: torch.device) -> bool:
    """Whether matrix products are in bfloat16, which every GPU that is not here to be asked is taken to do."""
    if config.precision == "auto" and device.type == "cuda" and not torch.cuda.is_available():
        return True
    return precision_of(config, device) is torch.bfloat16


def _residual_bytes(network: nn.Module) -> int:
    """Bytes of a number between two layers: as the embeddings are held, which autocast leaves as they are."""
    return next(iter(network.parameters())).element_size()


def _weight_bytes(network: nn.Module, config: TrainingConfig) -> list[float]:
    """Bytes of every parameter as it is held."""
    found: list[float] = []
    for name, one in network.named_parameters():
        is_four_bits = config.method == "qlora" and ".base." in name and one.ndim == 2
        found.append(one.numel() * (_FOUR_BITS if is_four_bits else one.element_size()))
    return found


def _is_low_rank(network: nn.Module, parameter: nn.Parameter) -> bool:
    return any(
        parameter is own
        for module in network.modules()
        if isinstance(module, _LowRank)
        for own in (module.first.weight, module.second.weight)
    )


def _one_of_each(mix: Mix, reading: Reading) -> list[tuple[int, Batch]]:
    """The first batch of every source that is drawn, and how many such batches there are."""
    counts = mix.counts()
    wanted = {name for name, count in counts.items() if count}
    found: list[tuple[int, Batch]] = []
    for step in range(mix.steps):
        if not wanted:
            break
        drawn = mix.draw(step)
        if drawn.source.name in wanted:
            wanted.remove(drawn.source.name)
            found.append((counts[drawn.source.name], reading.batch(drawn)))
    return found


def _mean_tokens(batches: list[tuple[int, Batch]]) -> float:
    total = sum(count * (one.queries.tokens + one.documents.tokens) for count, one in batches)
    return total / sum(count for count, _ in batches)


def _longest(batch: Batch) -> int:
    return max(int(side.ids.shape[1]) for side in (batch.queries, batch.documents))


def _shape(folder: Path) -> dict[str, Any]:
    with boundary(CheckpointError, f"reading {folder / 'config.json'}"):
        found: dict[str, Any] = AutoConfig.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        ).to_dict()
    return found


def _most_tokens(config: TrainingConfig, shape: Mapping[str, Any], side: str = "") -> int:
    window = min(_LONGEST, int(shape.get("max_position_embeddings") or _LONGEST))
    tokens = {"query": config.query_tokens or window, "document": config.document_tokens or window}
    return tokens[side] if side else max(tokens.values())


def _bytes(size: float) -> str:
    for unit, one in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= one:
            return f"{size / one:.3g} {unit}" if size < 100 * one else f"{size / one:,.0f} {unit}"
    return f"{size:.0f} B"


def _time(seconds: float) -> str:
    for unit, one in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * one:
            return f"{seconds / one:.1f} {unit}"
    return f"{seconds:.0f} s"
