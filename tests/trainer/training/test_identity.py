"""What a run is does not depend on where it stands or from where it is begun; it does on what is learnt and measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reasonir_agent.errors import InputError
from reasonir_trainer.training.config import TrainingConfig, read_config
from reasonir_trainer.training.evaluating import open_held_out
from reasonir_trainer.training.resume import open_run
from reasonir_trainer.training.run import identity_of, read_sources, train


@pytest.fixture
def project(settings: dict[str, Any], tmp_path: Path) -> Path:
    """A folder with data and x.yaml, whose paths are relative."""
    sources = [{"path": "data/first.jsonl"}, {"path": "data/second.jsonl"}]
    sets = [{"path": "data/held-out", "most_queries": 4}]
    own = {"output": "run", "sources": sources, "evaluation": {"sets": sets, "every": 2}, "steps": 2}
    (tmp_path / "x.yaml").write_text(json.dumps(settings | own))
    return tmp_path


def claim(config: TrainingConfig) -> bool:
    return open_run(config.output, identity_of(config, read_sources(config), open_held_out(config.evaluation.sets)))


def test_a_run_goes_on_from_another_working_directory(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.parent)
    assert not claim(read_config(Path(project.name) / "x.yaml"))
    monkeypatch.chdir(project)
    assert claim(read_config(Path("x.yaml")))
    assert claim(read_config(project / "x.yaml"))
    assert str(project) not in (project / "run" / "run.json").read_text()


def test_a_base_in_a_folder_is_known_by_its_place(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "other"):
        (project / "bases" / name / "model").mkdir(parents=True)
    asked = json.loads((project / "x.yaml").read_text()) | {"base": "bases/one/model"}
    (project / "x.yaml").write_text(json.dumps(asked))
    monkeypatch.chdir(project.parent)
    assert not claim(read_config(Path(project.name) / "x.yaml"))
    monkeypatch.chdir(project)
    assert claim(read_config(Path("x.yaml")))
    (project / "x.yaml").write_text(json.dumps(asked | {"base": "bases/other/model"}))
    with pytest.raises(InputError, match="differs in base"):
        claim(read_config(Path("x.yaml")))


def test_what_is_measured_belongs_to_the_run(project: Path) -> None:
    config = read_config(project / "x.yaml")
    assert not claim(config)
    (one,) = config.evaluation.sets
    larger = config.evaluation.model_copy(update={"sets": (one.model_copy(update={"most_queries": 5}),)})
    with pytest.raises(InputError, match=r"differs in held_out\.held-out"):
        claim(config.model_copy(update={"evaluation": larger}))
    renamed = config.evaluation.model_copy(update={"sets": (one.model_copy(update={"name": "other"}),)})
    with pytest.raises(InputError, match=r"differs in held_out\.other, held_out\.held-out"):
        claim(config.model_copy(update={"evaluation": renamed}))
    queries = one.path / "queries.jsonl"
    queries.write_text(queries.read_text().replace("why", "when").replace("sky", "sea"))
    with pytest.raises(InputError, match=r"differs in held_out\.held-out"):
        claim(config)


@pytest.mark.parametrize("change", [{"weight": 2.0}, {"name": "another"}, {"most": 3}, {"instruction": "Find it."}])
def test_what_is_learnt_belongs_to_the_run(project: Path, change: dict[str, Any]) -> None:
    assert not claim(read_config(project / "x.yaml"))
    asked = json.loads((project / "x.yaml").read_text())
    asked["sources"][0] |= change
    if "weight" in change:
        asked["sources"][1] |= {"weight": 1.0}
    (project / "x.yaml").write_text(json.dumps(asked))
    with pytest.raises(InputError, match=r"differs in (sources|data\.first)"):
        claim(read_config(project / "x.yaml"))


@pytest.mark.slow
def test_a_folder_with_run_and_data_that_was_moved_goes_on(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    first = train(read_config(Path("x.yaml")))
    moved = project / "moved"
    moved.mkdir()
    for name in ("x.yaml", "data", "run"):
        (project / name).rename(moved / name)
    again = train(read_config(moved / "x.yaml"))
    assert (again.before, again.after, again.steps) == (first.before, first.after, 2)
    assert again.model == moved / "run" / "model"
