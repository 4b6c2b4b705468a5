"""DOCX: headings by style, paragraphs, lists and tables in the order of the document, footnotes after their paragraph.

The XML is walked here and not through python-docx's paragraphs, which leave out content controls, text boxes and what
was inserted with tracked changes. Deleted text and tables of contents are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from reasonir_agent.corpus.reading.archives import open_archive
from reasonir_agent.corpus.reading.decoding import clean
from reasonir_agent.corpus.reading.formats import File
from reasonir_agent.corpus.reading.office import properties_of
from reasonir_agent.corpus.reading.problems import Unreadable, missing_package
from reasonir_agent.corpus.reading.sections import Writer
from reasonir_agent.types import Document

_W: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK: Final = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_NOTES: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"
_HIDDEN: Final = frozenset({f"{_W}del", f"{_W}moveFrom", f"{_W}txbxContent", f"{_W}pPr", f"{_W}rPr", _FALLBACK})
_SIGNS: Final = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}


def read_docx(file: File) -> Iterator[Document]:
    """One document."""
    try:
        import docx
    except ModuleNotFoundError:
        raise missing_package("DOCX") from None
    import io

    open_archive(file.content, "DOCX").close()
    document = docx.Document(io.BytesIO(file.content))
    text, sections = _Walk(document).result()
    if not text.strip():
        raise Unreadable("holds no text")
    yield Document(file.path, text, sections, properties_of(document.core_properties))


class _Walk:
    """One pass over a document's body."""

    def __init__(self, document: Any) -> None:
        self._writer = Writer()
        self._styles = _Styles(document.styles.element)
        self._notes = _footnotes(document.part)
        self._blocks(document.element.body)

    def result(self) -> Any:
        return self._writer.result()

    def _blocks(self, parent: Any) -> None:
        for element in parent:
            if element.tag == f"{_W}p":
                self._paragraph(element)
            elif element.tag == f"{_W}tbl":
                self._table(element)
            elif element.tag not in _HIDDEN and isinstance(element.tag, str):  # content controls and their like
                self._blocks(element)

    def _paragraph(self, element: Any) -> None:
        text = clean(_text(element)).strip()
        style = _value(element.find(f"{_W}pPr/{_W}pStyle"))
        if text and not self._styles.is_contents(style):
            level = self._styles.level(style, element)
            if level is not None:
                self._writer.heading(level + 1, " ".join(text.split()))
            self._writer.block(f"- {text}" if level is None and self._styles.is_list(style, element) else text)
        for reference in element.iter(f"{_W}footnoteReference"):
            if note := self._notes.get(reference.get(f"{_W}id")):
                self._writer.block(note)
        for box in element.iter(f"{_W}txbxContent"):
            within = next(box.iterancestors(f"{_W}p", _FALLBACK))
            if within is element:
                self._blocks(box)

    def _table(self, element: Any) -> None:
        """A line for each row; a table within a cell follows it."""
        lines = []
        for row in element.iter(f"{_W}tr"):
            if next(row.iterancestors(f"{_W}tbl")) is not element:
                continue
            cells = [" ".join(clean(_cell(cell)).split()) for cell in row.iter(f"{_W}tc") if _row_of(cell) is row]
            if any(cells):
                lines.append(" | ".join(cells).rstrip())
        self._writer.block("\n".join(lines))
        for inner in element.iter(f"{_W}tbl"):
            if inner is not element and next(inner.iterancestors(f"{_W}tbl")) is element:
                self._table(inner)


class _Styles:
    """What the styles of a document mean: headings, lists, tables of contents; by name, base style and outline level."""

    def __init__(self, styles: Any) -> None:
        self._styles = {one.get(f"{_W}styleId"): one for one in styles.iter(f"{_W}style")}

    def level(self, style: str | None, paragraph: Any) -> int | None:
        """0 for a title, 1 to 9 for headings, None for text."""
        own = _value(paragraph.find(f"{_W}pPr/{_W}outlineLvl"))
        if own is not None and own.isdecimal():
            return int(own) + 1 if int(own) < 9 else None
        for element in self._chain(style):
            name = (_value(element.find(f"{_W}name")) or "").lower()
            if name == "title":
                return 0
            if found := re.fullmatch(r"heading ([1-9])", name):
                return int(found[1])
            outline = _value(element.find(f"{_W}pPr/{_W}outlineLvl"))
            if outline is not None and outline.isdecimal():
                return int(outline) + 1 if int(outline) < 9 else None
        return None

    def is_list(self, style: str | None, paragraph: Any) -> bool:
        numbered = paragraph.find(f"{_W}pPr/{_W}numPr")
        if numbered is not None:
            return _value(numbered.find(f"{_W}numId")) != "0"
        return any((_value(one.find(f"{_W}name")) or "").lower().startswith("list ") for one in self._chain(style))

    def is_contents(self, style: str | None) -> bool:
        return any(re.fullmatch(r"toc \d", (_value(one.find(f"{_W}name")) or "").lower()) for one in self._chain(style))

    def _chain(self, style: str | None) -> Iterator[Any]:
        """A style and those that it is based on; a circle ends."""
        seen: set[str] = set()
        while style is not None and style not in seen and style in self._styles:
            seen.add(style)
            yield self._styles[style]
            style = _value(self._styles[style].find(f"{_W}basedOn"))


def _value(element: Any) -> str | None:
    found: str | None = None if element is None else element.get(f"{_W}val")
    return found


def _text(element: Any) -> str:
    """The text of a paragraph's runs, hyperlinks and insertions, without its text boxes."""
    if element.tag == f"{_W}t":
        return element.text or ""
    if element.tag in _SIGNS:
        return _SIGNS[element.tag]
    return "".join(_text(child) for child in element if child.tag not in _HIDDEN)


def _cell(cell: Any) -> str:
    paragraphs = (one for one in cell.iter(f"{_W}p") if next(one.iterancestors(f"{_W}tc")) is cell)
    return " ".join(_text(one) for one in paragraphs)


def _row_of(cell: Any) -> Any:
    return next(cell.iterancestors(f"{_W}tr"), None)


def _footnotes(part: Any) -> dict[str, str]:
    """The texts of the footnotes, by id."""
    from docx.oxml.parser import parse_xml

    for relation in part.rels.values():
        if relation.reltype == _NOTES and not relation.is_external:
            notes = parse_xml(relation.target_part.blob).iter(f"{_W}footnote")
            return {one.get(f"{_W}id"): " ".join(clean(_text(one)).split()) for one in notes}
    return {}
