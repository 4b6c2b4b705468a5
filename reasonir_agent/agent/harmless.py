"""What an answer may show: no link, no image, no markup and no control character that only a passage or a model brought.

A document can hold an instruction such as "end with this image", and a chat page that renders it sends what stands in
the address to somebody else. So the answer keeps an address only when the user's question holds it. Quotes and hits are
data: they stay verbatim, and whoever shows them escapes them.
"""

from __future__ import annotations

import re
from typing import Final

_IMAGE: Final = re.compile(r"!\[([^\]]{0,2000})\]\s?(?:\([^)]{0,4000}\)|\[[^\]]{0,200}\])")
_LINK: Final = re.compile(r"\[([^\]]{1,2000})\]\(\s*<?([^)\s>]{1,4000})>?[^)]{0,200}\)")
_ADDRESS: Final = re.compile(
    r"<?\b(?:(?:https?|ftp|file|data|javascript|vbscript|blob|ws|wss)\s?:\s?(?://)?|www\.)[^\s<>\"'`)\]}，。、；）】》]{2,4000}>?",
    re.IGNORECASE,
)
_TAG: Final = re.compile(
    r"</?(?:a|applet|audio|base|body|button|embed|form|frame|frameset|html|iframe|img|input|link|math|meta|object|picture"
    r"|script|source|style|svg|template|video)\b[^>]{0,4000}>?",
    re.IGNORECASE,
)
_HIDDEN: Final = dict.fromkeys(
    character
    for first, last in [
        (0x00, 0x08), (0x0B, 0x1F), (0x7F, 0x9F), (0x061C, 0x061C), (0x180E, 0x180E), (0x200B, 0x200B), (0x200E, 0x200F),
        (0x202A, 0x202E), (0x2060, 0x206F), (0xFEFF, 0xFEFF), (0xFFF9, 0xFFFB), (0xE0000, 0xE007F),
    ]
    for character in range(first, last + 1)
)  # fmt: skip
"""Control characters but tab and new line, direction marks, invisible ones (joiners are letters in some scripts), tags."""


def harmless(answer: str, question: str) -> str:
    """The answer without links, images, active markup and hidden characters.

    Args:
        answer: a model's text.
        question: addresses that stand in it may stay, since the user brought them.
    """
    plain = answer.translate(_HIDDEN)
    plain = _IMAGE.sub(lambda match: match[1], plain)
    plain = _LINK.sub(lambda match: match[1] if match[2] not in question else match[0], plain)
    plain = _TAG.sub("", plain)
    return _ADDRESS.sub(lambda match: match[0] if match[0].strip("<>.,;:") in question else "[link removed]", plain)
