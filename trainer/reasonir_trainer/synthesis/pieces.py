"""What became of the pieces of the user's documents on the way to seeds, counted over all shards of a run.

Each shard writes `documents-I-of-N.json`. All of them read the same documents, so what was read and filtered stands in
each alike; what was judged and chosen is a shard's own, and is added up. Every piece is accounted for: those that were
dropped by some reason and the seeds that were chosen are all of them, once every shard has chosen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from reasonir_agent.errors import StoreError
from reasonir_trainer.synthesis.run_folder import RunFolder, write_whole

if TYPE_CHECKING:
    from reasonir_trainer.synthesis.seeds.report import SeedReport

NOT_CHOSEN: Final = "not chosen: more than were asked for"

_FILES: Final = "documents-*-of-*.json"
_UNREAD: Final = 20
"""Files that are named."""


class Unread(BaseModel):
    """A file or record that could not be read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    reason: str


class Pieces(BaseModel):
    """Counts of one shard, or of a whole run.

    Attributes:
        files: that were read.
        unread: files and records that could not be read, the first of them by name.
        unread_count: how many there are.
        pieces: that the documents were split into.
        dropped: reason -> pieces that are no seeds by rules, or repeat another.
        judged: reason -> pieces whose judgement was too low or could not be had, and those that were not chosen.
        seeds: that were chosen; None while they are judged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: int
    unread: tuple[Unread, ...] = ()
    unread_count: int = 0
    pieces: int
    dropped: dict[str, int]
    judged: dict[str, int] = {}
    seeds: int | None = None

    @classmethod
    def of(cls, report: SeedReport) -> Pieces:
        """What was read, before anything is judged."""
        first = tuple(Unread(path=str(one.path), reason=one.reason) for one in report.skipped[:_UNREAD])
        return cls(
            files=report.files,
            unread=first,
            unread_count=len(report.skipped),
            pieces=report.pieces,
            dropped=_most_first(report.dropped),
        )

    @classmethod
    def of_file(cls, file: Path) -> Pieces:
        """The counts of one shard.

        Raises:
            StoreError: the file is none of ours.
        """
        try:
            return cls.model_validate_json(file.read_bytes())
        except (OSError, ValidationError) as cause:
            raise StoreError(f"{file} does not count the pieces of documents; begin again in a new folder") from cause

    @classmethod
    def read(cls, folders: Iterable[Path]) -> Pieces | None:
        """The counts of all shards together; None where no folder tells any.

        Raises:
            StoreError: a file is none of ours.
        """
        found: dict[str, Pieces] = {}
        for file in sorted(file for folder in folders for file in folder.glob(_FILES)):
            found.setdefault(file.name, cls.of_file(file))
        whole = found.pop(RunFolder(Path()).documents.name, None)
        if whole is not None and (whole.seeds is not None or not found):
            return whole
        return _added_up(list(found.values())) if found else None

    @property
    def reasons(self) -> dict[str, int]:
        """Every reason why a piece became no seed -> how many, the most frequent first."""
        return _most_first({**self.dropped, **self.judged})

    def settled(self, judged: Counter[str], *, good: int, seeds: int) -> Pieces:
        """With what the judging came to.

        Args:
            judged: reason -> pieces that were dropped.
            good: those that were not.
            seeds: of the good ones, those that were chosen.
        """
        more = judged + Counter({NOT_CHOSEN: good - seeds})
        return self.model_copy(update={"judged": _most_first(more), "seeds": seeds})

    def without_names(self) -> Pieces:
        """Without the paths of files, for what may be given to others."""
        return self.model_copy(update={"unread": ()})

    def write(self, file: Path) -> None:
        """Write it, whole or not at all.

        Raises:
            StoreError: it cannot be written.
        """
        write_whole(file, self.model_dump(mode="json"))

    def told(self) -> str:
        """One line: "12 seeds of 40 pieces of 4 files; left out: too short 20, licence text 8"."""
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in self.reasons.items())
        seeds = "" if self.seeds is None else f"{self.seeds:,} seeds of "
        return f"{seeds}{self.pieces:,} pieces of {self.files:,} files{f'; left out: {reasons}' if reasons else ''}"

    def told_unread(self) -> str:
        """One line about what could not be read, with the first of it."""
        first = "; ".join(f"{one.path}: {one.reason}" for one in self.unread[:3])
        what = "file or record" if self.unread_count == 1 else "files or records"
        return f"{self.unread_count:,} {what} could not be read ({first})"


def _added_up(shards: Sequence[Pieces]) -> Pieces:
    judged: Counter[str] = Counter()
    for one in shards:
        judged.update(one.judged)
    chosen = [one.seeds for one in shards if one.seeds is not None]
    return shards[0].model_copy(update={"judged": _most_first(judged), "seeds": sum(chosen) if chosen else None})


def _most_first(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))
