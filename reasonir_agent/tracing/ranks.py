"""The picture of every passage's way through the ranks: a column for each list, a line for each passage.

The passages that were kept stand out, those that the answer cites most. Only the best places are drawn; a kept passage
that came from further down has a place of its own below, with its rank.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from reasonir_agent.evaluation.report.figures import NONE
from reasonir_agent.evaluation.report.svg import Picture, text_width
from reasonir_agent.tracing.story import Rank, Step

_SHOWN: Final = 30
_ROW: Final = 15.0
_TOP: Final = 40.0
_LEFT: Final = 34.0
_SIZE: Final = 12
_BOLD: Final = 13.5  # as wide as bold letters of that size are
_TITLES: Final = {"retrieve": "retrieved", "rerank": "reranked"}


@dataclass(frozen=True, slots=True)
class Column:
    """A list of passages.

    Attributes:
        heads: two lines over it.
        ranks: the passages, best first.
    """

    heads: tuple[str, str]
    ranks: tuple[Rank, ...]

    def place(self, id: str) -> int | None:
        """Rank of a passage, counted from 0."""
        return next((place for place, rank in enumerate(self.ranks) if rank.id == id), None)


def columns_of(steps: Sequence[Step]) -> list[Column]:
    """The lists of a question's steps, in order."""
    return [Column((f"round {one.round}", _TITLES.get(one.name, one.name)), one.ranks) for one in steps if one.ranks]


def draw_ranks(
    columns: Sequence[Column],
    *,
    kept: Sequence[str],
    cited: Collection[str],
    name_of: Callable[[str], str],
    width: float,
    labels: float,
) -> Picture:
    """Draw lists side by side.

    Args:
        columns: two or more.
        kept: ids of the passages that were kept, best first.
        cited: ids of those that the answer rests on.
        name_of: where a passage comes from.
        width: in pixels.
        labels: how much of it the names at the right side take.
    """
    title = f"{len(kept)} passages that were kept, and their ranks in {len(columns)} lists"
    drawing = _Drawing(columns, kept, set(cited), name_of, width, labels)
    picture = Picture(width, drawing.height, title)
    drawing.draw(picture)
    return picture


class _Drawing:
    """Where everything stands."""

    def __init__(
        self,
        columns: Sequence[Column],
        kept: Sequence[str],
        cited: set[str],
        name_of: Callable[[str], str],
        width: float,
        labels: float,
    ) -> None:
        self.columns, self.kept, self.cited, self.name_of, self.width = columns, list(kept), cited, name_of, width
        self.rows = min(_SHOWN, max(len(column.ranks) for column in columns))
        self.labels_at = width - labels
        self.places = [{rank.id: place for place, rank in enumerate(column.ranks)} for column in columns]
        self.beyond = [[rank.id for rank in column.ranks[self.rows :] if rank.id in set(kept)] for column in columns]
        self.edge = _TOP + self.rows * _ROW + 4
        has_more = any(len(column.ranks) > self.rows for column in columns)
        self.height = self.edge + (has_more * 18) + max(map(len, self.beyond)) * _ROW + 6

    def x(self, column: int) -> float:
        return _LEFT + column * (self.labels_at - 14 - _LEFT) / max(len(self.columns) - 1, 1)

    def y(self, column: int, id: str) -> float | None:
        """The height of a passage; that of the edge where it is below and not kept, None where it is not."""
        place = self.places[column].get(id)
        if place is None or place < self.rows:
            return None if place is None else _TOP + place * _ROW + _ROW / 2
        if id not in self.beyond[column]:
            return self.edge
        return self.edge + 18 + self.beyond[column].index(id) * _ROW + _ROW / 2

    def draw(self, picture: Picture) -> None:
        self._heads(picture)
        others = list(dict.fromkeys(rank.id for column in self.columns for rank in column.ranks))
        ordered = [[one for one in others if self._weight(one) == weight] for weight in (0, 1, 2)]
        for id in (id for ids in ordered for id in ids):  # what matters most is drawn last, over the others
            self._threads(picture, id)
        for id in (id for ids in ordered for id in ids):
            self._marks(picture, id)
        self._names(picture)

    def _weight(self, id: str) -> int:
        return 2 if id in self.cited else 1 if id in self.kept else 0

    def _heads(self, picture: Picture) -> None:
        for number, column in enumerate(self.columns):
            x = self.x(number)
            picture.text(x, 12, column.heads[0], "tick", anchor="middle")
            picture.text(x, 27, column.heads[1], "value", anchor="middle")
            if len(column.ranks) > self.rows:
                more = f"{len(column.ranks) - self.rows} more"
                picture.text(x, self.edge + 13, more, "tick label", anchor="middle")
        for place in {0, *range(4, self.rows, 5)}:
            picture.text(_LEFT - 12, _TOP + place * _ROW + _ROW / 2 + 4, str(place + 1), "tick", anchor="end")

    def _threads(self, picture: Picture, id: str) -> None:
        for left, right in pairwise(range(len(self.columns))):
            start, end = self.y(left, id), self.y(right, id)
            if start is not None and end is not None and not (start == end == self.edge):
                picture.line(
                    (self.x(left), start), (self.x(right), end), ("thread", "kept c0", "kept c1")[self._weight(id)]
                )

    def _marks(self, picture: Picture, id: str) -> None:
        weight = self._weight(id)
        for number, column in enumerate(self.columns):
            y, place = self.y(number, id), self.places[number].get(id)
            if y is None or place is None or y == self.edge:
                continue
            shown = (
                f"{self.name_of(id)}: {column.heads[0]}, {column.heads[1]} {place + 1}. {_scores(column.ranks[place])}"
            )
            classes = ("spot", "mark c0", "mark c1")[weight]
            picture.mark(self.x(number), y, 3 if weight == 2 else 0, classes, size=(2, 4.5, 5)[weight], title=shown)
            if place >= self.rows:
                picture.text(self.x(number) - 9, y + 4, str(place + 1), "label", anchor="end")

    def _names(self, picture: Picture) -> None:
        last = len(self.columns) - 1
        for id in self.kept:
            y = self.y(last, id)
            if y is not None:
                words = _fitting(
                    self.name_of(id), self.width - self.labels_at, size=_BOLD if id in self.cited else _SIZE
                )
                picture.text(self.labels_at, y + 4, words, "letter c1" if id in self.cited else "label")


def _scores(rank: Rank) -> str:
    reranker = NONE if rank.reranker is None else f"{rank.reranker:.2f}"
    return f"cosine {rank.dense:.3f}, reranker {reranker}, final {rank.final:.3f}"


def _fitting(words: str, width: float, *, size: float) -> str:
    """The end of a path, which tells files apart; its beginning gives way."""
    if text_width(words, size) <= width:
        return words
    words = words[words.rfind("/") :]
    while words and text_width(f"…{words}", size) > width:
        words = words[1:]
    return f"…{words}"
