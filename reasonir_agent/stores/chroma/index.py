"""Chroma as an index over our own vectors: cosine, no embedding function of its own, embedded in the process.

It holds ids, vectors and metadata; texts and the vectors themselves are safe elsewhere in the store, so this folder can
be deleted at any time. Chroma's network server had an open hole before authentication (1.0.0 to 1.5.9), so a server is
used only when its address is given, and then with a warning.

Four things of Chroma that this class works around, each held by a test:
- its defaults found 80% of the true ten nearest at 4,096 dimensions; the settings below find 98% or more;
- an index that is open does not find what another process adds, and clients of one path share what they have in
  memory until the last one is closed; so each index here opens a spelling of the path of its own, and closing it is
  enough;
- a fraction is cut to a whole number before it is compared with one (`7.5 = 7`); so all numbers are stored as floats;
- writing an id that is there can damage the files when the process is killed; so present ids are never sent.
"""

from __future__ import annotations

import threading
import warnings
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import numpy as np

from reasonir_agent.errors import EncoderMismatch, StoreError, boundary, missing_extra
from reasonir_agent.stores.filters import check_where, comparable
from reasonir_agent.types import Scalar, Where

try:
    import chromadb
    from chromadb.config import Settings
except ModuleNotFoundError as cause:
    raise missing_extra("agent", "the Chroma index", cause) from cause

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

HNSW: Final = {"space": "cosine", "ef_construction": 400, "max_neighbors": 64, "ef_search": 400}
FINGERPRINT: Final = "reasonir:fingerprint"
"""Where a collection's metadata hold the id of its encoder's fingerprint."""

_COLLECTION: Final = "passages"
_BYTES_PER_REQUEST: Final = 8_000_000
_ROWS_PER_REQUEST: Final = 5_000
_OPERATORS: Final = {"=": "$eq", "!=": "$ne", "<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte"}

_open_paths: set[str] = set()
_lock: Final = threading.Lock()


