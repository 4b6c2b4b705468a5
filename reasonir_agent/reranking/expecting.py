"""The expected score over the digits 0 to 5, from the log-probabilities of the token that states it.

Stated scores are whole numbers and tie massively; the expectation ranks within a tie. It is used only where it can be
trusted: the token is the last digit of the reply that says the stated score ("of 5" and the zeros of "4.0" say none),
and the digits 0 to 5 hold most of its probability.
"""

from __future__ import annotations

import math
import re
from typing import Final

from reasonir_agent.errors import UnreadableReply
from reasonir_agent.llm import Reply
from reasonir_agent.reranking.reading import read_score

_DIGITS: Final = {str(digit): float(digit) for digit in range(6)}
_SIGNS: Final = " *`_:\n\"'"
_NO_SCORE_AFTER: Final = re.compile(r"(?:/|\bout of)[\s*`]*\Z|\d[.,]\Z", re.IGNORECASE)
_LOOKED_BACK: Final = 20  # characters
_LEAST_MASS: Final = 0.5
"""Probability that the digits must hold together; below it the token was no score."""


def expected_score(reply: Reply) -> float | None:
    """The expected score, 0 to 5; None where the reply holds no log-probabilities that can be trusted.

    Args:
        reply: with the alternatives of its tokens.
    """
    try:
        stated = read_score(reply.text)
    except UnreadableReply:
        return None
    texts = [token.text for token in reply.tokens]
    for place in reversed(range(len(texts))):
        if _DIGITS.get(texts[place].strip(_SIGNS)) != stated:
            continue
        before = "".join(texts[max(0, place - _LOOKED_BACK) : place])[-_LOOKED_BACK:]
        if not _NO_SCORE_AFTER.search(before):
            return _expectation(reply.tokens[place].choices)
    return None


def _expectation(choices: tuple[tuple[str, float], ...]) -> float | None:
    mass: dict[float, float] = {}
    for text, logprob in choices:
        digit = _DIGITS.get(text.strip(_SIGNS))
        if digit is not None and math.isfinite(logprob):
            mass[digit] = mass.get(digit, 0.0) + math.exp(min(0.0, logprob))
    total = sum(mass.values())
    if total < _LEAST_MASS:
        return None
    return sum(digit * share for digit, share in mass.items()) / total
