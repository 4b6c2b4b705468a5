"""Files as documents: text, Markdown, HTML, and JSONL with one record a line (BEIR's layout included).

A file that cannot be read is data, not an end: it is skipped and named with the reason. Links are not followed out of
the folder that the user named.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from reasonir_agent.errors import InputError
from reasonir_agent.types import Document, Section, Skipped

_MARK: Final = re.compile(r"^ {0,3}(?:(?P<fence>`{3,}|~{3,})(?P<info>.*)|(?P<level>#{1,6})[ \t](?P<words>.*))$", re.M)
_HEADINGS: Final = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_BLOCKS: Final = frozenset(
    """address article aside blockquote body br dd div dl dt figcaption figure footer form h1 h2 h3 h4 h5 h6 header hr
    li main nav ol p pre section table td th tr ul""".split()
)


class Unreadable(InputError):
    """A file that is skipped; the message is the reason that the user is told."""


def find_files(path: str) -> Iterator[str | Skipped]:
    """The files under a path, in order of name; hidden ones are left out, links that lead out of the folder skipped.

    Args:
        path: a file or folder as the user gave it; what is found is named from there.

    Raises:
        InputError: nothing is there.
    """
    top = Path(path)
    if not top.exists():
        raise InputError(f"there is no file or folder {path!r}")
    if top.is_file():
        yield _named(top)
        return
    inside = os.path.realpath(top)
    closed: list[OSError] = []
    for folder, folders, names in os.walk(top, onerror=closed.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links = (name for name in folders if (Path(folder) / name).is_symlink())  # the walk does not enter them
        for name in sorted([*names, *links]):
            if not name.startswith("."):
                yield from _entry(Path(folder) / name, inside)
    for problem in closed:
        yield Skipped(_printable(str(problem.filename)), problem.strerror or str(problem))


def _entry(file: Path, inside: str) -> Iterator[str | Skipped]:
    """What stands in a folder under one name: a file, a reason to skip it, or nothing for us (a pipe, a device)."""
    if file.is_symlink() and not Path(os.path.realpath(file)).is_relative_to(inside):
        yield Skipped(_printable(str(file)), "a link that leads out of the folder")
    elif file.is_symlink() and not file.exists():
        yield Skipped(_printable(str(file)), "a link to nothing")
    elif file.is_file():
        yield _named(file)


def _named(file: Path) -> str | Skipped:
    """A file's name, which becomes its source; one that is no Unicode can be neither stored nor printed."""
    name = str(file)
    return name if name == _printable(name) else Skipped(_printable(name), "its name is not valid UTF-8")


def _printable(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "replace")


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
    """One kind of line end, and no character that cannot be stored: NUL and lone surrogates (JSON's \\ud800)."""
    plain = text.replace("\r\n", "\n").replace("\0", "\ufffd")
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _read_text(path: str, text: str) -> tuple[list[Document], list[Skipped]]:
    return [Document(path, text)], []


def _read_markdown(path: str, text: str) -> tuple[list[Document], list[Skipped]]:
    return [Document(path, text, markdown_sections(text))], []


def markdown_sections(text: str) -> tuple[Section, ...]:
    """The sections of a Markdown text with their heading paths; `#` inside code fences is no heading."""
    starts: list[tuple[int, tuple[str, ...]]] = [(0, ())]
    path: list[str] = []
    for at, level, words in _markdown_headings(text):
        path = _path_with(path, level - 1, words)
        starts.append((at, tuple(part for part in path if part)))
    return _sections(starts, len(text))


def _markdown_headings(text: str) -> Iterator[tuple[int, int, str]]:
    """(offset, level, words) of the headings, by CommonMark's rules for fences and closing signs."""
    fence = ""
    for mark in _MARK.finditer(text):
        if fence:
            closing = mark["fence"] or ""
            if closing.startswith(fence) and not mark["info"].strip():
                fence = ""
        elif mark["fence"]:
            if mark["fence"][0] == "~" or "`" not in mark["info"]:  # "```like this```" is code within a line
                fence = mark["fence"]
        else:
            words = mark["words"].strip(" \t")
            open_end = words.rstrip("#")
            if not open_end or open_end[-1] in " \t":  # "# C ##" is C, "# C#" is C#
                words = open_end.strip(" \t")
            if words:
                yield mark.start("level"), len(mark["level"]), words


def _path_with(path: list[str], depth: int, words: str) -> list[str]:
    """A heading path after a heading at `depth`; levels that the author left out stay empty."""
    return [*path[:depth], *[""] * (depth - len(path)), words]


def _sections(starts: list[tuple[int, tuple[str, ...]]], length: int) -> tuple[Section, ...]:
    ends = [start for start, _ in starts[1:]] + [length]
    found = (Section(start, end, path) for (start, path), end in zip(starts, ends, strict=True))
    return tuple(section for section in found if section.start < section.end)


def _read_html(path: str, text: str) -> tuple[list[Document], list[Skipped]]:
    try:
        from bs4 import BeautifulSoup
        from bs4.builder import ParserRejectedMarkup
    except ModuleNotFoundError:
        raise Unreadable("reading HTML needs a package; run: pip install 'reasonir-agent[docs]'") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice for programmers: "this looks like XML", "this looks like a URL"
            soup = BeautifulSoup(text, "html.parser")
        plain, sections = _html_text(soup)
    except ParserRejectedMarkup:
        raise Unreadable("is no valid HTML") from None
    except RecursionError:
        raise Unreadable("its HTML is nested too deeply") from None
    if not plain.strip():
        raise Unreadable("holds no text")
    return [Document(path, plain, sections)], []


def _html_text(soup: Any) -> tuple[str, tuple[Section, ...]]:
    for hidden in soup(["script", "style", "noscript", "template", "svg"]):
        hidden.decompose()
    title = " ".join(soup.title.extract().get_text().split()) if soup.title else ""
    writer = _PlainText(title)
    writer.walk(soup.body or soup)
    return writer.result()


class _PlainText:
    """Collects the text of an HTML tree with blank lines between blocks, and where its headings stand."""

    def __init__(self, title: str) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._title = title
        self._path: list[str] = [title] if title else []
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
            if name in _HEADINGS:
                self._heading(int(name[1]), _heading_words(child))
            self._preformatted(child) if name == "pre" else self.walk(child)
            if name in _BLOCKS:
                self._break()

    def result(self) -> tuple[str, tuple[Section, ...]]:
        text = "".join(self._parts).rstrip() + "\n"
        return text, _sections(self._sections, len(text))

    def _heading(self, level: int, words: str) -> None:
        if not words:
            return
        if level == 1 and words == self._title:  # the page's title, said again
            self._path = [words]
        else:
            self._path = _path_with(self._path, level - 1 + bool(self._title), words)
        self._sections.append((self._length, tuple(part for part in self._path if part)))

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
    except (ValueError, RecursionError):
        raise Unreadable("is not valid JSON") from None
    if not isinstance(record, dict) or not isinstance(record.get("text"), str) or not record["text"].strip():
        raise Unreadable('is no record {"id": ..., "text": ...} with a text')
    one = next((record[key] for key in ("id", "_id", "doc_id") if record.get(key) is not None), number)
    title = record.get("title")
    text = _clean(record["text"])
    heading = (_clean(title).strip(),) if isinstance(title, str) and title.strip() else ()
    return Document(f"{path}#id={_clean(str(one))}", text, (Section(0, len(text), heading),))


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
