"""Exported data say who wrote them, and the card of what is trained on them says it too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reasonir_agent.errors import InputError
from reasonir_agent.evaluation.datasets import open_data_set
from reasonir_trainer.data.provenance import place_of, read_provenance, write_provenance
from reasonir_trainer.data.reading import SourceSpec, read_source
from reasonir_trainer.export import export, take_over
from reasonir_trainer.synthesis.data_files import DataWriter
from reasonir_trainer.training.ablation import Ablated, Row
from reasonir_trainer.training.ablation_table import HEAD, table
from reasonir_trainer.training.card import Facts, card
from reasonir_trainer.training.config import make_config
from tests.trainer.data_sets import row


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with DataWriter(tmp_path / "set") as writer:
        for number in range(40):
            writer.add(row(number))
    return tmp_path / "set"


def models(path: Path) -> tuple[str, ...]:
    return read_source(SourceSpec(name="notes", path=path)).models


@pytest.mark.parametrize(
    ("to", "train"), [("triplets", "train.jsonl"), ("tevatron", "train.jsonl"), ("beir", "train"), ("reasonir", "train.jsonl")]
)  # fmt: skip
def test_a_card_knows_that_exported_data_are_scripted(folder: Path, tmp_path: Path, to: str, train: str) -> None:
    export(folder, to, tmp_path / "out", held_out=0.3)
    config = make_config({"output": "run", "sources": [{"path": f"out/{train}"}]}, folder=tmp_path)
    source = read_source(SourceSpec(name="train", path=config.sources[0].path))
    told: dict[str, Any] = {"counts": {}, "before": {}, "after": {}, "steps": 1, "best_step": 1, "blend": 1.0}
    text = card(Facts(config=config, base="minilm", sources=[source], **told))
    assert text.split("\n\n")[2].startswith("**A scripted model wrote data") and "| openai:scripted |" in text
    assert table(Ablated([Row("base", {}, {"a": 0.1})], source.models, 1, 0)).startswith(HEAD)
    assert len(open_data_set(str(tmp_path / "out" / "held-out")).load("test").queries) > 3  # read as before


def test_whole_exports_and_what_is_made_of_them_say_it(folder: Path, tmp_path: Path) -> None:
    export(folder, "triplets", tmp_path / "t.jsonl")
    assert models(tmp_path / "t.jsonl") == ("openai:scripted",)
    take_over(tmp_path / "t.jsonl", "triplets", tmp_path / "back")
    export(tmp_path / "back", "tevatron", tmp_path / "again.jsonl")
    assert models(tmp_path / "back") == models(tmp_path / "again.jsonl") == ("openai:scripted",)


def test_the_hash_of_a_source_does_not_depend_on_it(folder: Path, tmp_path: Path) -> None:
    export(folder, "triplets", tmp_path / "t.jsonl")
    spec = SourceSpec(name="notes", path=tmp_path / "t.jsonl")
    before = read_source(spec)
    place_of(tmp_path / "t.jsonl").unlink()
    assert read_source(spec).hash == before.hash and not read_source(spec).models


def test_nobody_is_named_by_a_file_that_stood_there_before(tmp_path: Path) -> None:
    data = tmp_path / "t.jsonl"
    write_provenance(data, ["b", "a", "b"])
    assert read_provenance(data) == ("a", "b")
    write_provenance(data, [])
    assert read_provenance(data) == () and not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["{", "[]", '{"models": "x"}', "\ud800"])
def test_a_damaged_file_is_one_sentence(tmp_path: Path, text: str) -> None:
    place_of(tmp_path / "t.jsonl").write_text(text, errors="surrogatepass")
    with pytest.raises(InputError, match=r"t\.jsonl\.provenance\.json (cannot be read|must hold)"):
        read_provenance(tmp_path / "t.jsonl")
