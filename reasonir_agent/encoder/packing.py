"""Many texts as one row of tokens, so that no padding is computed. For GPUs; proven on the model before it is used.

The trap: a row without a mask and with positions that begin anew keeps texts apart in causal attention only. With
bidirectional attention every text sees every other, in all stock kernels and without a warning. So packed rows go
through an attention function of our own that is told where texts begin: torch's variable-length kernel on CUDA in half
precision, else one call of the stock kernel for each text. `packs` compares both roads on the loaded model; a model or
a library that does not hand the borders on is run with padding.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any, Final

import numpy as np
import torch
from transformers import AttentionInterface

from reasonir_agent.encoder.batching import Row

try:  # torch 2.10 and later
    from torch.nn.attention import varlen
except ImportError:
    varlen = None  # type: ignore[assignment]

_kernel: Final[Any] = getattr(varlen, "varlen_attn", None)
_KERNEL_TAKES_GROUPS: Final = _kernel is not None and "enable_gqa" in inspect.signature(_kernel).parameters
NAME: Final = "reasonir_packed"
_HALF: Final = (torch.bfloat16, torch.float16)
_LIKE: Final = 0.999
"""Cosine that a packed text must reach with the same text alone; texts that see each other fall far below."""


def packed_attention(
    module: Any,
    query: torch.Tensor,  # [1, heads, tokens, head_dim]
    key: torch.Tensor,  # [1, key heads, tokens, head_dim]
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    borders: Sequence[int] | None = None,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention within each text. `borders` holds where texts begin, and the end: [0, 5, 9] are two of 5 and 4 tokens."""
    if borders is None:
        raise ValueError("packed attention needs the borders of the texts; a padded batch must not come here")
    q, k, v = query[0], key[0], value[0]
    if q.is_cuda and q.dtype in _HALF and _kernel is not None:
        return _by_kernel(q, k, v, borders, scaling), None
    parts = [
        torch.nn.functional.scaled_dot_product_attention(
            q[None, :, a:b], k[None, :, a:b], v[None, :, a:b], scale=scaling, enable_gqa=q.shape[0] != k.shape[0]
        )
        for a, b in pairwise(borders)
    ]
    return torch.cat(parts, dim=2).transpose(1, 2), None  # [1, tokens, heads, head_dim]


def _by_kernel(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, borders: Sequence[int], scaling: float | None
) -> torch.Tensor:
    options: dict[str, Any] = {} if scaling is None else {"scale": scaling}
    if q.shape[0] != k.shape[0]:
        if _KERNEL_TAKES_GROUPS:
            options["enable_gqa"] = True
        else:
            k, v = (x.repeat_interleave(q.shape[0] // x.shape[0], dim=0) for x in (k, v))
    places = torch.tensor(borders, dtype=torch.int32, device=q.device)
    longest = max(b - a for a, b in pairwise(borders))
    out: torch.Tensor = _kernel(
        q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1), places, places, longest, longest, **options
    )
    return out[None]


AttentionInterface.register(NAME, packed_attention)  # and in no mask interface, so that no mask is built


def packs(model: Any, extra: dict[str, Any]) -> bool:
    """Whether this model gives each text of a packed row the states it has alone; leaves the model packed if so."""
    words = int(model.config.vocab_size)
    texts = [[min(5 + (7 * n + m) % 97, words - 1) for m in range(length)] for n, length in enumerate((7, 12, 3))]
    before = model.config._attn_implementation
    try:
        alone = [forward(model, [Row(ids, 0)], extra) for ids in texts]  # padded road, one text, nothing to pad
        model.set_attn_implementation(NAME)
        together = forward(model, [Row(ids, 0) for ids in texts], extra)
    except (RuntimeError, TypeError, ValueError, NotImplementedError):
        model.set_attn_implementation(before)
        return False
    like = torch.nn.functional.cosine_similarity(torch.cat(alone).float(), together.float(), dim=1)
    if bool((like > _LIKE).all()):
        return True
    model.set_attn_implementation(before)
    return False


def forward(model: Any, batch: Sequence[Row], extra: dict[str, Any]) -> torch.Tensor:
    """Last hidden states of all tokens of all texts, [tokens, dim], text after text."""
    device = next(model.parameters()).device
    borders = [0, *accumulate(len(row.ids) for row in batch)]
    ids = torch.from_numpy(np.concatenate([np.asarray(row.ids, dtype=np.int64) for row in batch])).to(device)
    places = torch.cat([torch.arange(len(row.ids), device=device) for row in batch])
    options = {"borders": borders} if model.config._attn_implementation == NAME else {}
    with torch.inference_mode():
        states: torch.Tensor = model(
            input_ids=ids[None], position_ids=places[None], **options, **extra
        ).last_hidden_state[0]
    return states


def pool(states: torch.Tensor, batch: Sequence[Row], how: str) -> torch.Tensor:
    """`encoder.pooling.pool` over packed states, in float32: [tokens, dim] -> unit vectors [rows, dim]."""
    borders = [0, *accumulate(len(row.ids) for row in batch)]
    device = states.device
    if how != "mean":
        at = [
            a + row.pool_from if how == "cls" else b - 1 for (a, b), row in zip(pairwise(borders), batch, strict=True)
        ]
        return torch.nn.functional.normalize(states[torch.tensor(at, device=device)].float(), dim=1)
    counts = [len(row.ids) - row.pool_from for row in batch]
    kept = torch.cat([torch.arange(a + row.pool_from, b) for (a, b), row in zip(pairwise(borders), batch, strict=True)])
    owner = torch.repeat_interleave(torch.arange(len(batch)), torch.tensor(counts)).to(device)
    total = torch.zeros((len(batch), states.shape[1]), dtype=torch.float32, device=device)
    total.index_add_(0, owner, states[kept.to(device)].float())
    means = total / torch.tensor(counts, dtype=torch.float32, device=device).clamp(min=1.0)[:, None]
    return torch.nn.functional.normalize(means, dim=1)
