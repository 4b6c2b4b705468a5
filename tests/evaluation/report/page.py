"""Reads a written page back: its elements, strictly nested, and the words in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "wbr"}

LOADING = set("script link img iframe object embed source image use foreignobject base form".split())
"""Tags that load, run or send something: no page of ours has one."""


@dataclass
class Element:
    """An element with what is in it."""

    tag: str
    attributes: dict[str, str | None]
    inside: list[Element | str] = field(default_factory=list)

    def every(self, tag: str, of: str = "") -> Iterator[Element]:
        """The elements inside with this tag and, where it is given, this class."""
        for one in self.inside:
            if isinstance(one, Element):
                if one.tag == tag and (not of or of in (one.attributes.get("class") or "").split()):
                    yield one
                yield from one.every(tag, of)

    def all(self) -> Iterator[Element]:
        for one in self.inside:
            if isinstance(one, Element):
                yield one
                yield from one.all()

    @property
    def words(self) -> str:
        """Its text as it is read, without pictures and runs of white space."""
        return " ".join(" ".join(self._texts()).split()).replace("_ ", "_")

    @property
    def exact(self) -> str:
        """Its text as it stands, that of pictures too."""
        return "".join(one if isinstance(one, str) else one.exact for one in self.inside)

    def _texts(self) -> Iterator[str]:
        for one in self.inside:
            if isinstance(one, str):
                yield one
            elif one.tag not in ("svg", "style"):
                yield from one._texts()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute of {tag} stands twice"
        element = Element(tag, dict(attrs))
        self.open[-1].inside.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.open[-1].inside.append(data)


def read(file: Path) -> Element:
    """The page as a tree; wrong nesting fails the test."""
    return parse(file.read_text(encoding="utf-8"))


def parse(page: str) -> Element:
    """`read`, of a page at hand."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert len(reader.open) == 1, "something was left open"
    return reader.open[0]


def sections(page: Element) -> dict[str, Element]:
    """The parts of the page by topic and title."""
    (main,) = page.every("main")
    found = {}
    for one in main.every("section"):
        title = next(one.every("h2")).words
        topic = next(one.every("p", "topic")).words
        found[f"{topic}: {title}"] = one
    return found


def rows(section: Element, caption: str) -> list[list[str]]:
    """The cells of the table with this caption, with its headings as the first row."""
    for table in section.every("table"):
        if next(table.every("caption")).words == caption:
            return [[cell.words for cell in row.inside if isinstance(cell, Element)] for row in table.every("tr")]
    raise AssertionError(
        f"no table {caption!r}; there are {[next(one.every('caption')).words for one in section.every('table')]}"
    )
