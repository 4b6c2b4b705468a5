"""The words of a run's seeds by their id, read from the run's folder when they are asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from reasonir_agent.errors import InputError
from reasonir_trainer.synthesis.data_files import SEEDS, OpenedFiles, read_lines
from reasonir_trainer.synthesis.rows import Seed


class SeedTexts(OpenedFiles):
    """The seeds of runs; memory holds their places, not their texts.

    Args:
        folders: of the runs; one without seeds is passed over.

    Raises:
        InputError: a line is no seed.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        super().__init__([file for folder in folders for file in seed_files(folder)])
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
        with suppress(ValueError):
            return Seed.model_validate_json(self.line(*self._places[seed])).text
        return None


def seed_files(folder: Path) -> list[Path]:
    """The files in which a run keeps its seeds: those of the whole run, or of its shards."""
    return sorted(file for file in (folder / SEEDS, *folder.glob("seeds-*-of-*.jsonl")) if file.is_file())
