"""The draft of an answer while it is being written: one field of a JSON object, shown without links.

`FieldStream` decodes the field while the object is still incomplete. `HarmlessStream` hands on whole words only, each
made harmless by itself, so that no address is shown although it came in pieces; a draft has not been checked otherwise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Final

from reasonir_agent.agent.harmless import harmless

_Show = Callable[[str | None], None]
_LONGEST_BEGINNING: Final = 4096
"""Characters of a reply in which the field must begin; garbage without end is not searched again and again."""

_WHOLE_WORDS: Final = re.compile(r".*[\s\u3000-\u9fff\uac00-\ud7af\uff00-\uffef]", re.DOTALL)
_MARKUP: Final = re.compile(r"<(?=[A-Za-z/!?])|\](?=:)")  # what goes on in the next word


class FieldStream:
    """Hands the text of a field on as its pieces come.

    Args:
        field: the field's name; its value is a string.
        show: gets each new piece of the decoded value; None when it begins anew.
        ended: told once when the value is complete.
    """

    def __init__(self, field: str, show: _Show, ended: Callable[[], None] = lambda: None) -> None:
        self._begin = re.compile(rf'"{re.escape(field)}"\s*:\s*"')
        self._show, self._tell_end = show, ended
        self._raw, self._at, self._ended = "", -1, False

    def feed(self, piece: str | None) -> None:
        """A further piece of the object; None when it begins anew."""
        if piece is None:
            self._raw, self._at, self._ended = "", -1, False
            self._show(None)
            return
        if self._ended:
            return
        self._raw += piece
        if self._at < 0:
            found = self._begin.search(self._raw)
            if found is None:
                self._ended = len(self._raw) > _LONGEST_BEGINNING
                return
            self._raw, self._at = self._raw[found.end() :], 0
        self._decode()

    def _decode(self) -> None:
        """Show what is complete: no half escape, no half of a pair of surrogates."""
        end = 0
        while end < len(self._raw) and self._raw[end] != '"':
            width = self._width(end)
            if end + width > len(self._raw):
                break
            end += width
        self._ended = end < len(self._raw) and self._raw[end] == '"'
        try:
            shown = json.loads(f'"{self._raw[:end]}"', strict=False)
        except ValueError:  # no JSON after all; the whole reply is checked later
            shown, self._ended = "", True
        self._raw = self._raw[end:]
        if shown:
            self._show(shown)
        if self._ended:
            self._tell_end()

    def _width(self, at: int) -> int:
        """How many characters the one at a place is written with."""
        if self._raw[at] != "\\":
            return 1
        if self._raw[at + 1 : at + 2] != "u":
            return 2
        is_high = self._raw[at + 2 : at + 4].lower() in ("d8", "d9", "da", "db")
        return 12 if is_high and "\\u".startswith(self._raw[at + 6 : at + 8]) else 6


class HarmlessStream:
    """Hands on whole words of a text, without addresses, markup and control characters.

    Args:
        question: addresses that stand in it may stay.
        show: gets the words; None when the text begins anew.
    """

    def __init__(self, question: str, show: _Show) -> None:
        self._question, self._show, self._held = question, show, ""
        self._last = ""  # character that was shown

    def feed(self, piece: str | None) -> None:
        """A further piece of the text; None when it begins anew."""
        if piece is None:
            self._held = self._last = ""
            self._show(None)
            return
        whole = _WHOLE_WORDS.match(piece)
        if whole is None:
            self._held += piece
            return
        words, self._held = self._held + whole[0], piece[whole.end() :]
        self._say(words)

    def end(self) -> None:
        """The text is complete: the last word is shown."""
        words, self._held = self._held, ""
        self._say(words)

    def _say(self, words: str) -> None:
        plain = _MARKUP.sub(lambda match: f"{match[0]} ", harmless(words, self._question))
        if plain:
            self._show(f" {plain}" if self._last == "]" and plain[0] in ":(" else plain)
            self._last = plain[-1]


def draft_stream(question: str, show: _Show) -> _Show:
    """What to feed the pieces of a reply to, so that the draft of its answer is shown."""
    words = HarmlessStream(question, show)
    return FieldStream("answer", words.feed, words.end).feed
