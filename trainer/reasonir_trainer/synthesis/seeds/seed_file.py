"""Seeds on disk: one JSON object a line, found by id without their texts being held in memory.

A file that ends in the middle of a line was being written when its process died; the torn line is cut off when the file
is opened. A whole line that is no seed is somebody else's mistake, and refused with its number.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

from pydantic import ValidationError

from reasonir_agent.errors import InputError
from reasonir_trainer.synthesis.rows import Seed


class SeedFile:
    """A file of seeds. Holds an id and an offset for each: about 190 bytes a seed, whatever its length.

    Args:
        path: the file; made when it is not there.

    Raises:
        InputError: it cannot be opened, or a line of it is no seed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offsets: dict[str, int] = {}
        try:
            self._file: IO[bytes] = path.open("r+b" if path.exists() else "w+b")
        except OSError as cause:
            raise InputError(f"{str(path)!r} cannot be opened: {cause.strerror}") from cause
        try:
            self._end = self._load()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> SeedFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._offsets)

    def __contains__(self, id: str) -> bool:
        return id in self._offsets

    def __iter__(self) -> Iterator[Seed]:
        """Every seed, in the order of the file; seeds that are appended meanwhile come too."""
        at = 0
        while at < self._end:
            line = self._line(at)
            yield Seed.model_validate_json(line)
            at += len(line)

    def ids(self) -> list[str]:
        """The ids, in the order of the file."""
        return list(self._offsets)

    def append(self, seed: Seed) -> None:
        """Write a further seed; one that is there already stays as it is."""
        if seed.id in self._offsets:
            return
        line = seed.model_dump_json().encode() + b"\n"
        self._file.seek(self._end)
        self._file.write(line)
        self._offsets[seed.id] = self._end
        self._end += len(line)

    def get(self, id: str) -> Seed:
        """The seed of an id.

        Raises:
            InputError: there is none.
        """
        if id not in self._offsets:
            raise InputError(f"{self.path} holds no seed {id!r}")
        return Seed.model_validate_json(self._line(self._offsets[id]))

    def close(self) -> None:
        """Write what is left in buffers, and close."""
        self._file.close()

    def _line(self, at: int) -> bytes:
        self._file.seek(at)
        return self._file.readline()

    def _load(self) -> int:
        """Read the ids; returns the end of the last whole line."""
        at = 0
        for number, line in enumerate(self._file, start=1):
            if not line.endswith(b"\n"):
                self._file.truncate(at)
                break
            try:
                self._offsets[Seed.model_validate_json(line).id] = at
            except ValidationError as cause:
                raise InputError(f"{self.path}:{number} is no seed: {cause.errors()[0]['msg']}") from cause
            at += len(line)
        return at
