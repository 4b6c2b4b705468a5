"""Chroma as an index over our own vectors: cosine, no embedding function of its own, embedded in the process.

It holds ids, vectors and sources; texts and the vectors themselves are safe elsewhere in the store, so this folder can
be deleted at any time. Chroma's network server had an open hole before authentication (1.0.0 to 1.5.9), so a server is
used only when its address is given, and then with a warning.

Index settings: Chroma's defaults found 80% of the true ten nearest at 4,096 dimensions; those below find 98% or more
(measured in tests/stores/test_chroma.py).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import numpy as np

from reasonir_agent.errors import EncoderMismatch, StoreError, boundary, missing_extra

try:
    import chromadb
    from chromadb.config import Settings
except ModuleNotFoundError as cause:
    raise missing_extra("agent", "the Chroma index", cause) from cause

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

HNSW: Final = {"space": "cosine", "ef_construction": 400, "max_neighbors": 64, "ef_search": 400}
_COLLECTION: Final = "passages"
_BYTES_PER_REQUEST: Final = 8_000_000
_ROWS_PER_REQUEST: Final = 5_000


class ChromaIndex:
    """A `VectorIndex` in a Chroma collection.

    Args:
        folder: where Chroma keeps its files; None when `host` is given.
        fingerprint: id of the encoder's fingerprint; kept in the collection and checked at every open.
        host: `host:port` of a Chroma server (port 8000 when it has none); embedded in the process when None.

    Raises:
        EncoderMismatch: the collection was made with another encoder.
        StoreError: Chroma cannot open its files.
    """

    def __init__(self, folder: Path | None, *, fingerprint: str, host: str | None = None) -> None:
        settings = Settings(anonymized_telemetry=False)
        with boundary(StoreError, f"opening the Chroma index in {folder or host}"):
            self._client = self._connect(folder, host, settings)
            self._collection = self._client.get_or_create_collection(
                _COLLECTION,
                embedding_function=None,
                metadata={"reasonir:fingerprint": fingerprint},
                configuration={"hnsw": dict(HNSW)},
            )
        stored = (self._collection.metadata or {}).get("reasonir:fingerprint")
        if stored != fingerprint:
            self.close()
            raise EncoderMismatch(
                f"the Chroma index in {folder or host} was made with the encoder {stored}, got {fingerprint}; "
                "delete that folder, it is rebuilt from the store"
            )

    @staticmethod
    def _connect(folder: Path | None, host: str | None, settings: Settings) -> Any:
        if host is None:
            assert folder is not None
            return chromadb.PersistentClient(path=str(folder), settings=settings)
        address = urlsplit(f"//{host}")
        warnings.warn(
            f"connecting to the Chroma server {host}: versions 1.0.0 to 1.5.9 can be taken over before any "
            "authentication; keep it off networks that you do not control",
            UserWarning,
            stacklevel=3,
        )
        return chromadb.HttpClient(host=address.hostname or host, port=address.port or 8000, settings=settings)

    def close(self) -> None:
        """Let go of the files."""
        close = getattr(self._client, "close", None)
        if close is not None:
            close()

    def add(self, ids: Sequence[str], vectors: FloatMatrix) -> None:
        """Add rows whose ids are new, in requests bounded by rows and bytes."""
        rows = np.asarray(vectors, dtype=np.float32)
        step = max(1, min(_ROWS_PER_REQUEST, _BYTES_PER_REQUEST // max(1, rows.shape[1] * 4)))
        with boundary(StoreError, "writing to the Chroma index"):
            for start in range(0, len(ids), step):
                part = slice(start, start + step)
                self._collection.add(ids=list(ids[part]), embeddings=rows[part])

    def search(self, vector: FloatMatrix, k: int) -> list[tuple[str, float]]:
        """The k nearest of one vector [1, dim] as (id, cosine), best first; approximate."""
        with boundary(StoreError, "searching the Chroma index"):
            k = min(k, self._collection.count())
            if k < 1:
                return []
            found = self._collection.query(
                query_embeddings=np.asarray(vector, dtype=np.float32).reshape(1, -1),
                n_results=k,
                include=["distances"],
            )
        pairs = zip(found["ids"][0], (found["distances"] or [[]])[0], strict=True)
        return sorted(((one, 1.0 - float(distance)) for one, distance in pairs), key=lambda p: (-p[1], p[0]))

    def delete(self, ids: Iterable[str]) -> None:
        """Remove rows; unknown ids are ignored."""
        gone = list(ids)
        with boundary(StoreError, "deleting from the Chroma index"):
            for start in range(0, len(gone), _ROWS_PER_REQUEST):
                self._collection.delete(ids=gone[start : start + _ROWS_PER_REQUEST])

    def __len__(self) -> int:
        with boundary(StoreError, "counting the Chroma index"):
            return int(self._collection.count())

    def ids(self) -> set[str]:
        """All ids."""
        with boundary(StoreError, "listing the Chroma index"):
            return set(self._collection.get(include=[])["ids"])
