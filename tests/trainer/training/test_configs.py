"""The configurations that are shipped are read, say what they promise, and their memory fits where their names say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from reasonir_agent.errors import InputError
from reasonir_trainer.training.ablation import read_ablation
from reasonir_trainer.training.config import TrainingConfig, make_config, read_config
from reasonir_trainer.training.estimate import count_memory

CONFIGS = Path(__file__).resolve().parents[3] / "trainer" / "configs"
NAMES = sorted(file.stem for file in CONFIGS.glob("*.yaml"))

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "torch_dtype": "bfloat16",
}
"""The shape of Llama-3.1-8B."""


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    return tmp_path


def read(name: str, **changes: Any) -> TrainingConfig:
    found = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text(encoding="utf-8"))
    return make_config(found | changes, folder=CONFIGS)


def test_the_four_are_there() -> None:
    assert NAMES == ["llama-8b-lora-80gb", "llama-8b-qlora-24gb", "minilm-cpu", "reasonir-8b"]


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_is_read_and_its_paths_follow_the_file(name: str) -> None:
    config = read_config(CONFIGS / f"{name}.yaml")
    assert config.output == CONFIGS / "runs" / config.output.name
    assert all(one.path.parent == CONFIGS / "data" for one in config.sources)


def test_reasonir_8b_is_the_papers_recipe() -> None:
    config = read("reasonir-8b")
    assert (config.base, config.method) == ("meta-llama/Llama-3.1-8B", "full")
    assert (config.batch, config.accumulate, config.steps, config.negatives) == (2048, 1, 1000, 1)
    assert (config.learning_rate, config.schedule, config.warmup) == (2e-5, "constant", 0.06)
    assert (config.loss.temperature, config.precision, config.gradient_checkpointing) == (0.02, "bfloat16", True)
    assert (config.query_tokens, config.document_tokens) == (2048, 2048)
    assert config.loss.distill == config.loss.anchor == 0 and config.loss.margin is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "gigabytes", "rank"), [("llama-8b-qlora-24gb", 24, 16), ("llama-8b-lora-80gb", 80, 32)]
)
def test_a_configuration_fits_where_its_name_says(llama: Path, name: str, gigabytes: int, rank: int) -> None:
    config = read(name, base=str(llama))
    longest = max(config.query_tokens or 0, config.document_tokens or 0)
    memory, parameters, trained = count_memory(config, llama, torch.device("cuda"), longest)
    # each layer: query and output 4096 x 4096, key and value 4096 x 1024, three of 4096 x 14336
    assert trained == 32 * rank * (2 * (4096 + 4096) + 2 * (4096 + 1024) + 3 * (4096 + 14336))
    assert parameters - trained == 7_504_924_672
    assert memory.total < 0.75 * gigabytes * 1e9


def test_a_misspelt_setting_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("output: run\nsources: [{path: x, license: MIT}]\n")
    with pytest.raises(InputError, match=r"x\.yaml: sources\.0\.license is no setting"):
        read_config(tmp_path / "x.yaml")


def test_a_loss_allowed_to_blends_wants_blends(tmp_path: Path) -> None:
    sets = "evaluation: {sets: [{path: x}], most_loss: 0.03}"
    (tmp_path / "x.yaml").write_text(f"output: run\nsources: [{{path: x}}]\n{sets}\n")
    with pytest.raises(
        InputError, match=r"most_loss says which shares of evaluation\.blend may be taken.* such as blend: "
    ):
        read_config(tmp_path / "x.yaml")


@pytest.mark.parametrize("name", ["train", "reasoned"])
def test_what_reasonir_mini_was_trained_on_holds_nothing_that_measures_it(name: str) -> None:
    config = read_config(CONFIGS.parent / "mini" / f"{name}.yaml")
    learnt = {(one.path.name, split) for one in config.sources for split in one.splits}
    assert not any(name.startswith("bright") for name, _ in learnt)
    measured = {(one.path.name, split) for one in config.evaluation.sets for split in one.splits}
    assert learnt.isdisjoint(measured) and len(measured) == 4  # the fifth is BRIGHT's, whole
    assert {split for name, split in learnt if name != "openstax"} == {"train"}
    prepared = {one.path.stem for one in config.sources if not one.splits}
    assert {name for name in prepared if not name.startswith("reasoned-")} == {
        *("medical", "arithmetic", "problems", "functions", "written")
    }
    written = (CONFIGS.parent / "mini" / "reasoned.jsonl").read_text("utf-8").splitlines()
    groups = {"reasoned-" + json.loads(line)["id"].partition("-")[0] for line in written}
    assert {name for name in prepared if name.startswith("reasoned-")} == (groups if name == "reasoned" else set())
    assert all(one.licence for one in config.sources)


def test_the_mixes_of_the_ablation_hold_nothing_that_measures_them() -> None:
    asked = read_ablation(CONFIGS.parent / "mini" / "ablate.yaml")
    learnt = {(one.path.name, split) for one in asked.config.sources for split in one.splits}
    assert learnt.isdisjoint({(one.path.name, split) for one in asked.config.evaluation.sets for split in one.splits})
    assert not any(one.path.name.startswith("bright") for one in asked.config.sources)
    assert set(asked.mixes["both"]) == {*asked.mixes["public"], *asked.mixes["written"]}
