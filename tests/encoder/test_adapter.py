"""An adapter merged without peft gives peft's own merge, in torch and in NumPy; what does not fit is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from reasonir_agent.encoder.adapter import CONFIG, WEIGHTS, is_adapter, read_adapter
from reasonir_agent.encoder.batching import Row
from reasonir_agent.encoder.numpy_bert import NumpyBert
from reasonir_agent.errors import CheckpointError

peft = pytest.importorskip("peft")

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft's call
ROWS = [Row([2, 9, 11, 3]), Row([2, 7, 8, 9, 10, 3])]


@pytest.fixture
def trained(tiny_bert: Callable[..., Any], tmp_path: Path) -> tuple[Any, Path]:
    """A base, and the folder of an adapter that moves it."""
    base = tiny_bert()
    return base, _adapter(base, tmp_path / "adapter")


def _adapter(base: Any, folder: Path, *, dtype: torch.dtype = torch.float32, **settings: Any) -> Path:
    targets = ["query", "value", "dense"]
    wrapped = peft.get_peft_model(
        copy.deepcopy(base), peft.LoraConfig(r=4, lora_alpha=12, target_modules=targets, **settings)
    )
    for name, one in wrapped.named_parameters():
        if "lora_B" in name:  # begins at 0, which would change nothing
            torch.nn.init.normal_(one, std=0.3, generator=torch.Generator().manual_seed(len(name)))
    wrapped.save_pretrained(str(folder))
    if dtype is not torch.float32:
        stored = {name: one.to(dtype) for name, one in load_file(folder / WEIGHTS).items()}
        save_file(stored, folder / WEIGHTS)
    return folder


def _merged_by_peft(base: Any, folder: Path) -> dict[str, torch.Tensor]:
    merged = peft.PeftModel.from_pretrained(copy.deepcopy(base), str(folder)).merge_and_unload()
    return {name: one.detach().float() for name, one in merged.state_dict().items()}


def _merged_here(base: Any, folder: Path) -> dict[str, torch.Tensor]:
    weights = {name: one.detach().clone() for name, one in base.state_dict().items()}
    for name, delta in read_adapter(folder).deltas({name: tuple(one.shape) for name, one in weights.items()}):
        weights[name] += torch.from_numpy(delta)
    return weights


@pytest.mark.parametrize("settings", [{}, {"use_rslora": True}, {"rank_pattern": {"query": 2}}], ids=str)
def test_the_merge_is_pefts(tiny_bert: Callable[..., Any], tmp_path: Path, settings: dict[str, Any]) -> None:
    base = tiny_bert()
    folder = _adapter(base, tmp_path / "adapter", **settings)
    theirs, ours = _merged_by_peft(base, folder), _merged_here(base, folder)
    assert theirs.keys() == ours.keys()
    moved = [name for name, one in ours.items() if not torch.equal(one, base.state_dict()[name])]
    assert len(moved) == 2 * 5  # query, value and three dense layers in each of two
    for name, one in ours.items():
        torch.testing.assert_close(one, theirs[name], rtol=0, atol=1e-6)


def test_an_adapter_in_bfloat16_is_read(tiny_bert: Callable[..., Any], tmp_path: Path) -> None:
    base = tiny_bert()
    folder = _adapter(base, tmp_path / "adapter", dtype=torch.bfloat16)
    stored = load_file(folder / WEIGHTS)
    factors = read_adapter(folder).factors["encoder.layer.1.attention.self.query.weight"]
    name = "base_model.model.encoder.layer.1.attention.self.query.lora_{}.weight"
    np.testing.assert_array_equal(factors[1], stored[name.format("A")].float().numpy())
    np.testing.assert_array_equal(factors[0], stored[name.format("B")].float().numpy() * 3)  # 12 / 4


def test_numpy_and_torch_agree_on_the_merged_model(trained: tuple[Any, Path], tmp_path: Path) -> None:
    base, folder = trained
    merged = _merged_here(base, folder)
    save_file({name: one.contiguous() for name, one in merged.items()}, tmp_path / "merged.safetensors")
    by_numpy = NumpyBert(tmp_path / "merged.safetensors", base.config.to_dict(), "mean").forward(ROWS)
    wrapped = peft.PeftModel.from_pretrained(copy.deepcopy(base), str(folder)).eval()
    with torch.no_grad():
        for row, vector in zip(ROWS, by_numpy, strict=True):
            state = wrapped(input_ids=torch.tensor([row.ids])).last_hidden_state[0].mean(0)
            expected = torch.nn.functional.normalize(state, dim=0).numpy()
            np.testing.assert_allclose(vector, expected, atol=2e-6)


@pytest.mark.parametrize("before", ["bert.", "model."])
def test_names_of_a_checkpoint_may_have_the_networks_name_before_them(trained: tuple[Any, Path], before: str) -> None:
    base, folder = trained
    shapes = {f"{before}{name}": tuple(one.shape) for name, one in base.state_dict().items()}
    assert all(name.startswith(before) for name, _ in read_adapter(folder).deltas(shapes))


def test_an_adapter_is_told_from_a_checkpoint(trained: tuple[Any, Path], golden_folder: Path) -> None:
    assert is_adapter(trained[1])
    assert not is_adapter(golden_folder)


def test_another_base_is_refused(trained: tuple[Any, Path], tiny_bert: Callable[..., Any]) -> None:
    adapter = read_adapter(trained[1])
    wide = {name: tuple(one.shape) for name, one in tiny_bert(hidden_size=64).state_dict().items()}
    with pytest.raises(CheckpointError, match=r"shape \(32, 32\), the base's has \(64, 64\)"):
        list(adapter.deltas(wide))
    with pytest.raises(CheckpointError, match="which the base has not"):
        list(adapter.deltas({"layers.0.self_attn.q_proj.weight": (32, 32)}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "IA3"}, "no LoRA adapter"),
        ({"use_dora": True}, "use_dora"),
        ({"bias": "all"}, "trains biases"),
        ({"modules_to_save": ["pooler"]}, "modules_to_save"),
        ({"lora_alpha": "much"}, "number lora_alpha"),
    ],
    ids=lambda one: str(one),
)
def test_what_is_no_plain_lora_is_refused(trained: tuple[Any, Path], change: dict[str, Any], message: str) -> None:
    file = trained[1] / CONFIG
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(CheckpointError, match=message):
        read_adapter(trained[1])


def test_damage_is_one_clear_sentence(trained: tuple[Any, Path]) -> None:
    file = trained[1] / WEIGHTS
    whole = load_file(file)
    broken = {name: one.clone() for name, one in whole.items()}
    broken[next(iter(broken))][0, 0] = float("nan")
    save_file(broken, file)
    with pytest.raises(CheckpointError, match="not finite"):
        read_adapter(trained[1])
    save_file(
        {name: one for name, one in whole.items() if not name.endswith("0.attention.self.query.lora_B.weight")}, file
    )
    with pytest.raises(CheckpointError, match="no matrix B"):
        read_adapter(trained[1])
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="reading"):
        read_adapter(trained[1])
    file.unlink()
    with pytest.raises(CheckpointError, match="reading"):
        read_adapter(trained[1])
