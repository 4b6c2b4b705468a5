"""A LoRA adapter, merged into a checkpoint's weights when they are loaded: W + s B A (Hu et al., arXiv 2106.09685).

An adapter is a folder with `adapter_config.json` and `adapter_model.safetensors`, as peft writes them. It is read as JSON and
numbers, without peft and without torch, so a trained encoder of 90 MB can be shipped as its base's name and a few megabytes.
What is no plain LoRA on linear layers is refused: a part that is silently left out would give wrong vectors.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from reasonir_agent.errors import CheckpointError, boundary

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

CONFIG: Final = "adapter_config.json"
WEIGHTS: Final = "adapter_model.safetensors"

_OUTER: Final = "base_model.model."
_PREFIXES: Final = ("", "model.", "bert.")
"""What an adapter's or a checkpoint's names may have before the network's own."""

_UNUSED: Final = ("pooler.", "lm_head.", "score.", "cls.")
"""Layers that no vector goes through: a base without them loses nothing of an adapter that changes them."""

_REFUSED: Final = (
    *("use_dora", "fan_in_fan_out", "lora_bias", "modules_to_save", "alpha_pattern", "target_parameters"),
    *("trainable_token_indices", "layer_replication", "use_qalora", "use_bdlora"),
)
_NUMBERS: Final[dict[str, np.dtype[Any]]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}


@dataclass(frozen=True, slots=True)
class Adapter:
    """What is added to the weights of a base.

    Attributes:
        folder: where it was read.
        base: name of the base that it was trained on, as its configuration says; "" if it says none.
        factors: name of a weight -> (s B [out, rank], A [rank, in]), float32.
    """

    folder: Path
    base: str
    factors: Mapping[str, tuple[FloatMatrix, FloatMatrix]]

    def deltas(self, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[str, FloatMatrix]]:
        """What to add to each weight of a network, one at a time.

        Args:
            shapes: names and shapes of the network's weights.

        Yields:
            name as in `shapes`, and s B A, float32 [out, in].

        Raises:
            CheckpointError: the adapter changes a weight that the network has not, or of another shape.
        """
        own = {_plain(name): name for name in shapes}
        for name, (left, right) in self.factors.items():
            found = own.get(_plain(name))
            if found is None and _plain(name).startswith(_UNUSED):
                continue
            if found is None:
                raise CheckpointError(
                    f"the adapter in {self.folder} changes the weight {name!r}, which the base has not; it was trained on "
                    f"{self.base or 'another base'}"
                )
            wanted, given = tuple(shapes[found]), (left.shape[0], right.shape[1])
            if wanted != given:
                raise CheckpointError(
                    f"the adapter in {self.folder} fits a weight {name!r} of shape {given}, the base's has {wanted}; it was "
                    f"trained on {self.base or 'another base'}"
                )
            yield found, left @ right


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter rather than a whole checkpoint."""
    return (folder / CONFIG).is_file() and not (folder / "config.json").is_file()


def base_of(folder: Path) -> str:
    """Name of the base that an adapter says it was trained on, "" if it says none.

    Raises:
        CheckpointError: its configuration cannot be read, or is of no plain LoRA.
    """
    return str(_settings(folder).get("base_model_name_or_path") or "")


def read_adapter(folder: Path) -> Adapter:
    """Read an adapter.

    Raises:
        CheckpointError: a file is missing or damaged, or it is no plain LoRA.
    """
    settings = _settings(folder)
    tensors = _tensors(folder / WEIGHTS)
    factors: dict[str, tuple[FloatMatrix, FloatMatrix]] = {}
    for name, right in tensors.items():
        layer, _, side = name.removeprefix(_OUTER).rpartition(".lora_")
        if side not in ("A.weight", "B.weight"):
            raise CheckpointError(f"{folder / WEIGHTS} holds {name!r}, which is no part of a plain LoRA")
        if side == "B.weight":
            continue
        left = tensors.get(f"{name.removesuffix('A.weight')}B.weight")
        if left is None or left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[0]:
            raise CheckpointError(f"{folder / WEIGHTS} has no matrix B that fits {name!r}")
        factors[f"{layer}.weight"] = (left * np.float32(_scale(folder, settings, right.shape[0])), right)
    if len(factors) * 2 != len(tensors):
        raise CheckpointError(f"{folder / WEIGHTS} has a matrix B without its A")
    if not factors:
        raise CheckpointError(f"{folder / WEIGHTS} holds no weights")
    return Adapter(folder, str(settings.get("base_model_name_or_path") or ""), factors)


def _settings(folder: Path) -> dict[str, Any]:
    file = folder / CONFIG
    with boundary(CheckpointError, f"reading {file}"):
        settings = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(settings, dict) or settings.get("peft_type") != "LORA":
        kind = settings.get("peft_type") if isinstance(settings, dict) else type(settings).__name__
        raise CheckpointError(f"{file} is no LoRA adapter (peft_type {kind!r})")
    for name in _REFUSED:
        if settings.get(name):
            raise CheckpointError(
                f"{file} asks for {name}, which is not merged here; merge it with peft and give the result"
            )
    if settings.get("bias", "none") != "none":
        raise CheckpointError(
            f"{file} trains biases (bias {settings['bias']!r}); merge it with peft and give the result"
        )
    return settings


def _scale(folder: Path, settings: Mapping[str, Any], rank: int) -> float:
    alpha = settings.get("lora_alpha")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise CheckpointError(f"{folder / CONFIG} must hold a number lora_alpha, got {alpha!r}")
    return alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)


def _tensors(file: Path) -> dict[str, FloatMatrix]:
    """The tensors of a safetensors file as float32; bfloat16, which NumPy has not, is widened by its bits."""
    with boundary(CheckpointError, f"reading {file}"):
        data = file.read_bytes()
        start = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:start])
        found: dict[str, FloatMatrix] = {}
        for name, one in header.items():
            if name == "__metadata__":
                continue
            begin, end = (start + offset for offset in one["data_offsets"])
            raw = np.frombuffer(data[begin:end], dtype=_NUMBERS[one["dtype"]]).reshape(one["shape"])
            wide = (raw.astype("<u4") << 16).view("<f4") if one["dtype"] == "BF16" else raw.astype(np.float32)
            if not np.isfinite(wide).all():
                raise CheckpointError(f"{file} holds numbers that are not finite in {name!r}")
            found[name] = wide
    return found


def _plain(name: str) -> str:
    """A weight's name without what may stand before it."""
    for before in _PREFIXES[1:]:
        name = name.removeprefix(before)
    return name
