"""What a data set holds, counted: rows, rejections, lengths asked for and obtained, overlap, negatives, cost.

`Tally` takes outcomes one at a time and keeps numbers, never texts, so that a data set of any size can be counted while
it is written. Nothing that is counted depends on how the work was cut into shards or on when it was done.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from reasonir_agent.errors import StoreError, boundary
from reasonir_agent.llm import Price
from reasonir_agent.stores.words import words
from reasonir_trainer.synthesis.data_files import read_lines
from reasonir_trainer.synthesis.journal import Spent
from reasonir_trainer.synthesis.pieces import Pieces
from reasonir_trainer.synthesis.rows import Negative, Outcome, Rejected, Row
from reasonir_trainer.synthesis.word_runs import count_words

RANKS: Final = ((1, "1"), (5, "2 to 5"), (10, "6 to 10"), (20, "11 to 20"), (50, "21 to 50"), (100, "51 to 100"))
"""Last rank of a group, and its name."""

BEYOND: Final = "over 100"
UNRANKED: Final = "not ranked"


class _Exact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Spread(_Exact):
    """How numbers are spread: least, quartiles, most, and their mean."""

    count: int
    mean: float
    least: float
    lower: float
    median: float
    upper: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float] | array[float]) -> Spread | None:
        """The spread of values; None of none."""
        if not len(values):
            return None
        numbers = np.sort(np.asarray(values, dtype=np.float64))
        points = np.quantile(numbers, (0, 0.25, 0.5, 0.75, 1))
        least, lower, median, upper, most = (round(float(point), 4) for point in points)
        mean = round(float(numbers.mean()), 4)
        return cls(count=len(numbers), mean=mean, least=least, lower=lower, median=median, upper=upper, most=most)


class Lengths(_Exact):
    """Lengths in words of one kind of rows.

    Attributes:
        requested_query: what was asked for; None where no length was.
        query: what came.
        requested_positive: what was asked for.
        positive: what came.
        negative: of all negatives.
    """

    requested_query: Spread | None
    query: Spread | None
    requested_positive: Spread | None
    positive: Spread | None
    negative: Spread | None


class Negatives(_Exact):
    """The negatives of all rows.

    Attributes:
        count: of them.
        origins: origin -> how many.
        ranks: group of ranks for their query -> how many.
        similarity: cosine with their query for the local encoder.
        grades: the model's judgement, rounded -> how many.
    """

    count: int
    origins: dict[str, int]
    ranks: dict[str, int]
    similarity: Spread | None
    grades: dict[str, int]


class Costs(_Exact):
    """What the calls of a run took; seeds' judging and refused replies included.

    Attributes:
        calls: replies that were kept.
        prompt_tokens: as the server reported them.
        completion_tokens: likewise.
        silent: replies of which it reported nothing.
        cost: None where nobody gave prices, or a reply was silent.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    silent: int = 0
    cost: float | None = None


class Summary(_Exact):
    """What `summary.json` holds.

    Attributes:
        items: rows and rejected items.
        rows: of the data set.
        kinds: kind -> rows.
        rejected: reason -> items, the most frequent first.
        missing: items that were asked for and are neither, as after a bound was reached.
        pieces: what became of the pieces of the documents; None where nobody counted.
        seeds: that were chosen.
        documents: source documents with a row.
        fields: field label -> rows.
        models: that wrote rows.
        prompts: versions of the prompts.
        attempts: calls that a row took, as text -> rows.
        lengths: by kind.
        overlap: share of a query's words that its seed holds, by kind.
        negatives: of all rows.
        graded: rows whose positive has a grade.
        rewritten: rows with a rewritten query.
        spent: on all calls.
    """

    items: int
    rows: int
    kinds: dict[str, int]
    rejected: dict[str, int]
    missing: int = 0
    pieces: Pieces | None = None
    seeds: int
    documents: int
    fields: dict[str, int]
    models: list[str]
    prompts: list[int]
    attempts: dict[str, int]
    lengths: dict[str, Lengths]
    overlap: dict[str, Spread | None]
    negatives: Negatives
    graded: int
    rewritten: int
    spent: Costs


class Values:
    """The numbers of one kind of rows, in the order of rows.

    Attributes:
        requested_query: words; 0 where no length was asked for. One for each row, as `query` is.
        query: words.
        requested_positive: words, or 0.
        positive: words.
        negative: words, one for each negative.
        overlap: share of the query's words that the seed holds; rows whose seed is known.
    """

    def __init__(self) -> None:
        self.requested_query, self.query = array("l"), array("l")
        self.requested_positive, self.positive = array("l"), array("l")
        self.negative, self.overlap = array("l"), array("d")

    def lengths(self) -> Lengths:
        """Their spreads."""
        return Lengths(
            requested_query=Spread.of([one for one in self.requested_query if one]),
            query=Spread.of(self.query),
            requested_positive=Spread.of([one for one in self.requested_positive if one]),
            positive=Spread.of(self.positive),
            negative=Spread.of(self.negative),
        )


