"""Texts of many requests through one encoder, in common batches.

Nobody waits for company: an idle encoder begins at once with what is there. What arrives while it works travels together in
the next call, up to a bound of texts and characters, queries and documents apart. The two roles take turns, and a request
larger than a batch takes turns with the others, so that a thousand documents do not stand before one question.

One call at a time, in a thread of its own. Vectors go back in the order of the request's texts. A batch that fails is
tried again request by request, so that a bad text fails its own request and no other. Texts of a request that was
cancelled are dropped as long as the encoder has not begun with them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from reasonir_agent.errors import EncoderError

if TYPE_CHECKING:
    from reasonir_agent.server.limits import Limits
    from reasonir_agent.server.metrics import Metrics
    from reasonir_agent.types import Encoder, FloatMatrix

Role = Literal["query", "document"]


@dataclass(frozen=True, slots=True)
class Encoded:
    """What became of texts.

    Attributes:
        vectors: float32 [texts, dim]; zeros for a text without a token.
        tokens: of all texts together, each counted alone, without prefix and special tokens.
    """

    vectors: FloatMatrix
    tokens: int


@dataclass(slots=True, eq=False)
class _Request:
    """Texts of one caller, and how far they are."""

    texts: list[str]
    role: Role
    result: asyncio.Future[Encoded]
    begun: int = 0
    parts: list[Encoded] = field(default_factory=list)

    def receive(self, outcome: Encoded | Exception) -> None:
        """Take what came of the texts that were begun; the last part completes the result."""
        if self.result.done():
            return
        if isinstance(outcome, Exception):
            self.result.set_exception(outcome)
            return
        self.parts.append(outcome)
        if sum(len(part.vectors) for part in self.parts) == len(self.texts):
            self.result.set_result(_joined(self.parts))


@dataclass(frozen=True, slots=True)
class _Share:
    """The texts of one request in one batch."""

    request: _Request
    texts: list[str]


class Batcher:
    """One encoder for all requests.

    Args:
        encoder: what encodes.
        limits: bounds of a batch.
        metrics: where calls are counted.
    """

    def __init__(self, encoder: Encoder, limits: Limits, metrics: Metrics) -> None:
        self._encoder, self._limits, self._metrics = encoder, limits, metrics
        self._waiting: deque[_Request] = deque()
        self._role: Role = "document"
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reasonir-encoder")
        self._work: asyncio.Task[None] | None = None

    async def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        """Encode questions, float32 [n, dim]."""
        return (await self.encode(texts, "query")).vectors

    async def encode_documents(self, texts: Sequence[str]) -> FloatMatrix:
        """Encode passages, float32 [n, dim]."""
        return (await self.encode(texts, "document")).vectors

    async def encode(self, texts: Sequence[str], role: Role) -> Encoded:
        """Encode texts together with those of other requests.

        Raises:
            InputError: these texts cannot be encoded.
            EncoderError: the encoder failed.
        """
        if not texts:
            return Encoded(np.zeros((0, self._encoder.dim), dtype=np.float32), 0)
        request = _Request(list(texts), role, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        self._metrics.queue.inc(len(request.texts))
        if self._work is None or self._work.done():
            self._work = asyncio.ensure_future(self._drain())
        return await request.result

    def close(self) -> None:
        """Let the encoder's thread end after the call that it is in."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    async def _drain(self) -> None:
        """Work until nobody waits."""
        loop = asyncio.get_running_loop()
        while batch := self._next_batch():
            try:
                outcomes = await loop.run_in_executor(self._worker, self._call, batch)
            except RuntimeError:  # of the thread, not of the encoder: it takes no more work
                outcomes = [EncoderError("the server is shutting down") for _ in batch]
            for share, outcome in zip(batch, outcomes, strict=True):
                share.request.receive(outcome)

    def _next_batch(self) -> list[_Share]:
        """Texts of one role: the first waiting request's, then those of others that fit beside them."""
        self._drop_the_gone()
        if not self._waiting:
            return []
        self._role = self._next_role()
        batch: list[_Share] = []
        texts_left, characters_left = self._limits.batch_texts, self._limits.batch_characters
        for request in [one for one in self._waiting if one.role == self._role]:
            taken = _fitting(request.texts[request.begun :], texts_left, characters_left, alone=not batch)
            if not taken:
                break
            batch.append(_Share(request, taken))
            texts_left -= len(taken)
            characters_left -= sum(map(len, taken))
            request.begun += len(taken)
            self._waiting.remove(request)
            if request.begun < len(request.texts):
                self._waiting.append(request)  # the others come first now
        self._metrics.queue.dec(sum(len(share.texts) for share in batch))
        return batch

    def _next_role(self) -> Role:
        """The other role than the last call's, where somebody waits for it: questions never stand behind documents."""
        others = (request.role for request in self._waiting if request.role != self._role)
        return next(others, self._waiting[0].role)

    def _drop_the_gone(self) -> None:
        for request in [one for one in self._waiting if one.result.done()]:
            left = len(request.texts) - request.begun
            self._waiting.remove(request)
            self._metrics.queue.dec(left)
            self._metrics.dropped.inc(left)

    def _call(self, batch: list[_Share]) -> list[Encoded | Exception]:
        """In the encoder's thread: one outcome for each share."""
        joined = [text for share in batch for text in share.texts]
        role = batch[0].request.role
        self._metrics.batch_texts.observe(len(joined))
        self._metrics.batch_requests.observe(len(batch))
        try:
            vectors, tokens = self._encode(joined, role)
        except Exception as error:
            self._metrics.failures.labels(type(error).__name__).inc()
            return [error] if len(batch) == 1 else [self._alone(share) for share in batch]
        found: list[Encoded | Exception] = []
        start = 0
        for share in batch:
            end = start + len(share.texts)
            found.append(Encoded(vectors[start:end], sum(tokens[start:end])))
            start = end
        return found

    def _alone(self, share: _Share) -> Encoded | Exception:
        if share.request.result.done():  # left meanwhile; nobody reads it
            return EncoderError("the request was cancelled")
        try:
            vectors, tokens = self._encode(share.texts, share.request.role)
        except Exception as error:
            return error
        return Encoded(vectors, sum(tokens))

    def _encode(self, texts: list[str], role: Role) -> tuple[FloatMatrix, list[int]]:
        encode: Callable[[Sequence[str]], FloatMatrix] = (
            self._encoder.encode_queries if role == "query" else self._encoder.encode_documents
        )
        cut_before = self._cut()
        with self._metrics.batch_seconds.time():
            vectors = encode(texts)
        if len(vectors) != len(texts):
            raise EncoderError(f"{self._encoder.name} gave {len(vectors)} vectors for {len(texts)} texts")
        tokens = self._encoder.count_tokens(texts)
        self._metrics.texts.labels(role).inc(len(texts))
        self._metrics.tokens.labels(role).inc(sum(tokens))
        self._metrics.cut.inc(self._cut() - cut_before)
        self._metrics.empty.inc(len(texts) - int(vectors.any(axis=1).sum()))
        return vectors, tokens

    def _cut(self) -> int:
        """Documents cut so far; only encoders of ours count them."""
        return int(getattr(getattr(self._encoder, "counters", None), "cut", 0))


def _fitting(texts: list[str], most_texts: int, most_characters: int, *, alone: bool) -> list[str]:
    """The first texts that fit; at least one when the batch is empty."""
    taken: list[str] = []
    left = most_characters
    for text in texts[:most_texts]:
        left -= len(text)
        if left < 0 and (taken or not alone):
            break
        taken.append(text)
    return taken


def _joined(parts: list[Encoded]) -> Encoded:
    if len(parts) == 1:
        return parts[0]
    return Encoded(np.concatenate([part.vectors for part in parts]), sum(part.tokens for part in parts))
