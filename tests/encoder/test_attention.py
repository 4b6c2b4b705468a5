"""The proof that attention looks both ways, made after every loading."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from transformers import LlamaModel

from reasonir_agent.encoder import torch_backbone
from reasonir_agent.encoder.checkpoint import read_checkpoint
from reasonir_agent.encoder.torch_backbone import TorchBackbone, is_bidirectional
from reasonir_agent.errors import CheckpointError


@pytest.fixture
def backbone(golden_folder) -> TorchBackbone:
    return TorchBackbone(read_checkpoint(golden_folder), device="cpu", dtype="float32")


def test_the_reference_checkpoint_looks_both_ways(backbone):
    assert backbone.model.config.is_causal is False
    assert is_bidirectional(backbone.model)


@pytest.mark.parametrize("switch", [True, None])
def test_a_model_without_the_switch_is_causal(backbone, switch):
    if switch is None:
        del backbone.model.config.is_causal
    else:
        backbone.model.config.is_causal = switch
    assert not is_bidirectional(backbone.model)


def test_a_stock_llama_is_causal_and_the_switch_of_its_layers_alone_does_not_change_that(golden_folder):
    model = LlamaModel.from_pretrained(golden_folder).eval()
    assert not is_bidirectional(model)
    for layer in model.layers:
        layer.self_attn.is_causal = False
    assert not is_bidirectional(model)
    model.config.is_causal = False
    assert is_bidirectional(model)


def test_a_library_that_ignores_the_switch_is_found_before_anything_is_encoded(monkeypatch, golden_folder, open_golden):
    real = torch_backbone._config

    def deaf(checkpoint: Any) -> Any:
        config = real(checkpoint)
        del config.is_causal
        return config

    monkeypatch.setattr(torch_backbone, "_config", deaf)
    with pytest.raises(CheckpointError, match=r"bidirectional attention.*transformers>=5\.2"):
        TorchBackbone(read_checkpoint(golden_folder), device="cpu", dtype="float32")
    with pytest.raises(CheckpointError, match="bidirectional attention"):
        open_golden().encode_queries(["why is the sky blue"])


def test_the_last_word_moves_the_first_state_only_with_the_switch(backbone):
    """The same fact by hand: hidden state 0 of two texts that differ in their last token."""
    import torch

    def first(last: int) -> np.ndarray:
        with torch.inference_mode():
            return backbone.model(input_ids=torch.tensor([[5, 6, 7, last]])).last_hidden_state[0, 0].numpy()

    assert np.abs(first(8) - first(9)).max() > 1e-4
    backbone.model.config.is_causal = True
    np.testing.assert_array_equal(first(8), first(9))
