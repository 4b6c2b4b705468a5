"""Characters that no reader sees and every model reads: an instruction can be written in them.

`as_seen` is a text as a model may be shown it. What takes no place on a page is dropped (Unicode's default ignorable
characters: tags, zero-width ones, fillers), and so are direction marks, annotations and control characters. Joiners and
variation selectors are letters and pictures in some scripts: one stays where it follows a character outside of ASCII; a
run of them, which could carry a text of its own, does not. What breaks a line still does.
"""

from __future__ import annotations

import re
from typing import Final


def _points(*ranges: tuple[int, int]) -> frozenset[int]:
    return frozenset(point for first, last in ranges for point in range(first, last + 1))


JOINERS: Final = _points((0x180B, 0x180D), (0x180F, 0x180F), (0x200C, 0x200D), (0xFE00, 0xFE0F))
"""Zero-width joiners and non-joiners, and selectors of a character's variant; code points."""

INVISIBLE: Final = _points(
    (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180E, 0x180E), (0x200B, 0x200B),
    (0x200E, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
"""What takes no place, turns the direction of writing or annotates; code points, without the joiners."""

CONTROL: Final = _points((0x00, 0x08), (0x0E, 0x1B), (0x7F, 0x84), (0x86, 0x9F))
"""Control characters that are no white space; code points."""

_TABLE: Final[dict[int, str]] = {
    **dict.fromkeys(INVISIBLE | CONTROL, ""),
    **dict.fromkeys((0x0B, 0x0C, 0x1C, 0x1D, 0x1E, 0x1F, 0x85, 0x2028, 0x2029), "\n"),
}
_RUN: Final = re.compile(f"[{''.join(map(chr, sorted(JOINERS)))}]+")


def as_seen(text: str) -> str:
    """The text without what no reader sees; the result is the same when it is made once more."""
    return _RUN.sub(_letter, text.translate(_TABLE))


def _letter(run: re.Match[str]) -> str:
    before = run.string[run.start() - 1 : run.start()]
    return run[0] if len(run[0]) == 1 and before and not before.isascii() else ""
