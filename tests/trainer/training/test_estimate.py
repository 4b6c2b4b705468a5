"""What a run takes: counted by hand on a network of 64 positions, 32 wide, two layers; and against the real one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from reasonir_agent.errors import CheckpointError, InputError
from reasonir_trainer.training.config import TrainingConfig
from reasonir_trainer.training.estimate import count_memory, estimate, stated_device, trial
from reasonir_trainer.training.model import load_base
from reasonir_trainer.training.run import estimate_run, make_loss, make_mix, make_reading, read_sources, train
from reasonir_trainer.training.shape import shape_folder
from reasonir_trainer.training.trainer import as_tensors

Make = Callable[..., TrainingConfig]

LAYER = 4 * (32 * 32 + 32) + (32 * 48 + 48) + (48 * 32 + 32) + 2 * 2 * 32
"""Query, key, value and output; two feed-forward matrices; two norms."""


def embeddings(vocabulary: int) -> int:
    return (vocabulary + 64 + 2) * 32 + 2 * 32  # words, positions, segments; a norm


def test_parameters_and_their_bytes_are_counted_exactly(make: Make) -> None:
    config = make(method="full")
    folder = config.base
    vocabulary = json.loads((load_base(config).checkpoint.folder / "config.json").read_text())["vocab_size"]
    memory, parameters, trained = count_memory(config, load_base(config).checkpoint.folder, torch.device("cpu"), 32)
    assert parameters == trained == embeddings(vocabulary) + 2 * LAYER, folder
    assert memory.weights == memory.gradients == 4 * parameters
    assert memory.optimizer == 8 * parameters  # two moments in float32
    # 6 queries and 12 documents with their gradients, and a block of 6 x 12 scores four times
    assert memory.vectors == (6 + 12) * 32 * 4 * 2 + 6 * 12 * 4 * 4


def test_an_adapter_counts_rank_times_in_and_out(make: Make) -> None:
    config = make(method="lora", lora={"rank": 4, "targets": ["query", "intermediate.dense".rpartition(".")[2]]})
    base = load_base(config)
    _, parameters, trained = count_memory(config, base.checkpoint.folder, torch.device("cpu"), 32)
    # in a layer: query and output 32 x 32, feed-forward 32 x 48 and 48 x 32 ("dense" names the last three)
    assert trained == 2 * 4 * (2 * 64 + 2 * 80)
    assert trained == sum(one.numel() for one in base.trainable().values())
    assert parameters == sum(one.numel() for one in base.model.parameters())


def test_adapters_in_some_layers_alone(make: Make) -> None:
    config = make(method="lora", lora={"rank": 4, "targets": ["query", "value"], "layers": [1]})
    base = load_base(config)
    _, _, trained = count_memory(config, base.checkpoint.folder, torch.device("cpu"), 32)
    assert trained == 4 * (2 * 64 + 2 * 64) // 2  # one layer: query and value, 32 x 32 each
    assert trained == sum(one.numel() for one in base.trainable().values())
    assert all(".layer.1.attention.self." in name for name in base.trainable())


def test_a_layer_that_the_base_has_not_is_named(make: Make) -> None:
    with pytest.raises(InputError, match=r"lora\.layers: the base has no layer 2; it has 2, from 0"):
        load_base(make(method="lora", lora={"layers": [1, 2]}))
    with pytest.raises(InputError, match=r"lora\.layers must hold different numbers from 0"):
        make(method="lora", lora={"layers": [1, 1]})


@pytest.mark.parametrize("method", ["full", "lora"])
def test_activations_are_what_the_real_network_keeps(make: Make, method: str) -> None:
    """Kept tensors of a real backward pass over one mini-batch; float32, eager attention: equal to the byte or nearly."""
    config = make(method=method, mini_batch_tokens=64, attention="eager")
    base = load_base(config)
    memory, _, _ = count_memory(config, base.checkpoint.folder, torch.device("cpu"), 16)
    own = {one.untyped_storage().data_ptr() for one in base.model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    ids = torch.ones(4, 16, dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda one: one):
        base.model[0].model(input_ids=ids, attention_mask=torch.ones_like(ids))
    real = sum(one.untyped_storage().nbytes() for one in kept.values())
    assert memory.activations == pytest.approx(real, rel=0.05)


def test_memory_does_not_grow_with_the_batch_but_for_vectors(make: Make) -> None:
    folder = load_base(make()).checkpoint.folder
    small, large = (count_memory(make(batch=one), folder, torch.device("cpu"), 32)[0] for one in (6, 600))
    assert small.activations == large.activations and small.vectors < large.vectors
    kept = count_memory(make(keep_tokens=96), folder, torch.device("cpu"), 48)[0]
    assert kept.activations == 3 * count_memory(make(), folder, torch.device("cpu"), 48)[0].activations  # 48 and 96
    all_kept = [count_memory(make(keep_tokens=one), folder, torch.device("cpu"), 48)[0] for one in (10**4, 10**6)]
    assert all_kept[0].activations == 18 * kept.activations / 3  # 6 queries and 12 documents, and no more than they
    assert all_kept[0] == all_kept[1]
    again = count_memory(make(gradient_checkpointing=True), folder, torch.device("cpu"), 32)[0]
    assert again.activations < small.activations


def test_tokens_of_a_step_are_those_of_the_batches(make: Make) -> None:
    config = make(sources=[make().sources[0].model_dump()], batch=20, steps=1)
    sources, base = read_sources(config), load_base(config)
    mix, reading = make_mix(config, sources), make_reading(config, base, sources)
    found = estimate(config, None, mix, reading, rate=100.0)
    batch = reading.batch(mix.draw(0))
    assert found.tokens_per_step == batch.queries.tokens + batch.documents.tokens
    assert found.seconds == pytest.approx(found.tokens_per_step / 100)
    assert not found.is_bound and not found.is_measured


def test_a_stated_rate_needs_no_data_and_gives_a_bound(make: Make) -> None:
    config = make(query_tokens=20, document_tokens=30, negatives=2, batch=10, steps=50)
    for source in config.sources:
        source.path.unlink()
    found = estimate_run(config, rate=1000.0)
    assert found.tokens_per_step == 10 * (20 + 3 * 30) and found.is_bound
    assert found.seconds == 50 * 1100 / 1000
    assert "time: at most 55 s, 50 steps of at most 1,100 tokens at 1,000 tokens/s (as stated)" in found.lines()
    assert "left out: the program itself" in found.lines()[-1]


def test_a_trial_changes_nothing(make: Make) -> None:
    config = make(dropout=True)
    base, sources = load_base(config), read_sources(config)
    before = {name: one.detach().clone() for name, one in base.model.named_parameters()}
    state = torch.get_rng_state()
    batch = make_reading(config, base, sources).batch(make_mix(config, sources).draw(0))
    assert trial(config, base, [batch]) > 0
    assert torch.equal(state, torch.get_rng_state())
    for name, one in base.model.named_parameters():
        assert torch.equal(one, before[name]) and one.grad is None, name
    loss = make_loss(config, base)
    tensors = as_tensors(batch, torch.device("cpu"))
    assert loss([tensors["queries"], tensors["documents"]], tensors["facts"]).item() > 0  # it can still be trained


@pytest.fixture
def shape_alone(tiny_bert: Path, tmp_path: Path) -> Path:
    """A base's folder with config.json and nothing else."""
    folder = tmp_path / "shape"
    folder.mkdir()
    (folder / "config.json").write_bytes((tiny_bert / "config.json").read_bytes())
    return folder


