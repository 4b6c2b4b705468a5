"""How long a varied item's query and positive are asked to be, and how long they came out.

The lengths of an item are drawn by hashing its id, one for the query and one for the positive, so that they depend on
nothing else. They are spread evenly in the logarithm: the share of items between n and 2n words is the same for every
n. What a longer query changes for an encoder (how thinly one decisive sentence is spread in the mean over all tokens,
how far apart two facts stand) goes by ratios, not by differences, and so does the tolerance by which a length may be
missed: an even spread in words would put three in five above 1,000 words and pay 28% more tokens for a part of the range
in which items differ least. Over 300 to 2,000 words the mean is 896.

A length that is missed by more than the tolerance is asked for again, then dropped: a training set with a wrong length
under a right label would hide what `distribution` shows.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from reasonir_trainer.synthesis.rows import Row
from reasonir_trainer.synthesis.settings import SynthesisSettings
from reasonir_trainer.synthesis.word_runs import count_words

_BUCKETS: Final = 8


@dataclass(frozen=True, slots=True)
class Length:
    """A length that is asked for, in words, and the bounds that are accepted (both included)."""

    words: int
    least: int
    most: int

    def holds(self, words: int) -> bool:
        """Whether a length is accepted."""
        return self.least <= words <= self.most


@dataclass(frozen=True, slots=True)
class Bucket:
    """How many queries were asked for, and how many came out, between two lengths in words (the last one excluded)."""

    start: int
    end: int
    requested: int
    obtained: int


@dataclass(frozen=True, slots=True)
class Distribution:
    """Obtained against requested lengths of the varied items of a data set.

    Attributes:
        items: how many.
        requested_mean: words of a query.
        obtained_mean: likewise.
        ratios: obtained divided by requested: the 5%, 50% and 95% quantiles; empty without items.
        buckets: histogram of both, even in the logarithm; the outer ones hold what lies beyond.
    """

    items: int
    requested_mean: float
    obtained_mean: float
    ratios: tuple[float, ...]
    buckets: tuple[Bucket, ...]

    def as_json(self) -> dict[str, Any]:
        """The parts."""
        return asdict(self)


def requested(item: str, part: str, settings: SynthesisSettings) -> Length:
    """The length of a part of an item.

    Args:
        item: id of the item.
        part: "query" or "positive".
        settings: bounds, tolerance, random seed.
    """
    share = drawn(settings.random_seed, item, f"{part} length")
    least, most = settings.shortest_words, settings.longest_words
    words = min(most, max(least, round(least * (most / least) ** share)))
    tolerance = settings.length_tolerance
    return Length(words, math.ceil(words * (1 - tolerance)), math.floor(words * (1 + tolerance)))


def drawn(random_seed: int, item: str, what: str) -> float:
    """A number in [0, 1) that depends on nothing but its arguments."""
    digest = hashlib.sha256(f"{random_seed}\0{item}\0{what}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def distribution(rows: Iterable[Row]) -> Distribution:
    """Obtained against requested query lengths of the varied rows; other rows are passed over."""
    pairs = [(row.made.requested_query_words, count_words(row.query)) for row in rows if row.kind == "vl"]
    if not pairs:
        return Distribution(0, 0.0, 0.0, (), ())
    asked, got = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    ratios = sorted(obtained / wanted for wanted, obtained in pairs)
    quantiles = tuple(round(ratios[round(share * (len(ratios) - 1))], 4) for share in (0.05, 0.5, 0.95))
    return Distribution(len(pairs), _mean(asked), _mean(got), quantiles, _buckets(asked, got))


def _mean(numbers: Sequence[int]) -> float:
    return round(sum(numbers) / len(numbers), 1)


def _buckets(asked: Sequence[int], got: Sequence[int]) -> tuple[Bucket, ...]:
    low, high = min(asked), max(asked) + 1
    edges = sorted({round(low * (high / low) ** (n / _BUCKETS)) for n in range(_BUCKETS + 1)})
    inner = edges[1:-1]
    return tuple(
        Bucket(start, end, _between(asked, number, inner), _between(got, number, inner))
        for number, (start, end) in enumerate(itertools.pairwise(edges))
    )


def _between(lengths: Sequence[int], number: int, inner: Sequence[int]) -> int:
    """How many lengths have that many inner edges at or below them."""
    return sum(sum(edge <= length for edge in inner) == number for length in lengths)
