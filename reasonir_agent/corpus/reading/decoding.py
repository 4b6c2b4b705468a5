"""Bytes as text, in whatever encoding they were written.

What is certain comes first: a byte order mark, UTF-16 that can be nothing else, UTF-8. Then letters decide. Text in
Latin script keeps most of its letters in ASCII, so the few others must be letters of one European language, standing
beside ASCII letters; the encoding in which they are wins, and Windows-1252 wins ties. Everything else (Chinese,
Japanese, Korean, Cyrillic, Greek, Hebrew, Arabic, Thai) is left to charset-normalizer, which knows how often
characters occur in languages, but guesses badly between the Latin encodings.

Refused: bytes that are no text.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import Final

from reasonir_agent.corpus.reading.problems import Unreadable

_MARKS: Final = (  # UTF-32 first: its little-endian mark begins like that of UTF-16
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_HEAD: Final = 8192  # bytes in which NUL and control characters are looked for
_SAMPLE: Final = 65_536  # bytes of lines with other than ASCII that decide
_BEFORE: Final = 1000  # bytes of a long line before the first that is not ASCII
_ALPHABETS: Final = tuple(
    frozenset(letters)
    for letters in (
        "àâæçèéêëîïôœùûüÿ", "äöüß", "áéíñóúü", "àáâãçéêíóôõú", "àèéìíòóùú", "àçèéíïòóúü", "éëïöüèêáó", "åæøéóêò",
        "åäöé", "áæéíðóöúýþ", "äõöüšž", "ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "âăîşţ",
        "čćđšž", "âçğıîöşüû", "ąčęėįšųūž", "āčēģīķļņšūž",
    )
)  # fmt: skip
_LATIN: Final = ("cp1252", "iso8859_15", "cp1250", "iso8859_2", "cp1254", "cp1257", "mac_roman", "cp850")
_CYRILLIC: Final = ("cp1251", "koi8_r", "koi8_u", "iso8859_5", "cp866", "mac_cyrillic")
_GREEK: Final = ("cp1253", "iso8859_7")
_OTHER: Final = (
    *("gb18030", "cp950", "cp932", "euc_jp", "cp949", *_CYRILLIC),
    *_GREEK,
    *("cp1255", "cp1256", "cp874"),
)
_LATIN_SHARE: Final = 0.6  # of the other letters must belong to a language; names and loan words are the rest
_OLD: Final = ("mac_roman", "cp850")  # so rare today that a single letter is no evidence
_FEW: Final = 4  # bytes beyond ASCII that tell no language
_MARGIN: Final = 0.1  # by which another encoding must beat Windows-1252
_WORD: Final = re.compile(r"[^\s\x00-\x40\x5b-\x60\x7b-\x7f]+")
_HIGH: Final = re.compile(rb"[\x80-\xff]")
_PLAIN: Final = re.compile(rb"[\0\t\n\r\x20-\x7e]*")
_NO_TEXT: Final = ("Cc", "Cn", "Co", "Cs")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def decode(content: bytes, *, declared: str | None = None) -> str:
    """Bytes as text with one kind of line end; NUL characters become U+FFFD, and so does what cannot be decoded.

    Args:
        content: the bytes.
        declared: the codec that the content itself names, believed where it is not UTF-8 and fits.

    Raises:
        Unreadable: it is no text, or of an encoding that takes a package to recognise.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return clean(content.decode(encoding, errors="replace"))
    head = content[:_HEAD]
    if b"\0" in head:
        return clean(_without_mark(content))
    if sum(byte < 32 and byte not in b"\t\n\r\f\b\x1b" for byte in head) > len(head) // 20:
        raise Unreadable("is no text (it holds control characters)")
    try:
        return clean(_japanese_mail(content) or content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return clean(_declared(content, declared) or content.decode(_guessed(content), errors="replace"))


def clean(text: str) -> str:
    r"""One kind of line end, and no character that cannot be stored: NUL and lone surrogates (JSON's \ud800)."""
    plain = text.replace("\r\n", "\n").replace("\0", "\ufffd")
    if not plain.isascii() and _SURROGATE.search(plain):
        plain = plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return plain


def _without_mark(content: bytes) -> str:
    """UTF-16 without a byte order mark: NUL stands in one half of the pairs, and every character is one of text."""
    head = content[:_HEAD]
    first, second = head[::2].count(0), head[1::2].count(0)
    one_sided = max(first, second) >= 4 * min(first, second)  # a few characters of Chinese and Korean end in 00
    looks_like = head.count(0) * 5 >= len(head) * 2 or not _PLAIN.fullmatch(head)  # plain text with NUL between is none
    if len(content) % 2 == 0 and one_sided and looks_like:
        try:
            text = content.decode("utf-16-le" if second > first else "utf-16-be")
        except UnicodeDecodeError:
            text = "\0"
        if all(sign in "\t\n\r\f" or unicodedata.category(sign) not in _NO_TEXT for sign in text[:_HEAD]):
            return text
    raise Unreadable("is no text (it holds NUL bytes)")


def _japanese_mail(content: bytes) -> str | None:
    """ISO-2022-JP, which is ASCII with escapes."""
    if b"\x1b$" not in content or not content.isascii():
        return None
    try:
        return content.decode("iso2022_jp_ext")
    except UnicodeDecodeError:
        return None


def _declared(content: bytes, encoding: str | None) -> str | None:
    try:
        return content.decode(encoding) if encoding else None
    except UnicodeError:
        return None


def _guessed(content: bytes) -> str:
    """The name of the encoding of bytes that are not valid UTF-8."""
    sample = _telling(content)
    if _is_damaged_utf8(sample):
        return "utf-8"
    few = sum(byte > 127 for byte in sample) < _FEW
    scores = {
        name: _latin_score(sample.decode(name, errors="replace")) for name in _LATIN if not few or name not in _OLD
    }
    best = max(scores, key=lambda name: scores[name])  # the first of equals
    if scores[best] < scores["cp1252"] + _MARGIN:
        best = "cp1254" if _is_turkish(sample) else "cp1252"
    if few or scores[best] >= _LATIN_SHARE:
        return best
    return _by_frequency(sample) or best


def _is_turkish(sample: bytes) -> bool:
    """Whether ý, þ and ð are ı, ş and ğ: Icelandic, which has the former, never does without á, é, í, ó and ú."""
    text = sample.decode("cp1252", errors="replace").lower()
    return sum(map(text.count, "ýþð")) >= _FEW and not any(letter in text for letter in "áéíóú")


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


def _latin_score(text: str) -> float:
    """How well text fits Latin script: the share of letters beyond ASCII that one language has, line by line."""
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
            if not sign.isascii() and (
                (sign.isalpha() and sign not in "µªº") or 0 < at < len(word) - 1 or sign == "\ufffd" or sign < "\xa0"
            ):
                fits = plain and (sign.islower() or at == 0 or word.isupper())
                found[sign.lower() if fits else "\ufffd"] += 1
    return found


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
    """Of the two Greek encodings, the one with more letters: what is one letter here is a sign there."""
    if guess not in _GREEK:
        return guess
    return max(_GREEK, key=lambda name: sum(map(str.isalpha, sample.decode(name, errors="replace"))))


def _by_case(sample: bytes, guess: str) -> str:
    """The encoding in which Cyrillic words begin with their capital: KOI8 read as Windows-1251 swaps the case."""
    if guess not in (*_CYRILLIC, "cp1256"):
        return guess
    scores = {name: _case_score(sample.decode(name, errors="replace")) for name in _CYRILLIC}
    best = max(_CYRILLIC, key=lambda name: (scores[name], name == guess))
    return best if guess in _CYRILLIC or scores[best] > 0.98 else guess


def _case_score(text: str) -> float:
    """Share of the signs beyond ASCII that are Cyrillic letters in the case that their place in the word asks for."""
    good = sum(
        len(word)
        for word in re.findall("[\u0400-\u045f\u0490\u0491]+", text)
        if word[1:].islower() or (len(word) == 1 and word.islower())
    )
    total = sum(sign > "\x7f" for sign in text)
    return good / total if total else 0.0
