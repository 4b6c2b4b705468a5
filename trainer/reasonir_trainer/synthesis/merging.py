"""The folders of shards as one folder, which looks as if one run had made it, and which one run can go on with.

What was asked for must be the same everywhere. Seeds, replies and items are copied line by line, each id or key once, so
a folder may be given twice and shards may overlap. What is missing (a shard that was not done or not given) is told.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reasonir_agent.errors import InputError, StoreError, boundary
from reasonir_trainer.synthesis.journal import read_lines
from reasonir_trainer.synthesis.pieces import Pieces
from reasonir_trainer.synthesis.run_folder import Request, RunFolder
from reasonir_trainer.synthesis.seed_texts import seed_files


@dataclass(frozen=True, slots=True)
class Merged:
    """What was joined.

    Attributes:
        request: of all folders.
        seeds: in all.
        items: finished ones, rejected included.
        missing: items of these seeds that no folder has finished.
        warnings: what the user should know.
    """

    request: Request
    seeds: int
    items: int
    missing: int
    warnings: list[str]


def merge(folders: Sequence[Path], out: Path) -> Merged:
    """Join folders of one request into a new one.

    Args:
        folders: of runs, whole or shards.
        out: where to; an empty or new folder.

    Raises:
        InputError: a folder is no run, they were made for different requests, or `out` holds something.
        StoreError: a file is broken or cannot be written.
    """
    if not folders:
        raise InputError("no folder was given")
    request = Request.read(folders[0])
    for other in folders[1:]:
        differences = request.differences(Request.read(other).as_json())
        if differences:
            raise InputError(f"{other} was made for another request than {folders[0]}: {'; '.join(differences)}")
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} holds something; merge writes into a new folder")
    target = RunFolder(out)
    target.open(request)
    seeds = _joined(target.seeds, _seed_files(folders), "id")
    pieces = Pieces.read(folders)
    if pieces is not None:
        pieces.write(target.documents)
    _joined(target.calls, _files(folders, "calls-*-of-*.jsonl"), "key")
    items = _joined(target.items, _files(folders, "items-*-of-*.jsonl"), "id")
    if not items:
        raise InputError(f"{', '.join(map(str, folders))} hold no finished items")
    missing = seeds * request.settings.items_each - items
    warnings = _missing_shards(folders)
    if missing > 0:
        warnings.append(
            f"{missing:,} items are not made yet; `synthesize` with the same settings and --out {out} makes them"
        )
    return Merged(request, seeds, items, max(0, missing), warnings)


def _joined(target: Path, files: Iterable[Path], name: str) -> int:
    """Copy the lines of files, each name once; returns how many."""
    known: set[str] = set()
    with boundary(StoreError, f"writing {target}", catch=(OSError,)), target.open("wb") as writing:
        for file in files:
            _copy(file, name, known, writing.write)
        writing.flush()
        os.fsync(writing.fileno())
    return len(known)


def _copy(file: Path, name: str, known: set[str], write: Callable[[bytes], Any]) -> None:
    for number, (line, found) in enumerate(read_lines(file), start=1):
        one = found.get(name)
        if not isinstance(one, str):
            raise StoreError(f"line {number} of {file} has no {name}")
        if one not in known:
            known.add(one)
            write(line)


def _files(folders: Sequence[Path], pattern: str) -> list[Path]:
    return [file for folder in folders for file in sorted(folder.glob(pattern))]


def _seed_files(folders: Sequence[Path]) -> list[Path]:
    """The seeds of every folder; those of the whole run, where one knows them, come first and in their order."""
    whole = [folder / "seeds.jsonl" for folder in folders if (folder / "seeds.jsonl").is_file()]
    return whole or [file for folder in folders for file in seed_files(folder)]


def _missing_shards(folders: Sequence[Path]) -> list[str]:
    """Which shards nobody has given."""
    found = {file.stem.removeprefix("items-") for file in _files(folders, "items-*-of-*.jsonl")}
    counts = {int(one.rpartition("-")[2]) for one in found}
    lines = []
    for count in sorted(counts):
        absent = [number for number in range(1, count + 1) if f"{number}-of-{count}" not in found]
        if absent and "1-of-1" not in found:
            lines.append(f"of {count} shards these are missing: {', '.join(map(str, absent))}")
    return lines
