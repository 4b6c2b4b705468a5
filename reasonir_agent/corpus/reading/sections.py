"""Headings and where they stand: heading paths, the sections between them, and a writer that keeps both in step."""

from __future__ import annotations

from collections.abc import Sequence

from reasonir_agent.types import Section

Starts = Sequence[tuple[int, tuple[str, ...]]]
"""(offset, heading path) of the sections of a text, in order."""


def path_with(path: list[str], depth: int, words: str) -> list[str]:
    """A heading path after a heading at `depth` (0 is the top); levels that the author left out stay empty."""
    return [*path[:depth], *[""] * (depth - len(path)), words]


def sections_from(starts: Starts, length: int) -> tuple[Section, ...]:
    """Sections that reach from each start to the next; empty ones and the gaps in heading paths are left out."""
    ends = [start for start, _ in starts[1:]] + [length]
    pairs = zip(starts, ends, strict=True)
    found = (Section(start, end, tuple(part for part in path if part)) for (start, path), end in pairs)
    return tuple(section for section in found if section.start < section.end)


class Writer:
    """Collects the text of a document with blank lines between blocks, and where its headings stand.

    Args:
        title: the document's title, under which all headings stand; "" for none.
    """

    def __init__(self, title: str = "") -> None:
        self._parts: list[str] = []
        self._length = 0
        self._title = title
        self._path: list[str] = [title] if title else []
        self._starts: list[tuple[int, tuple[str, ...]]] = [(0, tuple(self._path))]

    @property
    def at_gap(self) -> bool:
        """Whether what comes next follows white space, or nothing."""
        return not self._parts or self._parts[-1].endswith(("\n", " "))

    def heading(self, level: int, words: str) -> None:
        """Begin a section; level 1 is the highest. The words themselves are added by the caller."""
        if not words:
            return
        if level == 1 and words == self._title:  # the title, said again
            self._path = [words]
        else:
            self._path = path_with(self._path, level - 1 + bool(self._title), words)
        self._starts.append((self._length, tuple(self._path)))

    def add(self, text: str) -> None:
        """Add text as it is."""
        if text:
            self._parts.append(text)
            self._length += len(text)

    def end_block(self) -> None:
        """Leave a blank line."""
        if self._parts and not self._parts[-1].endswith("\n\n"):
            self.add("\n\n")

    def block(self, text: str) -> None:
        """Add a paragraph."""
        self.add(text)
        self.end_block()

    def result(self) -> tuple[str, tuple[Section, ...]]:
        """The text, and the sections that cover it."""
        text = "".join(self._parts).rstrip() + "\n"
        return text, sections_from(self._starts, len(text))
