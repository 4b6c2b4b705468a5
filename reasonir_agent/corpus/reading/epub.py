"""EPUB: one document for each chapter in the order of the spine, through the HTML reader, under the book's title.

A book whose chapters are encrypted is named as protected; obfuscated fonts are no protection.
"""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote

from reasonir_agent.corpus.reading.archives import open_archive
from reasonir_agent.corpus.reading.decoding import clean
from reasonir_agent.corpus.reading.formats import File
from reasonir_agent.corpus.reading.html import html_text
from reasonir_agent.corpus.reading.problems import Unreadable, missing_package
from reasonir_agent.corpus.reading.records import metadata_of
from reasonir_agent.types import Document, Scalar, Skipped

_PAGES: Final = frozenset({"application/xhtml+xml", "text/html", "application/x-dtbook+xml"})
_FONTS: Final = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")


def read_epub(file: File) -> Iterator[Document | Skipped]:
    """One document for each chapter that holds text."""
    with open_archive(file.content, "EPUB") as archive:
        package_path = _package_path(archive)
        package = _xml(archive, package_path)
        book = _metadata(package)
        title = str(book.get("title", ""))
        chapters = _chapters(package)
        protected = _protected(archive)
        found = False
        for href in chapters:
            inside = posixpath.normpath(posixpath.join(posixpath.dirname(package_path), unquote(href)))
            if inside in protected:
                raise Unreadable("is protected against copying (DRM)")
            source = f"{file.path}#id={clean(unquote(href))}"
            try:
                text, sections = html_text(_entry(archive, inside), title)
            except Unreadable as problem:
                if str(problem) not in ("is empty", "holds no text"):  # a cover is nothing to report
                    yield Skipped(source, str(problem))
                continue
            found = True
            yield Document(source, text, sections, book)
    if not found:
        raise Unreadable("holds no text" if chapters else "is a broken EPUB: it has no chapters")


def _package_path(archive: zipfile.ZipFile) -> str:
    for one in _xml(archive, "META-INF/container.xml").iter():
        if _local(one) == "rootfile" and one.get("full-path"):
            return str(one.get("full-path"))
    raise Unreadable("is a broken EPUB: META-INF/container.xml names no package")


def _entry(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return archive.read(name)
    except KeyError:
        raise Unreadable(f"is a broken EPUB: {name!r} is missing") from None


def _xml(archive: zipfile.ZipFile, name: str) -> Any:
    try:
        from defusedxml.ElementTree import fromstring
    except ModuleNotFoundError:
        raise missing_package("EPUB") from None
    return fromstring(_entry(archive, name))


def _local(element: Any) -> str:
    """An element's name without its namespace; "" for comments."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _metadata(package: Any) -> dict[str, Scalar]:
    """Title, author, language and date, each the first that the book names."""
    names = {"title": "title", "creator": "author", "language": "language", "date": "date"}
    found: dict[str, str] = {}
    for section in package:
        if _local(section) == "metadata":
            for one in section:
                words = " ".join("".join(one.itertext()).split())
                if _local(one) in names and words:
                    found.setdefault(names[_local(one)], words)
    return metadata_of(found, ())


def _chapters(package: Any) -> list[str]:
    """The pages of the spine, each once, without the table of contents."""
    items = {one.get("id"): one for one in package.iter() if _local(one) == "item"}
    found: dict[str, None] = {}
    for reference in package.iter():
        item = items.get(reference.get("idref")) if _local(reference) == "itemref" else None
        if item is None or not item.get("href") or item.get("media-type") not in _PAGES:
            continue
        if "nav" not in (item.get("properties") or "").split():
            found[str(item.get("href")).partition("#")[0]] = None
    return list(found)


def _protected(archive: zipfile.ZipFile) -> set[str]:
    """The entries that cannot be read without a key."""
    if "META-INF/encryption.xml" not in archive.namelist():
        return set()
    found = set()
    for data in _xml(archive, "META-INF/encryption.xml").iter():
        if _local(data) == "EncryptedData":
            method = next((one.get("Algorithm") for one in data.iter() if _local(one) == "EncryptionMethod"), None)
            if method not in _FONTS:
                found |= {unquote(one.get("URI") or "") for one in data.iter() if _local(one) == "CipherReference"}
    return found
