"""How many tokens go through the network at a time, and of how many the graph is kept; by device where nothing is said.

On a CPU, small mini-batches stay in the cache and the memory is large, so graphs are kept; on a GPU it is the other way round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reasonir_trainer.training.config import TrainingConfig

if TYPE_CHECKING:
    import torch

_MINI_BATCH: Final = {"cpu": 2048, "cuda": 16384}
_KEEP: Final = {"cpu": 8192}


def mini_batch_tokens(config: TrainingConfig, device: torch.device) -> int:
    """Tokens that are embedded at a time."""
    return config.mini_batch_tokens or _MINI_BATCH.get(device.type, 4096)


def kept_tokens(config: TrainingConfig, device: torch.device) -> int:
    """Tokens whose graph is kept rather than computed twice."""
    return _KEEP.get(device.type, 0) if config.keep_tokens is None else config.keep_tokens
