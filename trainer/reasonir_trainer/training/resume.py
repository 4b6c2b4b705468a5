"""The folder of a run: whose it is, which checkpoints are whole, where a run goes on.

    run.json            settings and hashes of the data; another run's folder is refused
    history.jsonl       a line for every step and every measurement
    checkpoints/step-N  what is needed to go on; `whole.json` is written last
    best/               the best weights so far
    model/, adapter/    the result
    training.svg        loss and nDCG@10 over the steps

A folder is put in its place by renaming it after everything in it was flushed to the disk, so it is whole or absent.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any, Final

from reasonir_agent.errors import InputError, StoreError, boundary

CHECKPOINTS: Final = "checkpoints"
RUN: Final = "run.json"
MODEL: Final = "model"
ADAPTER_FOLDER: Final = "adapter"
WHOLE: Final = "whole.json"
_SHOWN: Final = 3


def name_of(step: int) -> str:
    """Name of a checkpoint's folder; the trainer's own."""
    return f"checkpoint-{step}"


def open_run(folder: Path, identity: dict[str, Any]) -> bool:
    """Claim a folder for a run, or find that it is this run's already.

    Args:
        folder: of the run; made when it is missing.
        identity: what the run is, plain JSON.

    Returns:
        whether the run was begun before.

    Raises:
        InputError: the folder holds another run, or something that is no run.
        StoreError: the folder cannot be written.
    """
    file = folder / RUN
    if file.is_file():
        with boundary(StoreError, f"reading {file}"):
            stored = json.loads(file.read_text(encoding="utf-8"))
        different = [name for name, value in _flat(identity).items() if _flat(stored).get(name, ...) != value]
        different += [name for name in _flat(stored) if name not in _flat(identity)]
        if different:
            shown = ", ".join(different[:_SHOWN]) + (", ..." if len(different) > _SHOWN else "")
            raise InputError(
                f"{folder} holds another run (it differs in {shown}); choose another output folder, or delete that one"
            )
        return True
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not empty and holds no training run; choose another output folder")
    with boundary(StoreError, f"writing {file}"):
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(identity, indent=2, ensure_ascii=False) + "\n")
    return False


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint, or None."""
    found = whole_checkpoints(folder)
    return found[-1] if found else None


def whole_checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints, oldest first."""
    named = {
        int(one.name.rpartition("-")[2]): one for one in (folder / CHECKPOINTS).glob("checkpoint-*") if _is_whole(one)
    }
    return [named[step] for step in sorted(named)]


def prune(folder: Path, keep: int) -> None:
    """Delete all but the newest checkpoints."""
    for one in whole_checkpoints(folder)[:-keep]:
        (one / WHOLE).unlink()
        shutil.rmtree(one, ignore_errors=True)


def finish_folder(aside: Path, place: Path) -> None:
    """Put a finished folder in its place, whole or not at all."""
    sizes = {str(one.relative_to(aside)): one.stat().st_size for one in sorted(aside.rglob("*")) if one.is_file()}
    write_whole(aside / WHOLE, json.dumps(sizes))
    for one in aside.rglob("*"):
        _flush(one)
    _flush(aside)
    place.parent.mkdir(parents=True, exist_ok=True)
    old = place.with_name(f".old-{place.name}")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.rename(old)
    aside.rename(place)
    _flush(place.parent)
    shutil.rmtree(old, ignore_errors=True)


def write_whole(file: Path, text: str) -> None:
    """Write a file that is there with all of its text or as it was before."""
    aside = file.with_name(f".{file.name}.part")
    with aside.open("w", encoding="utf-8") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    aside.replace(file)


def _is_whole(folder: Path) -> bool:
    try:
        sizes = json.loads((folder / WHOLE).read_text(encoding="utf-8"))
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _flat(value: Any, before: str = "") -> dict[str, Any]:
    """Nested settings by dotted names."""
    if isinstance(value, dict):
        return {name: one for key, inner in value.items() for name, one in _flat(inner, f"{before}{key}.").items()}
    return {before.rstrip("."): json.loads(json.dumps(value))}
