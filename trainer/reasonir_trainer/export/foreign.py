"""Rows made of data in another format: what the format does not say is left empty, never guessed.

The model is "", the version of the prompts 0, attempts 0, the seed a place without source or span; kind and origin are
"given". An id that the format lacks is a hash of the texts, so that the same data always give the same ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from reasonir_trainer.synthesis.rows import Negative, Provenance, Row, SeedPlace


def foreign_row(
    query: str,
    positive: str,
    negatives: Sequence[str],
    *,
    id: str = "",
    positive_grade: float | None = None,
    grades: Sequence[float | None] = (),
) -> Row:
    """A row of which only the texts are known.

    Args:
        query: its words.
        positive: its words.
        negatives: their words, hardest first.
        id: "" gives a hash of the texts.
        positive_grade: where the format has one.
        grades: of the negatives, where it has them.
    """
    told = list(grades) or [None] * len(negatives)
    return Row(
        id=id or content_id(query, positive, *negatives),
        kind="given",
        query=query,
        positive=positive,
        positive_grade=positive_grade,
        negatives=tuple(
            Negative(text=text, origin="given", grade=grade) for text, grade in zip(negatives, told, strict=True)
        ),
        seed=SeedPlace(id="", source="", start=0, end=0, heading="", sha256="", quality=None, field=""),
        made=Provenance(model="", prompts=0, attempts=0),
    )


def content_id(*texts: str) -> str:
    """24 hexadecimal digits over texts."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:24]
