"""The card of an encoder: its header is YAML, its numbers are those of the run, and it says no more than is known."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from sentence_transformers import SentenceTransformer

from reasonir_agent.encoder import ReasonIREncoder
from reasonir_trainer.data.examples import Candidate, Example, Source
from reasonir_trainer.training.card import Facts, card
from reasonir_trainer.training.config import TrainingConfig
from reasonir_trainer.training.run import train

Make = Callable[..., TrainingConfig]


def facts(config: TrainingConfig, *, model: str = "", **changes: Any) -> Facts:
    examples = [Example("e", "why", (Candidate("because"),), model=model)]
    fields: dict[str, Any] = {
        "config": config,
        "base": "minilm",
        "sources": [Source(one.label, examples) for one in config.sources],
        "counts": {"first": 4, "second": 2},
        "before": {"held-out": 0.25, "other": 0.5},
        "after": {"held-out": 0.375, "other": 0.25},
        "steps": 6,
        "best_step": 4,
        "blend": 0.5,
    }
    return Facts(**(fields | changes))


def header(text: str) -> dict[str, Any]:
    return dict(yaml.safe_load(text.split("---")[1]))


def test_numbers_sources_and_licences_stand_in_the_card(make: Make) -> None:
    sources = [make().sources[0].model_dump() | {"licence": "CC-BY-4.0"}, make().sources[1].model_dump()]
    text = card(facts(make(sources=sources, method="lora", seed=5)))
    assert header(text)["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert header(text)["library_name"] == "sentence-transformers"
    assert "| held-out | 25.0 | 37.5 | +50.0% |" in text and "| other | 50.0 | 25.0 | -50.0% |" in text
    assert "| average | 37.5 | 31.2 | -16.7% |" in text
    assert "| first | 1 | 4 | CC-BY-4.0 | – |" in text and "| second | 1 | 2 | not named | – |" in text
    assert "| seed | `5` |" in text and "| loss.temperature | `0.02` |" in text and "| lora.rank | `16` |" in text
    assert "The weights of step 4 were taken, 0.5 of the way from the base to them." in text
    assert str(make().output.parent) not in text and "scripted" not in text


def test_data_of_a_scripted_model_are_headed_as_such(make: Make) -> None:
    text = card(facts(make(), model="openai:scripted"))
    assert text.split("\n\n")[2].startswith("**A scripted model wrote data")
    assert "| openai:scripted |" in text


def test_nothing_measured_is_said_and_a_cut_set_is_named(make: Make) -> None:
    assert "Nothing was measured." in card(facts(make(), before={}, after={}))
    sets = [make().evaluation.sets[0].model_dump() | {"most_documents": 5}]
    text = card(facts(make(evaluation={"sets": sets})))
    assert "higher values than the whole ones: `held-out` (at most 5 documents)." in text


@pytest.mark.slow
def test_a_run_writes_cards_and_picture_and_what_they_say_works(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = make(method="lora", steps=3)
    done = train(config)
    assert (config.output / "training.svg").read_text().startswith("<svg ")
    text = (done.model / "README.md").read_text()
    assert f"| {100 * done.before['held-out']:.1f} | {100 * done.after['held-out']:.1f} |" in text
    assert done.adapter is not None
    own = (done.adapter / "README.md").read_text()
    assert header(own)["base_model"] == "tiny-bert" and header(own)["base_model_relation"] == "adapter"
    for one in (text, own):
        assert str(tmp_path) not in one and str(config.base) not in one
    programs = [
        program.replace("path/to/model", str(done.model)) for program in re.findall("```python\n(.*?)```", text, re.S)
    ]
    assert len(programs) == 2
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for program in programs:
        exec(program, {})  # the card's own words
    assert ReasonIREncoder(done.model).query_prefix == SentenceTransformer(str(done.model)).prompts["query"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_missing_reporter_is_one_sentence(make: Make, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    import importlib.util

    from reasonir_agent.errors import MissingExtra

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda one, *rest: None if one == name else find(one, *rest))
    with pytest.raises(MissingExtra, match=f"report_to {name} needs the package '{name}', which is not installed"):
        train(make(report_to=[name], evaluation={}))
    assert not (make().output / "checkpoints").exists()
