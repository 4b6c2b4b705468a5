"""Files as documents: text, Markdown, HTML, and JSONL with one record a line (BEIR's layout included).

A file that cannot be read is data, not an end: it is skipped and named with the reason. Links are not followed out of
the folder that the user named.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from reasonir_agent.errors import InputError
from reasonir_agent.types import Document, Section, Skipped

_HEADING: Final = re.compile(r"^(#{1,6})[ \t]+(.+?)[ \t]*#*[ \t]*$", re.MULTILINE)
_FENCE: Final = re.compile(r"^(```|~~~)", re.MULTILINE)
_BLOCKS: Final = frozenset(
    """address article aside blockquote body br dd div dl dt figcaption figure footer form h1 h2 h3 h4 h5 h6 header hr
    li main nav ol p pre section table td th tr ul""".split()
)


class Unreadable(InputError):
    """A file that is skipped; the message is the reason that the user is told."""


def find_files(path: str) -> Iterator[str | Skipped]:
    """The files under a path, in order of name; hidden ones and links that lead out of the folder are left out.

    Args:
        path: a file or folder as the user gave it; what is found is named from there.

    Raises:
        InputError: nothing is there.
    """
    top = Path(path)
    if not top.exists():
        raise InputError(f"there is no file or folder {path!r}")
    if top.is_file():
        yield path
        return
    inside = top.resolve()
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(folder) / name
            if name.startswith("."):
                continue
            if file.is_symlink() and not file.resolve().is_relative_to(inside):
                yield Skipped(str(file), "a link that leads out of the folder")
            elif file.is_file():
                yield str(file)


def read_file(path: str, content: bytes) -> tuple[list[Document], list[Skipped]]:
    """The documents of one file, and the records in it that could not be read.

    Args:
        path: its name as the user gave it; becomes the documents' source.
        content: its bytes.

    Raises:
        Unreadable: nothing in it can be used.
    """
    reader = _READERS.get(Path(path).suffix.lower())
    if reader is None:
        raise Unreadable(f"no reader for {Path(path).suffix or 'files without an ending'}")
    text = decode(content)
    if not text.strip():
        raise Unreadable("is empty")
    return reader(path, text)


def decode(content: bytes) -> str:
    """Bytes as text: UTF-8, or what a byte order mark says, or Windows-1252; NUL characters become U+FFFD.

    Raises:
        Unreadable: it is no text.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _clean(content.decode("utf-16", errors="replace"))
    if b"\0" in content[:8192]:
        raise Unreadable("is no text (it holds NUL bytes)")
    try:
        return _clean(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return _clean(content.decode("cp1252", errors="replace"))


def _clean(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\0", "\ufffd")


def _read_text(path: str, text: str) -> tuple[list[Document], list[Skipped]]:
    return [Document(path, text)], []


def _read_markdown(path: str, text: str) -> tuple[list[Document], list[Skipped]]:
    return [Document(path, text, markdown_sections(text))], []


def markdown_sections(text: str) -> tuple[Section, ...]:
    """The sections of a Markdown text with their heading paths; `#` inside code fences is no heading."""
    fences = [match.start() for match in _FENCE.finditer(text)]
    marks = [m for m in _HEADING.finditer(text) if sum(at < m.start() for at in fences) % 2 == 0]
    sections: list[Section] = []
    if not marks or marks[0].start() > 0:
        sections.append(Section(0, marks[0].start() if marks else len(text)))
    path: list[str] = []
    for mark, after in zip(marks, [*marks[1:], None], strict=True):
        level = len(mark[1])
        path = [*path[: level - 1], *[""] * (level - 1 - len(path)), mark[2]]
        end = after.start() if after else len(text)
        sections.append(Section(mark.start(), end, tuple(part for part in path if part)))
    return tuple(section for section in sections if section.start < section.end)


def _read_html(path: str, text: str) -> tuple[list[Document], list[Skipped]]:
    try:
        from bs4 import BeautifulSoup
    except ModuleNotFoundError:
        raise Unreadable("reading HTML needs a package; run: pip install 'reasonir-agent[docs]'") from None
    soup = BeautifulSoup(text, "html.parser")
    for hidden in soup(["script", "style", "noscript", "template", "svg"]):
        hidden.decompose()
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    writer = _PlainText(title)
    writer.walk(soup.body or soup)
    plain, sections = writer.result()
    if not plain.strip():
        raise Unreadable("holds no text")
    return [Document(path, plain, sections)], []


class _PlainText:
    """Collects the text of an HTML tree with blank lines between blocks, and where its headings stand."""

    def __init__(self, title: str) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._path: list[str] = [title] if title else []
        self._has_title = bool(title)
        self._sections: list[tuple[int, tuple[str, ...]]] = [(0, tuple(self._path))]

    def walk(self, node: Any) -> None:
        for child in node.children:
            name = getattr(child, "name", None)
            if name is None:
                if type(child).__name__ == "NavigableString":  # not a comment, not a declaration
                    self._inline(str(child))
                continue
            if name in _BLOCKS:
                self._break()
            if re.fullmatch(r"h[1-6]", name):
                self._heading(int(name[1]), child.get_text(" ", strip=True))
            self._preformatted(child) if name == "pre" else self.walk(child)
            if name in _BLOCKS:
                self._break()

    def result(self) -> tuple[str, tuple[Section, ...]]:
        text = "".join(self._parts).rstrip() + "\n"
        ends = [start for start, _ in self._sections[1:]] + [len(text)]
        found = (Section(start, end, path) for (start, path), end in zip(self._sections, ends, strict=True))
        return text, tuple(section for section in found if section.start < section.end)

    def _heading(self, level: int, words: str) -> None:
        depth = level - 1 + self._has_title
        if level == 1 and self._path[:1] == [words]:
            return  # the page's title, said again
        self._path = [*self._path[:depth], words]
        self._sections.append((self._length, tuple(self._path)))

    def _inline(self, text: str) -> None:
        words = re.sub(r"\s+", " ", text)
        if not self._parts or self._parts[-1].endswith(("\n", " ")):
            words = words.lstrip()
        self._add(words)

    def _preformatted(self, node: Any) -> None:
        self._add(node.get_text().strip("\n"))

    def _break(self) -> None:
        if self._parts and not self._parts[-1].endswith("\n\n"):
            self._add("\n\n")

    def _add(self, text: str) -> None:
        if text:
            self._parts.append(text)
            self._length += len(text)


def _read_jsonl(path: str, text: str) -> tuple[list[Document], list[Skipped]]:
    documents: list[Document] = []
    skipped: list[Skipped] = []
    seen: set[str] = set()
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            document = _record(path, number, line)
            if document.source in seen:
                raise Unreadable("its id stands in the file twice")
        except Unreadable as problem:
            skipped.append(Skipped(f"{path}:{number}", str(problem)))
            continue
        seen.add(document.source)
        documents.append(document)
    if not documents:
        raise Unreadable(f"holds no record with a text ({skipped[0].reason})" if skipped else "is empty")
    return documents, skipped


def _record(path: str, number: int, line: str) -> Document:
    try:
        record = json.loads(line)
    except ValueError:
        raise Unreadable("is not valid JSON") from None
    if not isinstance(record, dict) or not isinstance(record.get("text"), str) or not record["text"].strip():
        raise Unreadable('is no record {"id": ..., "text": ...} with a text')
    one = next((record[key] for key in ("id", "_id", "doc_id") if key in record), number)
    title = record.get("title")
    text = _clean(record["text"]).encode("utf-8", "replace").decode()
    heading = (title,) if isinstance(title, str) and title.strip() else ()
    return Document(f"{path}#id={one}", text, (Section(0, len(text), heading),))


_READERS: Final[dict[str, Callable[[str, str], tuple[list[Document], list[Skipped]]]]] = {
    ".txt": _read_text,
    ".text": _read_text,
    ".rst": _read_text,
    ".md": _read_markdown,
    ".markdown": _read_markdown,
    ".html": _read_html,
    ".htm": _read_html,
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
}
