"""Text, Markdown and source code. Headings come from Markdown's own rules and from Python's classes and functions.

Other languages have no heading paths: without a parser for each, a guess would be wrong too often.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from typing import Final

from reasonir_agent.corpus.reading.decoding import decode
from reasonir_agent.corpus.reading.formats import File
from reasonir_agent.corpus.reading.problems import Unreadable
from reasonir_agent.corpus.reading.sections import path_with, sections_from
from reasonir_agent.types import Document, Section

_MARK: Final = re.compile(r"^ {0,3}(?:(?P<fence>`{3,}|~{3,})(?P<info>.*)|(?P<level>#{1,6})[ \t](?P<words>.*))$", re.M)
_MOST_PYTHON: Final = 2_000_000  # characters; the syntax tree of a larger file takes gigabytes


def read_text(file: File) -> Iterator[Document]:
    """One document without sections."""
    yield Document(file.path, text_of(file))


def read_markdown(file: File) -> Iterator[Document]:
    """One document with the heading paths of its sections."""
    text = text_of(file)
    yield Document(file.path, text, markdown_sections(text))


def read_python(file: File) -> Iterator[Document]:
    """One document with a section for each class and function."""
    text = text_of(file)
    yield Document(file.path, text, python_sections(text))


def text_of(file: File) -> str:
    """A file's text.

    Raises:
        Unreadable: it is no text, or holds nothing but white space.
    """
    text = decode(file.content)
    if not text.strip():
        raise Unreadable("is empty")
    return text


def markdown_sections(text: str) -> tuple[Section, ...]:
    """The sections of a Markdown text with their heading paths; `#` inside code fences is no heading."""
    starts: list[tuple[int, tuple[str, ...]]] = [(0, ())]
    path: list[str] = []
    for at, level, words in _markdown_headings(text):
        path = path_with(path, level - 1, words)
        starts.append((at, tuple(path)))
    return sections_from(starts, len(text))


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


def python_sections(text: str) -> tuple[Section, ...]:
    """A section for each class and function, from its first decorator on; () where the text is no valid Python."""
    if len(text) > _MOST_PYTHON:
        return ()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the code that is read, not ours
            starts = list(_definitions(ast.parse(text), ()))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # what the parser says of broken and hostile code
        return ()
    if not starts:
        return ()
    lines = [0, *(at.end() for at in re.finditer("\n|\r", text)), len(text)]
    found = [(0, ()), *((lines[line - 1], path) for line, path in starts)]
    ends = [*(at for at, _ in found[1:]), len(text)]  # blank lines after a definition stay with it
    return sections_from(
        [one for one, end in zip(found, ends, strict=True) if text[one[0] : end].strip() or not one[0]], len(text)
    )


def _definitions(node: ast.AST, path: tuple[str, ...]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(line, heading path) where a class or function begins, and where the text around it goes on."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            inner = (*path, child.name)
            yield min([child.lineno, *(one.lineno for one in child.decorator_list)]), inner
            yield from _definitions(child, inner)
            yield (child.end_lineno or child.lineno) + 1, path
        elif not isinstance(child, ast.expr):
            yield from _definitions(child, path)
