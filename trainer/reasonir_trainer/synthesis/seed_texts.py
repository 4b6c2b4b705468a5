"""The words of a run's seeds by their id, read from the run's folder when they are asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from reasonir_agent.errors import InputError
from reasonir_trainer.synthesis.data_files import SEEDS, read_lines
from reasonir_trainer.synthesis.rows import Seed


class SeedTexts:
    """The seeds of runs; memory holds their places, not their texts.

    Args:
        folders: of the runs; one without seeds is passed over.

    Raises:
        InputError: a line is no seed.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._files = [file for folder in folders for file in seed_files(folder)]
        self._opened: list[IO[bytes]] = []
        self._places: dict[str, tuple[int, int]] = {}
        for file, path in enumerate(self._files):
            for number, start, line in read_lines(path):
                try:
                    self._places.setdefault(str(json.loads(line)["id"]), (file, start))
                except (ValueError, KeyError, TypeError) as cause:
                    raise InputError(f"{path}:{number} is no seed") from cause

    def __len__(self) -> int:
        return len(self._places)

    def text(self, seed: str) -> str | None:
        """The words of a seed; None where it is not known."""
        if seed not in self._places:
            return None
        file, start = self._places[seed]
        self._opened[file].seek(start)
        with suppress(ValueError):
            return Seed.model_validate_json(self._opened[file].readline()).text
        return None

    def __enter__(self) -> Self:
        self._opened = [file.open("rb") for file in self._files]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for one in self._opened:
            one.close()


def seed_files(folder: Path) -> list[Path]:
    """The files in which a run keeps its seeds: those of the whole run, or of its shards."""
    return sorted(file for file in (folder / SEEDS, *folder.glob("seeds-*-of-*.jsonl")) if file.is_file())