def test_a_stated_rate_needs_no_weights(make: Make, shape_alone: Path) -> None:
    config = make()
    found = estimate_run(make(base=str(shape_alone)), rate=1000.0)
    assert found == estimate_run(config, rate=1000.0) and found.parameters > 0
    with pytest.raises(CheckpointError, match=r"has no \*\.safetensors"):
        estimate_run(make(base=str(shape_alone)))


def test_of_a_hub_s_base_config_json_alone_is_fetched(
    make: Make, shape_alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fetch(*names: str) -> str:
        asked.append(names)
        return str(shape_alone / "config.json")

    monkeypatch.setattr(f"{shape_folder.__module__}.hf_hub_download", fetch)
    assert estimate_run(make(base="owner/name"), rate=1000.0) == estimate_run(make(), rate=1000.0)
    assert shape_folder("reasonir-8b") == shape_alone
    assert asked == [("owner/name", "config.json"), ("reasonir/ReasonIR-8B", "config.json")]


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (
            LocalEntryNotFoundError,
            "config.json of 'owner/name' is not on this machine and the model hub cannot be reached",
        ),
        (EntryNotFoundError, "the model hub's 'owner/name' has no config.json"),
        (OSError, "fetching config.json of 'owner/name' from the model hub failed: OSError: disk"),
    ],
)
def test_a_config_that_cannot_be_had_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, mistake: type[Exception], said: str
) -> None:
    def refuse(*_: str) -> str:
        raise mistake("disk")

    monkeypatch.setattr(f"{shape_folder.__module__}.hf_hub_download", refuse)
    with pytest.raises(CheckpointError) as caught:
        shape_folder("owner/name")
    assert str(caught.value).startswith(said) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["minilmm", "./nowhere", "a/b/c", "x\0y", "z" * 9000])
def test_a_base_that_is_nothing_is_asked_of_nobody(name: str) -> None:
    with pytest.raises(InputError, match="unknown encoder"):
        shape_folder(name)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("no_gpu")