class ChromaIndex:
    """A `VectorIndex` in a Chroma collection.

    Another process's rows are found once the index is closed and opened again, or has written itself.

    Args:
        folder: where Chroma keeps its files; None when `host` is given.
        fingerprint: id of the encoder's fingerprint; kept in the collection and checked at every open.
        host: `host:port` of a Chroma server (port 8000 when it has none); embedded in the process when None.

    Raises:
        EncoderMismatch: the collection was made with another encoder.
        StoreError: Chroma cannot open its files.
    """

    def __init__(self, folder: Path | None, *, fingerprint: str, host: str | None = None) -> None:
        with boundary(StoreError, f"opening the Chroma index in {folder or host}"):
            client, path = _opened(folder, host)
            self._let_go = weakref.finalize(self, _close, client, path)
            self._let_go.atexit = False  # Chroma may be gone by then
            try:
                self._collection: Any = client.get_or_create_collection(
                    _COLLECTION,
                    embedding_function=None,
                    metadata={FINGERPRINT: fingerprint},
                    configuration={"hnsw": dict(HNSW)},
                )
            except BaseException:
                self.close()
                raise
        stored = (self._collection.metadata or {}).get(FINGERPRINT)
        if stored != fingerprint:
            self.close()
            raise EncoderMismatch(
                f"the Chroma index in {folder or host} was made with the encoder {stored}, got {fingerprint}; "
                "delete that folder, it is rebuilt from the store"
            )

    def close(self) -> None:
        """Let go of the files; a second call does nothing."""
        self._let_go()

    def add(
        self, ids: Sequence[str], vectors: FloatMatrix, metadata: Sequence[Mapping[str, Scalar]] | None = None
    ) -> None:
        """Add rows, in requests bounded by rows and bytes; an id that is there already keeps its row."""
        rows = np.asarray(vectors, dtype=np.float32)
        first = {one: number for number, one in reversed(list(enumerate(ids)))}
        with boundary(StoreError, "writing to the Chroma index"):
            new = sorted(first[one] for one in first.keys() - self._known(list(first)))
            step = max(1, min(_ROWS_PER_REQUEST, _BYTES_PER_REQUEST // max(1, rows.shape[1] * 4)))
            for start in range(0, len(new), step):
                part = new[start : start + step]
                self._collection.add(
                    ids=[ids[number] for number in part],
                    embeddings=rows[part],
                    metadatas=None if metadata is None else [_as_stored(metadata[number]) for number in part],
                )

    def search(self, vector: FloatMatrix, k: int, *, where: Where = ()) -> list[tuple[str, float]]:
        """The k nearest of one vector [1, dim] as (id, cosine), best first; approximate."""
        wanted = _as_chroma(where)
        with boundary(StoreError, "searching the Chroma index"):
            k = min(k, self._collection.count())
            if k < 1:
                return []
            found = self._collection.query(
                query_embeddings=np.asarray(vector, dtype=np.float32).reshape(1, -1),
                n_results=k,
                where=wanted,
                include=["distances"],
            )
        pairs = zip(found["ids"][0], (found["distances"] or [[]])[0], strict=True)
        return sorted(((one, 1.0 - float(distance)) for one, distance in pairs), key=lambda p: (-p[1], p[0]))

    def delete(self, ids: Iterable[str]) -> None:
        """Remove rows; unknown ids are ignored."""
        gone = list(dict.fromkeys(ids))
        with boundary(StoreError, "deleting from the Chroma index"):
            for start in range(0, len(gone), _ROWS_PER_REQUEST):
                self._collection.delete(ids=gone[start : start + _ROWS_PER_REQUEST])

    def __len__(self) -> int:
        with boundary(StoreError, "counting the Chroma index"):
            return int(self._collection.count())

    def ids(self, *, where: Where = ()) -> set[str]:
        """The ids of the rows that the filter lets through."""
        wanted = _as_chroma(where)
        with boundary(StoreError, "listing the Chroma index"):
            return set(self._collection.get(where=wanted, include=[])["ids"])

    def _known(self, ids: list[str]) -> set[str]:
        known: set[str] = set()
        for start in range(0, len(ids), _ROWS_PER_REQUEST):
            known.update(self._collection.get(ids=ids[start : start + _ROWS_PER_REQUEST], include=[])["ids"])
        return known


def _opened(folder: Path | None, host: str | None) -> tuple[Any, str]:
    """A client, and the path that it is registered under ("" for a server)."""
    settings = Settings(anonymized_telemetry=False)
    if host is None:
        assert folder is not None
        path = _own_path(folder)
        try:
            return chromadb.PersistentClient(path=path, settings=settings), path
        except BaseException:
            _open_paths.discard(path)
            raise
    address = urlsplit(f"//{host}")
    warnings.warn(
        f"connecting to the Chroma server {host}: versions 1.0.0 to 1.5.9 can be taken over before any "
        "authentication; keep it off networks that you do not control",
        UserWarning,
        stacklevel=3,
    )
    return chromadb.HttpClient(host=address.hostname or host, port=address.port or 8000, settings=settings), ""


def _own_path(folder: Path) -> str:
    """A spelling of the path that no index of this process has open: Chroma shares its memory between equal ones."""
    path = str(folder.resolve())
    with _lock:
        while path in _open_paths:
            path += "/."
        _open_paths.add(path)
    return path


def _close(client: Any, path: str) -> None:
    close = getattr(client, "close", None)  # chromadb before 1.5 had none
    if close is not None:
        close()
    _open_paths.discard(path)


def _key(field: str) -> str:
    """The name under which a field is stored; Chroma keeps some names, such as $... and #..., for itself."""
    return f"reasonir:{field}"


def _as_stored(metadata: Mapping[str, Scalar]) -> dict[str, str | float | bool] | None:
    values = ((field, comparable(value)) for field, value in metadata.items())
    return {_key(field): value for field, value in values if value is not None} or None


def _as_chroma(where: Where) -> dict[str, Any] | None:
    check_where(where)
    conditions = [{_key(one.field): {_OPERATORS[one.operator]: comparable(one.value)}} for one in where]
    if len(conditions) > 1:
        return {"$and": conditions}
    return conditions[0] if conditions else None
