"""The value of one field of a JSON object while the object is still being written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable


class FieldStream:
    """Hands the text of a field on as its pieces come.

    Args:
        field: the field's name; its value is a string.
        show: gets each new piece of the decoded value; None when it begins anew.
    """

    def __init__(self, field: str, show: Callable[[str | None], None]) -> None:
        self._begin = re.compile(rf'"{re.escape(field)}"\s*:\s*"')
        self._show = show
        self._raw, self._at, self._ended = "", -1, False

    def feed(self, piece: str | None) -> None:
        """A further piece of the object; None when it begins anew."""
        if piece is None:
            self._raw, self._at, self._ended = "", -1, False
            self._show(None)
            return
        self._raw += piece
        if self._at < 0:
            found = self._begin.search(self._raw)
            self._at = found.end() if found else -1
        if self._at >= 0 and not self._ended:
            self._decode()

    def _decode(self) -> None:
        """Show what is complete: no half escape, no half of a pair of surrogates."""
        end = self._at
        while end < len(self._raw) and self._raw[end] != '"':
            width = 1 if self._raw[end] != "\\" else 6 if self._raw[end + 1 : end + 2] == "u" else 2
            if width == 6 and self._raw[end + 2 : end + 4].lower() in ("d8", "d9", "da", "db"):
                width = 12
            if end + width > len(self._raw):
                break
            end += width
        self._ended = end < len(self._raw) and self._raw[end] == '"'
        if end > self._at:
            try:
                self._show(json.loads(f'"{self._raw[self._at : end]}"', strict=False))
            except ValueError:  # no JSON after all; the whole reply is checked later
                self._ended = True
            self._at = end
