"""How near documents are to a query for the local encoder: cosines, and ranks among a sample of other seeds.

The sample is one for the whole run: the seeds with the smallest hash of the random seed and their id, so it depends on
the seeds alone, and every shard has the same. Seeds of the document that an item was made from are left out of its
comparison.

Many items ask at the same time. Their texts wait in one queue; a worker thread takes all that wait and encodes each on
its own, so that a vector does not depend on its neighbours in a batch (see `mining.encoder`) and an item's numbers are
the same however it was scheduled. The latest vectors are kept, since an item asks about its query and positive again.
Numbers are rounded to six digits, behind which different machines differ.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from reasonir_agent.types import Encoder
from reasonir_trainer.mining.encoder import document_vector
from reasonir_trainer.synthesis.rows import Seed

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

SAMPLE: Final = 128
"""Other seeds that a negative is ranked among. Each costs one encoding a run; a share of them is known to about 9%."""

_KEPT: Final = 4096
"""Vectors that are kept; with 384 numbers each, 6 MB."""

_DIGITS: Final = 6

Road = Literal["query", "document"]
_Key = tuple[Road, str]


@dataclass(frozen=True, slots=True)
class Reference:
    """A seed of the sample."""

    document: str
    text: str


@dataclass(frozen=True, slots=True)
class Near:
    """How near a document is to a query.

    Attributes:
        similarity: cosine.
        rank: from 1, among the documents that were compared and the sample.
        nearer: how many of the sample are nearer.
    """

    similarity: float
    rank: int
    nearer: int


@dataclass(frozen=True, slots=True)
class Compared:
    """The documents that were compared, in their order, and how many seeds of the sample they were ranked among."""

    documents: tuple[Near, ...]
    sample: int


class Nearness:
    """Compares documents with queries.

    Args:
        encoder: makes the vectors.
        sample: other seeds.
    """

    def __init__(self, encoder: Encoder, sample: Sequence[Reference]) -> None:
        self._encoder = encoder
        self._sample = list(sample)
        self._vectors: OrderedDict[_Key, FloatMatrix] = OrderedDict()
        self._waiting: dict[_Key, asyncio.Future[FloatMatrix]] = {}
        self._worker: asyncio.Task[None] | None = None
        self._sampled: FloatMatrix | None = None

    @classmethod
    def over(cls, seeds: Iterable[Seed], encoder: Encoder, *, random_seed: int, size: int = SAMPLE) -> Nearness:
        """With a sample of the seeds, which are read once."""
        chosen = nsmallest(size, seeds, key=lambda seed: (_draw(random_seed, seed.id), seed.id))
        return cls(encoder, [Reference(document_of(seed.source), seed.text) for seed in chosen])

    async def compare(self, query: str, documents: Sequence[str], *, source: str) -> Compared:
        """Cosines and ranks of some documents.

        Args:
            query: what they are compared with.
            documents: texts.
            source: of the seed of the item; seeds of its document are not in the sample.

        Raises:
            EncoderError: a text cannot be encoded.
        """
        asked = await self._vector("query", query)
        rows = [await self._vector("document", text) for text in documents]
        cosines = [_rounded(float(row @ asked)) for row in rows]
        others = [_rounded(one) for one in np.asarray((await self._sample_vectors())[self._others(source)] @ asked)]
        near = [
            Near(cosine, 1 + sum(one > cosine for one in (*cosines, *others)), sum(one > cosine for one in others))
            for cosine in cosines
        ]
        return Compared(tuple(near), len(others))

    def _others(self, source: str) -> list[bool]:
        return [one.document != document_of(source) for one in self._sample]

    async def _sample_vectors(self) -> FloatMatrix:
        if self._sampled is None:
            rows = await asyncio.gather(*(self._vector("document", one.text) for one in self._sample))
            self._sampled = np.stack(rows) if rows else np.zeros((0, self._encoder.dim), dtype=np.float32)
        return self._sampled

    async def _vector(self, road: Road, text: str) -> FloatMatrix:
        key = (road, text)
        if key in self._vectors:
            self._vectors.move_to_end(key)
            return self._vectors[key]
        future = self._waiting.get(key)
        if future is None:
            future = self._waiting[key] = asyncio.get_running_loop().create_future()
            if self._worker is None or self._worker.done():
                self._worker = asyncio.create_task(self._work())
        return await asyncio.shield(future)  # others may wait for it when this item is cancelled

    async def _work(self) -> None:
        """Encode what waits until nothing does."""
        while self._waiting:
            keys = list(self._waiting)
            try:
                rows = await asyncio.to_thread(self._encode, keys)
            except BaseException as failure:
                self._fail(keys, failure)
                if not isinstance(failure, Exception):
                    raise
                continue
            for key, row in zip(keys, rows, strict=True):
                self._keep(key, row)
                self._waiting.pop(key).set_result(row)

    def _encode(self, keys: Sequence[_Key]) -> list[FloatMatrix]:
        return [
            self._encoder.encode_queries([text])[0] if road == "query" else document_vector(self._encoder, text)
            for road, text in keys
        ]

    def _keep(self, key: _Key, row: FloatMatrix) -> None:
        self._vectors[key] = row
        if len(self._vectors) > _KEPT:
            self._vectors.popitem(last=False)

    def _fail(self, keys: Sequence[_Key], failure: BaseException) -> None:
        for key in keys:
            future = self._waiting.pop(key)
            if isinstance(failure, Exception):
                future.set_exception(failure)
                future.exception()  # whoever waited may have gone; the failure is not to be reported as lost
            else:
                future.cancel()


def document_of(source: str) -> str:
    """The file of a source: pages of a file are one document, records of a table are several."""
    return source.partition("#page=")[0]


def _draw(random_seed: int, seed: str) -> bytes:
    return hashlib.sha256(f"{random_seed}\0{seed}\0nearness".encode()).digest()


def _rounded(cosine: float) -> float:
    return round(float(cosine), _DIGITS)
