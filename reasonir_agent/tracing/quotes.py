"""An answer whose numbers lead to their passages, and passages in which the quotes are marked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from reasonir_agent.tracing.markup import Inside, Markup, joined, tag
from reasonir_agent.tracing.story import UNSUPPORTED
from reasonir_agent.types import Citation, Passage

_MARK: Final = re.compile(r"\[(\d{1,6}(?:\s*[,;]\s*\d{1,6})*)\]|\[no source\]")
_NUMBER: Final = re.compile(r"(\d+)")

MEANING: Final = {
    "supported": "supports its sentence",
    "quote": "stands in the passage",
    UNSUPPORTED: "does not support its sentence",
}
"""What `Citation.verified` says, in words."""


def linked(answer: str, citations: Sequence[Citation]) -> Markup:
    """The answer with a link at each number that is cited, and a mark at each sentence that has no source."""
    cited = {one.n for one in citations}
    return joined(list(_linked(answer, cited)))


def _linked(answer: str, cited: set[int]) -> Iterator[Inside]:
    end = 0
    for match in _MARK.finditer(answer):
        yield answer[end : match.start()]
        if match[1] is None:
            yield tag("span", match[0], class_="no-source")
        else:
            yield tag("span", "[", [_number(part, cited) for part in _NUMBER.split(match[1])], "]", class_="cite")
        end = match.end()
    yield answer[end:]


def _number(part: str, cited: set[int]) -> Inside:
    return tag("a", part, href=f"#passage-{int(part)}") if part.isdecimal() and int(part) in cited else part


def marked(passage: Passage, citations: Sequence[Citation]) -> Markup:
    """The text of a passage with the quotes that were taken from it marked; overlapping ones become one mark.

    Args:
        passage: the passage.
        citations: of this passage; offsets are those of its document.
    """
    spans = [(one.start - passage.start, one.end - passage.start, one.verified) for one in citations]
    spans = [(max(start, 0), min(end, len(passage.text)), kind) for start, end, kind in spans]
    edges = sorted({0, len(passage.text), *(edge for start, end, _ in spans if start < end for edge in (start, end))})
    return joined(
        [
            _piece(passage.text[start:end], {kind for first, last, kind in spans if first <= start and end <= last})
            for start, end in pairwise(edges)
        ]
    )


def _piece(words: str, kinds: set[str]) -> Inside:
    if not kinds:
        return words
    return tag("mark", words, class_=UNSUPPORTED if kinds == {UNSUPPORTED} else None)
