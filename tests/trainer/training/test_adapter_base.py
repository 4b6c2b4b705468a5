"""Training goes on from an adapter: what it added is part of the base, and is never dropped in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reasonir_agent.encoder import ReasonIREncoder
from reasonir_agent.errors import InputError
from reasonir_trainer.training.config import TrainingConfig
from reasonir_trainer.training.live import LiveEncoder
from reasonir_trainer.training.model import load_base
from reasonir_trainer.training.saving import save_model
from tests.encoder.adapters import MINILM_HUB_ID, MINILM_LAYERS, write_adapter

TEXTS = ["Why is the sky blue?", "Small waves scatter more than long ones."]


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "adapter", MINILM_HUB_ID, MINILM_LAYERS)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "full"])
def test_an_adapter_is_part_of_the_base(
    adapter: Path, make: Callable[..., TrainingConfig], tmp_path: Path, method: str
) -> None:
    base = load_base(make(base=str(adapter), method=method, query_tokens=64, document_tokens=64))
    wanted = ReasonIREncoder(adapter, dtype="float32", device="cpu", max_tokens=64).encode_queries(TEXTS)
    np.testing.assert_allclose(LiveEncoder(base, window=64).encode_queries(TEXTS), wanted, rtol=0, atol=1e-5)
    save_model(base, tmp_path / "saved")
    saved = ReasonIREncoder(tmp_path / "saved", dtype="float32", device="cpu").encode_queries(TEXTS)
    np.testing.assert_allclose(saved, wanted, rtol=0, atol=1e-5)
    plain = ReasonIREncoder("minilm", dtype="float32", device="cpu", max_tokens=64).encode_queries(TEXTS)
    assert np.abs(wanted - plain).max() > 0.01


def test_four_bits_cannot_take_an_adapter(adapter: Path, make: Callable[..., TrainingConfig]) -> None:
    with pytest.raises(InputError, match="cannot train on top of an adapter"):
        load_base(make(base=str(adapter), method="qlora"))
