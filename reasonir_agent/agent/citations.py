"""Is the quote in the passage that was shown, and where. Spaces and Unicode forms may differ, words may not."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from reasonir_agent.types import Citation, Passage

_SAME: Final = str.maketrans(
    {"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "‚": "'", "–": "-", "—": "-", "−": "-"}
    | dict.fromkeys("\u00ad\u200b\u2060\ufeff")  # invisible
)
_MARK: Final = re.compile(r"[ \t]*\[(\d{1,6}(?:\s*[,;]\s*\d{1,6})*)\]")


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
    while at != -1:
        end = at + len(wanted)
        if _is_whole(plain, origin, at, end):
            return origin[at], origin[end - 1] + 1
        at = plain.find(wanted, at + 1)
    return None


def _is_whole(plain: str, origin: Sequence[int], start: int, end: int) -> bool:
    """Whether a stretch begins and ends with characters of the original: the "1" of "½" is no quote of it."""
    before, after = start, end
    while before > 0 and origin[before - 1] == origin[start]:
        before -= 1
    while after < len(plain) and origin[after] == origin[end - 1]:
        after += 1
    return not plain[before:start].strip() and not plain[end:after].strip()


def _normalised(text: str) -> tuple[str, list[int]]:
    """The text in its compared form, and for each of its characters the place in the original.

    The form is decomposed: the two ways of writing an accent are the same.
    """
    plain: list[str] = []
    origin: list[int] = []
    for place, character in enumerate(text):
        for form in unicodedata.normalize("NFKD", character).translate(_SAME):
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
    """The numbers that an answer cites as [n] or [n, m]."""
    return {number for match in _MARK.finditer(answer) for number in _numbers(match)}


def drop_marks(answer: str, unfounded: set[int]) -> str:
    """The answer without the marks of citations that could not be verified."""

    def without(match: re.Match[str]) -> str:
        numbers = _numbers(match)
        kept = [number for number in numbers if number not in unfounded]
        if kept == numbers:
            return match[0]
        return match[0].partition("[")[0] + f"[{', '.join(map(str, kept))}]" if kept else ""

    return _MARK.sub(without, answer).strip()


def _numbers(match: re.Match[str]) -> list[int]:
    """The numbers of one mark. A list with 0 is none: passages count from 1, and [0, 1] is an interval."""
    numbers = [int(number) for number in re.findall(r"\d+", match[1])]
    return [] if len(numbers) > 1 and 0 in numbers else numbers
