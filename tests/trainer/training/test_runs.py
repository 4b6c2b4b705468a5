"""A run from configuration to encoder: what is saved opens everywhere with the same vectors, and mistakes are sentences."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel

from reasonir_agent.encoder import ReasonIREncoder
from reasonir_agent.encoder.adapter import read_adapter
from reasonir_agent.encoder.checkpoint import read_checkpoint
from reasonir_agent.encoder.torch_backbone import is_bidirectional
from reasonir_agent.errors import InputError
from reasonir_trainer.training.config import TrainingConfig
from reasonir_trainer.training.model import load_base
from reasonir_trainer.training.run import _to_save, train
from reasonir_trainer.training.trainer import TrainingFailed

Make = Callable[..., TrainingConfig]
QUESTIONS = ["why is the sky blue", "salt river 1 2 3"]
INSTRUCTION = "Given a question, retrieve relevant passages that help answer the question"


def history(config: TrainingConfig) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (config.output / "history.jsonl").read_text().splitlines()]


def losses(config: TrainingConfig) -> list[float]:
    return [line["loss"] for line in history(config) if "loss" in line]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_run_lowers_the_loss_and_its_result_opens_everywhere(make: Make, method: str) -> None:
    config = make(method=method, steps=30, learning_rate=5e-3, lora={"rank": 4, "alpha": 8}, evaluation={})
    done = train(config)
    found = losses(config)
    assert len(found) == 30 and sum(found[-6:]) < 0.8 * sum(found[:6])
    ours = ReasonIREncoder(done.model, device="cpu", dtype="float32").encode_queries(QUESTIONS)
    theirs = SentenceTransformer(str(done.model), device="cpu", local_files_only=True).encode(QUESTIONS)
    base = ReasonIREncoder(config.base, device="cpu", dtype="float32").encode_queries(QUESTIONS)
    np.testing.assert_allclose(ours, theirs, atol=2e-6)
    assert float(np.abs(ours - base).max()) > 0.01
    assert (done.adapter is not None) == (method == "lora")


@pytest.mark.slow
def test_every_file_of_a_result_may_be_read_by_whom_the_others_may(make: Make) -> None:
    """One user trains and another serves."""
    done = train(make(method="lora", steps=2, evaluation={}))
    assert done.adapter is not None
    modes = {file.stat().st_mode & 0o777 for one in (done.model, done.adapter) for file in one.rglob("*.*")}
    (done.model.parent / "plain").write_text("made by open()")
    assert modes == {(done.model.parent / "plain").stat().st_mode & 0o777}


@pytest.mark.slow
def test_the_adapter_on_the_base_is_the_merged_model(make: Make) -> None:
    config = make(method="lora", learning_rate=1e-2, evaluation={})
    done = train(config)
    assert done.adapter is not None
    settings = json.loads((done.adapter / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == "tiny-bert"  # no path of this machine
    weights = AutoModel.from_pretrained(config.base, add_pooling_layer=False).state_dict()
    merged = AutoModel.from_pretrained(done.model, add_pooling_layer=False).state_dict()
    for name, delta in read_adapter(done.adapter).deltas({name: tuple(one.shape) for name, one in weights.items()}):
        assert np.abs(delta).max() > 1e-4
        weights[name] += torch.from_numpy(delta)
    for name, one in merged.items():
        torch.testing.assert_close(weights[name], one, rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_causal_shape_is_bidirectional_in_training_and_after(make: Make, golden_folder: Path, method: str) -> None:
    """After save, load, merge, and in sentence-transformers' own loader; vectors equal ours, prefixes inside."""
    config = make(
        base=str(golden_folder), method=method, steps=2, learning_rate=1e-2, document_tokens=64, evaluation={}
    )
    base = load_base(config)
    assert is_bidirectional(base.model[0].model.eval())
    done = train(config)
    saved = json.loads((done.model / "config.json").read_text())
    assert saved["is_causal"] is False and "auto_map" not in saved
    assert is_bidirectional(AutoModel.from_pretrained(done.model).eval())
    theirs = SentenceTransformer(str(done.model), device="cpu", local_files_only=True)
    assert is_bidirectional(theirs[0].model.eval())
    encoder = ReasonIREncoder(done.model, device="cpu", dtype="float32")
    assert encoder.query_prefix == f"<|user|>\n{INSTRUCTION}\n<|embed|>\n"
    assert encoder.document_prefix == "<|embed|>\n"
    np.testing.assert_allclose(encoder.encode_queries(QUESTIONS), theirs.encode_query(QUESTIONS), atol=2e-6)
    np.testing.assert_allclose(encoder.encode_documents(QUESTIONS), theirs.encode_document(QUESTIONS), atol=2e-6)


