"""HTML and XHTML as the words that a reader sees, in blocks, with the heading path of each section.

Scripts, styles and comments are dropped. The encoding is what a byte order mark or valid UTF-8 says, then what the page
declares, then a guess.
"""

from __future__ import annotations

import codecs
import re
import warnings
from collections.abc import Iterator
from typing import Any, Final

from reasonir_agent.corpus.reading.decoding import decode
from reasonir_agent.corpus.reading.formats import File
from reasonir_agent.corpus.reading.problems import Unreadable, missing_package
from reasonir_agent.corpus.reading.sections import Writer
from reasonir_agent.types import Document, Section

_HEADINGS: Final = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_BLOCKS: Final = frozenset(
    """address article aside blockquote body br dd div dl dt figcaption figure footer form h1 h2 h3 h4 h5 h6 header hr
    li main nav ol p pre section table td th tr ul""".split()
)
_AS_BROWSERS_DO: Final = {  # the WHATWG's encoding standard: these names mean the larger sets
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
}
_TEXT_CODECS: Final = re.compile(
    r"(ascii|iso8859-|cp\d|koi8-|gb|big5|shift_jis|euc_|mac-|tis-|iso2022_|johab|ptcp|utf-)"
)


def read_html(file: File) -> Iterator[Document]:
    """One document."""
    text, sections = html_text(file.content)
    yield Document(file.path, text, sections)


def html_text(content: bytes, title: str | None = None) -> tuple[str, tuple[Section, ...]]:
    """The visible text of a page, and its sections.

    Args:
        content: its bytes.
        title: what all headings stand under; None for the page's own title.

    Raises:
        Unreadable: it holds no text, or is not HTML.
    """
    try:
        from bs4 import BeautifulSoup
        from bs4.builder import ParserRejectedMarkup
        from bs4.dammit import EncodingDetector
    except ModuleNotFoundError:
        raise missing_package("HTML") from None
    declared = EncodingDetector.find_declared_encoding(content[:4096], is_html=True)
    text = decode(content, declared=_codec(declared))
    if not text.strip():
        raise Unreadable("is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice for programmers: "this looks like XML", "this looks like a URL"
            soup = BeautifulSoup(text, "html.parser")
        plain, sections = _visible(soup, title)
    except ParserRejectedMarkup:
        raise Unreadable("is no valid HTML") from None
    except RecursionError:
        raise Unreadable("its HTML is nested too deeply") from None
    if not plain.strip():
        raise Unreadable("holds no text")
    return plain, sections


def _codec(declared: str | None) -> str | None:
    """Python's name of the encoding that a page declares; None for what is none (`rot13` is a codec, too)."""
    try:
        name = codecs.lookup(declared or "").name
    except (LookupError, ValueError):
        return None
    return _AS_BROWSERS_DO.get(name, name) if _TEXT_CODECS.match(name) else None


def _visible(soup: Any, title: str | None) -> tuple[str, tuple[Section, ...]]:
    for hidden in soup(["script", "style", "noscript", "template", "svg"]):
        hidden.decompose()
    own = " ".join(soup.title.extract().get_text().split()) if soup.title else ""
    writer = Writer(own if title is None else title)
    _walk(soup.body or soup, writer)
    return writer.result()


def _walk(node: Any, writer: Writer) -> None:
    for child in node.children:
        name = getattr(child, "name", None)
        if name is None:
            if type(child).__name__ == "NavigableString":  # not a comment, not a declaration
                words = re.sub(r"\s+", " ", str(child))
                writer.add(words.lstrip() if writer.at_gap else words)
            continue
        if name in _BLOCKS:
            writer.end_block()
        if name in _HEADINGS:
            writer.heading(int(name[1]), _heading_words(child))
        if name == "pre":
            writer.add(child.get_text().strip("\n"))
        else:
            _walk(child, writer)
        if name in _BLOCKS:
            writer.end_block()


def _heading_words(node: Any) -> str:
    """The words of a heading, up to the next one: a heading that is never closed holds the rest of the page."""
    parts: list[str] = []
    for one in node.descendants:
        name = getattr(one, "name", None)
        if name in _HEADINGS:
            break
        if type(one).__name__ == "NavigableString":
            parts.append(str(one))
        elif name in _BLOCKS:
            parts.append(" ")
    return " ".join("".join(parts).split())
