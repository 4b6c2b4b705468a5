"""FSDP2: weights, gradients and optimizer state of a run in parts, a part a process, layer by layer (torch's `fully_shard`).

Around a layer's work its weights are gathered, afterwards each process has its part again. Every process must therefore do
the same number of forward and backward passes (`losses.ContrastiveLoss` sees to it). What is written to disk is whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from reasonir_trainer.training import processes

_WHOLE: Final = StateDictOptions(full_state_dict=True, cpu_offload=True)
_FROM_FIRST: Final = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)


def shard(root: nn.Module, layers: Sequence[nn.Module], precision: torch.dtype) -> None:
    """Give every process its part of the weights; alone, nothing happens.

    Args:
        root: a model, which is only ever called (`model(...)`): at the call its own weights are gathered.
        layers: of its network; the weights of one are gathered at a time.
        precision: dtype of matrix products, in which weights are gathered; gradients are added up in float32.
    """
    if processes.count() == 1:
        return
    mesh = init_device_mesh(next(root.parameters()).device.type, (processes.count(),))
    is_half = precision is torch.bfloat16
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if is_half else MixedPrecisionPolicy()
    # The root gives its weights back too: kept, they would be the old ones after a step or a checkpoint is loaded.
    for module in (*layers, root):
        fully_shard(module, mesh=mesh, mp_policy=policy, reshard_after_forward=True)


def is_sharded(model: nn.Module) -> bool:
    """Whether a process holds only a part of some weight."""
    return any(isinstance(one, DTensor) for one in model.parameters())


def whole(tensor: Tensor) -> Tensor:
    """A weight from the parts of all processes, on the CPU; every process must ask."""
    return _gathered(tensor).cpu().contiguous()


def whole_weights(named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights from their parts, in the first process; the others help and get nothing."""
    found = {}
    for name, one in named.items():
        value = _gathered(one)
        if processes.is_first():
            found[name] = value.cpu().contiguous()
    return found


def put(weight: Tensor, value: Tensor) -> None:
    """Write a whole value, the same in every process, into a weight or the part of it that is here."""
    with torch.no_grad():
        value = value.to(device=weight.device, dtype=weight.dtype)
        if isinstance(weight, DTensor):
            value = distribute_tensor(value, weight.device_mesh, weight.placements, src_data_rank=None)
        weight.copy_(value)


def save_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, file: Path) -> None:
    """Write the whole state of an optimizer; every process must ask, the first one writes."""
    state = get_optimizer_state_dict(model, optimizer, options=_WHOLE)
    if processes.is_first():
        torch.save(state, file)


def load_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, file: Path) -> None:
    """Give every process its part of a state that was written whole."""
    state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True) if processes.is_first() else {}
    set_optimizer_state_dict(model, optimizer, state, options=_FROM_FIRST)


def _gathered(tensor: Tensor) -> Tensor:
    found = tensor.detach()
    return found.full_tensor() if isinstance(found, DTensor) else found