@pytest.mark.slow
def test_an_adapter_says_in_what_way_it_was_trained(make: Make, golden_folder: Path, tmp_path: Path) -> None:
    """A plain causal Llama is used as one: what the run changed about that stands beside the adapter."""
    plain = shutil.copytree(golden_folder, tmp_path / "plain-llama")
    config = json.loads((plain / "config.json").read_text())
    config.pop("auto_map", None)
    (plain / "config.json").write_text(json.dumps({**config, "architectures": ["LlamaForCausalLM"]}))
    for name in ("modules.json", "config_sentence_transformers.json"):
        (plain / name).unlink(missing_ok=True)
    asked = make(
        base=str(plain), method="lora", steps=1, document_tokens=64, query_instruction="Find a proof.", evaluation={}
    )
    done = train(asked)
    assert done.adapter is not None
    as_it_was = read_checkpoint(plain)
    assert (as_it_was.bidirectional, as_it_was.pool_prefix, as_it_was.query_template) == (False, True, "")
    found, merged = read_checkpoint(plain, adapter=done.adapter), read_checkpoint(done.model)
    for one in (found, merged):
        assert (one.bidirectional, one.pooling, one.pool_prefix) == (True, "mean", False)
        assert one.query_template.format(instruction=one.instruction) == "<|user|>\nFind a proof.\n<|embed|>\n"
        assert one.document_prefix == "<|embed|>\n"


@pytest.mark.slow
def test_an_adapter_of_a_base_that_is_used_as_before_says_nothing_about_it(make: Make) -> None:
    done = train(make(method="lora", steps=1, evaluation={}))
    assert done.adapter is not None
    names = sorted(file.name for file in done.adapter.iterdir())
    assert names == ["README.md", "adapter_config.json", "adapter_model.safetensors", "whole.json"]


@pytest.mark.slow
def test_the_best_measured_weights_are_taken(make: Make) -> None:
    """A rate that destroys: the base, measured first, is best, and is what comes out."""
    settings = make().evaluation.model_dump() | {"every": 2, "patience": 2}
    config = make(steps=20, learning_rate=0.5, warmup=0.0, evaluation=settings)
    done = train(config)
    assert done.best_step == 0 and done.after == done.before
    assert done.steps == 4  # two measurements without a better one
    assert train(config) == done  # stopped is finished
    assert len(losses(config)) == 4
    ours = ReasonIREncoder(done.model, device="cpu", dtype="float32").encode_queries(QUESTIONS)
    base = ReasonIREncoder(config.base, device="cpu", dtype="float32").encode_queries(QUESTIONS)
    np.testing.assert_allclose(ours, base, atol=2e-6)


@pytest.mark.slow
def test_what_was_trained_on_short_texts_reads_what_its_base_reads(make: Make) -> None:
    """The model, as the adapter on the base and as the measurements: up to the base's window."""
    config = make(method="lora", steps=1, query_tokens=12, document_tokens=12, learning_rate=1e-9, evaluation={})
    done = train(config)
    long = " ".join(["salt river", *["moon"] * 20, *["cold heat"] * 12])
    base = ReasonIREncoder(config.base, device="cpu", dtype="float32").encode_documents([long])
    ours = ReasonIREncoder(done.model, device="cpu", dtype="float32").encode_documents([long])
    np.testing.assert_allclose(ours, base, atol=2e-6)
    theirs = SentenceTransformer(str(done.model), device="cpu", local_files_only=True)
    np.testing.assert_allclose(theirs.encode([long]), base, atol=2e-6)


