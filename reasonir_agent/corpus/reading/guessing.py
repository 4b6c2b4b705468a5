"""The encoding of bytes that are no valid UTF-8, by the letters that they would be in it.

Japanese shows by its kana. Text in Latin script keeps most of its letters in ASCII, so the few others must be letters of
one European language, beside ASCII letters; the encoding in which they are wins, and Windows-1252 wins ties. All else
(Chinese, Korean, Cyrillic, Greek, Hebrew, Arabic, Thai) is left to charset-normalizer, which knows how often characters
occur in languages, but guesses badly between the Latin encodings.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Final

from reasonir_agent.corpus.reading.problems import Unreadable

_SAMPLE: Final = 65_536  # bytes of lines with more than ASCII that decide
_BEFORE: Final = 1000  # bytes of a long line before the first that is not ASCII
_FEW: Final = 4  # bytes beyond ASCII that tell no language
_LATIN: Final = ("cp1252", "iso8859_15", "cp1250", "iso8859_2", "cp1254", "cp1257", "mac_roman", "cp850")
_OLD: Final = ("mac_roman", "cp850")  # so rare today that a few letters are no evidence
_JAPANESE: Final = ("cp932", "euc_jp")
_CYRILLIC: Final = ("cp1251", "koi8_r", "koi8_u", "iso8859_5", "cp866", "cp855", "mac_cyrillic")
_GREEK: Final = ("cp1253", "iso8859_7")
_OTHER: Final = (
    *("gb18030", "cp950", "cp949", "cp1255", "cp1256", "iso8859_6", "cp874"),
    *(*_JAPANESE, *_CYRILLIC, *_GREEK),
)
_ALPHABETS: Final = tuple(
    frozenset(letters)
    for letters in (
        "àâæçèéêëîïôœùûüÿ", "äöüß", "áéíñóúü", "àáâãçéêíóôõú", "àèéìíòóùú", "àçèéíïòóúü", "éëïöüèêáó", "åæøéóêò",
        "åäöé", "áæéíðóöúýþ", "äõöüšž", "ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "âăîşţ",
        "čćđšž", "âçğıîöşüû", "ąčęėįšųūž", "āčēģīķļņšūž",
    )
)  # fmt: skip
_LATIN_SHARE: Final = 0.6  # of the other letters must belong to a language; names and loan words are the rest
_MARGIN: Final = 0.1  # by which another encoding must beat Windows-1252
_KANA_SHARE: Final = 0.3  # of Japanese is kana, prose and titles alike; of Chinese that is read so, under a tenth
_SURE_OF_CASE: Final = 0.98
_HIGH: Final = re.compile(rb"[\x80-\xff]")
_INNER_CAPITAL: Final = re.compile("[α-ώ][Ά-Ϋ]")
_WORD: Final = re.compile(r"[^\s\x00-\x40\x5b-\x60\x7b-\x7f]+")


def guessed(content: bytes) -> str:
    """The name of the encoding.

    Raises:
        Unreadable: it takes a package to recognise it, which is not installed.
    """
    sample = _telling(content)
    if _is_damaged_utf8(sample):
        return "utf-8"
    for name in _JAPANESE:
        if _is_japanese(sample.decode(name, errors="replace")):
            return name
    few = sum(byte > 127 for byte in sample) < _FEW
    texts = {name: sample.decode(name, errors="replace") for name in _LATIN if not few or name not in _OLD}
    scores = {name: _latin_score(text) for name, text in texts.items()}
    best = max(scores, key=lambda name: scores[name])  # the first of equals
    if scores[best] < scores["cp1252"] + _MARGIN:
        best = _in_disguise(texts["cp1252"].lower(), scores)
    if few or scores[best] >= _LATIN_SHARE:
        return best
    return _by_frequency(sample) or best


def _telling(content: bytes) -> bytes:
    """The lines that hold more than ASCII, up to a limit."""
    pieces: list[bytes] = []
    at, left = 0, _SAMPLE
    while left > 0 and (found := _HIGH.search(content, at)):
        start = max(at, content.rfind(b"\n", at, found.start()) + 1, found.start() - _BEFORE)
        end = content.find(b"\n", found.end(), start + left)
        at = end if end >= 0 else start + left
        pieces.append(content[start:at])
        left -= at - start
    return b"\n".join(pieces)


def _is_damaged_utf8(sample: bytes) -> bool:
    """UTF-8 with a few broken bytes, such as a log that was cut: most sequences are valid, which no accident makes."""
    text = sample.decode("utf-8", errors="replace")
    good = sum(sign > "\x7f" and sign != "\ufffd" for sign in text)
    return good > 10 * text.count("\ufffd")


def _is_japanese(text: str) -> bool:
    """Whether much of what is not ASCII is kana, which is read from no other encoding by accident."""
    other = sum(sign > "\x7f" for sign in text)
    kana = sum("\u3041" <= sign <= "\u30fc" for sign in text)
    return other >= _FEW and kana >= _KANA_SHARE * other and text.count("\ufffd") * 50 <= other


def _latin_score(text: str) -> float:
    """How well text fits Latin script: the share of letters beyond ASCII that one language has.

    Line by line, for a text may be in several languages.
    """
    fitting = total = 0
    for line in text.split("\n"):
        found = _letters(line)
        total += found.total()
        fitting += max(sum(found[letter] for letter in letters) for letters in _ALPHABETS)
    return fitting / total if total else 1.0


def _letters(line: str) -> Counter[str]:
    """The letters beyond ASCII in a line, in lower case; U+FFFD for what stands where no such letter stands."""
    found: Counter[str] = Counter()
    for word in _WORD.findall(line):
        plain = any(sign.isascii() for sign in word) or (len(word) == 1 and word.islower())
        for at, sign in enumerate(word):
            is_letter = sign.isalpha() and sign not in "µªº"
            is_within = 0 < at < len(word) - 1
            if sign > "\x7f" and (is_letter or is_within or sign == "\ufffd" or sign < "\xa0"):
                fits = plain and (sign.islower() or at == 0 or word.isupper())
                found[sign.lower() if fits else "\ufffd"] += 1
    return found


def _in_disguise(text: str, scores: Mapping[str, float]) -> str:
    """What text is that could be Windows-1252 by its letters: two languages show by letters that never go together."""

    def count(letters: str) -> int:
        return sum(map(text.count, letters))

    if count("ýþð") >= _FEW and not count("áéíóú"):  # not Icelandic; these are Turkish ı, ş and ğ
        return "cp1254"
    if count("õû") > 1 and count("öü") and count("áé") > count("õû") > 5 * count("ãçêàèä"):  # not Portuguese; ő and ű
        return max("cp1250", "iso8859_2", key=lambda name: scores[name])
    return "cp1252"


def _by_frequency(sample: bytes) -> str | None:
    try:
        from charset_normalizer import from_bytes
    except ModuleNotFoundError:
        raise Unreadable(
            "is not UTF-8, and other encodings need a package; run: pip install 'reasonir-agent[agent]'"
        ) from None
    for match in from_bytes(sample, cp_isolation=list(_OTHER)):
        half_width = sum("\uff61" <= sign <= "\uff9f" for sign in str(match))
        if half_width * 3 < len(str(match)):  # the letters of other scripts are half-width katakana to cp932
            return _by_case(sample, _by_letters(sample, match.encoding))
    return None


def _by_letters(sample: bytes, guess: str) -> str:
    """Of the two Greek encodings, the one with more letters: an Ά of one is a sign in the other, never within a word."""
    if guess not in _GREEK:
        return guess
    texts = {name: sample.decode(name, errors="replace") for name in _GREEK}
    return max(
        _GREEK, key=lambda name: sum(map(str.isalpha, texts[name])) - 2 * len(_INNER_CAPITAL.findall(texts[name]))
    )


def _by_case(sample: bytes, guess: str) -> str:
    """The encoding in which Cyrillic words begin with their capital: KOI8 read as Windows-1251 swaps the case."""
    if guess not in (*_CYRILLIC, "cp1256"):
        return guess
    scores = {name: _case_score(sample.decode(name, errors="replace")) for name in _CYRILLIC}
    best = max(_CYRILLIC, key=lambda name: (scores[name], name == guess))
    return best if guess in _CYRILLIC or scores[best] > _SURE_OF_CASE else guess


def _case_score(text: str) -> float:
    """Share of the signs beyond ASCII that are Cyrillic letters in the case that their place in the word asks for.

    Words in capitals count half: there are some in every text, and read in the wrong case all are.
    """
    good = 0.0
    for word in re.findall("[\u0400-\u045f\u0490\u0491]+", text):
        if word[1:].islower() or (len(word) == 1 and word.islower()):
            good += len(word)
        elif word.isupper():
            good += len(word) / 2
    total = sum(sign > "\x7f" for sign in text)
    return good / total if total else 0.0
