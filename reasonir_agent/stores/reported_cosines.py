"""Cosines that an index of somebody else reports, and when they are believed.

They are the encoder's only if the index was filled with it. So those of the first passages that are found are compared
with the encoder's own; where they differ, the user is warned once, and passages are encoded again from then on. Where
nothing is reported, passages are always encoded again, and the index's order is compared with the encoder's.
"""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np

from reasonir_agent.types import Encoder, Passage

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

_KEPT_BYTES: Final = 64_000_000  # of vectors that had to be encoded again
_FEWEST_TO_COMPARE: Final = 5
_CLEAR_DIFFERENCE: Final = 0.02  # of cosines; index engines and half precision disagree by less
_DISORDER: Final = 0.2  # share of clearly different pairs in the wrong order; half is pure chance


class ReportedCosines:
    """Turns what an index reports into the encoder's cosines.

    Args:
        encoder: the encoder that the index should have been filled with.
        name: the index in messages.
    """

    def __init__(self, encoder: Encoder, name: str) -> None:
        self._encoder, self._name = encoder, name
        self._kept: OrderedDict[str, FloatMatrix] = OrderedDict()
        self._lock = threading.Lock()
        self._warned = False
        self.are_believed: bool | None = None
        """None until enough passages were compared."""

    def of(self, query: FloatMatrix, found: Sequence[tuple[Passage, float | None]]) -> FloatMatrix:
        """The cosine of every passage, float32 [len(found)].

        Args:
            query: vector of the question, float32 [dim].
            found: passages and what the index reports, nearest first, then those that were found by their words.
        """
        believed = self._believes(query, found)
        again = [place for place, (_, cosine) in enumerate(found) if cosine is None or not believed]
        cosines = np.array([0.0 if cosine is None else cosine for _, cosine in found], dtype=np.float32)
        if again:
            cosines[again] = self.encode([found[place][0] for place in again]) @ query
        return cosines

    def compare_order(self, cosines: Sequence[float]) -> None:
        """Warn when the order of an index, whose passages have these cosines, is not the encoder's."""
        if self._warned or self.are_believed or len(cosines) < _FEWEST_TO_COMPARE:
            return
        pairs = [(a, b) for a, b in combinations(cosines, 2) if abs(a - b) > _CLEAR_DIFFERENCE]
        wrong = sum(later > earlier for earlier, later in pairs)
        if len(pairs) >= _FEWEST_TO_COMPARE and wrong / len(pairs) > _DISORDER:
            self._warn(
                f"orders passages in another way than the encoder {self._encoder.name!r} ({wrong} of {len(pairs)} pairs)"
            )

    def encode(self, passages: Sequence[Passage]) -> FloatMatrix:
        """Vectors of passages, float32 [n, dim]; the latest are kept."""
        texts = [passage.encoded_text for passage in passages]
        with self._lock:
            known = {text: self._kept[text] for text in texts if text in self._kept}
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        if missing:
            known.update(zip(missing, self._encoder.encode_documents(missing), strict=True))
            with self._lock:
                self._kept.update((text, known[text]) for text in missing)
                while len(self._kept) * self._encoder.dim * 4 > _KEPT_BYTES:
                    self._kept.popitem(last=False)
        return np.array([known[text] for text in texts], dtype=np.float32).reshape(len(texts), self._encoder.dim)

    def _believes(self, query: FloatMatrix, found: Sequence[tuple[Passage, float | None]]) -> bool:
        if self.are_believed is not None:
            return self.are_believed
        some = [(one, cosine) for one, cosine in found if cosine is not None][:_FEWEST_TO_COMPARE]
        if not some:
            return False
        apart = np.abs(self.encode([one for one, _ in some]) @ query - np.array([cosine for _, cosine in some]))
        wrong = int(np.count_nonzero(~(apart <= _CLEAR_DIFFERENCE)))  # what is not a number is wrong too
        if wrong or len(some) == _FEWEST_TO_COMPARE:
            self.are_believed = not wrong
        if wrong:
            self._warn(
                f"reports other cosines than the encoder {self._encoder.name!r} gives ({wrong} of {len(some)} passages), "
                "and passages are encoded again"
            )
        return not wrong

    def _warn(self, what: str) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(f"{self._name} {what}; was it filled with another encoder?", UserWarning, stacklevel=5)
