"""What the page shows, read from a run's folder: counts over everything, and a few texts.

A finished folder is read as it is. Of an unfinished one, the items that are there are settled as the end of the run
would settle them, so that repetitions are seen early. Texts are chosen by the ids of items, which are hashes: a fair
sample, the same each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from pydantic import ValidationError

from reasonir_agent.errors import InputError
from reasonir_agent.llm import Price
from reasonir_trainer.synthesis.data_files import DATA, ITEMS, REJECTED, SETTINGS, SUMMARY, Rows, read_outcomes
from reasonir_trainer.synthesis.finishing import REPEATS, settled
from reasonir_trainer.synthesis.pieces import Pieces
from reasonir_trainer.synthesis.rows import Outcome, Rejected, Row
from reasonir_trainer.synthesis.run_folder import Request
from reasonir_trainer.synthesis.seed_texts import SeedTexts
from reasonir_trainer.synthesis.settings import SynthesisSettings
from reasonir_trainer.synthesis.summary import Costs, Summary, Tally, costs

REFUSED_EACH: Final = 3
"""Examples of a reason."""

PAIRS: Final = 12
"""Repetitions that are shown with both texts."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A query that repeats another, and that other one."""

    refused: Rejected
    first: str


@dataclass(frozen=True, slots=True)
class Gathered:
    """What is known of a data set.

    Attributes:
        name: of the folder.
        is_finished: whether the run has come to its end.
        settings: what was asked for; None where the folder does not say.
        summary: counts.
        tally: the numbers behind them.
        examples: rows to read, by kind.
        refused: reason -> items to read.
        pairs: repetitions to read.
        warnings: what the reader has to know before believing it.
    """

    name: str
    is_finished: bool
    settings: SynthesisSettings | None
    summary: Summary
    tally: Tally
    examples: list[Row]
    refused: dict[str, list[Rejected]]
    pairs: list[Pair]
    warnings: tuple[str, ...]


def gather(folder: Path, *, examples: int, price: Price | None = None) -> Gathered:
    """Read a folder.

    Args:
        folder: of a run, finished or not, or of a data set that was taken over from another format.
        examples: rows of each kind that are shown.
        price: of the model; None takes what the run counted.

    Raises:
        InputError: it is neither, or a file of it cannot be read.
    """
    settings = Request.read(folder).settings if (folder / SETTINGS).is_file() else None
    is_finished = (folder / DATA).is_file()
    outcomes = _outcomes(folder, settings, is_finished=is_finished)
    tally, chosen = Tally(), _Chosen(examples)
    with SeedTexts([folder]) as seeds:
        for outcome in outcomes():
            tally.add(outcome, seeds.text(outcome.seed.id) if isinstance(outcome, Row) else None)
            chosen.look_at(outcome)
        known = _known(folder)
        summary = tally.summary(
            seeds=len(seeds) or known.seeds,
            each=settings.items_each if settings else 0,
            pieces=Pieces.read([folder]) or known.pieces,
            spent=_costs(folder, price, known.spent),
        )
    if settings is None:
        summary = summary.model_copy(update={"missing": known.missing})
    return Gathered(
        name=folder.resolve().name,
        is_finished=is_finished,
        settings=settings,
        summary=summary,
        tally=tally,
        examples=chosen.rows(),
        refused=chosen.refused(list(summary.rejected)),
        pairs=_pairs(chosen.repeats(), outcomes),
        warnings=tuple(_warnings(folder, summary, is_finished=is_finished)),
    )


def _outcomes(
    folder: Path, settings: SynthesisSettings | None, *, is_finished: bool
) -> Callable[[], Iterator[Outcome]]:
    if is_finished:
        rejected = folder / REJECTED

        def finished() -> Iterator[Outcome]:
            yield from Rows(folder)
            if rejected.is_file():
                yield from read_outcomes(rejected)

        return finished
    if not any(folder.glob(ITEMS)):
        raise InputError(f"{folder} holds neither {DATA} nor {ITEMS}: expected the folder of a run")
    threshold = settings.near_duplicate if settings else 1.0
    return lambda: settled([folder], threshold)


class _Chosen:
    """Keeps the texts with the smallest ids of every kind and reason."""

    def __init__(self, examples: int) -> None:
        self._examples = examples
        self._rows: dict[str, list[Row]] = {}
        self._refused: dict[str, list[Rejected]] = {}
        self._repeats: list[Rejected] = []

    def look_at(self, outcome: Outcome) -> None:
        """See whether it is one to show."""
        if isinstance(outcome, Row):
            _keep(self._rows.setdefault(outcome.kind, []), outcome, self._examples)
            return
        _keep(self._refused.setdefault(outcome.reason, []), outcome, REFUSED_EACH)
        if outcome.reason == REPEATS:
            _keep(self._repeats, outcome, PAIRS)

    def rows(self) -> list[Row]:
        """Rows, those of one kind together."""
        return [row for _, kept in sorted(self._rows.items()) for row in kept]

    def refused(self, reasons: Iterable[str]) -> dict[str, list[Rejected]]:
        """Rejected items by reason."""
        return {reason: self._refused[reason] for reason in reasons}

    def repeats(self) -> list[Rejected]:
        """Items whose query repeats another."""
        return self._repeats


_One = TypeVar("_One", Row, Rejected)


def _keep(kept: list[_One], one: _One, most: int) -> None:
    if len(kept) < most or (kept and one.id < kept[-1].id):
        kept.append(one)
        kept.sort(key=lambda each: each.id)
        del kept[most:]


def _pairs(repeats: list[Rejected], outcomes: Callable[[], Iterator[Outcome]]) -> list[Pair]:
    """Repetitions with the text that they repeat."""
    wanted = {one.like for one in repeats}
    texts = {one.id: one.query for one in outcomes() if isinstance(one, Row) and one.id in wanted} if wanted else {}
    return [Pair(one, texts.get(one.like, "")) for one in repeats]


def _known(folder: Path) -> Summary:
    """What the folder's summary says: of a data set that lies apart from its run, it alone knows seeds and cost."""
    try:
        return Summary.model_validate_json((folder / SUMMARY).read_bytes())
    except (OSError, ValidationError):
        return Tally().summary()


def _costs(folder: Path, price: Price | None, known: Costs) -> Costs:
    """By the journals; as they are known where there are none."""
    found = costs([folder], price)
    return known if not found.calls or (price is None and known.calls == found.calls) else found


def _warnings(folder: Path, summary: Summary, *, is_finished: bool) -> Iterator[str]:
    if summary.missing:
        asked = summary.items + summary.missing
        yield (
            f"{summary.missing:,} of {asked:,} items are not made yet: the run was stopped, reached a bound, calls failed, or another shard makes them. The same "
            "command goes on, with a higher bound where there was one."
        )
    pieces = summary.pieces
    if pieces is not None and pieces.unread_count:
        count = pieces.unread_count
        yield f"{count:,} {'file or record' if count == 1 else 'files or records'} could not be read, and gave no seeds."
    if not is_finished:
        yield (
            "This run is not finished. The figures are those of the items that are there; evaluation sets have not "
            "been compared with them yet."
        )
        return
    made = (folder / DATA).stat().st_mtime
    if any(file.stat().st_mtime > made for file in folder.glob(ITEMS)):
        yield "Items were added after this data set was made; run the same command again to take them in."