def test_a_stated_rate_is_estimated_for_a_gpu_that_is_not_here(make: Make) -> None:
    sizes: dict[str, Any] = {"precision": "auto", "mini_batch_tokens": None, "keep_tokens": None, "batch": 600}
    cpu, gpu = (estimate_run(make(device=one, **sizes), rate=1000.0) for one in ("cpu", "cuda:1"))
    assert (cpu.device, cpu.is_here, gpu.device, gpu.is_here) == ("cpu", True, "cuda", False)
    folder = load_base(make()).checkpoint.folder
    as_stated = make(**{**sizes, "precision": "bfloat16", "mini_batch_tokens": 16384, "keep_tokens": 0})
    assert gpu.memory == count_memory(as_stated, folder, torch.device("cuda"), 64)[0]
    assert gpu.lines()[1].startswith("memory on one cuda (none is here): ")
    with pytest.raises(InputError, match="using the device 'cuda' failed"):
        estimate_run(make(device="cuda"))
    with pytest.raises(InputError, match="reading the device 'gpu' failed"):
        estimate_run(make(device="gpu"), rate=1000.0)


@pytest.mark.usefixtures("no_gpu")
def test_four_bits_with_a_stated_rate_need_no_gpu(make: Make) -> None:
    full = make(method="lora", device="auto", precision="bfloat16")
    four_bits = estimate_run(make(method="qlora", device="auto"), rate=1000.0)
    assert four_bits.device == "cuda" and not four_bits.is_here
    assert four_bits.memory.weights < estimate_run(full, rate=1000.0).memory.weights
    with pytest.raises(InputError, match="method qlora needs an NVIDIA GPU, got device 'cpu'"):
        estimate_run(make(method="qlora", device="cpu"), rate=1000.0)


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(
    ("changes", "width", "device"),
    [
        ({"precision": "bfloat16"}, 4096, "cuda"),
        ({"precision": "bfloat16"}, 384, "cpu"),
        ({"precision": "auto"}, 4096, "cpu"),
        ({"attention": "flash_attention_2"}, 384, "cuda"),
        ({"method": "qlora"}, 384, "cuda"),
        ({"precision": "bfloat16", "device": "cpu"}, 4096, "cpu"),
    ],
)
def test_a_run_that_is_meant_for_a_gpu_is_estimated_for_one(
    make: Make, changes: dict[str, Any], width: int, device: str
) -> None:
    assert stated_device(make(**{"device": "auto", **changes}), {"hidden_size": width}).type == device


def test_several_processes_are_told_what_is_not_counted(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = estimate_run(make(), rate=1000.0)
    monkeypatch.setattr("reasonir_trainer.training.processes.count", lambda: 8)
    config, sources = make(), read_sources(make())
    base = load_base(config)
    found = estimate(config, None, make_mix(config, sources), make_reading(config, base, sources))
    assert found.processes == 8 and found.seconds is None and found.memory.weights == alone.memory.weights
    assert found.lines()[1].endswith("; for one process, shards not counted")
    assert "no trial is made of several processes, state a rate with --dry-run --tokens-per-second" in found.lines()[2]


def test_what_is_kept_between_layers_is_as_wide_as_the_embeddings(make: Make) -> None:
    """Full training holds weights in float32, and autocast leaves the embeddings' numbers so: 4 bytes in either precision."""
    folder = load_base(make()).checkpoint.folder
    between = 2 * 32 * 32 * 4  # layers x tokens x width x bytes
    for precision in ("float32", "bfloat16"):
        plain, again = (
            count_memory(
                make(precision=precision, mini_batch_tokens=32, gradient_checkpointing=one),
                folder,
                torch.device("cpu"),
                32,
            )[0].activations
            for one in (False, True)
        )
        assert again == plain // 2 + between


@pytest.mark.slow
def test_a_run_with_its_estimate_is_the_run_without(make: Make) -> None:
    told = []
    config = make(dropout=True, evaluation={})
    train(config, foretell=told.append)
    other = make(dropout=True, evaluation={}, output=f"{config.output}-plain")
    train(other)
    one, two = (
        [json.loads(line)["loss"] for line in (folder / "history.jsonl").read_text().splitlines()]
        for folder in (config.output, other.output)
    )
    assert one == two
    assert len(told) == 1 and told[0].is_measured and told[0].seconds > 0 and told[0].steps == 6
    assert replace(told[0], tokens_per_second=None).seconds is None


def test_an_anchor_s_own_pass_takes_time(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass without a graph takes 1 s here, one with 3 s; no graph is kept beyond a mini-batch."""
    monkeypatch.setattr(f"{trial.__module__}._seconds", lambda *_, with_graph: 3.0 if with_graph else 1.0)

    def rate(anchor: float) -> float:
        config = make(keep_tokens=0, loss={"anchor": anchor})
        base, sources = load_base(config), read_sources(config)
        batch = make_reading(config, base, sources).batch(make_mix(config, sources).draw(0))
        return trial(config, base, [batch])

    assert rate(0.0) / rate(1.0) == pytest.approx(5 / 4)