class Tally:
    """Counts outcomes.

    Attributes:
        kinds: kind -> its numbers.
        rejected: reason -> how many.
        ranks: group of ranks -> how many negatives.
    """

    def __init__(self) -> None:
        self.kinds: dict[str, Values] = {}
        self.rejected: Counter[str] = Counter()
        self.ranks: Counter[str] = Counter()
        self._fields: Counter[str] = Counter()
        self._attempts: Counter[int] = Counter()
        self._origins: Counter[str] = Counter()
        self._grades: Counter[int] = Counter()
        self._similarities = array("d")
        self._documents: set[str] = set()
        self._models: set[str] = set()
        self._prompts: set[int] = set()
        self._graded = self._rewritten = 0

    def add(self, outcome: Outcome, seed_text: str | None = None) -> None:
        """Count one more.

        Args:
            outcome: a row or a rejected item.
            seed_text: the words of its seed; None where they are not at hand. A hard query's seed is its positive.
        """
        if isinstance(outcome, Rejected):
            self.rejected[outcome.reason] += 1
            return
        self._add_lengths(outcome, seed_text)
        self._fields[outcome.seed.field] += 1
        self._attempts[outcome.made.attempts] += 1
        self._documents.add(outcome.seed.source.split("#page=")[0])
        self._models.add(outcome.made.model)
        self._prompts.add(outcome.made.prompts)
        self._graded += outcome.positive_grade is not None
        self._rewritten += bool(outcome.rewritten)
        for negative in outcome.negatives:
            self._add_negative(negative)

    def summary(
        self, *, seeds: int = 0, each: int = 0, pieces: Pieces | None = None, spent: Costs | None = None
    ) -> Summary:
        """What was counted so far.

        Args:
            seeds: how many were chosen.
            each: items that were asked for from a seed; 0 where nobody knows.
            pieces: what became of the documents.
            spent: on the calls.
        """
        rows = sum(len(values.query) for values in self.kinds.values())
        kinds = dict(sorted(self.kinds.items()))
        items = rows + sum(self.rejected.values())
        return Summary(
            items=items,
            rows=rows,
            kinds={kind: len(values.query) for kind, values in kinds.items()},
            rejected=_most_first(self.rejected),
            missing=max(0, seeds * each - items),
            pieces=pieces.without_names() if pieces else None,
            seeds=seeds,
            documents=len(self._documents),
            fields=_most_first({field or "none": count for field, count in self._fields.items()}),
            models=sorted(self._models),
            prompts=sorted(self._prompts),
            attempts={str(calls): count for calls, count in sorted(self._attempts.items())},
            lengths={kind: values.lengths() for kind, values in kinds.items()},
            overlap={kind: Spread.of(values.overlap) for kind, values in kinds.items()},
            negatives=self._negatives(),
            graded=self._graded,
            rewritten=self._rewritten,
            spent=spent or Costs(),
        )

    def _add_lengths(self, row: Row, seed_text: str | None) -> None:
        values = self.kinds.setdefault(row.kind, Values())
        values.requested_query.append(row.made.requested_query_words)
        values.requested_positive.append(row.made.requested_positive_words)
        values.query.append(count_words(row.query))
        values.positive.append(count_words(row.positive))
        values.negative.extend(count_words(negative.text) for negative in row.negatives)
        text = row.positive if row.kind == "hq" else seed_text
        if text is not None:
            values.overlap.append(overlap(row.query, text))

    def _add_negative(self, negative: Negative) -> None:
        self._origins[negative.origin] += 1
        self.ranks[rank_group(negative.rank)] += 1
        if negative.similarity is not None:
            self._similarities.append(negative.similarity)
        if negative.grade is not None:
            self._grades[round(negative.grade)] += 1

    def _negatives(self) -> Negatives:
        order = [name for _, name in RANKS] + [BEYOND, UNRANKED]
        return Negatives(
            count=self._origins.total(),
            origins=_most_first(self._origins),
            ranks={name: self.ranks[name] for name in order if self.ranks[name]},
            similarity=Spread.of(self._similarities),
            grades={str(grade): count for grade, count in sorted(self._grades.items())},
        )


def rank_group(rank: int | None) -> str:
    """The group that a rank belongs to."""
    if rank is None:
        return UNRANKED
    return next((name for last, name in RANKS if rank <= last), BEYOND)


def overlap(query: str, text: str) -> float:
    """Share of the query's different words (stems, function words left out) that the text holds; 0 of no words."""
    asked = set(words(query))
    return len(asked & set(words(text))) / len(asked) if asked else 0.0


def costs(folders: Iterable[Path], price: Price | None = None) -> Costs:
    """What the calls of runs took, by the journals in their folders.

    Args:
        folders: of the runs.
        price: of the model.

    Raises:
        StoreError: a journal cannot be read.
    """
    spent = Spent()
    for folder in folders:
        for file in sorted(folder.glob("calls-*-of-*.jsonl")):
            for number, _, line in read_lines(file):
                with boundary(StoreError, f"reading line {number} of {file}", catch=(ValueError, KeyError, TypeError)):
                    spent.add(json.loads(line))
    money = None if price is None or spent.silent else price.of(spent.prompt_tokens, spent.completion_tokens)
    return Costs(
        calls=spent.calls,
        prompt_tokens=spent.prompt_tokens,
        completion_tokens=spent.completion_tokens,
        silent=spent.silent,
        cost=money,
    )


def _most_first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))
