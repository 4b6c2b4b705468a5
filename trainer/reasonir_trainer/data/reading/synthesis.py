"""Rows of our own synthesis: `data.jsonl` of a run's folder, or such a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from reasonir_agent.errors import InputError
from reasonir_agent.evaluation.datasets.records import lines
from reasonir_trainer.data.examples import Candidate, Example
from reasonir_trainer.synthesis.rows import Row


def read_synthesis(path: Path, kinds: Sequence[str] = ()) -> Iterator[tuple[str, Example]]:
    """The examples of a run and where each stands.

    Args:
        path: of the run's folder, or of its data.
        kinds: "vl", "hq"; empty means all.

    Raises:
        InputError: the folder has no data, or a line is no row.
    """
    file = path / "data.jsonl" if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"{path} holds no data.jsonl; finish the synthesis run first")
    for number, line in lines(file):
        try:
            row = Row.model_validate_json(line)
        except ValidationError as cause:
            first = cause.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise InputError(f"{file}:{number} is no row of synthesis: {field}: {first['msg']}") from cause
        if not kinds or row.kind in kinds:
            yield f"{file}:{number}", _example(row)


def _example(row: Row) -> Example:
    return Example(
        id=row.id,
        query=row.query,
        positives=(Candidate(row.positive, row.positive_grade),),
        negatives=tuple(Candidate(one.text, one.grade) for one in row.negatives),
        rewritten=row.rewritten,
        model=row.made.model,
    )
