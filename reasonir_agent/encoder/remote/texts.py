"""Long texts for a server whose tokenizer we do not have: tokens are estimated from the characters. Pure.

A token for three bytes of prose (English has 4 to 5, Chinese 3 to 5), and one for each digit, line break and sign that
prose has few of: that is safe for code and formulas too, where every bracket may be a token. By it a long query is read in overlapping windows that
end at white space, so that each fits; the windows together hold every character. Six bytes a token is the other side: a
document of more is beyond the window, whatever its language.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from reasonir_agent.encoder.windows import MOST_WINDOWS, OVERLAP
from reasonir_agent.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

PARTS: Final = 3
"""Sizes are counted in thirds of a token: a letter is one; a digit, a bracket, a Chinese character are three."""

_OF_PROSE: Final = np.frombuffer(" .,?!'".encode("utf-32-le"), dtype="<u4")
"""Signs that count as letters do; words of prose are long enough to make room for them."""

_MOST_BYTES: Final = 6
"""Bytes of a token, so many that a text has no fewer tokens than that."""

_SPECIAL: Final = 4
"""Tokens that a tokenizer may put around a text."""

_SEARCHED: Final = 0.25
"""Share of a window in which white space is looked for, from its end."""


def estimate(text: str) -> int:
    """Tokens of a text, rather too many than too few."""
    return (int(_ends(text)[-1]) if text else 0) // PARTS + 1


def beginning(text: str, tokens: int) -> str:
    """The text up to the end of its first `tokens` tokens, by the same estimate."""
    head = text[: PARTS * tokens].encode(errors="replace").decode()
    return head[: int(np.searchsorted(_ends(head), PARTS * tokens, side="right"))]


def is_beyond(text: str, window: int) -> bool:
    """Whether a text is clearly longer than the window."""
    return len(text) > _MOST_BYTES * window or len(text.encode(errors="replace")) > _MOST_BYTES * window


def room(prefix: str, window: int) -> int:
    """Size (in thirds of a token) of a text that fits into the window behind its prefix.

    Raises:
        InputError: the prefix leaves no room.
    """
    taken = (estimate(prefix) if prefix else 0) + _SPECIAL
    if window <= taken:
        raise InputError(
            f"the prefix and special tokens take about {taken} of the window's {window} tokens and leave no room for "
            "the text"
        )
    return (window - taken) * PARTS


def windows(text: str, most: int) -> list[str]:
    """A query as one or more overlapping parts, each of at most the size `most`, that together hold all of it.

    Raises:
        InputError: it is longer than any question.
    """
    ends = _ends(text)
    if not text or int(ends[-1]) <= most:
        return [text]
    parts: list[str] = []
    start = 0
    while True:
        if len(parts) == MOST_WINDOWS:
            raise InputError(
                f"a query may fill up to {MOST_WINDOWS:,} windows of about {most // PARTS:,} tokens, "
                f"got {len(text):,} characters; pass the question, not a file"
            )
        before = int(ends[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + most, side="right")))
        if end >= len(text):
            parts.append(text[start:])
            return parts
        end = _at_white_space(text, end, lowest=end - int((end - start) * _SEARCHED))
        parts.append(text[start:end])
        start = max(start + 1, _at_white_space(text, end - int((end - start) * OVERLAP), lowest=start + 1))


def _ends(text: str) -> NDArray[np.int64]:
    """Size of the text up to the end of each character, in thirds of a token."""
    codes = np.frombuffer(text.encode("utf-32-le", errors="replace"), dtype="<u4")
    sizes = 1 + (codes > 0x7F) + (codes > 0x7FF) + (codes > 0xFFFF)
    letters = ((codes | 0x20) >= ord("a")) & ((codes | 0x20) <= ord("z"))
    signs = (codes < 0x80) & ~letters & ~np.isin(codes, _OF_PROSE)
    return np.cumsum(np.where(signs, PARTS, sizes), dtype=np.int64)


def _at_white_space(text: str, position: int, *, lowest: int) -> int:
    """The last place behind white space in text[lowest:position + 1], else `position`."""
    for place in range(position, max(lowest, 1) - 1, -1):
        if text[place - 1].isspace():
            return place
    return position
