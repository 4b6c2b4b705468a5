"""Sentences of a text as spans, for European and East Asian punctuation. Pure; a cut never loses a character."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

_END: Final = re.compile(
    r"(?<=[.!?])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[^\s a-z])"  # "... end. Next", not "e.g. this"
    r"|(?<=[。！？；])(?![。！？；])[”’」』）]*"  # no space follows in Chinese and Japanese; "？！" is one end
    r"|\n\s*\n"
)
_PARAGRAPH: Final = re.compile(r"\n\s*\n")
_ABBREVIATION: Final = re.compile(
    r"\b(?:e\.g|i\.e|etc|al|cf|vs|Dr|Mr|Mrs|Ms|St|Prof|Fig|Eq|No|pp?|approx|[A-Z])\.$"  # "No. 5", not "the answer is no."
)


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Spans (start, end) of the sentences, trimmed of surrounding white space, in order.

    Everything but white space is in exactly one span.
    """
    cuts = [0]
    for match in _END.finditer(text):
        abbreviated = _ABBREVIATION.search(text[max(0, match.start() - 8) : match.start()])
        if match.end() > cuts[-1] and (not abbreviated or _PARAGRAPH.search(match.group())):
            cuts.append(match.end())
    cuts.append(len(text))
    spans = (trimmed(text, start, end) for start, end in pairwise(cuts))
    return [(start, end) for start, end in spans if start < end]


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """A span without the white space at its ends; empty where there is nothing else."""
    piece = text[start:end].lstrip()
    return end - len(piece), end - len(piece) + len(piece.rstrip())
