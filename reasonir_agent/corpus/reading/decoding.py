"""Bytes as text, in whatever encoding they were written.

What is certain comes first: a byte order mark, UTF-16 that can be nothing else, UTF-8. Then what the content declares,
then a guess (`guessing`). Refused: bytes that are no text.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from reasonir_agent.corpus.reading.guessing import guessed
from reasonir_agent.corpus.reading.problems import Unreadable

_MARKS: Final = (  # UTF-32 first: its little-endian mark begins like that of UTF-16
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_HEAD: Final = 8192  # bytes in which NUL and control characters are looked for
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
        return clean(_declared(content, declared) or content.decode(guessed(content), errors="replace"))


def clean(text: str) -> str:
    r"""One kind of line end, and no character that cannot be stored: NUL and lone surrogates (JSON's \ud800)."""
    plain = text.replace("\r\n", "\n").replace("\0", "\ufffd")
    if not plain.isascii() and _SURROGATE.search(plain):
        plain = plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return plain


def _without_mark(content: bytes) -> str:
    """UTF-16 without a byte order mark: NUL stands in one half of most pairs, and every character is one of text."""
    head = content[:_HEAD]
    first, second = head[::2].count(0), head[1::2].count(0)
    looks_like = head.count(0) * 5 >= len(head) * 2 or not _PLAIN.fullmatch(head)  # plain text with NUL between is none
    if len(content) % 2 == 0 and looks_like:
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
