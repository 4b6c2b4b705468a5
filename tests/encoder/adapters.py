"""Adapters for tests: small ones, written without peft, and one that stands in the table as if it were shipped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from reasonir_agent.encoder import known
from reasonir_agent.encoder.adapter import CONFIG, WEIGHTS
from reasonir_agent.encoder.known import KnownEncoder

MINILM_HUB_ID = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_LAYERS = {
    "encoder.layer.0.attention.self.query": (384, 384),
    "encoder.layer.5.attention.self.value": (384, 384),
    "encoder.layer.3.output.dense": (384, 1536),
}


def write_adapter(
    folder: Path, base: str, layers: Mapping[str, tuple[int, int]], *, seed: int = 0, size: float = 0.1
) -> Path:
    """An adapter of rank 4 that moves these layers; `size` 0 moves nothing."""
    dice = np.random.default_rng(seed)
    tensors = {}
    for name, (out, into) in layers.items():
        tensors[f"base_model.model.{name}.lora_A.weight"] = dice.normal(0, 0.3, (4, into)).astype(np.float32)
        tensors[f"base_model.model.{name}.lora_B.weight"] = dice.normal(0, size, (out, 4)).astype(np.float32)
    folder.mkdir(parents=True)
    save_file(tensors, folder / WEIGHTS)
    settings = {"peft_type": "LORA", "lora_alpha": 8, "r": 4, "bias": "none", "base_model_name_or_path": base}
    (folder / CONFIG).write_text(json.dumps(settings))
    return folder


def ship(patch: pytest.MonkeyPatch, adapters: Path) -> KnownEncoder:
    """Put `reasonir-mini`, an adapter of MiniLM, into the table and into the folder of shipped adapters."""
    folder = write_adapter(adapters / "mini", MINILM_HUB_ID, MINILM_LAYERS)
    files = tuple((name, hashlib.sha256((folder / name).read_bytes()).hexdigest()) for name in (CONFIG, WEIGHTS))
    minilm = known.known_encoder("minilm")
    assert minilm is not None
    row = replace(minilm, name="reasonir-mini", adapter="mini", adapter_files=files, abstain_below=0.25)
    patch.setattr(known, "ADAPTERS", adapters)
    ship_none(patch)
    patch.setattr(known, "KNOWN_ENCODERS", (row, *known.KNOWN_ENCODERS))
    return row


def ship_none(patch: pytest.MonkeyPatch) -> None:
    """The table as in a package that ships no adapter."""
    patch.setattr(known, "KNOWN_ENCODERS", tuple(row for row in known.KNOWN_ENCODERS if not row.adapter))
