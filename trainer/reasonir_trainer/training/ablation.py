"""Which data help: named mixes of the sources, each trained from the same base under one seed and measured on the same sets.

After the ablation of ReasonIR (arXiv 2504.20595): varied-length data alone, hard queries alone, both; on original and on
rewritten queries. A configuration of an ablation is one of training with `mixes` added:

    mixes: {VL: [vl], HQ: [hq], both: [vl, hq]}

Every mix is a run in a folder of its own under `output`, for equally many steps and to its end: early stop and blends, which
choose by the held-out sets, are switched off, and the table shows the weights of the last step. An ablation begun again goes on
where it was; a mix that is done is read, not trained.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reasonir_agent.errors import InputError, StoreError, boundary
from reasonir_trainer.data.examples import Source
from reasonir_trainer.training import processes
from reasonir_trainer.training.card import SCRIPTED
from reasonir_trainer.training.checking import check_data
from reasonir_trainer.training.config import TrainingConfig, make_config, read_settings
from reasonir_trainer.training.evaluating import REWRITTEN, HeldOut, open_held_out
from reasonir_trainer.training.history import HISTORY, History
from reasonir_trainer.training.resume import open_run, write_whole
from reasonir_trainer.training.run import identity_of, read_sources, train
from reasonir_trainer.training.watching import Progress

DONE: Final = "measured.json"
BASE: Final = "base"
_NAME: Final = re.compile(r"[\w+-][\w+. -]*")


@dataclass(frozen=True, slots=True)
class Ablation:
    """What is asked for: settings that all mixes share, and the names of each mix's sources."""

    config: TrainingConfig
    mixes: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table.

    Attributes:
        name: of the mix, or `BASE`.
        examples: source -> number of its examples.
        sets: nDCG@10 of each held-out set.
    """

    name: str
    examples: Mapping[str, int]
    sets: Mapping[str, float]

    @property
    def original(self) -> float:
        """Mean over the sets with original queries."""
        return _mean([value for name, value in self.sets.items() if not name.endswith(REWRITTEN)])

    @property
    def rewritten(self) -> float | None:
        """Mean over the sets with rewritten queries; None without any."""
        found = [value for name, value in self.sets.items() if name.endswith(REWRITTEN)]
        return _mean(found) if found else None


@dataclass(frozen=True, slots=True)
class Ablated:
    """What an ablation found.

    Attributes:
        rows: the base first, then the mixes as they were named.
        models: that wrote data of a mix, where the data say so.
        steps: of each mix.
        seed: of all.
    """

    rows: Sequence[Row]
    models: Sequence[str]
    steps: int
    seed: int

    @property
    def is_scripted(self) -> bool:
        """Whether a scripted model wrote some of the data."""
        return any(SCRIPTED in model for model in self.models)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        rows = [
            {
                "mix": one.name,
                "examples": dict(one.examples),
                "ndcg@10": dict(one.sets),
                "original": one.original,
                "rewritten": one.rewritten,
            }
            for one in self.rows
        ]
        return {
            "scripted": self.is_scripted,
            "models": list(self.models),
            "steps": self.steps,
            "seed": self.seed,
            "rows": rows,
        }


def read_ablation(file: Path) -> Ablation:
    """Read a configuration with mixes.

    Raises:
        InputError: a setting is wrong, a mix names no source, or nothing is measured.
    """
    return make_ablation(read_settings(file), folder=file.parent, where=str(file))


def make_ablation(settings: dict[str, Any], *, folder: Path = Path(), where: str = "the configuration") -> Ablation:
    """Settings with mixes, checked; see `read_ablation`."""
    found = dict(settings)
    mixes = found.pop("mixes", None)
    config = make_config(found, folder=folder, where=where)
    if not isinstance(mixes, dict) or len(mixes) < 1:
        raise InputError(f"{where}: mixes must name the sources of each mix, such as {{VL: [vl], both: [vl, hq]}}")
    known = [one.label for one in config.sources]
    for name, names in mixes.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name == BASE:
            raise InputError(f"{where}: a mix is named by letters, digits and hyphens, and not {BASE!r}; got {name!r}")
        if not isinstance(names, list) or not names or len(set(map(str, names))) < len(names):
            raise InputError(f"{where}: the mix {name!r} must be a list of different sources, got {names!r}")
        unknown = [one for one in names if one not in known]
        if unknown:
            raise InputError(f"{where}: the mix {name!r} names {unknown[0]!r}, but the sources are {', '.join(known)}")
    if not config.evaluation.sets:
        raise InputError(f"{where}: an ablation measures nothing without evaluation.sets")
    if config.push_to:
        raise InputError(f"{where}: push_to is no setting of an ablation; push the mix that you choose by its folder")
    return Ablation(config, {name: tuple(names) for name, names in mixes.items()})


def config_of(ablation: Ablation, name: str) -> TrainingConfig:
    """The run of a mix."""
    config = ablation.config
    sources = tuple(one for one in config.sources if one.label in ablation.mixes[name])
    evaluation = config.evaluation.model_copy(update={"patience": None, "blend": (), "most_loss": None})
    changes = {"sources": sources, "evaluation": evaluation, "output": config.output / name}
    return config.model_copy(update=changes)


def ablate(ablation: Ablation, tell: Callable[[str, Progress], None] = lambda *_: None) -> Ablated:
    """Train and measure every mix that is not done yet.

    Args:
        ablation: what is asked for.
        tell: told of the progress, with the name of the mix.

    Raises:
        InputError: a source or a folder cannot be used.
        StoreError: a file cannot be written.
        TrainingFailed: a loss is no number.
    """
    rows: list[Row] = []
    models: set[str] = set()
    before: dict[str, float] = {}
    held_out = open_held_out(ablation.config.evaluation.sets)
    runs = {name: config_of(ablation, name) for name in ablation.mixes}
    read = {name: read_sources(config) for name, config in runs.items()}
    for name, config in runs.items():  # before the first of them is trained
        check_data(config, read[name], held_out)
    for name, config in runs.items():
        sources = read[name]
        before, after = _measured(config, sources, held_out, lambda one, name=name: tell(name, one))  # type: ignore[misc]
        rows.append(Row(name, {one.name: len(one.examples) for one in sources}, after))
        models |= {model for one in sources for model in one.models}
    return Ablated([Row(BASE, {}, before), *rows], sorted(models), ablation.config.steps, ablation.config.seed)


def _measured(
    config: TrainingConfig, sources: list[Source], held_out: list[HeldOut], tell: Callable[[Progress], None]
) -> tuple[dict[str, float], dict[str, float]]:
    """nDCG@10 before and after a run, which is trained where it is not done."""
    file = config.output / DONE
    if file.is_file():
        open_run(config.output, identity_of(config, sources, held_out))  # refuses another run's folder
        with boundary(StoreError, f"reading {file}"):
            found = json.loads(file.read_text(encoding="utf-8"))
        return found["before"], found["after"]
    train(config, tell)
    history = History(config.output, upto=config.steps, writes=False)
    if not history.measured or history.measured[-1].step != config.steps:
        raise StoreError(
            f"{config.output / HISTORY} lacks the measurement of step {config.steps}; delete the folder of this mix"
        )
    before, after = history.measured[0].sets, history.measured[-1].sets
    if processes.is_first():
        with boundary(StoreError, f"writing {file}"):
            write_whole(file, json.dumps({"before": before, "after": after}, indent=2) + "\n")
    return before, after


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
