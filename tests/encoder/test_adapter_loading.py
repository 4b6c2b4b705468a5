"""An adapter opens as an encoder: merged in torch and in NumPy alike, found by its base's name, never mixed up with it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from reasonir_agent.encoder import ReasonIREncoder, locate
from reasonir_agent.encoder.adapter import CONFIG, WEIGHTS, read_adapter
from reasonir_agent.encoder.checkpoint import read_checkpoint
from reasonir_agent.encoder.torch_backbone import TorchBackbone
from reasonir_agent.errors import CheckpointError
from tests.encoder.adapters import MINILM_HUB_ID, MINILM_LAYERS, write_adapter

TEXTS = ["why is the sky blue", "a", "light scatters small waves more than long ones ."]
TINY_LAYERS = {"encoder.layer.0.attention.self.query": (32, 32), "encoder.layer.1.output.dense": (32, 48)}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Repositories on this machine; a name that would have to be fetched fails."""
    folders: dict[str, Path] = {}

    def found(hub_id: str, *, fetch: bool = True) -> Path:
        assert not fetch, f"{hub_id} would be fetched"
        return folders[hub_id]

    monkeypatch.setattr(locate, "_from_hub", found)
    return folders


@pytest.fixture
def mini(tmp_path: Path, minilm: Callable[..., ReasonIREncoder]) -> Path:
    """An adapter of MiniLM."""
    return write_adapter(tmp_path / "mini", MINILM_HUB_ID, MINILM_LAYERS)


@pytest.fixture
def tiny(
    tmp_path: Path, hub: dict[str, Path], tiny_bert: Callable[..., Any], save_checkpoint: Callable[..., Path]
) -> tuple[Any, Path]:
    """A BERT of random weights that lies on this machine as `owner/tiny`, and an adapter of it."""
    model = tiny_bert()
    hub["owner/tiny"] = save_checkpoint(tmp_path / "base", model)
    return model, write_adapter(tmp_path / "adapter", "owner/tiny", TINY_LAYERS, size=0.4)


def opened(folder: Path, **arguments: Any) -> ReasonIREncoder:
    return ReasonIREncoder(folder, **{"dtype": "float32", "device": "cpu", **arguments})


def vectors(encoder: ReasonIREncoder, monkeypatch: pytest.MonkeyPatch, *, numpy: bool) -> np.ndarray:
    monkeypatch.setattr(encoder._engine, "stays_light", lambda _tokens: numpy)
    return encoder.encode_queries(TEXTS)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft's call
def test_both_backbones_give_the_vectors_of_pefts_merge(tiny, tmp_path, save_checkpoint, monkeypatch):
    peft = pytest.importorskip("peft")
    model, adapter = tiny
    config = json.loads((adapter / CONFIG).read_text())
    (adapter / CONFIG).write_text(json.dumps({**config, "target_modules": list(TINY_LAYERS)}))
    merged = peft.PeftModel.from_pretrained(copy.deepcopy(model), str(adapter)).merge_and_unload()
    theirs = opened(save_checkpoint(tmp_path / "merged", merged))
    by_peft = vectors(theirs, monkeypatch, numpy=False)
    by_torch = vectors(opened(adapter), monkeypatch, numpy=False)
    by_numpy = vectors(opened(adapter), monkeypatch, numpy=True)
    np.testing.assert_allclose(by_torch, by_peft, rtol=0, atol=1e-6)
    np.testing.assert_allclose(by_numpy, by_peft, rtol=0, atol=1e-5)
    base = vectors(opened(tmp_path / "base"), monkeypatch, numpy=False)
    assert np.abs(by_torch - base).max() > 0.01


def test_on_minilm_numpy_and_torch_agree_and_the_base_beside_it_stays_as_it_was(mini, minilm, monkeypatch):
    before = minilm().encode_queries(TEXTS)
    by_numpy = vectors(opened(mini), monkeypatch, numpy=True)
    by_torch = vectors(opened(mini), monkeypatch, numpy=False)
    np.testing.assert_allclose(by_numpy, by_torch, rtol=0, atol=1e-5)
    assert np.abs(by_torch - before).max() > 0.01
    np.testing.assert_array_equal(minilm().encode_queries(TEXTS), before)


