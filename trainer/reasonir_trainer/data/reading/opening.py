"""From a source's entry in a configuration to its examples. The format is told by the path unless it is named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from reasonir_agent.errors import InputError
from reasonir_agent.evaluation.datasets.records import read_records
from reasonir_trainer.data.examples import Example, Source, without_repeats
from reasonir_trainer.data.provenance import read_provenance
from reasonir_trainer.data.reading.folders import read_folder
from reasonir_trainer.data.reading.logs import read_logs
from reasonir_trainer.data.reading.release import read_release
from reasonir_trainer.data.reading.synthesis import read_synthesis
from reasonir_trainer.data.reading.tevatron import read_tevatron
from reasonir_trainer.data.reading.triplets import read_triplets


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """What to read.

    Attributes:
        name: of the source.
        path: file or folder.
        format: one of `FORMATS`, or "auto".
        splits: of a folder, or kinds of our synthesis ("vl", "hq"); empty means all of them. Other formats have none.
        instruction: see `Source`.
        most: examples that are taken, the first ones; None takes all.
        documents: JSON lines {id, text} that fill in documents given by id (ReasonIR's hard queries); for "release" alone.
    """

    name: str
    path: Path
    format: str = "auto"
    splits: Sequence[str] = ()
    instruction: str | None = None
    most: int | None = None
    documents: Path | None = None


_Reader = Callable[[SourceSpec], Iterable[tuple[str, Example]]]

_READERS: Final[dict[str, _Reader]] = {
    "triplets": lambda spec: read_triplets(spec.path),
    "tevatron": lambda spec: read_tevatron(spec.path),
    "release": lambda spec: read_release(spec.path, spec.documents),
    "synthesis": lambda spec: read_synthesis(spec.path, spec.splits),
    "folder": lambda spec: read_folder(spec.path, spec.splits),
    "logs": lambda spec: read_logs(spec.path),
}
FORMATS: Final = tuple(_READERS)
_WITH_SPLITS: Final = ("synthesis", "folder")
_WITH_DOCUMENTS: Final = ("release",)
_TELLING: Final = ("positive_passages", "query", "pos", "seed", "made", "positive", "positives", "question", "answer")


def read_source(spec: SourceSpec) -> Source:
    """Read a source, every example checked.

    Raises:
        InputError: the path is missing, the format cannot be told or has no use for a setting, the source is empty, or an
            example is damaged.
    """
    if not spec.path.exists():
        raise InputError(f"the source {spec.name!r} is to be read from {str(spec.path)!r}, which does not exist")
    kind = _format_of(spec)
    _check_used(spec, kind)
    found: list[Example] = []
    for where, example in _READERS[kind](spec):
        if spec.most is not None and len(found) >= spec.most:
            break
        negatives = without_repeats(example.negatives)
        positives = without_repeats(example.positives)
        found.append(replace(example, positives=positives, negatives=negatives).check(where))
    return Source(spec.name, found, spec.instruction, f"{spec.path} ({kind})", read_provenance(spec.path))


def _check_used(spec: SourceSpec, kind: str) -> None:
    """Refuses settings that the format would not look at."""
    for name, is_given, formats in (
        ("splits", bool(spec.splits), _WITH_SPLITS),
        ("documents", spec.documents is not None, _WITH_DOCUMENTS),
    ):
        if is_given and kind not in formats:
            raise InputError(
                f"the source {spec.name!r} ({spec.path}) sets {name}, which only the format {' or '.join(formats)} has, but it "
                f"is read as {kind}; remove {name}, or name another format"
            )


def _format_of(spec: SourceSpec) -> str:
    if spec.format != "auto":
        if spec.format not in _READERS:
            raise InputError(f"the format of {spec.name!r} must be one of {', '.join(FORMATS)}; got {spec.format!r}")
        return spec.format
    if spec.path.is_dir():
        return "synthesis" if (spec.path / "data.jsonl").is_file() else "folder"
    if spec.path.suffix == ".csv":
        return "logs"
    first = next(iter(read_records(spec.path, _TELLING)), None)
    if first is None:
        raise InputError(f"the source {spec.name!r} ({spec.path}) holds no examples")
    names = set(first.fields)
    for kind, wanted in (
        ("tevatron", {"positive_passages"}),
        ("release", {"query", "pos"}),
        ("synthesis", {"seed", "made", "positive"}),
        ("triplets", {"positive"}),
        ("triplets", {"positives"}),
        ("triplets", {"question", "answer"}),
    ):
        if wanted <= names:
            return kind
    raise InputError(
        f"the format of {spec.path} cannot be told from its fields {sorted(names)}; name it: {', '.join(FORMATS)}"
    )
