"""BERT in NumPy, for the few short texts of a question: no torch, no transformers.

Importing torch and transformers takes seconds, encoding a question with MiniLM a hundredth of one. `reasonir search`
is a cold process each time, so a small BERT checkpoint answers small requests here and only a larger one wakes torch.
The vectors are the same (a test holds them within 1e-5 of the torch path). Float32 throughout.

Shapes: B rows, T tokens, D hidden, H heads.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from reasonir_agent.encoder.adapter import read_adapter
from reasonir_agent.encoder.batching import Row, pad
from reasonir_agent.encoder.pooling import pool

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

_Pair = tuple[Any, Any]  # weight [out, in] and bias [out]; of a layer norm, both [D]

LARGEST_HIDDEN: Final = 512
"""Beyond this a NumPy pass is slower than it is worth."""


def can_run(config: Mapping[str, Any]) -> bool:
    """Whether this module computes the checkpoint: a small BERT with absolute positions and GELU."""
    return (
        config.get("model_type") == "bert"
        and config.get("hidden_act") == "gelu"
        and config.get("position_embedding_type", "absolute") == "absolute"
        and int(config.get("hidden_size", 1 << 20)) <= LARGEST_HIDDEN
    )


class NumpyBert:
    """A BERT encoder.

    Args:
        weights: the safetensors file.
        config: its config.json.
        pooling: "mean", "cls" or "last".
        adapter: folder of what is added to the weights.

    Raises:
        KeyError: the file lacks a tensor of the architecture.
        CheckpointError: the adapter is damaged or does not fit.
    """

    def __init__(self, weights: Path, config: Mapping[str, Any], pooling: str, adapter: Path | None = None) -> None:
        from safetensors.numpy import load_file

        tensors = {name.removeprefix("bert."): value for name, value in load_file(weights).items()}
        if adapter is not None:
            shapes = {name: value.shape for name, value in tensors.items()}
            for name, delta in read_adapter(adapter).deltas(shapes):
                tensors[name] = _float32(tensors[name]) + delta
        self._heads = int(config["num_attention_heads"])
        self._epsilon = float(config.get("layer_norm_eps", 1e-12))
        self._pooling = pooling
        self._words = _float32(tensors["embeddings.word_embeddings.weight"])
        self._positions = _float32(tensors["embeddings.position_embeddings.weight"])
        self._type = _float32(tensors["embeddings.token_type_embeddings.weight"])[0]
        self._norm: _Pair = _pair(tensors, "embeddings.LayerNorm")
        self._layers = [_layer(tensors, i) for i in range(int(config["num_hidden_layers"]))]

    def forward(self, batch: list[Row]) -> FloatMatrix:
        """Pooled, normalised vectors, float32 [rows, dim]."""
        ids, attended, pooled = pad(batch)
        hidden = self._words[ids] + self._positions[: ids.shape[1]] + self._type  # [B, T, D]
        hidden = _layer_norm(hidden, self._norm, self._epsilon)
        blocked = None if attended.all() else np.where(attended, 0.0, -1e9).astype(np.float32)[:, None, None, :]
        for layer in self._layers:
            hidden = self._block(hidden, layer, blocked)
        return pool(hidden, pooled, self._pooling)

    def _block(self, hidden: Any, layer: Mapping[str, _Pair], blocked: Any) -> Any:
        mixed = _attention(hidden, layer, blocked, self._heads)
        hidden = _layer_norm(hidden + _linear(mixed, layer["out"]), layer["norm1"], self._epsilon)
        widened = _gelu(_linear(hidden, layer["up"]))
        return _layer_norm(hidden + _linear(widened, layer["down"]), layer["norm2"], self._epsilon)


def _layer(tensors: Mapping[str, Any], number: int) -> dict[str, _Pair]:
    at = f"encoder.layer.{number}."
    self_attention = [_pair(tensors, f"{at}attention.self.{part}") for part in ("query", "key", "value")]
    joined = (np.concatenate([w for w, _ in self_attention]), np.concatenate([b for _, b in self_attention]))
    return {
        "qkv": joined,  # one multiplication instead of three
        "out": _pair(tensors, f"{at}attention.output.dense"),
        "norm1": _pair(tensors, f"{at}attention.output.LayerNorm"),
        "up": _pair(tensors, f"{at}intermediate.dense"),
        "down": _pair(tensors, f"{at}output.dense"),
        "norm2": _pair(tensors, f"{at}output.LayerNorm"),
    }


def _pair(tensors: Mapping[str, Any], name: str) -> _Pair:
    return _float32(tensors[f"{name}.weight"]), _float32(tensors[f"{name}.bias"])


def _float32(array: Any) -> Any:
    return np.ascontiguousarray(array, dtype=np.float32)


def _linear(hidden: Any, weight_and_bias: _Pair) -> Any:
    weight, bias = weight_and_bias  # [out, in], [out]
    flat = hidden.reshape(-1, hidden.shape[-1]) @ weight.T
    flat += bias
    return flat.reshape(*hidden.shape[:-1], -1)


def _attention(hidden: Any, layer: Mapping[str, Any], blocked: Any, heads: int) -> Any:
    rows, tokens, width = hidden.shape
    size = width // heads
    joined = _linear(hidden, layer["qkv"]).reshape(rows, tokens, 3, heads, size)
    query, key, value = joined.transpose(2, 0, 3, 1, 4)  # each [B, H, T, D/H]
    scores = query @ key.transpose(0, 1, 3, 2)  # [B, H, T, T]
    scores *= np.float32(size**-0.5)
    if blocked is not None:
        scores += blocked
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return (scores @ value).transpose(0, 2, 1, 3).reshape(rows, tokens, width)


def _layer_norm(hidden: Any, weight_and_bias: _Pair, epsilon: float) -> Any:
    weight, bias = weight_and_bias
    centred = hidden - hidden.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    centred /= np.sqrt(variance + np.float32(epsilon))
    centred *= weight
    centred += bias
    return centred


def _gelu(x: Any) -> Any:
    """0.5 x (1 + erf(x / sqrt 2)), with erf by formula 7.1.26 of Abramowitz and Stegun (error below 1.5e-7)."""
    scaled = np.abs(x) * np.float32(0.7071067811865476)
    t = 1.0 / (1.0 + np.float32(0.3275911) * scaled)
    series = np.float32(1.061405429) * t
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series += np.float32(coefficient)
        series *= t
    np.multiply(scaled, -scaled, out=scaled)
    erf = 1.0 - series * np.exp(scaled)
    return 0.5 * x * (1.0 + np.copysign(erf, x))
