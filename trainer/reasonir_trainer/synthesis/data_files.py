"""The files of a data set: `data.jsonl` and `data.parquet` hold the same rows in the same order, with one schema.

Rows are streamed: a reader holds one, the writer a row group. A file appears under its name when all of it is written,
or not at all. A last line without an end is one that a killed run has not finished, and is passed over; any other line
that cannot be read is an error that names its place.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Final, Self

from pydantic import ValidationError

from reasonir_agent.errors import InputError, StoreError, boundary
from reasonir_trainer.synthesis.rows import Outcome, Rejected, Row

if TYPE_CHECKING:
    import pyarrow

DATA: Final = "data.jsonl"
TABLE: Final = "data.parquet"
REJECTED: Final = "rejected.jsonl"
SUMMARY: Final = "summary.json"
CARD: Final = "README.md"
SETTINGS: Final = "settings.json"
SEEDS: Final = "seeds.jsonl"
ITEMS: Final = "items-*.jsonl"

_GROUP_ROWS: Final = 1000
_GROUP_CHARACTERS: Final = 16_000_000
"""A row group ends at the first of both, so that long rows do not fill the memory."""


def read_lines(file: Path) -> Iterator[tuple[int, int, bytes]]:
    """The finished lines of a file: number from 1, first byte, and bytes with the line's end.

    Raises:
        InputError: the file cannot be read.
    """
    at = 0
    try:
        with file.open("rb") as opened:
            for number, line in enumerate(opened, start=1):
                if not line.endswith(b"\n"):
                    return
                if line.strip():
                    yield number, at, line
                at += len(line)
    except OSError as cause:
        raise InputError(f"{file} cannot be read: {cause.strerror}") from cause


class OpenedFiles:
    """Files from which a line is read where it begins; open between `with` and its end.

    Args:
        files: what is opened; named by their number.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self._opened: list[IO[bytes]] = []

    def line(self, file: int, start: int) -> bytes:
        """The line of a file that begins at a byte."""
        opened = self._opened[file]
        opened.seek(start)
        return opened.readline()

    def __enter__(self) -> Self:
        self._opened = [file.open("rb") for file in self._files]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for one in self._opened:
            one.close()


def as_outcome(line: bytes, where: str) -> Outcome:
    """A line of a run's items: what came of an item.

    Raises:
        InputError: it is neither a row nor a rejected item.
    """
    try:
        fields = json.loads(line)
        kind = Rejected if isinstance(fields, dict) and "reason" in fields else Row
        return kind.model_validate_json(line)
    except (ValueError, RecursionError) as cause:
        raise InputError(f"{where} is no row and no rejected item: {_first(cause)}") from cause


def read_outcomes(file: Path) -> Iterator[Outcome]:
    """What came of every item of a file.

    Raises:
        InputError: the file, or a line of it, cannot be read.
    """
    for number, _, line in read_lines(file):
        yield as_outcome(line, f"{file}:{number}")


class Rows:
    """The rows of a data set, read anew each time that they are gone through.

    Args:
        path: a folder with `data.jsonl`, or such a file.

    Raises:
        InputError: there is none.
    """

    def __init__(self, path: Path) -> None:
        self.file = path / DATA if path.is_dir() else path
        if not self.file.is_file():
            raise InputError(
                f"{path} holds no {DATA}: expected the folder of a finished run of `reasonir-trainer synthesize`"
            )

    def __iter__(self) -> Iterator[Row]:
        for number, _, line in read_lines(self.file):
            try:
                yield Row.model_validate_json(line)
            except ValidationError as cause:
                raise InputError(f"{self.file}:{number} is no row of a data set: {_first(cause)}") from cause


