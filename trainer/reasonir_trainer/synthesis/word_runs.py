"""Words in their order: how many a text has, the longest run that two texts share, and how much of one another holds.

A word is a run of letters and digits, folded in case. Scripts that are written without spaces (Chinese, Japanese, Thai
and their neighbours) have none between words, so each of their characters counts as one: models that are asked for
300 words in Chinese write about 300 characters. Korean has spaces and counts by words.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from functools import lru_cache
from typing import Final

_MARKS: Final = "".join(chr(n) for n in range(0x300, 0x1B00) if unicodedata.category(chr(n)).startswith("M"))
_SPACELESS: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003134f"
)
_JOINED: Final = "'’-"  # "don't", "well-known"
_LETTER: Final = rf"[^\W_{_SPACELESS}{_MARKS}]"
_WORD: Final = re.compile(
    rf"(?=[{_SPACELESS}])[^\W_{_MARKS}][{_MARKS}]*"  # a character with its vowel signs
    rf"|(?:{_LETTER}[{_MARKS}]*)+(?:[{_JOINED}](?:{_LETTER}[{_MARKS}]*)+)*"
)
_PLAIN_WORD: Final = re.compile(rf"[^\W_]+(?:[{_JOINED}][^\W_]+)*")  # the same where there is nothing to take care of
_NEEDS_CARE: Final = re.compile(rf"[{_SPACELESS}{_MARKS}]")
_ONE: Final = re.compile(rf"[{_SPACELESS}]")

_KEPT: Final = 8
"""Texts whose words are kept: the rules of one reply look at the same few again and again."""

SHINGLE: Final = 5
"""Words of the runs by which texts are compared."""


@lru_cache(maxsize=_KEPT)
def words_in_order(text: str) -> tuple[str, ...]:
    """The words of a text, folded in case, repetitions kept."""
    return tuple(_found(unicodedata.normalize("NFKC", text).casefold()))


def count_words(text: str) -> int:
    """How many words a text has; a character counts as one in scripts that are written without spaces.

    It is counted as it stands: neither case nor composition changes where a word ends.
    """
    return len(_found(text))


def longest_run(text: str, other: str) -> float:
    """Length of the longest run of words that stands in both texts; characters without spaces count half a word."""
    mine, theirs = words_in_order(text), words_in_order(other)
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, word in enumerate(theirs):
        places[word].append(place)
    longest = 0.0
    ending: dict[int, float] = {}  # place in the other text -> weight of the run that ends there
    for word in mine:
        weight = 0.5 if _ONE.match(word) else 1.0
        ending = {place: ending.get(place - 1, 0.0) + weight for place in places.get(word, ())}
        longest = max(longest, max(ending.values(), default=0.0))
    return longest


def shared_shingles(text: str, other: str) -> float:
    """Share, 0 to 1, of the runs of five words of the shorter text that the other one holds too (containment)."""
    mine, theirs = _shingles(text), _shingles(other)
    smaller = min(len(mine), len(theirs))
    return len(mine & theirs) / smaller if smaller else 0.0


@lru_cache(maxsize=_KEPT)
def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    """Every run of five words; of a shorter text, the text."""
    words = words_in_order(text)
    if len(words) < SHINGLE:
        return frozenset([words] if words else [])
    return frozenset(zip(*(words[place:] for place in range(SHINGLE)), strict=False))


def _found(text: str) -> list[str]:
    """The words as they are written; the general way takes twice as long."""
    return (_WORD if _NEEDS_CARE.search(text) else _PLAIN_WORD).findall(text)
