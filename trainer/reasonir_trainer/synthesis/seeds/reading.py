"""Files and folders -> pieces that may become seeds, by the readers and the splitter of `reasonir_agent.corpus`.

A piece is `document.text[start:end]`, of `least` to `most` words. It ends at a sentence where it can, and does not cross
a heading unless the section is shorter than `least`: then it goes together with its neighbours, under the headings that
they have in common (a section and its own subsection: under that of the longer). Pieces do not overlap: what one says, no other does.

Files come in order of their names, so that the same files make the same pieces whatever way they were named. What cannot
be read is skipped and named in the report; one file's documents are in memory at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from reasonir_agent.corpus.reading import Changing, Finder, FoundFile, Readers, Unreadable, read_content
from reasonir_agent.corpus.splitting import SplitSettings, split_document
from reasonir_agent.errors import InputError
from reasonir_agent.types import Document, Skipped
from reasonir_trainer.synthesis.rows import Seed
from reasonir_trainer.synthesis.seeds.report import SeedReport
from reasonir_trainer.synthesis.word_runs import count_words

_HALF_CHARACTER: Final = re.compile("[\ud800-\udfff]")  # cannot be written as UTF-8; JSON may hold some
_PATH: Final = " > "


def pieces(paths: Sequence[str], *, least: int, most: int, report: SeedReport) -> Iterator[Seed]:
    """The pieces of all documents under the paths, without any judgement of them.

    Args:
        paths: files and folders.
        least: words that a piece should have; shorter ones are left where a document has no more.
        most: words that a piece has at most.
        report: counts files and pieces, and names what was skipped.

    Raises:
        InputError: a path is missing, or nothing was given.
    """
    if not paths:
        raise InputError("no file or folder was given; name the documents that seeds are to be made from")
    if most < 1 or least > most:
        raise InputError(f"seeds must have at least 1 word and least <= most, got {least} to {most} words")
    with Readers() as readers:
        for path in _files(paths, report):
            for document in _read(path, readers, report):
                for start, end, heading in spans(document, least=least, most=most):
                    report.pieces += 1
                    text = _HALF_CHARACTER.sub("\ufffd", document.text[start:end])
                    yield Seed.of(source=document.source, start=start, end=end, heading=heading, text=text)


def spans(document: Document, *, least: int, most: int) -> Iterator[tuple[int, int, str]]:
    """Start, end and heading path of the pieces of a document, in order, without overlap."""

    def count(texts: Sequence[str]) -> list[int]:
        return [count_words(text) for text in texts]

    waiting: _Piece | None = None
    for passage in split_document(document, count, SplitSettings(tokens=most, overlap=0)):
        piece = _Piece(passage.start, passage.end, count_words(passage.text), passage.heading)
        if waiting is None:
            waiting = piece
        elif min(waiting.words, piece.words) < least and waiting.words + piece.words <= most:
            waiting = waiting.with_next(piece)
        else:
            yield waiting.start, waiting.end, waiting.heading
            waiting = piece
    if waiting is not None:
        yield waiting.start, waiting.end, waiting.heading


@dataclass(frozen=True, slots=True)
class _Piece:
    start: int
    end: int
    words: int
    heading: str

    def with_next(self, other: _Piece) -> _Piece:
        heading = _common(self.heading, other.heading)
        if heading in (self.heading, other.heading):  # a title before its first section, a subsection of a few words
            heading = max(self, other, key=lambda piece: piece.words).heading
        return _Piece(self.start, other.end, self.words + other.words, heading)


def _common(one: str, other: str) -> str:
    """The heading path that two paths begin with."""
    common: list[str] = []
    for mine, theirs in zip(one.split(_PATH), other.split(_PATH), strict=False):
        if mine != theirs:
            break
        common.append(mine)
    return _PATH.join(common)


def _files(paths: Sequence[str], report: SeedReport) -> list[str]:
    """The files under the paths, each once, in order of their names."""
    finder = Finder()
    found = {one.path: one for path in paths for one in finder.walk(path)}
    in_order = [found[path] for path in sorted(found)]
    report.skipped += [one for one in in_order if isinstance(one, Skipped)]
    return [one.path for one in in_order if isinstance(one, FoundFile)]


def _read(path: str, readers: Readers, report: SeedReport) -> Sequence[Document]:
    try:
        documents, skipped = readers.read(path, read_content(path)[0])
    except (Unreadable, Changing, OSError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
        report.skipped.append(Skipped(path, reason))
        return ()
    report.files += 1
    report.skipped += skipped
    return documents
