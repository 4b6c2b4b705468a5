"""What is no prose: licences, navigation, tables of contents, lists of links, numbers, code, repetition.

Pure functions of the text; each returns its reason, or None. All work on words, or on lines without the white space in
and between them. The shares of repeated lines are Gopher's (Rae et al. 2021, arXiv 2112.11446, table A1), the others
measured as `filters` says.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from typing import Final

from reasonir_trainer.synthesis.near_duplicates import compared_words
from reasonir_trainer.synthesis.word_runs import count_words

LICENCE: Final = "licence text"
NAVIGATION: Final = "navigation or list"
CONTENTS: Final = "table of contents"
LINKS: Final = "list of links"
NUMBERS: Final = "mostly numbers"
CODE: Final = "mostly code or formulas"
REPEATED: Final = "repeated lines"

_MOST_REPEATED_LINES: Final = 0.3
_MOST_REPEATED_CHARACTERS: Final = 0.2
_FEWEST_LINES: Final = 5  # below, a share of lines says nothing

_LEAST_LETTERS: Final = 0.6  # of the visible characters; prose has 0.95, a page full of formulas 0.65
_MOST_SIGNS: Final = 0.16  # of the visible characters; prose has 0.02, source code 0.2
_CODE_SIGNS: Final = "{}[]()<>=;_/\\|&*+#@$%^~`"
_NO_LETTERS: Final = string.digits + string.punctuation
_CODE_LINE: Final = re.compile(
    r"[\w.\[\]\"']+(?:: ?[\w.\[\], ]+)? ?[-+*/|:]?= ?\S.*"  # an assignment
    r"|(?:return|import|from|raise|assert|yield|del|pass|break|continue|print|echo|end|else)\b[^.!?]*"
    r"|(?:async |export |public |private |static )*(?:def|class|if|elif|for|while|try|except|with|function|fn|func|struct"
    r"|impl|enum|switch|case|match|const|let|var|void|int)\b.*[:;{=>()\[,]"
    r"|(?://|/\*|#include|#define|#!|>>>|@\w|\$ |<[/!\w]).*"
    r"|[\w.]+\([^()]*(?:\([^()]*\)[^()]*)*\)?[;:,]?"  # a call
    r"|.*[=()\].>].*;|.*[{}\[\\]|[\])}\"',;:]+"
)
_MOST_CODE: Final = 0.5  # of the visible characters, in lines that read as code
_FORMULA: Final = re.compile(r"\$\$[^$]{1,2000}\$\$|\$[^$\n]{1,400}\$|\\\[.{1,2000}?\\\]|\\\(.{1,400}?\\\)", re.DOTALL)

_MOST_LINKED: Final = 0.3  # of the visible characters
_LINK: Final = re.compile(r"\[[^\[\]\n]{0,300}\]\([^()\s]{1,2000}\)|(?:https?://|www\.)[^\s<>\"]+")

_CONTENTS_LINE: Final = re.compile(
    r"[^.…]{1,200}(?:(?:\. ?){3,}|…+) ?\d{1,4}"  # a title, leader dots, its page
    r"|(?:chapter |part |section |appendix )?[\dIVXivx]{1,5}(?:\.\d{1,3})*[.:)]? [^\d]{3,80} \d{1,4}",  # 3.2 Title 45
    re.IGNORECASE,
)
_MOST_CONTENTS: Final = 0.4  # of the lines

_MOST_BETWEEN: Final = 120  # words from one end of a sentence to the next; 15 to 30 in prose
_SHORT_LINE: Final = 5  # words
_MOST_SHORT: Final = 0.8  # of the words; in short lines that end no sentence
_ENDS: Final = ".!?…。！？؟۔।॥։።။"
_SENTENCE_END: Final = re.compile(rf"[{_ENDS}](?=[\"'”’»)\]*_]*(?:\s|$))|[。！？।॥။]")
_NO_FULL_STOP: Final = re.compile("[\u0e00-\u0eff]")  # Thai and Lao end sentences with a space

_PHRASES: Final = tuple(
    tuple(line.split())
    for line in """
    permission is hereby granted free of charge
    the software is provided as is
    without warranty of any kind
    without warranties or conditions of any kind
    fitness for a particular purpose
    in no event shall
    redistributions of source code must retain
    redistribution and use in source and binary forms
    the above copyright notice and this permission notice
    you may not use this file except in compliance
    subject to the terms and conditions of this
    under the terms of the gnu
    gnu general public license
    gnu lesser general public license
    gnu free documentation license
    mozilla public license
    licensed under the apache license
    hereby grants to you
    hereby grants you a
    royalty free non exclusive
    non exclusive no charge royalty free irrevocable
    derivative works
    covered work
    covered software
    the licensor
    this license
    this licence
    all rights reserved
    creative commons attribution
    project gutenberg
    terms of use
    terms of service
    privacy policy
    cookie policy
    we use cookies
    accept all cookies
    liable for any
    indirect incidental special
    to the extent permitted by applicable law
    copyright holders
    trademarks of their respective owners
    """.splitlines()
    if line.strip()
)
_WORDS_A_PHRASE: Final = 60  # one telling phrase in so many words makes a licence; two at least
_FIRST_WORDS: Final = frozenset(phrase[0] for phrase in _PHRASES)
_TELLTALES: Final = (
    "licen", "warrant", "copyright", "permission", "purpose", "event shall", "redistribut", "hereby", "royalty",
    "derivative", "covered", "rights reserved", "creative", "gutenberg", "terms", "privacy", "cookie", "liable",
    "indirect", "extent permitted", "trademark", "the gnu", "software is provided", "you may not",
)  # fmt: skip
"""Each phrase holds one of them: most texts hold none, which is quickly seen."""


def licence(text: str) -> str | None:
    """Licences, legal notices, terms of use: two telling phrases or more, one in every 60 words at least."""
    plain = " ".join(text.casefold().split())
    if not any(telltale in plain for telltale in _TELLTALES):
        return None
    words = [part for word in compared_words(plain) for part in word.split("'")]
    found = 0
    for at, word in enumerate(words):
        if word in _FIRST_WORDS:
            found += any(tuple(words[at : at + len(phrase)]) == phrase for phrase in _PHRASES)
    return LICENCE if found >= 2 and found * _WORDS_A_PHRASE >= len(words) else None


def navigation(text: str) -> str | None:
    """Menus, word lists, tables without sentences: hardly a sentence ends, or nearly all lines are a few words."""
    words = count_words(text)
    if not words or _NO_FULL_STOP.search(text):
        return None
    ends = sum(1 for _ in _SENTENCE_END.finditer(text))
    if words > _MOST_BETWEEN * ends and words > _MOST_BETWEEN // 2:
        return NAVIGATION
    lines = _lines(text)
    short = [count for line in lines if line[-1] not in _ENDS and (count := count_words(line)) <= _SHORT_LINE]
    return NAVIGATION if len(lines) >= _FEWEST_LINES and sum(short) > _MOST_SHORT * words else None


def contents(text: str) -> str | None:
    """Tables of contents: lines with leader dots, or a number before and a page after a title."""
    lines = _lines(text)
    found = sum(1 for line in lines if line[-1].isdigit() and len(line) < 400 and _CONTENTS_LINE.fullmatch(line))
    return CONTENTS if found >= _FEWEST_LINES and found > _MOST_CONTENTS * len(lines) else None


def links(text: str) -> str | None:
    """Lists of links: addresses, and the words of Markdown's links, are a third of the text."""
    linked = sum(_visible(match[0]) for match in _LINK.finditer(text))
    return LINKS if linked > _MOST_LINKED * _visible(text) else None