@pytest.mark.slow
def test_adapters_are_float32_whatever_the_base_is(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reasonir_trainer.training.model.dtype_of", lambda *_: torch.bfloat16)
    config = make(method="lora", steps=2, precision="bfloat16", evaluation={})
    base = load_base(config)
    assert {one.dtype for one in base.trainable().values()} == {torch.float32}
    assert {one.dtype for one in base.model.parameters() if not one.requires_grad} == {torch.bfloat16}
    train(config)
    assert len(set(losses(config))) == 2


@pytest.mark.slow
def test_activations_that_are_computed_again_change_nothing(make: Make, tmp_path: Path) -> None:
    """Gradient checkpointing, for the whole model and for adapters alone."""
    for method in ("full", "lora"):
        plain, again = (
            make(
                output=str(tmp_path / f"{method}-{one}"),
                method=method,
                gradient_checkpointing=one,
                steps=3,
                evaluation={},
            )
            for one in (False, True)
        )
        train(plain)
        train(again)
        assert losses(again) == pytest.approx(losses(plain), rel=1e-5)
        assert len(set(losses(again))) == 3


@pytest.mark.slow
def test_tensorboard_gets_the_loss_and_the_measurements(make: Make) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = make(report_to=["tensorboard"], steps=10)
    done = train(config)
    events = EventAccumulator(str(next(config.output.rglob("events.out.tfevents*")).parent))
    events.Reload()
    found = {name: [(one.step, one.value) for one in events.Scalars(name)] for name in events.Tags()["scalars"]}
    assert found["train/loss"][-1][0] == 10
    measured = found["train/ndcg@10/held-out"]
    assert [step for step, _ in measured] == [0, 3, 6, 9, 10]
    assert measured[0][1] == pytest.approx(done.before["held-out"])


def test_what_was_trained_on_four_bits_is_saved_on_the_base_as_it_was_published(make: Make) -> None:
    """A stand-in for the part of QLoRA that needs no GPU: the trained adapter on a fresh base."""
    config = make(method="lora", evaluation={})
    base = load_base(config)
    for one in base.trainable().values():
        torch.nn.init.normal_(one, generator=torch.Generator().manual_seed(3))
    whole = _to_save(config.model_copy(update={"method": "qlora"}), base)
    assert whole is not None and whole is not base
    found = whole.trainable()
    assert found.keys() == base.trainable().keys()
    assert all(torch.equal(found[name], one) for name, one in base.trainable().items())


@pytest.mark.slow
def test_what_is_measured_is_what_evaluate_measures(make: Make) -> None:
    from reasonir_agent.evaluation.datasets import open_data_set
    from reasonir_agent.evaluation.metrics import score

    done = train(make(steps=3))
    split = open_data_set(str(make().evaluation.sets[0].path)).load("all")
    encoder = ReasonIREncoder(done.model, device="cpu", dtype="float32")
    assert split.documents is not None
    cosines = encoder.encode_queries(list(split.queries.values())) @ encoder.encode_documents(split.documents.texts).T
    run = {
        query: dict(zip(split.documents.ids, row.tolist(), strict=True))
        for query, row in zip(split.queries, cosines, strict=True)
    }
    per_query = score(split.qrels, run)
    expected = sum(one["ndcg@10"] for one in per_query.values()) / len(per_query)
    assert done.after["held-out"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.slow
def test_the_anchor_holds_the_vectors_where_they_were(make: Make) -> None:
    moved = []
    for number, anchor in enumerate((0.0, 20.0)):
        config = make(
            output=f"{make().output}{number}", steps=12, learning_rate=2e-3, loss={"anchor": anchor}, evaluation={}
        )
        ours = ReasonIREncoder(train(config).model, device="cpu", dtype="float32").encode_queries(QUESTIONS)
        base = ReasonIREncoder(config.base, device="cpu", dtype="float32").encode_queries(QUESTIONS)
        moved.append(float((1 - (ours * base).sum(1)).mean()))
    assert moved[1] < 0.5 * moved[0]


@pytest.mark.slow
def test_a_loss_that_is_no_number_ends_the_run_with_a_sentence(make: Make) -> None:
    config = make(steps=40, learning_rate=1e30, warmup=0.0, most_gradient=1e30, evaluation={})
    with pytest.raises(TrainingFailed, match=r"the loss of step \d+ is nan .* lower learning_rate"):
        train(config)


@pytest.mark.slow
def test_an_output_folder_of_another_run_is_refused(make: Make) -> None:
    train(make(steps=1, evaluation={}))
    with pytest.raises(InputError, match=r"holds another run \(it differs in steps\)"):
        train(make(steps=2, evaluation={}))
    with pytest.raises(InputError, match="differs in learning_rate"):
        train(make(steps=1, learning_rate=2e-3, evaluation={}))
    file = make().sources[0].path
    file.write_text(file.read_text().replace("why", "when"))
    with pytest.raises(InputError, match=r"differs in data\.first"):
        train(make(steps=1, evaluation={}))


def test_a_folder_that_is_no_run_is_refused(make: Make) -> None:
    make().output.mkdir()
    (make().output / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="is not empty and holds no training run"):
        train(make())


def test_an_empty_source_is_refused(make: Make) -> None:
    make().sources[0].path.write_text("")
    with pytest.raises(InputError, match="holds no examples"):
        train(make())


def test_a_positive_among_the_negatives_is_refused(make: Make) -> None:
    line = {"anchor": "why salt", "positive": "The  Sea", "negative": "the sea"}
    make().sources[0].path.write_text(json.dumps(line))
    with pytest.raises(InputError, match=r"first\.jsonl:1 has a positive among its negatives"):
        train(make())


@pytest.mark.slow
def test_a_text_without_tokens_is_refused(make: Make) -> None:
    lines = [json.dumps({"anchor": f"why {n}", "positive": "\a" if n == 3 else f"salt {n}"}) for n in range(12)]
    make().sources[0].path.write_text("\n".join(lines))
    with pytest.raises(InputError, match="has no token that the base knows"):
        train(make(evaluation={}))
