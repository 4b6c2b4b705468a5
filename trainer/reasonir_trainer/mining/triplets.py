"""A query, one of its positives and the negatives that were mined for it: one JSON object a line."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Triplet:
    """A query, one of its positives, and the negatives that were mined for it.

    Attributes:
        query_id: id of the query.
        query: its text.
        positive_id: id of the positive.
        positive: its text.
        negative_ids: ids of the negatives, hardest first.
        negatives: their texts.
        ranks: where each stood among the documents that are no positive, from 1.
        similarities: cosine of each with the query; None where no encoder was asked.
        positive_similarity: likewise of the positive.
        grades: how far each helps, 0 to 5; None where nobody graded.
        positive_grade: likewise of the positive.
    """

    query_id: str
    query: str
    positive_id: str
    positive: str
    negative_ids: list[str]
    negatives: list[str]
    ranks: list[int]
    similarities: list[float] | None = None
    positive_similarity: float | None = None
    grades: list[float] | None = None
    positive_grade: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The line that is written; what was not asked for is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}
