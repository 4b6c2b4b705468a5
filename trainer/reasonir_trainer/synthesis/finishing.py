"""The end of a run: from what came of every item to a data set.

Items are taken in order of their id, so that N shards make what one run makes, byte for byte, and so that it does not
matter in which order they were finished. A row is dropped when it is close to an evaluation set, and when its query
repeats, exactly or nearly, that of a row before it; both become rejected items with a reason. Memory holds a place for
each item and what near-duplicates need, never the texts of all: they are read again from where they stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reasonir_agent.errors import InputError
from reasonir_agent.llm import Price
from reasonir_trainer.synthesis.card import card
from reasonir_trainer.synthesis.data_files import (
    CARD,
    ITEMS,
    REJECTED,
    SUMMARY,
    Aside,
    DataWriter,
    OpenedFiles,
    as_outcome,
    read_lines,
    write_text,
)
from reasonir_trainer.synthesis.exclusion import Exclusion
from reasonir_trainer.synthesis.near_duplicates import NearDuplicates
from reasonir_trainer.synthesis.pieces import Pieces
from reasonir_trainer.synthesis.rows import Outcome, Rejected, Row
from reasonir_trainer.synthesis.seed_texts import SeedTexts
from reasonir_trainer.synthesis.settings import SynthesisSettings
from reasonir_trainer.synthesis.summary import Summary, Tally, costs

REPEATS: Final = "repeats another query"

_EXAMPLE: Final = 2000
"""Characters of a refused text that are kept."""


def finish(
    folder: Path,
    *,
    settings: SynthesisSettings,
    exclusions: Sequence[Exclusion] = (),
    price: Price | None = None,
    sources: Sequence[Path] = (),
) -> Summary:
    """Make the data set of a run: `data.jsonl`, `data.parquet`, `rejected.jsonl`, `summary.json` and `README.md`.

    Args:
        folder: of the run; the files are put there, what was there is replaced.
        settings: what was asked for.
        exclusions: evaluation sets that rows must not be close to.
        price: of the model, for the cost.
        sources: folders whose items are taken, in any order; empty takes those of `folder`.

    Raises:
        InputError: there are no items, a line cannot be read, or an id has two different rows.
        StoreError: a file cannot be written.
    """
    folders = list(sources) or [folder]
    tally = Tally()
    with ExitStack() as opened:
        seeds = opened.enter_context(SeedTexts(folders))
        rows = opened.enter_context(DataWriter(folder))
        rejected = opened.enter_context(Aside(folder / REJECTED))
        for outcome in settled(folders, settings.near_duplicate, exclusions):
            if isinstance(outcome, Row):
                rows.add(outcome)
                tally.add(outcome, seeds.text(outcome.seed.id))
            else:
                rejected.write(outcome.model_dump_json() + "\n")
                tally.add(outcome)
        summary = tally.summary(
            seeds=len(seeds), each=settings.items_each, pieces=Pieces.read(folders), spent=costs(folders, price)
        )
    write_text(folder / SUMMARY, summary.model_dump_json(indent=2) + "\n")
    write_text(folder / CARD, card(summary, settings, exclusions=[one.name for one in exclusions]))
    return summary


def settled(folders: Sequence[Path], threshold: float, guards: Sequence[Exclusion] = ()) -> Iterator[Outcome]:
    """What came of every item in the end, in order of its id: rows that are dropped come as rejected items.

    Args:
        folders: whose items are taken.
        threshold: similarity of queries that are one.
        guards: against evaluation sets.

    Raises:
        InputError: there are no items, a line cannot be read, or an id has two different rows.
    """
    with _Items.of(folders) as items, SeedTexts(folders if guards else ()) as seeds:
        dropped = _dropped(items, threshold, lambda row: _contaminated(row, guards, seeds))
        for number, outcome in enumerate(items):
            drop = dropped.get(number)
            yield drop.rejected(outcome) if drop and isinstance(outcome, Row) else outcome


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an item stands."""

    id: str
    file: int
    start: int
    number: int


