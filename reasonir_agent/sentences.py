"""Sentences of a text as spans, for European and East Asian punctuation. Pure; a cut never loses a character."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

_END: Final = re.compile(
    r"(?<=[.!?])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[^\s a-z])"  # "... end. Next", not "e.g. this"
    r"|(?<=[。！？；])[”’」』）]*"  # no space follows in Chinese and Japanese
    r"|\n\s*\n"
)
_ABBREVIATION: Final = re.compile(r"(?:\b(?:e\.g|i\.e|etc|cf|vs|Dr|Mr|Mrs|Ms|Prof|Fig|Eq|No|approx|[A-Z]))\.$")


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Spans (start, end) of the sentences, trimmed of surrounding white space, in order.

    Everything but white space is in exactly one span.
    """
    cuts = [0]
    for match in _END.finditer(text):
        if match.end() > cuts[-1] and not _ABBREVIATION.search(text[max(0, match.start() - 8) : match.start()]):
            cuts.append(match.end())
    cuts.append(len(text))
    spans = (_trimmed(text, start, end) for start, end in pairwise(cuts))
    return [(start, end) for start, end in spans if start < end]


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), end - (len(piece) - len(piece.rstrip()))
