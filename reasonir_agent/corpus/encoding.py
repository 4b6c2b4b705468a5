"""Texts on their way to vectors, in an order that is fast and in steps that are safe.

Vectors may cost money or hours, so what is encoded is stored every FLUSH_SECONDS at the latest, and at Ctrl-C.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from reasonir_agent.corpus.report import IndexReport, Progress, Step
from reasonir_agent.stores.database import Database, vector_key
from reasonir_agent.stores.vectors import ROWS_PER_SHARD, Vectors
from reasonir_agent.types import Encoder

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

FLUSH_SECONDS: Final = 15.0

_GROUP_SECONDS: Final = 4.0  # the encoder is given about as many texts as it encodes in this time
_FIRST_GROUP: Final = 32
_LARGEST_GROUP: Final = 512
_INDEXING: Final = "indexing"


class EncodingQueue:
    """Encodes the texts that have no vector yet.

    Args:
        vectors: where vectors go.
        database: where the texts of passages are.
        encoder: whose vectors they are.
        progress: told how far the run is.
        report: gets the encoder's warnings and the seconds.
    """

    def __init__(
        self, vectors: Vectors, database: Database, encoder: Encoder, progress: Progress, report: IndexReport
    ) -> None:
        self._vectors, self._database = vectors, database
        self._encoder, self._progress, self._report = encoder, progress, report
        self._done = self._total = self.encoded = 0
        self._waiting: list[tuple[list[bytes], FloatMatrix]] = []
        self._flushed = time.monotonic()
        self._group = _FIRST_GROUP

    def begin(self, total: int) -> None:
        """So much is to be worked through: bytes of files, or texts."""
        self._done, self._total = 0, total

    def advance(self, size: int) -> None:
        """So much is done."""
        self._done += size
        self._progress(Step(_INDEXING, self._done, self._total, self.encoded))

    def heal(self) -> int:
        """Encode the passages that have no vector (their file was damaged); returns how many."""
        missing = self._vectors.missing().tolist()
        for start in range(0, len(missing), ROWS_PER_SHARD):
            passages = self._database.numbered(missing[start : start + ROWS_PER_SHARD]).values()
            self.encode({vector_key(p.encoded_text): p.encoded_text for p in passages}, len(passages))
        return len(missing)

    def encode(self, texts: Mapping[bytes, str], size: int) -> None:
        """Make sure that every text has a stored vector.

        Args:
            texts: by their keys.
            size: how much of the total they are, for the progress.
        """
        known = self._vectors.known(list(texts))
        new = sorted((key for key in texts if key not in known), key=lambda key: len(texts[key]))  # alike in length
        try:
            start = 0
            while start < len(new):
                some = new[start : start + min(self._group, _LARGEST_GROUP)]
                self._encode([texts[key] for key in some], some)
                start += len(some)
                self._progress(Step(_INDEXING, self._done + size * start // len(new), self._total, self.encoded))
        finally:
            self._flush()
        self.advance(size)

    def _encode(self, texts: list[str], keys: list[bytes]) -> None:
        with self._report.timed("encode"), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            began = time.monotonic()
            vectors = self._encoder.encode_documents(texts)
            self._group = 1 + int(len(texts) * _GROUP_SECONDS / max(time.monotonic() - began, 1e-3))
        self._report.warnings += sorted({str(one.message) for one in caught} - set(self._report.warnings))
        self._waiting.append((keys, vectors))
        self.encoded += len(keys)
        rows = sum(len(some) for some, _ in self._waiting)
        if rows >= ROWS_PER_SHARD or time.monotonic() - self._flushed > FLUSH_SECONDS:
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            with self._report.timed("write"):
                keys = [key for some, _ in waiting for key in some]
                self._vectors.add(keys, np.concatenate([vectors for _, vectors in waiting]))
        self._flushed = time.monotonic()
