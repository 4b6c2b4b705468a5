"""Strict reading of a score from 0 to 5. What is not clearly one score is refused, never guessed.

Accepted: "4", "4.5" (as 4.5), "**4**", "Score: 4/5", "relevance score = 4", {"score": 4}; reasoning before a final
score line. Refused: "10", "-1", "4-5", "3 or 4", two different scores, nothing.
"""

from __future__ import annotations

import re
from typing import Final

from reasonir_agent.errors import UnreadableReply
from reasonir_agent.llm import split_thinking

HIGHEST: Final = 5.0

_NUMBER: Final = r"(?<![\w.,/:+-])([+-]?\d+(?:[.,]\d+)?)"
_OUT_OF: Final = r"(?:\s*(?:/|out of)\s*(\d+(?:\.\d+)?))?"
_NOT_LONGER: Final = r"(?![\w%]|[.,/:]\d|\s*(?:[-–—]|to|or)\s*\d|\s*(?:/|out of\b))"
_QUOTES: Final = r"[\"']{0,3}"
_LABELLED: Final = re.compile(
    rf"\b(?:score|rating|relevance)\b{_QUOTES} ?(?:is|=|:|of)? ?{_QUOTES} ?{_NUMBER}{_OUT_OF}{_NOT_LONGER}",
    re.IGNORECASE,
)
_ALONE: Final = re.compile(rf"{_NUMBER}{_OUT_OF}{_NOT_LONGER}[.\s]*")


def read_score(text: str) -> float:
    """The score in a reply, 0 to 5.

    Raises:
        UnreadableReply: there is none, it is out of range, or there are two that differ.
    """
    said, _ = split_thinking(text)
    plain = " ".join(said.replace("*", " ").replace("`", " ").split())
    pairs = [match.groups() for match in _LABELLED.finditer(plain)]
    if not pairs:
        alone = _ALONE.fullmatch(plain)
        pairs = [alone.groups()] if alone else []
    if not pairs:
        raise UnreadableReply("no score from 0 to 5 was found; end with a line like 'Score: 3'.", raw=text)
    scores = {_value(number, out_of, text) for number, out_of in pairs}
    if len(scores) > 1:
        raise UnreadableReply(f"two different scores were found ({sorted(scores)}); give one.", raw=text)
    return scores.pop()


def _value(number: str, out_of: str | None, text: str) -> float:
    value = float(number.replace(",", "."))
    if out_of is not None and float(out_of) != HIGHEST:
        raise UnreadableReply(f"the score is out of {out_of}, expected out of 5.", raw=text)
    if not 0 <= value <= HIGHEST:
        raise UnreadableReply(f"the score {number[:20]} is not between 0 and 5.", raw=text)
    return value
