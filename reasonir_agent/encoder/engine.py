"""What runs the network of a local checkpoint: NumPy for a little work of a small BERT, torch for everything else.

Loaded at first use, once for all encoders that share a checkpoint (one for each instruction).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import numpy as np

from reasonir_agent.encoder import numpy_bert
from reasonir_agent.encoder.batching import Row, run
from reasonir_agent.encoder.checkpoint import Checkpoint
from reasonir_agent.errors import CheckpointError, EncoderError, boundary

if TYPE_CHECKING:
    from reasonir_agent.encoder.torch_backbone import TorchBackbone
    from reasonir_agent.types import FloatMatrix

_TOKENS_PER_BATCH: Final = {"cpu": 2048, "cuda": 65536, "mps": 8192}
_SMALL_WORK: Final = 24_000
"""Tokens up to which NumPy is done before torch would be imported."""


class Engine:
    """A checkpoint's network.

    Args:
        checkpoint: how it is loaded.
        name: for messages.
        device: "auto", "cpu", "cuda", "cuda:N", "mps".
        dtype: "auto", "float32", "bfloat16" or "float16".
    """

    def __init__(self, checkpoint: Checkpoint, name: str, *, device: str, dtype: str) -> None:
        self._checkpoint, self._name, self._device, self._dtype = checkpoint, name, device, dtype
        self.light: numpy_bert.NumpyBert | None = None
        self.heavy: TorchBackbone | None = None
        self.budget: int | None = None

    def run(self, rows: list[Row]) -> FloatMatrix:
        """Unit vectors of sequences of tokens, float32 [len(rows), dim].

        Raises:
            EncoderError: the numbers are not finite.
            CheckpointError: the weights cannot be loaded.
        """
        tokens = sum(len(row.ids) for row in rows)
        backend = self.light_backbone() if self.stays_light(tokens) else self.heavy_backbone()
        budget = self.budget or _TOKENS_PER_BATCH["cpu"]
        vectors, self.budget = run(rows, backend.forward, dim=self._checkpoint.dim, budget=budget)
        if not np.isfinite(vectors).all():
            raise EncoderError(f"{self._name} gave numbers that are not finite in {self._dtype}; use dtype='float32'")
        return vectors

    def stays_light(self, tokens: int) -> bool:
        """Whether NumPy is done with so many tokens before torch would be imported."""
        return (
            self.heavy is None
            and "torch" not in sys.modules
            and tokens <= _SMALL_WORK
            and self._device in ("auto", "cpu")
            and self._dtype in ("auto", "float32")
            and len(self._checkpoint.weights) == 1
            and numpy_bert.can_run(self._checkpoint.config)
        )

    def light_backbone(self) -> numpy_bert.NumpyBert:
        """The network in NumPy."""
        if self.light is None:
            checkpoint = self._checkpoint
            with boundary(CheckpointError, f"loading the weights in {checkpoint.folder}"):
                self.light = numpy_bert.NumpyBert(
                    checkpoint.weights[0], checkpoint.config, checkpoint.pooling, checkpoint.adapter
                )
        return self.light

    def heavy_backbone(self) -> TorchBackbone:
        """The network in torch."""
        if self.heavy is None:
            from reasonir_agent.encoder.torch_backbone import TorchBackbone

            self.heavy = TorchBackbone(self._checkpoint, device=self._device, dtype=self._dtype)
            self.budget = _TOKENS_PER_BATCH.get(self.heavy.device.type, 8192)
        return self.heavy