class _Items(OpenedFiles):
    """Every item of a run in order of its id, read from where it stands.

    Args:
        files: with items.
        places: of the items, in order.
    """

    def __init__(self, files: Sequence[Path], places: Sequence[_Place]) -> None:
        super().__init__(files)
        self._places = places

    @classmethod
    def of(cls, folders: Sequence[Path]) -> _Items:
        """Find the items of folders.

        Raises:
            InputError: there are none, or an id has two different ones.
        """
        files = sorted(file for folder in folders for file in folder.glob(ITEMS))
        if not files:
            raise InputError(f"{', '.join(map(str, folders))}: no {ITEMS}, so there is nothing to finish")
        found: dict[str, _Place] = {}
        with cls(files, ()) as items:
            for file, path in enumerate(files):
                for number, start, line in read_lines(path):
                    place = _Place(as_outcome(line, f"{path}:{number}").id, file, start, number)
                    before = found.setdefault(place.id, place)
                    if before is not place:
                        found[place.id] = items.better(before, place)
        return cls(files, [found[one] for one in sorted(found)])

    def better(self, one: _Place, other: _Place) -> _Place:
        """Which of two places holds the item of an id: a row beats a rejection, else they must be equal.

        Raises:
            InputError: they hold different rows.
        """
        first, second = self.read(one), self.read(other)
        if isinstance(first, Row) and isinstance(second, Row) and first != second:
            raise InputError(
                f"{self._where(one)} and {self._where(other)} hold different rows of the item {one.id}: "
                "they are not of one run"
            )
        return one if isinstance(first, Row) or isinstance(second, Rejected) else other

    def read(self, place: _Place) -> Outcome:
        """The item at a place."""
        return as_outcome(self.line(place.file, place.start), self._where(place))

    def row(self, number: int) -> Row:
        """The row of a number, from 0, in order."""
        found = self.read(self._places[number])
        assert isinstance(found, Row)
        return found

    def __iter__(self) -> Iterator[Outcome]:
        return (self.read(place) for place in self._places)

    def _where(self, place: _Place) -> str:
        return f"{self._files[place.file]}:{place.number}"


@dataclass(frozen=True, slots=True)
class _Drop:
    """Why a row is not kept; without its texts, for there may be many."""

    reason: str
    detail: str
    like: str
    is_positive: bool = False

    def rejected(self, row: Row) -> Rejected:
        """The row as a rejected item."""
        return Rejected(
            id=row.id,
            kind=row.kind,
            reason=self.reason,
            detail=self.detail,
            example=(row.positive if self.is_positive else row.query)[:_EXAMPLE],
            seed=row.seed.id,
            like=self.like,
            attempts=row.made.attempts,
        )


def _dropped(items: _Items, threshold: float, refused: Callable[[Row], _Drop | None]) -> dict[int, _Drop]:
    """The rows that are not kept, by their number: those close to an evaluation set, then those that repeat."""
    dropped: dict[int, _Drop] = {}
    near, numbers = NearDuplicates(threshold), list[int]()
    for number, outcome in enumerate(items):
        if isinstance(outcome, Rejected):
            continue
        drop = refused(outcome)
        if drop is None:
            near.add(outcome.query)
            numbers.append(number)
        else:
            dropped[number] = drop
    for repeat in near.find(lambda at: items.row(numbers[at]).query):
        first = items.row(numbers[repeat.of]).id
        said = "word for word" if repeat.exact else f"with a similarity of {repeat.similarity:.3f}"
        detail = f"the query repeats that of the item {first}, {said}; {threshold:g} and more count as a repetition"
        dropped[numbers[repeat.number]] = _Drop(REPEATS, detail, first)
    return dropped


def _contaminated(row: Row, guards: Sequence[Exclusion], seeds: SeedTexts) -> _Drop | None:
    """Why a row is too close to an evaluation set, or None."""
    seed_text = seeds.text(row.seed.id) or "" if guards else ""
    for guard in guards:
        found = guard.check(row, seed_text)
        if found is not None:
            return _Drop(found.reason, found.detail, "", is_positive=found.reason.startswith("positive"))
    return None
