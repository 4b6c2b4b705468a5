"""Does an encoder's vocabulary know a language? Shares of unknown tokens on a sample; above a limit words weigh more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from reasonir_agent.types import Encoder

T = TypeVar("T")

UNKNOWN_LIMIT: Final = 0.10
"""Share of unknown tokens above which an encoder does not know the language of a text."""

_SAMPLE: Final = 400


def sample(passages: Sequence[T]) -> Sequence[T]:
    """About 400 at even distances."""
    return passages[:: max(1, len(passages) // _SAMPLE)]


def unknown_shares(encoder: Encoder, texts: Sequence[str]) -> tuple[list[float], float]:
    """The share of unknown tokens of each text, and of all together, weighted by length; 0 to 1."""
    shares = [encoder.unknown_share([text]) for text in texts]
    length = sum(map(len, texts))
    return shares, sum(share * len(text) for share, text in zip(shares, texts, strict=True)) / (length or 1)
