"""Several processes of one run (`torchrun`, `accelerate launch`): who writes, and what all must agree on.

Who one is, is known only after the group was joined, so `join` stands at the beginning of a run. Decisions that depend on
measured numbers follow the first process: two GPUs may round differently, and a run in which one of them stops hangs.
"""

from __future__ import annotations

import os
from typing import TypeVar

import torch
from accelerate import PartialState  # type: ignore[import-untyped]
from accelerate.utils import broadcast_object_list  # type: ignore[import-untyped]
from sentence_transformers.util import all_gather, get_rank, get_world_size

from reasonir_agent.errors import InputError

Value = TypeVar("Value")


def join(*, on_cpu: bool) -> None:
    """Join the processes of this run; alone, nothing happens.

    Raises:
        InputError: they were started to be sharded by somebody else.
    """
    for name, what in (("ACCELERATE_USE_FSDP", "--use_fsdp"), ("ACCELERATE_USE_DEEPSPEED", "--use_deepspeed")):
        if os.environ.get(name, "false").lower() == "true":
            raise InputError(
                f"the run was started with accelerate's {what}, whose parts of weights it cannot put together; start it with "
                "torchrun, or accelerate launch without that, and set shard: true in the configuration"
            )
    PartialState(cpu=on_cpu)


def is_first() -> bool:
    """Whether this is the process that writes files."""
    return get_rank() == 0


def count() -> int:
    """How many processes there are."""
    return get_world_size()


def place() -> int:
    """Number of this process on its machine, which is the number of its GPU."""
    return int(PartialState().local_process_index) if count() > 1 else 0


def wait() -> None:
    """Until every process is here."""
    if count() > 1:
        PartialState().wait_for_everyone()


def as_first_says(value: Value) -> Value:
    """The first process's value, in every process."""
    if count() == 1:
        return value
    shared = [value]
    broadcast_object_list(shared)
    return shared[0]


def over_all(loss: float, tokens: int, device: torch.device) -> tuple[float, int]:
    """Mean loss and sum of tokens over the processes."""
    if count() == 1:
        return loss, tokens
    found = all_gather(torch.tensor([[loss, float(tokens)]], device=device, dtype=torch.float64)).cpu()
    return float(found[:, 0].mean()), int(found[:, 1].sum())
