"""Embeddings with a cache in a LangChain byte store.

LangChain's own cache has one key for a text, so that a query is handed the vector of a document with the same text. Here
a key carries the encoder's fingerprint, the role and a hash of the text. A value is a checksum over key and vector, then
the vector as little-endian float32; what does not fit its checksum was damaged, or belongs to another key, and is encoded
again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from langchain_core.embeddings import Embeddings
from langchain_core.stores import BaseStore

from langchain_reasonir.waiting import in_worker
from reasonir_agent.errors import InputError, StoreError, boundary
from reasonir_agent.types import Encoder

if TYPE_CHECKING:
    from langchain_reasonir.embeddings import ReasonIREmbeddings
    from reasonir_agent.types import FloatMatrix

Role = Literal["query", "document"]

_BATCH: Final = 1024  # texts that are encoded before their vectors are stored: what a stopped run loses at most
_CHECKSUM: Final = 16  # bytes


class CachedReasonIREmbeddings(Embeddings):
    """Embeddings that ask a cache first; `ReasonIREmbeddings.cached` makes them.

    Args:
        embeddings: what encodes.
        byte_store: where vectors are kept.
    """

    def __init__(self, embeddings: ReasonIREmbeddings, byte_store: BaseStore[str, bytes]) -> None:
        self.embeddings = embeddings
        self.byte_store = byte_store

    def __repr__(self) -> str:
        return f"CachedReasonIREmbeddings({self.embeddings!r}, {type(self.byte_store).__name__})"

    @property
    def encoder(self) -> Encoder:
        """The encoder underneath."""
        return self.embeddings.encoder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors of documents; equal texts are encoded once.

        Raises:
            InputError: `texts` is no list of strings.
            StoreError: the byte store cannot be read or written.
        """
        return self._embed(texts, "document")

    def embed_query(self, text: str) -> list[float]:
        """Vector of one query.

        Raises:
            InputError: it is no string, or longer than any question.
            StoreError: the byte store cannot be read or written.
        """
        return self._embed([text], "query")[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """As `embed_documents`, by the byte store's asynchronous methods; the event loop stays free."""
        return await self._aembed(texts, "document")

    async def aembed_query(self, text: str) -> list[float]:
        """As `embed_query`, by the byte store's asynchronous methods; the event loop stays free."""
        return (await self._aembed([text], "query"))[0]

    def _embed(self, texts: Sequence[str], role: Role) -> list[list[float]]:
        keys = self._keys(texts, role)
        with boundary(StoreError, "reading the cache of vectors"):
            known = self._sound(dict(zip(keys, self.byte_store.mget(list(keys)), strict=True)))
        for some in _batches(keys, known):
            rows = self._encode([keys[key] for key in some], role)
            known.update(zip(some, rows, strict=True))
            with boundary(StoreError, "writing the cache of vectors"):
                self.byte_store.mset([(key, _packed(key, known[key])) for key in some])
        return self._in_order(texts, role, known)

    async def _aembed(self, texts: Sequence[str], role: Role) -> list[list[float]]:
        keys = await in_worker(self._keys, texts, role)
        with boundary(StoreError, "reading the cache of vectors"):
            known = self._sound(dict(zip(keys, await self.byte_store.amget(list(keys)), strict=True)))
        for some in _batches(keys, known):
            rows = await in_worker(self._encode, [keys[key] for key in some], role)
            known.update(zip(some, rows, strict=True))
            with boundary(StoreError, "writing the cache of vectors"):
                await self.byte_store.amset([(key, _packed(key, known[key])) for key in some])
        return self._in_order(texts, role, known)

    def _keys(self, texts: Sequence[str], role: Role) -> dict[str, str]:
        """The texts by their keys, in order, equal ones once."""
        if isinstance(texts, str):
            raise InputError(f"expected a list of texts, got one text ({texts[:40]!r}); put it into a list")
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise InputError(f"expected texts, got {type(text).__name__} at position {number}")
        return {self._key(text, role): text for text in texts}

    def _key(self, text: str, role: Role) -> str:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        return f"reasonir-{self.encoder.fingerprint.id}-float32-{role}-{digest}"

    def _sound(self, values: Mapping[str, bytes | None]) -> dict[str, FloatMatrix]:
        vectors = {key: _unpacked(key, value, self.encoder.dim) for key, value in values.items() if value is not None}
        return {key: vector for key, vector in vectors.items() if vector is not None}

    def _encode(self, texts: list[str], role: Role) -> FloatMatrix:
        encoder = self.encoder
        return encoder.encode_queries(texts) if role == "query" else encoder.encode_documents(texts)

    def _in_order(self, texts: Sequence[str], role: Role, known: Mapping[str, FloatMatrix]) -> list[list[float]]:
        return [known[self._key(text, role)].tolist() for text in texts]


def _batches(keys: Mapping[str, str], known: Mapping[str, FloatMatrix]) -> Iterator[list[str]]:
    missing = [key for key in keys if key not in known]
    for start in range(0, len(missing), _BATCH):
        yield missing[start : start + _BATCH]


def _packed(key: str, vector: FloatMatrix) -> bytes:
    raw = np.asarray(vector, dtype="<f4").tobytes()
    return _checksum(key, raw) + raw


def _unpacked(key: str, value: object, dim: int) -> FloatMatrix | None:
    """The vector in a value; None when it is not what was written under this key."""
    if not isinstance(value, bytes) or len(value) != _CHECKSUM + 4 * dim:
        return None
    checksum, raw = value[:_CHECKSUM], value[_CHECKSUM:]
    return np.frombuffer(raw, dtype="<f4").astype(np.float32) if checksum == _checksum(key, raw) else None


def _checksum(key: str, raw: bytes) -> bytes:
    return hashlib.blake2b(raw, key=hashlib.sha256(key.encode()).digest(), digest_size=_CHECKSUM).digest()