def signs(text: str) -> str | None:
    """Tables of numbers, and what is full of signs: few letters, or many signs. LaTeX between its marks is left out."""
    plain = _FORMULA.sub(" ", text)
    visible = _visible(plain)
    if sum(map(plain.count, _CODE_SIGNS)) > _MOST_SIGNS * visible:
        return CODE
    return NUMBERS if sum(map(plain.count, _NO_LETTERS)) > (1 - _LEAST_LETTERS) * visible else None


def code(text: str) -> str | None:
    """Source code: most of the text is in lines that read as statements, calls or markup."""
    lines = _lines(text)
    if len(lines) < _FEWEST_LINES:
        return None
    statements = sum(len(line) for line in lines if len(line) < 200 and _CODE_LINE.fullmatch(line))
    return CODE if statements > _MOST_CODE * sum(map(len, lines)) else None


def repeated_lines(text: str) -> str | None:
    """The same lines again and again: over 30% of the lines, or lines with over 20% of the characters."""
    lines = Counter(_lines(text))
    total = lines.total()
    if total < _FEWEST_LINES:
        return None
    repeats = total - len(lines)
    characters = sum(len(line) * count for line, count in lines.items())
    again = sum(len(line) * (count - 1) for line, count in lines.items())
    is_repeated = repeats > _MOST_REPEATED_LINES * total or again > _MOST_REPEATED_CHARACTERS * characters
    return REPEATED if is_repeated else None


def _lines(text: str) -> list[str]:
    """The lines that hold something, with single spaces."""
    return [words for line in text.splitlines() if (words := " ".join(line.split()))]


def _visible(text: str) -> int:
    return sum(map(len, text.split()))
