"""Is the quote in the passage that was shown, and where. Spaces and Unicode forms may differ, words may not."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from reasonir_agent.types import Citation, Passage

_SAME: Final = str.maketrans(
    {"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "‚": "'", "–": "-", "—": "-", "−": "-", "\u00ad": None}
)
_MARK: Final = re.compile(r"\[(\d+)\]")


def locate_quote(quote: str, text: str) -> tuple[int, int] | None:
    """Where a quote stands in a text, as offsets of the text; None when it does not.

    White space, quotation marks, dashes and Unicode's compatible forms are normalised on both sides. A quote of white
    space is nowhere.
    """
    wanted, _ = _normalised(quote)
    wanted = wanted.strip()
    if not wanted:
        return None
    plain, origin = _normalised(text)
    at = plain.find(wanted)
    if at == -1:
        return None
    return origin[at], origin[at + len(wanted) - 1] + 1


def _normalised(text: str) -> tuple[str, list[int]]:
    """The text in its compared form, and for each of its characters the place in the original."""
    plain: list[str] = []
    origin: list[int] = []
    for place, character in enumerate(text):
        for form in unicodedata.normalize("NFKC", character).translate(_SAME):
            one = " " if form.isspace() else form
            if one == " " and plain and plain[-1] == " ":
                continue
            plain.append(one)
            origin.append(place)
    return "".join(plain), origin


def check_citation(n: int, quote: str, shown: list[Passage]) -> Citation | str:
    """A verified citation, or a sentence that says what is wrong with it.

    Args:
        n: number of the passage, counted from 1 in the order they were shown.
        quote: the words.
        shown: the passages.
    """
    if not 1 <= n <= len(shown):
        return f"[{n}] is none of the {len(shown)} passages that were shown"
    passage = shown[n - 1]
    found = locate_quote(quote, passage.text)
    if found is None:
        return f'the quote "{quote[:120]}" does not stand in passage [{n}]'
    start, end = found
    return Citation(n, passage.id, passage.source, passage.start + start, passage.start + end, passage.text[start:end])


def marks(answer: str) -> set[int]:
    """The numbers that an answer cites as [n]."""
    return {int(number) for number in _MARK.findall(answer)}


def drop_marks(answer: str, unfounded: set[int]) -> str:
    """The answer without the marks of citations that could not be verified."""
    kept = _MARK.sub(lambda match: "" if int(match[1]) in unfounded else match[0], answer)
    return re.sub(r"[ \t]+([.,;:!?。，；：！？])", r"\1", re.sub(r"[ \t]{2,}", " ", kept)).strip()