def test_a_question_is_encoded_without_torch_and_peft(fresh_python, tmp_path):
    folder = write_adapter(tmp_path / "mini", MINILM_HUB_ID, MINILM_LAYERS)
    code = f"""
import sys
from reasonir_agent.encoder import ReasonIREncoder
encoder = ReasonIREncoder({str(folder)!r}, device="cpu", dtype="float32")
print(encoder.encode_queries(["why"]).shape, encoder.window)
print(sorted({{"torch", "peft", "transformers"}} & set(sys.modules)))
"""
    assert fresh_python(code).split("\n")[:2] == ["(1, 384) 256", "[]"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_rounded_once_after_the_sum(tiny, tmp_path, dtype):
    model, adapter = tiny
    checkpoint = read_checkpoint(tmp_path / "base", None, adapter)
    found = dict(TorchBackbone(checkpoint, device="cpu", dtype=str(dtype)[6:]).model.named_parameters())
    own = {name: one.detach() for name, one in model.named_parameters()}
    once, twice = dict(own), {name: one.to(dtype) for name, one in own.items()}
    for name, delta in read_adapter(adapter).deltas({name: tuple(one.shape) for name, one in own.items()}):
        once[name] = own[name] + torch.from_numpy(delta)
        twice[name] = (twice[name].float() + torch.from_numpy(delta)).to(dtype)
    assert all(torch.equal(one, once[name].to(dtype)) for name, one in found.items())
    assert any(not torch.equal(one, twice[name]) for name, one in found.items())  # rounding first would be seen


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_adapter_that_moves_nothing_is_the_base_bit_for_bit(golden_folder, hub, tmp_path, dtype):
    hub["owner/golden"] = golden_folder
    adapter = write_adapter(tmp_path / "adapter", "owner/golden", _golden_layers(golden_folder), size=0)
    texts = [*TEXTS, "positions matter " * 40]
    base = opened(golden_folder, dtype=dtype).encode_queries(texts)
    np.testing.assert_array_equal(opened(adapter, dtype=dtype).encode_queries(texts), base)


def test_a_base_stored_in_half_precision_is_summed_in_float32(golden_folder, hub, tmp_path):
    adapter = write_adapter(tmp_path / "adapter", "owner/golden", _golden_layers(golden_folder))
    checkpoint = read_checkpoint(golden_folder, None, adapter)
    found = dict(TorchBackbone(checkpoint, device="cpu", dtype="bfloat16").model.named_parameters())
    stored = {name.removeprefix("model."): one for name, one in load_file(golden_folder / "model.safetensors").items()}
    for name, delta in read_adapter(adapter).deltas({name: tuple(one.shape) for name, one in found.items()}):
        wanted = (stored[name].float() + torch.from_numpy(delta)).bfloat16()
        assert torch.equal(found[name], wanted)


def _golden_layers(folder: Path) -> dict[str, tuple[int, int]]:
    with safe_open(folder / "model.safetensors", framework="np") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    wanted = [name for name in shapes if name.endswith(("q_proj.weight", "down_proj.weight"))]
    return {name.removesuffix(".weight"): shapes[name] for name in wanted}


def test_the_fingerprint_covers_every_file_of_the_adapter(mini, minilm, tmp_path):
    ids = {minilm().fingerprint.id, opened(mini).fingerprint.id}
    other = write_adapter(tmp_path / "other", MINILM_HUB_ID, MINILM_LAYERS, seed=1)
    ids.add(opened(other).fingerprint.id)
    settings = json.loads((mini / CONFIG).read_text())
    (mini / CONFIG).write_text(json.dumps({**settings, "lora_alpha": 16}))
    ids.add(opened(mini).fingerprint.id)
    assert len(ids) == 4
    assert opened(other).fingerprint.id in ids  # and it is the same each time


def test_with_another_instruction_the_network_of_the_adapter_is_shared(golden_folder, hub, tmp_path):
    hub["owner/golden"] = golden_folder
    folder = write_adapter(tmp_path / "adapter", "owner/golden", _golden_layers(golden_folder), size=0.3)
    adapted, base = opened(folder), opened(golden_folder)
    for_biology = adapted.for_task("biology")
    assert for_biology is not adapted
    np.testing.assert_array_equal(for_biology.encode_documents(TEXTS), adapted.encode_documents(TEXTS))
    assert np.abs(adapted.encode_documents(TEXTS) - base.for_task("biology").encode_documents(TEXTS)).max() > 0.01


def test_window_and_prompts_are_the_bases_but_no_figure_measured_with_it(mini, minilm):
    encoder = opened(mini)
    assert (encoder.name, encoder.window, encoder.dim) == (str(mini), 256, 384)
    assert (encoder.query_prefix, encoder.document_prefix) == ("", "")
    assert minilm().abstain_below is not None
    assert encoder.abstain_below is None


def test_of_a_base_with_a_template_the_instruction_can_still_be_chosen(golden_folder, hub, tmp_path):
    hub["owner/golden"] = golden_folder
    folder = write_adapter(tmp_path / "adapter", "owner/golden", _golden_layers(golden_folder))
    assert opened(folder).query_prefix == opened(golden_folder).query_prefix != ""
    assert "Find proofs" in opened(folder, query_instruction="Find proofs").query_prefix


def test_an_adapter_that_says_otherwise_is_followed(mini):
    (mini / "config_sentence_transformers.json").write_text('{"prompts": {"query": "q: ", "document": "d: "}}')
    (mini / "sentence_bert_config.json").write_text('{"max_seq_length": 128}')
    encoder = opened(mini)
    assert (encoder.query_prefix, encoder.document_prefix, encoder.window) == ("q: ", "d: ", 128)
    (mini / "sentence_bert_config.json").write_text('{"max_seq_length": 100000}')
    assert opened(mini).window == 512  # the network has no more positions
    (mini / "1_Pooling").mkdir()
    (mini / "1_Pooling" / "config.json").write_text('{"pooling_mode": "cls"}')
    (mini / "modules.json").write_text('[{"type": "a.Pooling", "path": "1_Pooling"}]')
    assert opened(mini).fingerprint.as_json()["pooling"] == "cls"


def test_prompts_that_are_all_empty_say_nothing(golden_folder, hub, tmp_path):
    hub["owner/golden"] = golden_folder
    folder = write_adapter(tmp_path / "adapter", "owner/golden", _golden_layers(golden_folder))
    (folder / "config_sentence_transformers.json").write_text('{"prompts": {"query": "", "document": ""}}')
    assert opened(folder).query_prefix == opened(golden_folder).query_prefix != ""


def test_the_tokenizer_and_the_count_of_weights_are_the_bases(mini, minilm):
    assert opened(mini).count_tokens(TEXTS) == minilm().count_tokens(TEXTS)
    assert opened(mini).parameters == minilm().parameters


def test_a_folder_with_a_config_of_its_own_is_a_checkpoint(tiny, tmp_path):
    _, adapter = tiny
    (tmp_path / "base" / CONFIG).write_text((adapter / CONFIG).read_text())
    assert locate.locate(tmp_path / "base").adapter is None


def test_a_repository_that_the_user_names_may_be_an_adapter(mini, minilm_folder, monkeypatch):
    asked = []

    def fetched(hub_id: str, *, fetch: bool = True) -> Path:
        asked.append((hub_id, fetch))
        return mini

    monkeypatch.setattr(locate, "_from_hub", fetched)
    found = locate.locate("owner/adapter")
    assert (found.folder, found.name, found.adapter) == (minilm_folder, "owner/adapter", mini)
    assert asked == [("owner/adapter", True)]  # and its base comes from the weights package


def test_the_hub_is_not_asked_for_a_name_out_of_a_file(tmp_path, monkeypatch):
    huggingface_hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    adapter = write_adapter(tmp_path / "adapter", "owner/private-base", TINY_LAYERS)
    with pytest.raises(CheckpointError, match=r"is not on this machine.*hf download owner/private-base"):
        ReasonIREncoder(adapter)


@pytest.mark.parametrize("name", ["", "../base", "/somewhere/base", "base", "a/b/c"])
def test_a_base_that_is_no_name_is_refused(tmp_path, hub, name):
    (tmp_path / "base").mkdir()
    with pytest.raises(CheckpointError, match="which is no known encoder and no hub name"):
        ReasonIREncoder(write_adapter(tmp_path / "adapter", name, TINY_LAYERS))


def test_an_adapter_of_an_adapter_is_refused(tiny, hub, tmp_path):
    hub["owner/adapter"] = tiny[1]
    with pytest.raises(CheckpointError, match="on top of another one, 'owner/adapter'; give the merged model"):
        ReasonIREncoder(write_adapter(tmp_path / "second", "owner/adapter", TINY_LAYERS))


@pytest.mark.parametrize("numpy", [True, False])
def test_an_adapter_of_another_network_is_refused_when_it_is_merged(tmp_path, minilm, monkeypatch, numpy):
    adapter = write_adapter(tmp_path / "adapter", MINILM_HUB_ID, TINY_LAYERS)
    with pytest.raises(CheckpointError, match=r"fits a weight .* of shape \(32, 32\), the base's has \(384, 384\)"):
        vectors(opened(adapter), monkeypatch, numpy=numpy)


@pytest.mark.parametrize("numpy", [True, False])
def test_a_layer_that_no_vector_goes_through_may_be_in_an_adapter(tmp_path, minilm, monkeypatch, numpy):
    layers = {**MINILM_LAYERS, "pooler.dense": (384, 384)}
    with_pooler = opened(write_adapter(tmp_path / "adapter", MINILM_HUB_ID, layers))
    without = opened(write_adapter(tmp_path / "other", MINILM_HUB_ID, MINILM_LAYERS))
    found, wanted = (vectors(one, monkeypatch, numpy=numpy) for one in (with_pooler, without))
    np.testing.assert_array_equal(found, wanted)


def test_a_damaged_adapter_is_one_clear_sentence(mini, monkeypatch):
    (mini / WEIGHTS).write_bytes((mini / WEIGHTS).read_bytes()[:200])
    with pytest.raises(CheckpointError, match=WEIGHTS):
        vectors(opened(mini), monkeypatch, numpy=True)
    (mini / WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match=r"has no adapter_model\.safetensors"):
        opened(mini)
