"""Packed rows: each text as if it were alone. On a GPU they save the padding; what they compute is the same anywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reasonir_agent.encoder import packing
from reasonir_agent.encoder.batching import Row
from reasonir_agent.encoder.checkpoint import read_checkpoint
from reasonir_agent.encoder.known import MINILM
from reasonir_agent.encoder.locate import locate
from reasonir_agent.encoder.torch_backbone import TorchBackbone

rng = np.random.default_rng(11)
ROWS = [Row(rng.integers(5, 200, size=length).tolist(), pool_from) for length, pool_from in [(9, 4), (31, 0), (3, 2)]]


@pytest.fixture(params=["reasonir", "minilm"])
def backbone(request, golden_folder) -> TorchBackbone:
    folder = golden_folder if request.param == "reasonir" else None
    located = locate(folder or MINILM)
    return TorchBackbone(read_checkpoint(located.folder, located.known), device="cpu", dtype="float32")


@pytest.mark.parametrize("how", ["mean", "cls", "last"])
def test_packed_vectors_are_those_of_each_text_alone(backbone, how):
    backbone._pooling = how
    alone = np.concatenate([backbone.forward([row]) for row in ROWS])
    assert backbone.pack()
    np.testing.assert_allclose(backbone.forward(ROWS), alone, atol=2e-6)
    np.testing.assert_allclose(backbone.forward(ROWS[::-1]), alone[::-1], atol=2e-6)


def test_the_stock_kernels_let_packed_texts_see_each_other_and_that_is_found(backbone, monkeypatch):
    alone = packing.forward(backbone.model, ROWS[:1], {})
    leaked = packing.forward(backbone.model, ROWS, {})[: len(ROWS[0].ids)]
    assert (alone - leaked).abs().max() > 0.01

    def leaking(module, query, key, value, attention_mask, *, scaling=None, **_):
        groups = query.shape[1] != key.shape[1]
        states = torch.nn.functional.scaled_dot_product_attention(query, key, value, scale=scaling, enable_gqa=groups)
        return states.transpose(1, 2), None

    packing.AttentionInterface.register("leaking", leaking)
    monkeypatch.setattr(packing, "NAME", "leaking")
    assert not backbone.pack()
    assert backbone.model.config._attn_implementation == "sdpa"


def test_a_model_that_does_not_hand_the_borders_on_stays_padded(backbone, monkeypatch):
    real = packing.forward

    def forgetful(model, batch, extra):
        if model.config._attn_implementation != packing.NAME:
            return real(model, batch, extra)
        with torch.inference_mode():
            return model(input_ids=torch.tensor([batch[0].ids]), **extra).last_hidden_state[0]

    monkeypatch.setattr(packing, "forward", forgetful)
    assert not backbone.pack()
    assert backbone.model.config._attn_implementation == "sdpa"
    monkeypatch.undo()
    assert backbone.forward(ROWS).shape[0] == 3


def test_a_padded_batch_is_never_mistaken_for_a_packed_one(backbone):
    assert backbone.pack()
    with pytest.raises(ValueError, match="needs the borders"):
        backbone.model(input_ids=torch.tensor([[5, 6, 7]]))
