"""Small stores made of (source, text) pairs: no files, no readers, no splitter."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from reasonir_agent.stores.database import DocumentEntry, FileEntry, metadata_digest, vector_key
from reasonir_agent.stores.store import EXACT_BYTES, Store
from reasonir_agent.testing import FakeEncoder
from reasonir_agent.types import Document, Passage, Scalar

TOPICS = ("water", "ice", "steam", "ducks", "mirrors")
OTHERS = ("heat", "cold", "pressure", "feathers", "banks", "queues", "locks", "bread")
TEXTS = {
    f"{number:02}.txt": f"Passage {number} about {topic} and {other}."
    for number, (topic, other) in enumerate((topic, other) for topic in TOPICS for other in OTHERS)
}


class Stores:
    """Opens stores of one folder, fills them as an index run does, and closes what is open at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: list[Store] = []

    def open(
        self, encoder: FakeEncoder | None = None, *, create: bool = False, exact_bytes: int = EXACT_BYTES
    ) -> Store:
        store = Store(self.folder, encoder or FakeEncoder(), create=create, exact_bytes=exact_bytes)
        self._open.append(store)
        return store

    def close(self) -> None:
        while self._open:
            self._open.pop().close()

    def made(self, texts: Mapping[str, str | Sequence[str]], *, exact_bytes: int = EXACT_BYTES) -> Store:
        """A new store with these texts and its indexes."""
        store = self.open(create=True, exact_bytes=exact_bytes)
        self.fill(store, texts)
        assert store.refresh() is None
        return store

    def fill(
        self,
        store: Store,
        texts: Mapping[str, str | Sequence[str]],
        *,
        metadata: Mapping[str, Mapping[str, Scalar]] | None = None,
        encoder: FakeEncoder | None = None,
    ) -> None:
        """Commit one file for each source, with one passage for each text; the indexes are left behind."""
        encoder = encoder or FakeEncoder()
        entries = {source: entry(source, some, (metadata or {}).get(source, {})) for source, some in texts.items()}
        wanted = {key: p.encoded_text for one in entries.values() for p, key in one.passages or ()}
        with store.writing():
            new = sorted(wanted.keys() - store.vectors.known(list(wanted)))
            if new:
                store.vectors.add(new, encoder.encode_documents([wanted[key] for key in new]))
            for source, one in entries.items():
                store.database.put_file(source, FileEntry(one.digest, ""), [one])

    def remove(self, store: Store, *sources: str) -> None:
        with store.writing():
            store.database.remove_files(sources)


def entry(source: str, texts: str | Sequence[str], metadata: Mapping[str, Scalar]) -> DocumentEntry:
    """A document that is its passages, one after the other."""
    some = [texts] if isinstance(texts, str) else list(texts)
    whole, passages, start = "".join(some), [], 0
    for text in some:
        passage = Passage.make(source, start, start + len(text), text)
        passages.append((passage, vector_key(passage.encoded_text)))
        start += len(text)
    digest = hashlib.sha256(repr(some).encode()).hexdigest()[:16] + metadata_digest(metadata)
    return DocumentEntry(Document(source, whole, metadata=dict(metadata)), digest, passages)


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    made = Stores(tmp_path / "store")
    yield made
    made.close()


@pytest.fixture
def texts() -> dict[str, str]:
    """Forty short passages, each in a file of its own."""
    return dict(TEXTS)