class Aside:
    """A file that is written beside its place and put there at the end; left out where something went wrong.

    Args:
        file: its place. What was there is replaced.

    Raises:
        StoreError: it cannot be written.
    """

    def __init__(self, file: Path) -> None:
        self._file, self.part = file, file.with_name(file.name + ".part")
        with boundary(StoreError, f"writing {file}", catch=(OSError,)):
            file.parent.mkdir(parents=True, exist_ok=True)
            self._opened: IO[bytes] = self.part.open("wb")

    def write(self, text: str) -> None:
        """Add text."""
        with boundary(StoreError, f"writing {self._file}", catch=(OSError,)):
            self._opened.write(text.encode("utf-8"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is not None:
            self._opened.close()
            with suppress(OSError):
                self.part.unlink()
            return
        with boundary(StoreError, f"writing {self._file}", catch=(OSError,)):
            self._opened.flush()
            os.fsync(self._opened.fileno())
            self._opened.close()
            self.part.replace(self._file)


def write_text(file: Path, text: str) -> None:
    """Write a whole file, or nothing.

    Raises:
        StoreError: it cannot be written.
    """
    with Aside(file) as aside:
        aside.write(text)


class DataWriter:
    """Writes rows as JSON lines and as a Parquet table; both appear at the end, or neither.

    Args:
        folder: where `data.jsonl` and `data.parquet` are put.

    Raises:
        StoreError: they cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        import pyarrow.parquet

        self.count = 0
        self._lines = Aside(folder / DATA)
        self._table = folder / TABLE
        self._part = self._table.with_name(TABLE + ".part")
        with boundary(StoreError, f"writing {self._table}", catch=(OSError,)):
            self._writer = pyarrow.parquet.ParquetWriter(self._part, schema(), compression="zstd")
        self._group: list[dict[str, Any]] = []
        self._characters = 0

    def add(self, row: Row) -> None:
        """Write one row more."""
        line = row.model_dump_json()
        self._lines.write(line + "\n")
        self._group.append(row.model_dump(mode="json"))
        self._characters += len(line)
        self.count += 1
        if len(self._group) >= _GROUP_ROWS or self._characters >= _GROUP_CHARACTERS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow

        with boundary(StoreError, f"writing {self._table}", catch=(OSError,)):
            self._writer.write_table(pyarrow.Table.from_pylist(self._group, schema=schema()))
        self._group, self._characters = [], 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None and self._group:
            self._flush()
        with boundary(StoreError, f"writing {self._table}", catch=(OSError,)):
            self._writer.close()
            if kind is None:
                self._part.replace(self._table)
            else:
                self._part.unlink(missing_ok=True)
        self._lines.__exit__(kind, error, at)


def schema() -> pyarrow.Schema:
    """The columns of `data.parquet`: `Row`, field by field."""
    import pyarrow as pa

    text, whole, number = pa.string(), pa.int64(), pa.float64()
    negative = {"text": text, "origin": text, "source": text, "rank": whole, "similarity": number, "grade": number}
    check = {"name": text, "value": number, "limit": number, "passed": pa.bool_()}
    seed = {
        "id": text,
        "source": text,
        "start": whole,
        "end": whole,
        "heading": text,
        "sha256": text,
        "quality": number,
        "field": text,
    }
    made = {
        "model": text,
        "prompts": whole,
        "requested_query_words": whole,
        "requested_positive_words": whole,
        "temperature": number,
        "attempts": whole,
        "checks": pa.list_(pa.struct(check)),
    }
    row = {
        "id": text,
        "kind": text,
        "query": text,
        "positive": text,
        "positive_grade": number,
        "negatives": pa.list_(pa.struct(negative)),
        "rewritten": text,
        "seed": pa.struct(seed),
        "made": pa.struct(made),
    }
    return pa.schema(row)


def _first(cause: Exception) -> str:
    """What is wrong, without the text in which it is wrong."""
    if isinstance(cause, ValidationError):
        one = cause.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(part) for part in one['loc']) or 'the line'}: {one['msg']}"
    return f"{type(cause).__name__}: {str(cause)[:120]}"
