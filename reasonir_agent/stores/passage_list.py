"""All passages of an index that somebody else keeps, read once and again when the index has changed.

Reading is bounded: beyond MOST_LISTED passages or MOST_CHARACTERS characters there is no list, and the user is told.
A list that the user gave is taken as it is.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reasonir_agent.errors import MissingExtra, StoreError, boundary
from reasonir_agent.stores.language import UNKNOWN_LIMIT, sample, unknown_shares
from reasonir_agent.stores.listed import ListedWords
from reasonir_agent.types import Encoder, Passage

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

MOST_LISTED: Final = 100_000
"""Passages up to which words are used; BM25 over so many takes some 5 seconds to build and some 100 MB."""

MOST_CHARACTERS: Final = 200_000_000
"""Characters of all passages up to which words are used."""


@dataclass(slots=True)
class Listing:
    """All passages as they were read.

    Attributes:
        words: BM25 over them.
        size: what the index said its size was then; None where it does not say.
        is_foreign: whether the encoder's vocabulary does not know their language.
        sample: vectors of some of them, float32 [n, dim], once they were needed.
    """

    words: ListedWords
    size: int | None
    is_foreign: bool
    sample: FloatMatrix | None = None


class PassageList:
    """The list and when to read it.

    Args:
        source: the passages, a function that lists them, or None where there is no list.
        count: a cheap count of the index's passages, or None.
        encoder: tells whether the language is known.
        name: the index in messages.
    """

    def __init__(
        self,
        source: Sequence[Passage] | Callable[[], Iterable[Passage]] | None,
        count: Callable[[], int | None],
        encoder: Encoder,
        name: str,
    ) -> None:
        self.is_live = callable(source)
        self._source, self._count, self._encoder, self._name = source, count, encoder, name
        self._lock = threading.RLock()
        self._listing: Listing | None = None
        self._given_up = source is None
        self._too_large: int | None = None  # the size at which it was not read
        self._reading_helps = True

    @property
    def length(self) -> int | None:
        """Number of passages in the list; None where it was not read yet."""
        if self._source is not None and not callable(self._source):
            return len(self._source)
        return None if self._listing is None else len(self._listing.words.passages)

    def current(self) -> Listing | None:
        """The list, read anew when the index has another size; None where there is none."""
        if self._given_up:
            return None
        with self._lock:
            size = self._count() if self.is_live else None
            if self._listing is not None and self._listing.size == size:
                return self._listing
            if size is not None and size == self._too_large:
                return None
            return self._read(size)

    def behind(self, listing: Listing) -> Listing | None:
        """The list read anew, because the index holds something else than it says.

        Once reading did not help, only another size of the index is a reason to read.
        """
        with self._lock:
            if not (self.is_live and self._reading_helps):
                return listing
            if self._listing is not listing:  # somebody else has read it meanwhile
                return self.current()
            return self._read(self._count())

    def did_not_help(self) -> None:
        """Note that the list read anew differs from the index still."""
        self._reading_helps = False

    def _read(self, size: int | None) -> Listing | None:
        self._listing = None
        if size is not None and size > MOST_LISTED and self.is_live:
            self._give_up(size)
            return None
        passages = self._passages()
        if passages is None:
            self._give_up(size)
            return None
        try:
            words = ListedWords(passages)
        except MissingExtra as problem:
            self._given_up = True
            _warn(f"{self._name} is searched by meaning alone: {problem}")
            return None
        self._listing = Listing(words, size, self._is_foreign(words.passages))
        return self._listing

    def _passages(self) -> list[Passage] | None:
        """The passages that hold anything; None when they are too many."""
        listed: list[Passage] = []
        characters = 0
        with boundary(StoreError, f"listing {self._name}"):
            for passage in self._source() if callable(self._source) else self._source or ():
                if not passage.text.strip():
                    continue
                listed.append(passage)
                characters += len(passage.text)
                if self.is_live and (len(listed) > MOST_LISTED or characters > MOST_CHARACTERS):
                    return None
        return listed

    def _give_up(self, size: int | None) -> None:
        self._too_large = size
        self._given_up = size is None  # where nobody counts, nobody can tell that it has shrunk
        _warn(
            f"{self._name} is searched by meaning alone: words are read of up to {MOST_LISTED:,} passages and "
            f"{MOST_CHARACTERS:,} characters, and it holds {'more' if size is None else f'{size:,} passages'}; "
            "a store of your own has no such limit"
        )

    def _is_foreign(self, passages: Sequence[Passage]) -> bool:
        _, overall = unknown_shares(self._encoder, [passage.text for passage in sample(passages)])
        return overall > UNKNOWN_LIMIT


def _warn(sentence: str) -> None:
    warnings.warn(sentence, UserWarning, stacklevel=5)
