"""The model in training as an encoder: texts become vectors by the rules of inference (prefixes, windows, cut, pooling).

Only what `evaluation` needs of an encoder is here. The rows of tokens of a text do not change while the weights do, so they are
kept between measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from reasonir_agent.encoder.batching import Row, pad, run
from reasonir_agent.encoder.tokens import well_formed
from reasonir_agent.encoder.windows import combined, cut, windows
from reasonir_trainer.training.model import Base

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

_TOKENS_AT_ONCE = {"cpu": 2048, "cuda": 65536}


class LiveEncoder:
    """Encodes with the weights of the moment.

    Args:
        base: what is trained.
        window: of documents, and of a query's pieces; None takes the base's.
    """

    def __init__(self, base: Base, *, window: int | None = None) -> None:
        self._base = base
        self.window = window or base.checkpoint.window
        self._kept: list[tuple[Sequence[str], list[int], list[Row]]] = []

    def encode_queries(self, texts: Sequence[str], /) -> FloatMatrix:
        """Unit vectors of queries, float32 [n, dim]."""
        return self._vectors(*self._rows(texts, is_query=True), len(texts))

    def encode_documents(self, texts: Sequence[str], /) -> FloatMatrix:
        """Unit vectors of documents, float32 [n, dim]; the tokens of a list that is given again are not computed again."""
        known = next((one for one in self._kept if one[0] is texts), None)
        if known is None:
            known = (texts, *self._rows(texts, is_query=False))
            self._kept.append(known)
        return self._vectors(known[1], known[2], len(texts))

    def forget(self) -> None:
        """Drop the tokens that were kept."""
        self._kept.clear()

    def _vectors(self, owners: list[int], rows: list[Row], count: int) -> FloatMatrix:
        was_training = self._base.model.training
        self._base.model.eval()
        try:
            budget = _TOKENS_AT_ONCE.get(self._base.model.device.type, 8192)
            parts, _ = run(rows, self._forward, dim=self._base.checkpoint.dim, budget=budget)
        finally:
            self._base.model.train(was_training)
        return combined(parts, owners, count)

    def _rows(self, texts: Sequence[str], *, is_query: bool) -> tuple[list[int], list[Row]]:
        base = self._base
        before = base.query_prefix if is_query else base.document_prefix
        split = base.tokenizer.split(
            [well_formed(text) for text in texts], before, longest=None if is_query else self.window
        )
        owners: list[int] = []
        rows: list[Row] = []
        for number, tokens in enumerate(split):
            if tokens.body:
                start = 0 if base.checkpoint.pool_prefix or not before else len(tokens.head)
                sequences = windows(tokens, self.window) if is_query else [cut(tokens, self.window)]
                owners += [number] * len(sequences)
                rows += [Row(ids, start) for ids in sequences]
        return owners, rows

    def _forward(self, batch: list[Row]) -> FloatMatrix:
        ids, attended, _ = pad(batch)
        device = self._base.model.device
        features: dict[str, Any] = {
            "input_ids": torch.from_numpy(ids).to(device),
            "attention_mask": torch.from_numpy(attended).to(device).long(),
            "prompt_length": batch[0].pool_from,
        }
        with torch.no_grad(), torch.autocast(device.type, self._base.precision, enabled=self._is_half):
            vectors: FloatMatrix = self._base.model(features)["sentence_embedding"].float().cpu().numpy()
        return vectors

    @property
    def _is_half(self) -> bool:
        return self._base.precision is not torch.float32
