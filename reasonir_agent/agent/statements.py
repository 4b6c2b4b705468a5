"""The sentences of an answer in Markdown that state something, each with the marks that belong to it.

A mark behind the full stop ("... ice. [1]") belongs to the sentence before it. A list item and a row of a table are
units of their own; a heading, a question, the head of a table, a few words ("In short:") and code state nothing that
could be looked up. Pure; spans are of the answer as it was given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from reasonir_agent.agent.citations import CODE, drop_marks, mark_places, marks
from reasonir_agent.sentences import sentence_spans, trimmed

FEWEST_WORDS: Final = 4
"""Shorter sentences are "Yes.", "In short:" and the like."""

_ITEM: Final = re.compile(r"[ \t>]*(?:(?:[-*+•]|\d{1,3}[.)])[ \t]+)?(?:\[[ xX]\][ \t]+)?")
_ROW: Final = re.compile(r"[ \t>]*\|.*\|[ \t]*$")
_RULE: Final = re.compile(r"[ \t>]*\|?[ \t]*:?-{2,}[ \t:|\-]*$")
_HEADING: Final = re.compile(r"[ \t>]*(?:#{1,6}[ \t].*|(?P<bold>\*\*|__)[^*_\n]+(?P=bold)[:：]?[ \t]*)$")
_STOP: Final = re.compile(r"[.!?。！？；][\"'”’)）」』]*")
_NOT_STATED: Final = ("?", "？", ":", "：")


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence of an answer.

    Attributes:
        start: its first character.
        end: one past its last, marks behind it included.
        numbers: passages that it cites.
        factual: whether it states something that needs a source.
    """

    start: int
    end: int
    numbers: frozenset[int]
    factual: bool


def statements(answer: str) -> list[Statement]:
    """All sentences outside of code, in order."""
    found: list[Statement] = []
    masked = _masked(answer)
    for start, end, is_heading in _blocks(masked):
        for one in _sentences(masked, start, end):
            text = answer[one[0] : one[1]]
            if found and not _words(text, marks(text)):  # marks alone cite for what stands before them
                before = found.pop()
                numbers = before.numbers | marks(text)
                found.append(Statement(before.start, one[1], numbers, before.factual))
                continue
            factual = _states_something(text) and not (is_heading and not text.rstrip("*_ ").endswith((".", "。")))
            found.append(Statement(*one, frozenset(marks(text)), factual))
    return found


def _masked(answer: str) -> str:
    """The answer, equally long, with code as one word or as an empty line, and marks inside their sentence's stop."""
    signs = list(answer)
    for match in CODE.finditer(answer):
        start, end = match.span()
        signs[start:end] = ("\n" if match["fence"] else "X") * (end - start)
    for match in mark_places(answer):
        start, end = match.span()
        before = start
        while before > 0 and signs[before - 1] in "\"'”’)）」』":
            before -= 1
        if before > 0 and _STOP.match(signs[before - 1]):
            stop = signs[before - 1]
            signs[before - 1 : end] = "X" * (end - before) + stop
        else:
            bracket = answer.index("[", start)
            signs[bracket:end] = "X" * (end - bracket)
    return "".join(signs)


def _blocks(masked: str) -> Iterator[tuple[int, int, bool]]:
    """(start, end, whether it is a heading or the head of a table) of paragraphs, items, rows and headings."""
    lines, at = [], 0
    for line in masked.split("\n"):
        lines.append((at, line))
        at += len(line) + 1
    begun = -1
    for number, (start, line) in enumerate(lines):
        item = _ITEM.match(line)
        inside = start + (item.end() if item else 0)
        is_row, is_heading = _ROW.match(line) is not None, _HEADING.match(line) is not None
        is_rule = _RULE.match(line) is not None
        alone = is_row or is_heading or is_rule or not line.strip()
        if begun >= 0 and (alone or (item and item[0].strip(" \t>"))):
            yield begun, start - 1, False
            begun = -1
        if is_heading or (is_row and not is_rule):
            yield inside, start + len(line), is_heading or _is_head_of_table(lines, number)
        elif not alone and begun < 0:
            begun = inside
    if begun >= 0:
        yield begun, len(masked), False


def _is_head_of_table(lines: list[tuple[int, str]], number: int) -> bool:
    return number + 1 < len(lines) and _RULE.match(lines[number + 1][1]) is not None


def _sentences(masked: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    block = masked[start:end]
    if _ROW.match(block):  # between the outer bars, so that a note behind the sentence stays in the table
        cells = block.index("|") + 1, block.rindex("|")
        spans = [trimmed(block[cells[0] : cells[1]], 0, cells[1] - cells[0])]
        yield from ((start + cells[0] + a, start + cells[0] + b) for a, b in spans if a < b)
        return
    yield from ((start + a, start + b) for a, b in sentence_spans(block))


def _words(text: str, numbers: set[int]) -> list[str]:
    return re.findall(r"\w+(?:[’'.,-]\w+)*", drop_marks(text, numbers))


def _states_something(sentence: str) -> bool:
    if sentence.rstrip("*_ ").endswith(_NOT_STATED):
        return False
    words = _words(sentence, marks(sentence))
    east_asian = sum(ord(one) > 0x2E7F for word in words for one in word)  # no spaces between words
    return len(words) + east_asian // 2 >= FEWEST_WORDS
