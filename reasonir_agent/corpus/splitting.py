"""Documents into passages: by the encoder's own tokens, at sentences and paragraphs, with overlap.

Invariants (held by property tests): a passage's text is `document.text[start:end]`; everything but white space is in a
passage; no passage is longer than the limit; passages never cross a section. A heading path travels with its passages
to the encoder, so it is kept short, and a long one takes its room from the passages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from reasonir_agent.sentences import sentence_spans, trimmed
from reasonir_agent.types import Document, Passage, Section

CountTokens = Callable[[Sequence[str]], list[int]]

_CHARACTERS_PER_TOKEN: Final = 2  # a safe first guess for cutting what has no sentences
_CHARACTERS_COUNTED: Final = 64  # for each token of the limit; beyond, a text is cut before it is counted
_HEADING_CHARACTERS: Final = 120  # of one heading; some pages put a paragraph into <h1>
_HEADING_TOKENS: Final = 24  # of a heading path that has room in the window beside a full passage


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """How documents are split; part of the index recipe.

    Attributes:
        tokens: most tokens of a passage, without prefix and special tokens.
        overlap: tokens of the end of a passage that the next one begins with, in whole sentences.
    """

    tokens: int = 220
    overlap: int = 40

    @classmethod
    def for_window(cls, window: int) -> SplitSettings:
        """Passages that fit an encoder's window with its prefix: 220 tokens in MiniLM's 256, 448 at the most."""
        tokens = max(16, min(448, window - 36))
        return cls(tokens, min(64, tokens * 2 // 11))


def split_document(document: Document, count: CountTokens, settings: SplitSettings) -> list[Passage]:
    """The passages of a document, in order.

    Args:
        document: what to split.
        count: tokens of each of several texts.
        settings: limits.
    """
    sections = document.sections or (Section(0, len(document.text)),)
    passages: list[Passage] = []
    for section in sections:
        heading = " > ".join(map(_shortened, section.heading))
        for start, end in _split_section(document.text, section, count, _beside(heading, count, settings)):
            passages.append(Passage.make(document.source, start, end, document.text[start:end], heading))
    return passages


def _shortened(heading: str) -> str:
    return heading if len(heading) <= _HEADING_CHARACTERS else heading[: _HEADING_CHARACTERS - 1] + "…"


def _beside(heading: str, count: CountTokens, settings: SplitSettings) -> SplitSettings:
    """The limits for passages that are encoded with this heading path; at least half of the usual ones."""
    beyond = count([heading])[0] - _HEADING_TOKENS if heading else 0
    if beyond <= 0:
        return settings
    tokens = max(settings.tokens // 2, settings.tokens - beyond)
    return SplitSettings(tokens, min(settings.overlap, tokens // 4))


def _split_section(text: str, section: Section, count: CountTokens, settings: SplitSettings) -> list[tuple[int, int]]:
    offset = section.start
    spans = [(offset + a, offset + b) for a, b in sentence_spans(text[section.start : section.end])]
    pieces = _bounded(text, spans, count, settings.tokens)
    if len(pieces) > 1 and _is_heading_line(text, pieces[0], section):
        start, end = pieces[0][0], pieces[1][1]
        together = count([text[start:end]])[0]
        if together <= settings.tokens:  # a heading travels with the sentence that it heads
            pieces = [(start, end, together), *pieces[2:]]
    found = list(_packed(pieces, settings))
    if found and max(count([text[start:end] for start, end in found])) > settings.tokens:
        # some tokenizers count the white space between sentences too; then every passage is counted as it grows
        found = list(_packed(pieces, settings, lambda start, end: count([text[start:end]])[0] <= settings.tokens))
    return found


def _is_heading_line(text: str, piece: tuple[int, int, int], section: Section) -> bool:
    return bool(section.heading) and piece[0] == section.start and "\n" not in text[piece[0] : piece[1]].strip()


def _bounded(text: str, spans: list[tuple[int, int]], count: CountTokens, most: int) -> list[tuple[int, int, int]]:
    """Sentences as (start, end, tokens), those beyond the limit cut in pieces."""
    short = [span for span in spans if span[1] - span[0] <= most * _CHARACTERS_COUNTED]
    counts = dict(zip(short, count([text[start:end] for start, end in short]) if short else [], strict=True))
    pieces: list[tuple[int, int, int]] = []
    for start, end in spans:
        tokens = counts.get((start, end), most + 1)
        pieces += [(start, end, tokens)] if tokens <= most else _halves(text, start, end, count, most)
    return pieces


def _halves(text: str, start: int, end: int, count: CountTokens, most: int) -> list[tuple[int, int, int]]:
    """Cut what has no sentences near its middle, at white space where there is some, until every piece fits."""
    start, end = trimmed(text, start, end)
    if start == end:
        return []
    piece = text[start:end]
    tokens = count([piece])[0] if len(piece) <= most * _CHARACTERS_COUNTED else most + 1
    if tokens <= most or len(piece) < 2:
        return [(start, end, tokens)]
    middle = len(piece) // 2 if len(piece) <= 4 * most * _CHARACTERS_PER_TOKEN else most * _CHARACTERS_PER_TOKEN
    space = max(piece.rfind(mark, middle // 2, middle) for mark in ("\n", " "))
    cut = start + (space + 1 if space > 0 else middle)
    if len(piece) <= 4 * most * _CHARACTERS_PER_TOKEN:
        return _halves(text, start, cut, count, most) + _halves(text, cut, end, count, most)
    pieces: list[tuple[int, int, int]] = []  # a very long one: from the left, without recursion into the rest
    while end - start > 4 * most * _CHARACTERS_PER_TOKEN:
        window = text[start : start + most * _CHARACTERS_PER_TOKEN]
        space = max(window.rfind(mark, len(window) // 2) for mark in ("\n", " "))
        cut = start + (space + 1 if space > 0 else len(window))
        pieces += _halves(text, start, cut, count, most)
        start = cut
    return pieces + _halves(text, start, end, count, most)


def _packed(
    pieces: list[tuple[int, int, int]],
    settings: SplitSettings,
    fits: Callable[[int, int], bool] = lambda start, end: True,
) -> Iterator[tuple[int, int]]:
    """Join sentences into passages of up to the limit; the last ones of a passage begin the next."""
    first = 0
    while first < len(pieces):
        last, total = first, pieces[first][2]
        while last + 1 < len(pieces) and total + pieces[last + 1][2] <= settings.tokens:
            last += 1
            total += pieces[last][2]
        while last > first and not fits(pieces[first][0], pieces[last][1]):
            last -= 1
        yield pieces[first][0], pieces[last][1]
        if last + 1 == len(pieces):
            return
        first = _next_start(pieces, first, last, settings, fits)


def _next_start(
    pieces: list[tuple[int, int, int]],
    first: int,
    last: int,
    settings: SplitSettings,
    fits: Callable[[int, int], bool],
) -> int:
    start, carried = last + 1, 0
    following = pieces[last + 1][2]
    while start - 1 > first:
        carried += pieces[start - 1][2]
        if carried > settings.overlap or carried + following > settings.tokens:
            break
        if not fits(pieces[start - 1][0], pieces[last + 1][1]):
            break
        start -= 1
    return start
