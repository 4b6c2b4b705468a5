"""Many texts as several requests: batches by number and by characters, a few at once, results in the caller's order.

A server that finds a batch too large gets it in halves, and smaller batches from then on. The first failure ends the
call: what waits is dropped, pauses end, and that failure is told.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Final

import numpy as np

from reasonir_agent.encoder.remote.server import AT_ONCE, EmbeddingsServer, Refused
from reasonir_agent.errors import EncoderError

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

TEXTS: Final = 32
"""Texts of one request: the smallest usual limit (TEI's)."""

CHARACTERS: Final = 200_000
"""Characters of one request: 32 passages of the usual size, and few long ones."""


class TooLong(EncoderError):
    """The server refuses one text alone as too long."""


class Sender:
    """Sends texts to a server.

    Args:
        server: where to.
    """

    def __init__(self, server: EmbeddingsServer) -> None:
        self._server = server
        self._most = TEXTS
        self.dim = 0
        """Length of its vectors; 0 before the first."""

    def encode(self, model: str, texts: Sequence[str]) -> FloatMatrix:
        """Vectors as the server made them, float32 [n, dim], in the order of `texts`.

        Raises:
            EncoderError: a request failed, or vectors of another length came than before.
        """
        batches = plan(texts, self._most)
        stop = threading.Event()
        if len(batches) < 2:
            parts = [self._batch(model, batch, stop) for batch in batches]
        else:
            parts = self._at_once(model, batches, stop)
        return np.concatenate(parts) if parts else np.zeros((0, self.dim), dtype=np.float32)

    def _at_once(self, model: str, batches: list[list[str]], stop: threading.Event) -> list[FloatMatrix]:
        pool = ThreadPoolExecutor(min(AT_ONCE, len(batches)), thread_name_prefix="reasonir-remote")
        try:
            waiting = [pool.submit(self._batch, model, batch, stop) for batch in batches]
            for one in as_completed(waiting):
                one.result()
            return [one.result() for one in waiting]
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _batch(self, model: str, texts: list[str], stop: threading.Event) -> FloatMatrix:
        if len(texts) > self._most:  # the server took less than was planned
            return self._in_parts(model, texts, self._most, stop)
        try:
            vectors = self._server.embed(model, texts, stop=stop)
        except Refused as refused:
            if not refused.is_size:
                raise
            if len(texts) == 1:
                raise _too_long(refused, texts[0]) from None
            self._most = min(self._most, (len(texts) + 1) // 2)
            return self._in_parts(model, texts, (len(texts) + 1) // 2, stop)
        self.dim = self.dim or vectors.shape[1]
        if vectors.shape[1] != self.dim:
            raise EncoderError(
                f"{model!r} at {self._server.address} gave vectors of {vectors.shape[1]} numbers, expected {self.dim}"
            )
        return vectors

    def _in_parts(self, model: str, texts: list[str], size: int, stop: threading.Event) -> FloatMatrix:
        parts = [texts[start : start + size] for start in range(0, len(texts), size)]
        return np.concatenate([self._batch(model, part, stop) for part in parts])


def plan(texts: Sequence[str], most: int) -> list[list[str]]:
    """Group texts in their order into batches of up to `most` texts and `CHARACTERS` characters."""
    batches: list[list[str]] = []
    room = 0
    for text in texts:
        if not batches or len(batches[-1]) == most or len(text) > room:
            batches.append([])
            room = CHARACTERS
        batches[-1].append(text)
        room -= len(text)
    return batches


def _too_long(refused: Refused, text: str) -> TooLong:
    return TooLong(
        f"{refused}; the server takes no text of {len(text):,} characters: split documents first, or open the encoder "
        "with the server's window as max_tokens"
    )
