"""From a data set to files in another format, and from such files to a data set of ours.

Other formats have no place for the models that wrote the rows: `data.provenance` keeps them in a file beside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reasonir_agent.encoder.template import DEFAULT_INSTRUCTION
from reasonir_agent.errors import InputError
from reasonir_agent.evaluation.datasets.records import read_records
from reasonir_trainer.data.provenance import read_provenance, write_provenance
from reasonir_trainer.export import beir, reasonir, tevatron, triplets
from reasonir_trainer.export.formats import Notes, Source, Written
from reasonir_trainer.export.split import split
from reasonir_trainer.synthesis.data_files import SUMMARY, DataWriter, Rows, write_text
from reasonir_trainer.synthesis.rows import Row
from reasonir_trainer.synthesis.summary import Tally

HELD_OUT: Final = "held-out"
TRAIN: Final = "train"


@dataclass(frozen=True, slots=True)
class Options:
    """What only some formats know.

    Attributes:
        instruction: of every query, in ReasonIR's format.
        negatives: of every triplet; None takes the number that most rows have.
        documents: id -> text, for positives that ReasonIR's release names by their id.
        split: of a BEIR folder that has several.
    """

    instruction: str = DEFAULT_INSTRUCTION
    negatives: int | None = None
    documents: Mapping[str, str] | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Format:
    """A format that is written and read.

    Attributes:
        name: as it is asked for.
        loses: what of a row it cannot hold.
        is_folder: whether it is a folder; else a file of JSON lines.
        write: rows into a file or folder.
        read: a file or folder into rows.
    """

    name: str
    loses: str
    is_folder: bool
    write: Callable[[Source, Path, Options], Written]
    read: Callable[[Path, Notes, Options], Iterator[Row]]


FORMATS: Final[dict[str, Format]] = {
    one.name: one
    for one in (
        Format(
            "triplets",
            triplets.LOSES,
            False,
            lambda rows, path, options: triplets.write_triplets(rows, path, negatives=options.negatives),
            lambda path, notes, options: triplets.read_triplets(path, notes),
        ),
        Format(
            "tevatron",
            tevatron.LOSES,
            False,
            lambda rows, path, options: tevatron.write_tevatron(rows, path),
            lambda path, notes, options: tevatron.read_tevatron(path, notes),
        ),
        Format(
            "beir",
            beir.LOSES,
            True,
            lambda rows, path, options: beir.write_beir(rows, path),
            lambda path, notes, options: beir.read_beir(path, notes, split=options.split),
        ),
        Format(
            "reasonir",
            reasonir.LOSES,
            False,
            lambda rows, path, options: reasonir.write_reasonir(rows, path, instruction=options.instruction),
            lambda path, notes, options: reasonir.read_reasonir(path, notes, documents=options.documents),
        ),
    )
}
"""Name -> format."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote.

    Attributes:
        written: all rows, or those to train with.
        held_out: the held-out part as a BEIR folder; None where none was asked for.
        loses: what of a row the format cannot hold.
    """

    written: Written
    held_out: Written | None
    loses: str


def export(
    folder: Path, to: str, out: Path, *, held_out: float | None = None, options: Options | None = None
) -> Exported:
    """Write a data set in another format.

    Args:
        folder: of a finished run, or a `data.jsonl`.
        to: name of the format.
        out: file or folder to make; with a held-out part a folder, which gets `train.jsonl` (`train/` for BEIR) and
            `held-out/`, a BEIR folder.
        held_out: share of the documents that are held out, about.
        options: what only some formats know.

    Raises:
        InputError: there is no such format or data set, or it cannot be split.
        StoreError: it cannot be written.
    """
    one, chosen, rows = format_of(to), options or Options(), Rows(folder)
    models = read_provenance(rows.file.parent)
    if held_out is None:
        _check_place(one, out)
        return Exported(_write(one, _Named(rows, models), out, chosen), None, one.loses)
    if out.is_file():
        raise InputError(f"{out} is a file; with a held-out part, --out names a folder")
    train, test = split(rows, held_out, folder=folder if folder.is_dir() else folder.parent)
    place = out / (TRAIN if one.is_folder else f"{TRAIN}.jsonl")
    written = _write(one, _Named(train, models), place, chosen)
    kept = _write(FORMATS["beir"], _Named(test, models), out / HELD_OUT, chosen)
    return Exported(
        Written(written.path, written.rows, (*train.notes, *written.notes)),
        Written(kept.path, kept.rows, (*test.notes, *kept.notes)),
        one.loses,
    )


def take_over(path: Path, source: str, out: Path, *, options: Options | None = None) -> Written:
    """Make a data set of ours from files in another format.

    Args:
        path: file or folder to read.
        source: name of its format.
        out: folder to make; it gets `data.jsonl`, `data.parquet` and `summary.json`.
        options: what only some formats know.

    Raises:
        InputError: there is no such format, or the files have another shape.
        StoreError: the data set cannot be written.
    """
    one, chosen, notes, tally, seen = format_of(source), options or Options(), Notes(), Tally(), set[str]()
    if not path.exists():
        raise InputError(f"{path} does not exist; expected a {'folder' if one.is_folder else 'file'} to read")
    with DataWriter(out) as writer:
        for row in one.read(path, notes, chosen):
            if row.id in seen:
                notes.add("rows that repeat one before them, which are left out")
                continue
            seen.add(row.id)
            writer.add(row)
            tally.add(row)
    write_text(out / SUMMARY, tally.summary().model_dump_json(indent=2) + "\n")
    write_provenance(out, read_provenance(path))
    return Written(out, writer.count, tuple(notes))


def format_of(name: str) -> Format:
    """A format by its name.

    Raises:
        InputError: there is none of that name.
    """
    if name not in FORMATS:
        raise InputError(f"there is no format {name[:80]!r}; the formats are {', '.join(FORMATS)}")
    return FORMATS[name]


def read_documents(file: Path) -> dict[str, str]:
    """Texts of documents by id, from JSON lines or Parquet with `id` and `text`, or BRIGHT's `content`.

    Raises:
        InputError: a record has neither.
    """
    found = {}
    for record in read_records(file, ("id", "text", "content")):
        found[record.id("id")] = record.text("content" if "content" in record.fields else "text")
    return found


class _Named:
    """Rows, and the models that wrote them: those named beside them, and those of the rows that were gone through."""

    def __init__(self, rows: Source, models: Iterable[str]) -> None:
        self._rows = rows
        self.models = set(models)

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            if row.made.model:
                self.models.add(row.made.model)
            yield row


def _write(one: Format, rows: _Named, path: Path, options: Options) -> Written:
    """Write rows, and beside them who wrote them."""
    written = one.write(rows, path, options)
    write_provenance(path, rows.models)
    return written


def _check_place(one: Format, out: Path) -> None:
    if one.is_folder and out.is_file():
        raise InputError(f"{out} is a file; the format {one.name} is a folder")
    if not one.is_folder and out.is_dir():
        raise InputError(f"{out} is a folder; the format {one.name} is a file, as in {out / 'train.jsonl'}")
