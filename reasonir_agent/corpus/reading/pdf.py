"""PDF: one document for each page, named by its number; headings from the outline. Needs pypdfium2 (extra `docs`).

A page that is a picture has no text to search. One among others is named as needing OCR; a file of nothing else is
refused for the same reason.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

from reasonir_agent.corpus.reading.decoding import clean
from reasonir_agent.corpus.reading.formats import File
from reasonir_agent.corpus.reading.problems import Unreadable, described, missing_package
from reasonir_agent.corpus.reading.sections import Starts, path_with, sections_from
from reasonir_agent.types import Document, Scalar, Skipped

_DEPTH: Final = 8  # levels of the outline
_MOST_ENTRIES: Final = 20_000  # of an outline
_HEADER: Final = 100  # characters; so much above the first heading of a page is its number and the chapter's name
_LONGEST_TITLE: Final = 200  # characters
_HYPHEN: Final = re.compile(  # PDFium marks most hyphenated words itself, and joins their lines
    r"(?P<word>[\w-]{0,60})(?P<mark>[\x02\ufffe]|-\n|\xad\n)(?P<rest>\w{0,60})"
)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\xad\ufffe\uffff]")
_DATE: Final = re.compile(r"(?:D:)?(\d{4})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
_NO_TITLE: Final = re.compile(
    r"(?i)^(untitled|microsoft (word|powerpoint)|.*\.(docx?|pptx?|tex|dvi|indd|pdf|rtf)$|\S*$)"
)

Outline = dict[int, list[tuple[int, str]]]
"""The entries of an outline as (level, words), by the page that they lead to."""


def read_pdf(file: File) -> Iterator[Document | Skipped]:
    """One document for each page that holds text."""
    try:
        import pypdfium2
    except ModuleNotFoundError:
        raise missing_package("PDF") from None
    try:
        pdf = pypdfium2.PdfDocument(file.content)
    except pypdfium2.PdfiumError as problem:
        if problem.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD:
            raise Unreadable("is encrypted with a password") from None
        raise Unreadable(f"is a broken PDF: {described(problem)}") from None
    with closing(pdf):
        yield from _pages(file.path, pdf, pypdfium2.raw)


def _pages(path: str, pdf: Any, raw: Any) -> Iterator[Document | Skipped]:
    properties = _properties(pdf)
    title = str(properties.get("title", ""))
    headings: list[str] = [] if _NO_TITLE.match(title) else [title]
    depth = len(headings)
    outline = _outline(pdf)
    without: list[tuple[int, str]] = []
    found = False
    for number in range(len(pdf)):
        text, reason = _page(pdf, number, raw)
        starts, headings = _starts(text, outline.get(number, []), headings, depth)
        source = f"{path}#page={number + 1}"
        if text.strip():
            found = True
            yield from (Skipped(f"{path}#page={page}", why) for page, why in without)
            without.clear()
            yield Document(source, text, sections_from(starts, len(text)), properties)
        elif reason:
            without.append((number + 1, reason))
    if not found:
        raise Unreadable(_nothing(without))
    yield from (Skipped(f"{path}#page={page}", why) for page, why in without)


def _nothing(without: list[tuple[int, str]]) -> str:
    broken = next((why for _, why in without if "OCR" not in why), None)
    if broken:
        return f"holds no text ({broken})"
    if without:
        return "holds no text: it looks scanned and needs OCR first (for example: ocrmypdf)"
    return "holds no text"


def _page(pdf: Any, number: int, raw: Any) -> tuple[str, str]:
    """A page's text, and why it has none."""
    try:
        with closing(pdf[number]) as page:
            with closing(page.get_textpage()) as found:
                text = found.get_text_bounded() or found.get_text_range()
            text = _plain(text)
            if text.strip():
                return text, ""
            drawn = (raw.FPDF_PAGEOBJ_IMAGE, raw.FPDF_PAGEOBJ_PATH, raw.FPDF_PAGEOBJ_SHADING)
            pictured = next(page.get_objects(filter=drawn), None) is not None
    except (RuntimeError, ValueError) as problem:  # PdfiumError is a RuntimeError
        return "", f"is broken: {described(problem)}"
    return "", "has no text: it looks scanned and needs OCR" if pictured else ""


def _plain(text: str) -> str:
    """Lines as they stand, with words that were hyphenated at the end of a line joined."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    compounds = {word.lower() for word in re.findall(r"\b\w{1,60}-\w{1,60}", lines)}

    def joined(found: re.Match[str]) -> str:
        word, mark, rest = found.groups()
        if len(word) > 1 and word.isalpha() and rest[:1].islower():
            return f"{word}-{rest}" if f"{word}-{rest}".lower() in compounds else word + rest
        return word + (mark if mark.endswith("\n") else "-") + rest

    whole = _HYPHEN.sub(joined, lines)
    return clean(_CONTROL.sub("", whole)).strip("\n") + "\n"


def _properties(pdf: Any) -> dict[str, Scalar]:
    given = {key: clean(_CONTROL.sub("", value)).strip() for key, value in pdf.get_metadata_dict().items()}
    day = _DATE.match(given["CreationDate"])
    found = {"title": given["Title"], "author": given["Author"], "date": "-".join(day.groups()) if day else ""}
    return {name: value[:_LONGEST_TITLE] for name, value in found.items() if value}


def _outline(pdf: Any) -> Outline:
    found: Outline = {}
    for entry in itertools.islice(pdf.get_toc(max_depth=_DEPTH), _MOST_ENTRIES):
        aim = entry.get_dest()
        page = None if aim is None else aim.get_index()
        words = " ".join(clean(_CONTROL.sub("", entry.get_title())).split())[:_LONGEST_TITLE]
        if page is not None and words:
            found.setdefault(page, []).append((entry.level, words))
    return found


def _starts(text: str, entries: list[tuple[int, str]], headings: list[str], depth: int) -> tuple[Starts, list[str]]:
    """Where the sections of a page begin, and the heading path that the next page goes on with.

    An entry of the outline begins where its words stand on the page as a line, else with the entry before it.
    """
    starts: list[tuple[int, tuple[str, ...]]] = [(0, tuple(headings))]
    at = 0
    for level, words in entries:
        repeats = level == 0 and depth == 1 and words == headings[0]
        headings = headings[:1] if repeats else path_with(headings, level + depth, words)
        said = r"\s+".join(map(re.escape, words.split()))
        if found := re.compile(rf"^[\w.]{{0,8}}[ \t]*{said}\s*$", re.M | re.I).search(text, at):
            at = found.start() if len(starts) > 1 or found.start() > _HEADER else 0
        starts.append((at, tuple(headings)))
    return starts, headings
