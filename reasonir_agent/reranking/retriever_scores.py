"""The retriever's part of the final score, where a framework hides it.

The interpolation wants the raw cosine of question and passage. Frameworks hand over passages with a score of another
kind, or with none. In this order: a score that is known, or that a known formula turns into the cosine; else question
and passages are encoded again; else only the order is known, and ranks stand in for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from reasonir_agent.errors import InputError
from reasonir_agent.types import Encoder

Space = Literal["cosine", "ip", "l2"]


def cosine_of_distance(distance: float, space: Space) -> float:
    """The cosine of two unit vectors from a vector store's distance.

    Args:
        distance: as Chroma and hnswlib report it: 1 - cosine, 1 - inner product, or the squared Euclidean distance.
        space: which of them.

    Raises:
        InputError: the space is none of the three.
    """
    if space in ("cosine", "ip"):
        return 1.0 - distance
    if space == "l2":
        return 1.0 - distance / 2.0
    raise InputError(f"space must be 'cosine', 'ip' or 'l2', got {space!r}")


def cosine_of_exponential(score: float) -> float:
    """The cosine from LlamaIndex's score over Chroma, exp(-distance), in cosine space; -1 for a score of 0 or less."""
    return -1.0 if score <= 0 else max(-1.0, 1.0 + math.log(score))


def retriever_scores(
    question: str,
    texts: Sequence[str],
    *,
    known: Sequence[float | None] = (),
    encoder: Encoder | None = None,
) -> list[float]:
    """A retriever score for each text, in order.

    Args:
        question: what was searched for.
        texts: the passages, best first.
        known: their cosines, None where one is not known; used only when all are, since scores of two kinds do not mix.
        encoder: encodes question and texts again where the cosines are not known.

    Returns:
        cosines in [-1, 1]; without an encoder (n - i) / n for the i-th of n texts.

    Raises:
        InputError: another number of scores than of texts.
    """
    if known and len(known) != len(texts):
        raise InputError(f"expected a score for each of {len(texts)} texts, got {len(known)}")
    cosines = [score for score in known if score is not None and math.isfinite(score)]
    if texts and len(cosines) == len(texts):
        return [min(1.0, max(-1.0, float(score))) for score in cosines]
    if encoder is not None and texts:
        query = encoder.encode_queries([question])[0]
        return [float(score) for score in encoder.encode_documents(list(texts)) @ query]
    return [(len(texts) - place) / len(texts) for place in range(len(texts))]
