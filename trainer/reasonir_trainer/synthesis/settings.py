"""What a run of synthesis is asked for. Two runs with equal settings and equal documents make the same items.

`SynthesisSettings` is everything that changes *what* is made, and is written into the run's folder; another run in that
folder must ask for the same. What only changes how fast or how dearly it is made (concurrency, budgets, progress,
shards) is not in here and may differ from run to run.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal

from reasonir_agent.errors import InputError

SHORTEST_WORDS: Final = 300
LONGEST_WORDS: Final = 2000
"""Lengths of queries that are asked for (ReasonIR, varied-length data)."""

NegativeWay = Literal["written", "bm25", "encoder", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisSettings:
    """What to make.

    Attributes:
        model: "provider:model" that writes.
        temperature: None leaves the server's default.
        varied: varied-length items from each seed.
        hard: hard queries from each seed.
        most_seeds: seeds that are chosen in all, evenly over sources and fields; None takes every one.
        random_seed: decides what is left to chance.
        shortest_words: least length of a varied query that is asked for.
        longest_words: most.
        length_tolerance: share by which an obtained length may miss the requested one.
        least_seed_words: shorter pieces are no seeds.
        most_seed_words: documents are split into pieces of about this length at most.
        languages: codes ("en") of languages to keep; empty keeps all.
        least_quality: educational quality (0 to 5) that a seed must have; 0 asks no one.
        classifier: a text-classification model that judges the quality in the chat model's place; "" for none.
        label_fields: have each seed labelled with its field.
        near_duplicate: Jaccard similarity of 5-word shingles from which two texts are one.
        least_query_words: shorter hard queries are refused.
        most_overlap: share of a hard query's content words that its seed may hold.
        negatives: how hard negatives are had.
        negatives_each: how many for each query.
        least_negative_words: shorter written negatives are refused.
        judge_negatives: ask in a further turn whether a written negative helps after all.
        grade: have the model grade positive and negatives from 0 to 5, for distillation.
        positive_margin: a mined negative may reach this share of the positive's similarity (positive-aware threshold).
        first_rank: first BM25 rank that is mined.
        rewrite: also write the reasoning rewrite of each query.
        encoder: name of the local encoder for ranks, clusters and mining; "" for none.
        attempts: how often a reply that cannot be used is asked for.
    """

    model: str
    temperature: float | None = None
    varied: int = 1
    hard: int = 1
    most_seeds: int | None = None
    random_seed: int = 0
    shortest_words: int = SHORTEST_WORDS
    longest_words: int = LONGEST_WORDS
    length_tolerance: float = 0.35
    least_seed_words: int = 60
    most_seed_words: int = 600
    languages: tuple[str, ...] = ()
    least_quality: float = 1.0
    classifier: str = ""
    label_fields: bool = True
    near_duplicate: float = 0.7
    least_query_words: int = 12
    most_overlap: float = 0.5
    negatives: NegativeWay = "written"
    negatives_each: int = 1
    least_negative_words: int = 300
    judge_negatives: bool = True
    grade: bool = False
    positive_margin: float = 0.95
    first_rank: int = 20
    rewrite: bool = False
    encoder: str = ""
    attempts: int = 3

    def __post_init__(self) -> None:
        for name in ("varied", "hard", "negatives_each", "least_seed_words", "least_negative_words"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} must be 0 or more, got {getattr(self, name)}")
        if not self.varied and not self.hard:
            raise InputError("nothing is asked for: give at least one of varied (VL) and hard (HQ) items for each seed")
        if not 1 <= self.shortest_words <= self.longest_words:
            raise InputError(f"query lengths must rise, got {self.shortest_words} to {self.longest_words} words")
        for name in ("length_tolerance", "near_duplicate", "most_overlap", "positive_margin"):
            if not 0 < getattr(self, name) <= 1:
                raise InputError(f"{name} must be above 0 and at most 1, got {getattr(self, name)}")
        if not 0 <= self.least_quality <= 5:
            raise InputError(f"quality goes from 0 to 5, got {self.least_quality}")
        if self.attempts < 1 or self.first_rank < 1:
            raise InputError(f"attempts and first_rank count from 1, got {self.attempts} and {self.first_rank}")
        if self.most_seeds is not None and self.most_seeds < 1:
            raise InputError(f"most_seeds must be 1 or more, got {self.most_seeds}")
        if self.negatives == "encoder" and not self.encoder:
            raise InputError("negatives mined by an encoder need one: name it (encoder = minilm)")

    @property
    def items_each(self) -> int:
        """Items that are made from one seed."""
        return self.varied + self.hard

    def as_json(self) -> dict[str, Any]:
        """What is written into the run's folder."""
        return asdict(self) | {"languages": list(self.languages)}

    def differences(self, other: dict[str, Any]) -> list[str]:
        """One line for each setting that differs from what a folder's file says: "hard: 2 there, 1 now"."""
        mine = self.as_json()
        known = [one.name for one in fields(self)]
        names = known + sorted(other.keys() - mine.keys())
        return [
            f"{name}: {other.get(name, '(not set)')!r} there, {mine.get(name, '(not set)')!r} now"
            for name in names
            if other.get(name, ...) != mine.get(name, ...)
        ]
