"""Any Chroma collection as texts to read, and its replacement by one with other vectors.

The new collection stands beside the old one in the same database, under a name of its own until it is complete. Then
the old one steps aside under `NAME-before-FINGERPRINT` and the new one takes its name. Chroma has no transaction over
two names; a run that was stopped between them is finished by the same command. The new one carries the encoder's
fingerprint and our embedding function, so `open_collection` opens it and `query_texts` works.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reasonir_agent.errors import InputError, StoreError, boundary, missing_extra
from reasonir_agent.stores.chroma.embedding_function import ReasonIREmbeddingFunction
from reasonir_agent.stores.chroma.index import FINGERPRINT, HNSW

try:
    import chromadb
    from chromadb.config import Settings
except ModuleNotFoundError as cause:
    raise missing_extra("agent", "reading a Chroma collection", cause) from cause

if TYPE_CHECKING:
    from reasonir_agent.types import Encoder, FloatMatrix

_BYTES_PER_REQUEST: Final = 8_000_000


@dataclass(frozen=True, slots=True)
class Record:
    """A record of a collection; `text` is "" where it has none."""

    id: str
    text: str
    metadata: Mapping[str, Any] | None


class Collection:
    """A collection in a Chroma folder.

    Args:
        folder: Chroma's folder, the one with `chroma.sqlite3`.
        name: the collection's name.
        fingerprint: id of the new encoder's fingerprint; tells a run that was stopped at the end.

    Raises:
        InputError: there is no Chroma database, or no such collection in it, or an older one has the name that this
            one is to get.
    """

    def __init__(self, folder: Path, name: str, fingerprint: str) -> None:
        if not (folder / "chroma.sqlite3").is_file():
            raise InputError(f"{folder} is no Chroma folder: it has no chroma.sqlite3")
        self.name = name
        self._new, self._old = f"{name}-{fingerprint}", f"{name}-before-{fingerprint}"
        with boundary(StoreError, f"opening the Chroma database in {folder}"):
            self._client: Any = chromadb.PersistentClient(
                path=str(folder), settings=Settings(anonymized_telemetry=False)
            )
            names = [one.name for one in self._client.list_collections()]
        if name not in names and self._old in names and self._new in names:
            self._modify(self._new, name)  # stopped between the two names
            names = [*names, name]
        if name not in names:
            self.close()
            raise InputError(
                f"there is no collection {name!r} in {folder}; there are {', '.join(sorted(names)) or 'none'}"
            )
        found = self._client.get_collection(name, embedding_function=None)
        self.is_replaced = self._old in names and (found.metadata or {}).get(FINGERPRINT) == fingerprint
        if self._old in names and not self.is_replaced:
            self.close()
            raise InputError(
                f"the collection {self._old!r}, which an earlier run kept, is in the way; rename or delete it"
            )
        self._source = self._client.get_collection(self._old, embedding_function=None) if self.is_replaced else found

    def close(self) -> None:
        """Let go of Chroma's files."""
        close = getattr(self._client, "close", None)
        if close is not None:
            close()

    def __len__(self) -> int:
        with boundary(StoreError, f"counting the collection {self.name!r}"):
            return int(self._source.count())

    def read(self, at_once: int) -> Iterator[list[Record]]:
        """All records in a fixed order, so many at a time."""
        for start in range(0, len(self), at_once):
            with boundary(StoreError, f"reading the collection {self.name!r}"):
                found = self._source.get(limit=at_once, offset=start, include=["documents", "metadatas"])
            yield _records(found)

    def replace(self, encoder: Encoder, batches: Iterable[tuple[Sequence[Record], FloatMatrix]]) -> tuple[str, str]:
        """Fill the new collection, check it and switch the names; returns the old collection's name and the new one's."""
        if self.is_replaced:
            return self._old, self.name
        with boundary(StoreError, f"filling the collection {self._new!r}"):
            target = self._client.get_or_create_collection(
                self._new,
                embedding_function=ReasonIREmbeddingFunction.from_encoder(encoder),
                metadata={**_plain(self._source.metadata), FINGERPRINT: encoder.fingerprint.id},
                configuration={"hnsw": dict(HNSW)},
            )
            left = set(target.get(include=[])["ids"])  # by a run that was stopped
            for records, vectors in batches:
                _add(target, records, vectors, left)
                left.difference_update(record.id for record in records)
            if left:
                target.delete(ids=sorted(left))
            if target.count() != self._source.count():
                raise StoreError(
                    f"the new collection {self._new!r} holds {target.count()} records, expected {self._source.count()}; "
                    "was the old one changed meanwhile? run the same command again"
                )
        self._modify(self.name, self._old)
        self._modify(self._new, self.name)
        return self._old, self.name

    def _modify(self, name: str, new_name: str) -> None:
        with boundary(StoreError, f"renaming the collection {name!r} to {new_name!r}"):
            self._client.get_collection(name, embedding_function=None).modify(name=new_name)


def _records(found: Mapping[str, Any]) -> list[Record]:
    """What Chroma's `get` gives."""
    ids, texts, metadata = found["ids"], found["documents"] or [], found["metadatas"] or []
    return [
        Record(one, text or "", dict(some) if some else None)
        for one, text, some in zip(ids, texts, metadata, strict=True)
    ]


def _plain(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """A collection's metadata without the settings of its index, which have a place of their own now."""
    return {key: value for key, value in (metadata or {}).items() if not key.startswith("hnsw:")}


def _add(target: Any, records: Sequence[Record], vectors: FloatMatrix, there: set[str]) -> None:
    """Add the records that are not there yet, or not as they are now."""
    step = max(1, min(2000, _BYTES_PER_REQUEST // max(1, vectors.shape[1] * 4)))
    known = [record.id for record in records if record.id in there]
    found = (
        {one.id: one for one in _records(target.get(ids=known, include=["documents", "metadatas"]))} if known else {}
    )
    new = [place for place, record in enumerate(records) if found.get(record.id) != record]
    changed = [records[place].id for place in new if records[place].id in found]
    if changed:
        target.delete(ids=changed)
    for start in range(0, len(new), step):
        some = new[start : start + step]
        target.add(
            ids=[records[place].id for place in some],
            documents=[records[place].text for place in some],
            metadatas=[records[place].metadata for place in some],
            embeddings=vectors[some],
        )
