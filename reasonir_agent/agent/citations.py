"""Is the quote in the passage that was shown, and where; and the marks of an answer.

Spaces and Unicode forms may differ, words may not; invisible characters, which no model is shown, do not count. The text
counts, as the model was shown it: a quote from the heading that leads a passage is told apart and refused, since every
citation names a place in its document. Marks are read in the form [n] or [n, m]; what else models write ([1-3], 【1】,
[^1], [passage 1]) is brought into it first, since a mark that is not recognised would be shown unverified. In code,
brackets are no marks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from reasonir_agent.invisible import CONTROL, INVISIBLE, JOINERS
from reasonir_agent.types import Citation, Passage

_SAME: Final = str.maketrans(
    {"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "‚": "'", "–": "-", "—": "-", "−": "-"}
    | {chr(point): "" for point in INVISIBLE | JOINERS | CONTROL}
)
CODE: Final = re.compile(
    r"^[ \t>]*(?P<fence>`{3,}|~{3,})[^\n]*(?:\n.*?(?:^[ \t>]*(?P=fence)[`~]*[ \t]*$|\Z)|\Z)"  # a block; may not end
    r"|(?<!`)(?P<tick>`{1,3})(?!`)[^\n]{1,500}?(?<!`)(?P=tick)(?!`)",
    re.MULTILINE | re.DOTALL,
)
"""Code in Markdown: fenced blocks and what stands between backticks."""

_MARK: Final = re.compile(r"[ \t]*\[(\d{1,6}(?:\s*[,;]\s*\d{1,6})*)\]")
_OTHER_MARK: Final = re.compile(
    r"[\[【［](?:\^|(?:passages?|sources?|段落|来源)\s*)?"
    r"(?P<list>\d{1,6}(?:\s*[,;，、；–-]\s*\d{1,6})*)(?:†[^\]】］\n]{0,40})?[\]】］]",
    re.IGNORECASE,
)
_LONGEST_RANGE: Final = 20
_LEAST_SAID: Final = 3
"""Letters and digits of a quote; East Asian ones count double. "a" stands in every passage."""

_CLOSED_DELIMITER: Final = re.compile(r"<\\(?=\s*/?\s*passage)", re.IGNORECASE)


def locate_quote(quote: str, text: str, *, whole_words: bool = False) -> tuple[int, int] | None:
    """Where a quote stands in a text, as offsets of the text; None when it does not.

    White space, quotation marks, dashes and Unicode's compatible forms are normalised on both sides, and invisible
    characters left out. A quote of white space is nowhere.

    Args:
        quote: the words.
        text: where they are looked for.
        whole_words: whether "possible" does not count as a quote of "impossible".
    """
    wanted, _ = _normalised(quote)
    wanted = wanted.strip()
    if not wanted:
        return None
    plain, origin = _normalised(text)
    at = plain.find(wanted)
    while at != -1:
        end = at + len(wanted)
        if _is_whole(plain, origin, at, end) and not (whole_words and _cuts_a_word(plain, at, end)):
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


def _cuts_a_word(plain: str, start: int, end: int) -> bool:
    return any(0 < at < len(plain) and _is_of_a_word(plain[at - 1]) and _is_of_a_word(plain[at]) for at in (start, end))


def _is_of_a_word(character: str) -> bool:
    """Letters and digits of scripts that put spaces between words."""
    return character.isalnum() and ord(character) < 0x0E00


@lru_cache(maxsize=64)  # several quotes are looked for in one passage
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


def check_citation(n: int, quote: str, shown: Sequence[Passage]) -> Citation | str:
    """A verified citation, or a sentence that says what is wrong with it.

    Args:
        n: number of the passage, counted from 1 in the order they were shown.
        quote: the words.
        shown: the passages.
    """
    if not 1 <= n <= len(shown):
        return f"[{str(n)[:40]}] is none of the {len(shown)} passages that were shown"
    passage = shown[n - 1]
    if _says_little(quote):
        return f'the quote "{quote[:120]}" of passage [{n}] says too little'
    # a passage that holds the delimiter of passages was shown with a backslash in it
    found = _place(quote, passage.text) or _place(_CLOSED_DELIMITER.sub("<", quote), passage.text)
    if found is None:
        if passage.encoded_text != passage.text and _place(quote, passage.encoded_text):
            return f'the quote "{quote[:120]}" is of the heading of passage [{n}]; quote the text below it'
        return f'the quote "{quote[:120]}" does not stand in passage [{n}]'
    start, end = found
    return Citation(n, passage.id, passage.source, passage.start + start, passage.start + end, passage.text[start:end])


def _place(quote: str, text: str) -> tuple[int, int] | None:
    """Longer than the text, a quote cannot stand in it; a reply of a megabyte is not normalised to find that out."""
    return locate_quote(quote, text, whole_words=True) if len(quote) <= 4 * len(text) + 100 else None


def _says_little(quote: str) -> bool:
    return sum((2 if ord(one) > 0x2E7F else 1) for one in quote[:50] if one.isalnum()) < _LEAST_SAID


def marks(answer: str) -> set[int]:
    """The numbers that an answer cites as [n] or [n, m], outside of code."""
    return {number for match in mark_places(answer) for number in _numbers(match)}


def mark_places(answer: str) -> Iterator[re.Match[str]]:
    """The marks of an answer, with the blanks before them, in order."""
    at = 0
    for start, end in [*(match.span() for match in CODE.finditer(answer)), (len(answer), len(answer))]:
        yield from (match for match in _MARK.finditer(answer, at, start) if _numbers(match))
        at = end


def with_plain_marks(answer: str) -> str:
    """The answer with every mark in the form [n] or [n, m]; a range as its numbers."""

    def plain(match: re.Match[str]) -> str:
        numbers = _listed(match["list"])
        return match[0] if numbers is None else f"[{', '.join(map(str, numbers))}]"

    parts, at = [], 0
    for start, end in [*(match.span() for match in CODE.finditer(answer)), (len(answer), len(answer))]:
        parts += [_OTHER_MARK.sub(plain, answer[at:start]), answer[start:end]]
        at = end
    return "".join(parts)


def _listed(written: str) -> list[int] | None:
    """The numbers of "1, 3-5"; None where it is no list of passages, which count from 1."""
    numbers: list[int] = []
    for part in re.split(r"\s*[,;，、；]\s*", written):
        ends = [int(one) for one in re.split(r"\s*[–-]\s*", part)]
        if 0 in ends or len(ends) > 2 or ends[-1] < ends[0] or ends[-1] - ends[0] > _LONGEST_RANGE:
            return None
        numbers += range(ends[0], ends[-1] + 1)
    return list(dict.fromkeys(numbers))


def drop_marks(answer: str, unfounded: set[int]) -> str:
    """The answer without the marks of citations that could not be verified."""
    parts, at = [], 0
    for match in mark_places(answer):
        parts += [answer[at : match.start()], _without(match, unfounded)]
        at = match.end()
    return "".join([*parts, answer[at:]]).strip()


def _without(match: re.Match[str], unfounded: set[int]) -> str:
    numbers = _numbers(match)
    kept = [number for number in numbers if number not in unfounded]
    if kept == numbers:
        return match[0]
    return match[0].partition("[")[0] + f"[{', '.join(map(str, kept))}]" if kept else ""


def _numbers(match: re.Match[str]) -> list[int]:
    """The numbers of one mark. A list with 0 is none: passages count from 1, and [0, 1] is an interval."""
    numbers = [int(number) for number in re.findall(r"\d+", match[1])]
    return [] if len(numbers) > 1 and 0 in numbers else numbers
