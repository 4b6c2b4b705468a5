"""The configurations that are shipped are read, say what they promise, and their memory fits where their names say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pydantic import BaseModel

from reasonir_agent.errors import InputError
from reasonir_trainer.training.ablation import make_ablation, read_ablation
from reasonir_trainer.training.config import (
    EvaluationSet,
    EvaluationSettings,
    IntensitySettings,
    LoraSettings,
    LossConfig,
    SourceSettings,
    TrainingConfig,
    make_config,
    read_config,
)
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


def test_the_five_are_there() -> None:
    assert NAMES == ["llama-8b-lora-80gb", "llama-8b-qlora-24gb", "minilm-cpu", "reasonir-8b", "reference"]


def test_the_reference_has_every_setting_and_says_which_is_no_default() -> None:
    text = (CONFIGS / "reference.yaml").read_text(encoding="utf-8")
    given = yaml.safe_load(text)
    assert list(given) and given.keys() == TrainingConfig.model_fields.keys()
    parts: list[tuple[dict[str, Any], type[BaseModel]]] = [
        (given, TrainingConfig),
        (given["sources"][0], SourceSettings),
        (given["lora"], LoraSettings),
        (given["loss"], LossConfig),
        (given["intensity"], IntensitySettings),
        (given["evaluation"], EvaluationSettings),
        (given["evaluation"]["sets"][0], EvaluationSet),
    ]
    others: list[str] = []
    for values, model in parts:
        assert values.keys() == model.model_fields.keys(), model
        for name, field in model.model_fields.items():
            if (isinstance(values[name], dict) and name != "intensity") or name in ("sources", "sets"):
                continue
            default = list(field.default) if isinstance(field.default, tuple) else field.default
            if values[name] != default:
                others.append(name)
    said = re.findall(r"^[ -]*(\w+):[^#\n]*# here: ", text, re.M)
    assert sorted(said) == sorted(others) == ["intensity", "output", "path", "path"]


def test_the_references_mixes_are_read() -> None:
    text = (CONFIGS / "reference.yaml").read_text(encoding="utf-8").replace("# mixes:", "mixes:")
    assert make_ablation(yaml.safe_load(text)).mixes == {"mine": ("mine",)}


def test_minilm_is_trained_as_reasonir_mini_was() -> None:
    ours, mini = read("minilm-cpu"), read_config(CONFIGS.parent / "mini" / "train.yaml")
    for name in ("method", "lora", "negatives", "batch", "learning_rate", "schedule", "warmup", "loss"):
        assert getattr(ours, name) == getattr(mini, name), name
    assert ours.evaluation.most_loss == 0.03


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
    with pytest.raises(InputError, match=r"x\.yaml: sources\.0\.license is no setting \(perhaps licence is meant\)$"):
        read_config(tmp_path / "x.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sources: [{path: x, splits: train}]", "sources.0.splits must be a list, such as [train], got 'train'"),
        ("sources: [{path: x, splits: }]", "sources.0.splits must be a list, got nothing"),
        ("sources: x", "sources must be a list, such as [{path: x}], got 'x'"),
        ("sources: {path: x, most: 3}", "sources must be a list, such as [{path: x, most: 3}], got {path: x, most: 3}"),
        ("sources: [x]", "sources.0 must be settings (name: value), such as {path: x}, got 'x'"),
        ("sources: [{name: x}]", "sources.0.path must be given"),
        ("sources: [{path: 3}]", "sources.0.path must be a path, got 3"),
        ("shard: true", "shard is for method full; method lora trains so few weights that every process holds them all: leave shard out"),
        ("report_to: wandb", "report_to must be a list, such as [wandb], got 'wandb'"),
        ("loss: 3", "loss must be settings (name: value), got 3"),
        ("steps: many", "steps must be a whole number, got 'many'"),
        ("steps: 1.5", "steps must be a whole number, got 1.5"),
        ("seed:", "seed must be a whole number, got nothing"),
        ("steps: 0", "steps must be 1 or more, got 0"),
        ("warmup: 1", "warmup must be below 1, got 1"),
        ("learning_rate: [1]", "learning_rate must be a number, got [1]"),
        ("learning_rate: 0", "learning_rate must be above 0, got 0"),
        ("loss: {near_duplicate: 1.5}", "loss.near_duplicate must be at most 1, got 1.5"),
        ("dropout: maybe", "dropout must be true or false, got 'maybe'"),
        ("device: true", "device must be text, got true"),
        ("method: lor", "method must be 'lora', 'qlora' or 'full', got 'lor'"),
        ("lora: {targets: [3]}", "lora.targets.0 must be text, got 3"),
        ("learnin_rate: 1", "learnin_rate is no setting (perhaps learning_rate is meant)"),
        ("temperature: 1", "temperature is no setting (perhaps loss.temperature or intensity.temperature is meant)"),
        ("loss: {anchors: 1}", "loss.anchors is no setting (perhaps anchor is meant)"),
        ("zzz: 1", "zzz is no setting"),
        ("1: 1", "1 is no setting"),
        ("steps: x\nbatch: x", "batch must be a whole number, got 'x', and 1 more setting is wrong"),
        ("steps: x\nbatch: x\nseedd: 1", "seedd is no setting (perhaps seed is meant), and 2 more settings are wrong"),
        ("sources: [{path: x, format: y}]", "sources.0.format must be auto or one of triplets, tevatron, release, "
         "synthesis, folder, logs, got 'y'"),
        ("base: ~nobody-of-this-name/x", "the home folder of '~nobody-of-this-name/x' is not known; write the whole path"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_yamls_words(tmp_path: Path, text: str, said: str) -> None:
    given = "" if text.startswith("sources") else "sources: [{path: x}]\n"
    (tmp_path / "x.yaml").write_text(f"output: run\n{given}{text}\n")
    with pytest.raises(InputError) as told:
        read_config(tmp_path / "x.yaml")
    assert str(told.value).removeprefix(f"{tmp_path / 'x.yaml'}: ") == said


def test_one_name_of_modules_needs_no_list(tmp_path: Path) -> None:
    for name in ("all", "query"):
        assert make_config({"output": "run", "sources": [{"path": "x"}], "lora": {"targets": name}}).lora.targets == (
            name,
        )


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "base").mkdir()
    found = make_config(
        {
            "base": "~/base",
            "output": "~/run",
            "sources": [{"path": "~/a.jsonl", "documents": "~/documents.jsonl"}],
            "evaluation": {"sets": [{"path": "~/set", "rewritten": "~/rewritten.jsonl"}]},
        },
        folder=tmp_path / "configs",
    )
    ((source,), (held_out,)) = (found.sources, found.evaluation.sets)
    assert (found.base, found.output) == (str(tmp_path / "base"), tmp_path / "run")
    assert (source.path, source.documents) == (tmp_path / "a.jsonl", tmp_path / "documents.jsonl")
    assert (held_out.path, held_out.rewritten) == (tmp_path / "set", tmp_path / "rewritten.jsonl")


def test_a_loss_allowed_to_blends_wants_blends(tmp_path: Path) -> None:
    sets = "evaluation: {sets: [{path: x}], most_loss: 0.03}"
    (tmp_path / "x.yaml").write_text(f"output: run\nsources: [{{path: x}}]\n{sets}\n")
    with pytest.raises(
        InputError, match=r"most_loss says which shares of evaluation\.blend may be taken.* such as blend: "
    ):
        read_config(tmp_path / "x.yaml")


@pytest.mark.parametrize("name", ["train", "explained", "reasoned"])
def test_what_reasonir_mini_was_trained_on_holds_nothing_that_measures_it(name: str) -> None:
    config = read_config(CONFIGS.parent / "mini" / f"{name}.yaml")
    learnt = {(one.path.name, split) for one in config.sources for split in one.splits}
    assert not any(name.startswith("bright") for name, _ in learnt)
    measured = {(one.path.name, split) for one in config.evaluation.sets for split in one.splits}
    assert learnt.isdisjoint(measured) and len(measured) == 4  # the fifth is BRIGHT's, whole
    assert {split for name, split in learnt if name != "openstax"} == {"train"}
    prepared = {one.path.stem for one in config.sources if not one.splits}
    solutions = ("explained", "twins") if name == "explained" else ()
    assert {name for name in prepared if not name.startswith("reasoned-")} == {
        *("medical", "arithmetic", "problems", "functions", "written"),
        *solutions,
    }
    written = (CONFIGS.parent / "mini" / "reasoned.jsonl").read_text("utf-8").splitlines()
    groups = {"reasoned-" + json.loads(line)["id"].partition("-")[0] for line in written}
    assert {name for name in prepared if name.startswith("reasoned-")} == (set() if name == "train" else groups)
    assert all(one.licence for one in config.sources)


def test_the_mixes_of_the_ablation_hold_nothing_that_measures_them() -> None:
    asked = read_ablation(CONFIGS.parent / "mini" / "ablate.yaml")
    learnt = {(one.path.name, split) for one in asked.config.sources for split in one.splits}
    assert learnt.isdisjoint({(one.path.name, split) for one in asked.config.evaluation.sets for split in one.splits})
    assert not any(one.path.name.startswith("bright") for one in asked.config.sources)
    assert set(asked.mixes["both"]) == {*asked.mixes["public"], *asked.mixes["written"]}
