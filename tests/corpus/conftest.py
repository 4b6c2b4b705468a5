from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reasonir_agent.corpus import Corpus
from reasonir_agent.testing import FakeEncoder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the working directory, so that sources are short."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def corpus(tmp_path: Path, encoder: FakeEncoder) -> Iterator[Corpus]:
    with Corpus(tmp_path / "store", encoder, create=True) as opened:
        yield opened


@pytest.fixture
def contents() -> Callable[[Corpus], dict[str, Any]]:
    """What a store holds: each passage, its vector and the documents, by id and source."""

    def read(corpus: Corpus) -> dict[str, Any]:
        database = corpus.store.database
        ids = dict(database.rows("SELECT number, id FROM passages"))
        numbers, vectors = corpus.store.vectors.read(sorted(ids))
        passages = corpus.passages(sorted(ids.values()))
        sources = {one.source for one in passages.values()}
        return {
            "passages": passages,
            "vectors": {ids[number]: vector.tolist() for number, vector in zip(numbers, vectors, strict=True)},
            "documents": {source: database.document_text(source) for source in sources},
            "files": {path: entry.digest for path, entry in database.files().items()},
        }

    return read
