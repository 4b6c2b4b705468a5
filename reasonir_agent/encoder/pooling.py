"""From hidden states to one unit vector a text, in float32 whatever the network computed in.

Pooling and normalising in bfloat16 moves a vector by 1.7e-3 and leaves its length at 1.003; the reference pools in
float32. A text without pooled tokens gives a zero vector, never NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix


def pool(hidden: Any, pooled: Any, how: str) -> FloatMatrix:
    """Pool and normalise.

    Args:
        hidden: float32 [rows, tokens, dim].
        pooled: 1.0 where a token is pooled, float32 [rows, tokens].
        how: "mean", "cls" (first pooled token) or "last" (last pooled token).
    """
    if how == "mean":
        total = (hidden * pooled[..., None]).sum(axis=1)
        vectors = total / np.maximum(pooled.sum(axis=1, keepdims=True), 1.0)
    elif how == "cls":
        vectors = hidden[np.arange(len(hidden)), np.argmax(pooled, axis=1)]
    else:
        last = pooled.shape[1] - 1 - np.argmax(pooled[:, ::-1], axis=1)
        vectors = hidden[np.arange(len(hidden)), last]
    return normalised(vectors)


def normalised(vectors: Any) -> FloatMatrix:
    """Rows at length one; rows of zeros stay zeros."""
    vectors = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    result: FloatMatrix = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return result
