"""The SQLite file of a store: documents with their extracted text, passages with their spans, where vectors lie.

`generation` counts the committed changes of the set of passages; every index over them (lexical, Chroma) remembers
the generation it was built from, so a stale one is seen and never trusted.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from reasonir_agent.errors import StoreError
from reasonir_agent.types import Document, Passage

FORMAT: Final = 1
FILE_NAME: Final = "reasonir.sqlite"

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, digest TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS documents (
    source TEXT PRIMARY KEY, path TEXT NOT NULL REFERENCES files(path) ON DELETE CASCADE, text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS passages (
    id TEXT PRIMARY KEY, source TEXT NOT NULL REFERENCES documents(source) ON DELETE CASCADE,
    start INTEGER NOT NULL, "end" INTEGER NOT NULL, text TEXT NOT NULL, heading TEXT NOT NULL, key TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, shard TEXT NOT NULL, row INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS documents_path ON documents(path);
CREATE INDEX IF NOT EXISTS passages_source ON passages(source);
"""
_AT_ONCE: Final = 500  # SQLite bounds the number of `?` in a statement


class Database:
    """One open SQLite file.

    Args:
        folder: the store's folder.
        create: make the file when it is not there.

    Raises:
        StoreError: the file is not there, is not ours, or cannot be opened.
    """

    def __init__(self, folder: Path, *, create: bool) -> None:
        file = folder / FILE_NAME
        if not create and not file.is_file():
            raise StoreError(f"{folder} is no store: it has no {FILE_NAME}; make one with: reasonir index PATH")
        self._file = file
        with self._guarded():
            self._connection = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        with self._guarded():
            tables = {row[0] for row in self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if tables and "meta" not in tables:
                raise StoreError(f"{self._file} is the database of another program; give another --store")
            found = self.get_meta("format") if tables else None
            if found not in (None, FORMAT):
                raise StoreError(
                    f"{self._file.parent} is a store of format {found}, this version reads format {FORMAT}; "
                    "index anew into another --store"
                )
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("PRAGMA foreign_keys = ON")
            self._connection.executescript(_SCHEMA)
            if found is None:
                self.set_meta("format", FORMAT)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """SQLite's errors (a damaged file, a full disk, another run that holds the lock) as ours."""
        try:
            yield
        except sqlite3.Error as cause:
            raise StoreError(f"the store's database {self._file} cannot be used: {cause}") from cause

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._guarded():
            return self._connection.execute(query, values).fetchall()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block's changes or none."""
        with self._guarded():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk has rolled it back already
                    self._connection.execute("ROLLBACK")
                raise

    def get_meta(self, key: str) -> Any:
        """A stored JSON value, None when it was never set."""
        rows = self._rows("SELECT value FROM meta WHERE key = ?", (key,))
        return json.loads(rows[0][0]) if rows else None

    def set_meta(self, key: str, value: Any) -> None:
        """Store a JSON value."""
        self._rows("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value)))

    @property
    def generation(self) -> int:
        """How often the set of passages has changed."""
        return int(self.get_meta("generation") or 0)

    def file_digests(self) -> dict[str, str]:
        """Path and content hash of the files that are indexed."""
        return dict(self._rows("SELECT path, digest FROM files"))

    def replace_file(
        self, path: str, digest: str, documents: Sequence[tuple[Document, Sequence[tuple[Passage, str]]]]
    ) -> None:
        """Put a file's documents and passages (each with the key of its vector) in the place of what it had."""
        with self.transaction():
            self._connection.execute("DELETE FROM files WHERE path = ?", (path,))
            self._connection.execute("INSERT INTO files VALUES (?, ?)", (path, digest))
            for document, passages in documents:
                self._connection.execute(
                    "INSERT OR REPLACE INTO documents VALUES (?, ?, ?)",
                    (document.source, path, document.text),
                )
                self._connection.executemany(
                    "INSERT OR REPLACE INTO passages VALUES (?, ?, ?, ?, ?, ?, ?)",
                    [(p.id, p.source, p.start, p.end, p.text, p.heading, key) for p, key in passages],
                )
            self._bump()

    def remove_files(self, paths: Iterable[str]) -> None:
        """Forget files with their documents and passages."""
        with self.transaction():
            self._connection.executemany("DELETE FROM files WHERE path = ?", [(path,) for path in paths])
            self._bump()

    def sources(self) -> list[str]:
        """Sources of all documents, in order."""
        return [row[0] for row in self._connection.execute("SELECT source FROM documents ORDER BY source")]

    def passage_ids(self, path: str | None = None) -> list[str]:
        """Ids of all passages, or of one file's, in a fixed order."""
        if path is None:
            rows = self._rows("SELECT id FROM passages ORDER BY id")
        else:
            rows = self._rows(
                "SELECT p.id FROM passages p JOIN documents d ON p.source = d.source WHERE d.path = ? ORDER BY p.id",
                (path,),
            )
        return [row[0] for row in rows]

    def passages(self, ids: Sequence[str]) -> dict[str, Passage]:
        """The passages with these ids; unknown ids are left out."""
        found: dict[str, Passage] = {}
        for some in _portions(ids):
            marks = ",".join("?" * len(some))
            query = f'SELECT id, source, start, "end", text, heading FROM passages WHERE id IN ({marks})'  # noqa: S608
            found.update((row[0], Passage(*row)) for row in self._rows(query, some))
        return found

    def all_texts(self) -> Iterator[tuple[str, str]]:
        """Id and encoded text of every passage, ordered by id."""
        with self._guarded():
            cursor = self._connection.execute(
                'SELECT id, source, start, "end", text, heading FROM passages ORDER BY id'
            )
            for row in cursor:
                yield row[0], Passage(*row).encoded_text

    def document_text(self, source: str) -> str | None:
        """The extracted text of a document."""
        rows = self._rows("SELECT text FROM documents WHERE source = ?", (source,))
        return str(rows[0][0]) if rows else None

    def locations(self, ids: Sequence[str] | None = None) -> list[tuple[str, str, int]]:
        """(passage id, shard, row) of the vectors of these passages, or of all, ordered by passage id."""
        query = "SELECT p.id, v.shard, v.row FROM passages p JOIN vectors v ON p.key = v.key"
        if ids is None:
            rows = self._rows(f"{query} ORDER BY p.id")
        else:
            marks = ((some, ",".join("?" * len(some))) for some in _portions(ids))
            rows = sorted(row for some, m in marks for row in self._rows(f"{query} WHERE p.id IN ({m})", some))
        return [(one, shard, number) for one, shard, number in rows]

    def known_keys(self, keys: Sequence[str]) -> set[str]:
        """Those of the keys whose vector is stored."""
        found: set[str] = set()
        for some in _portions(keys):
            query = f"SELECT key FROM vectors WHERE key IN ({','.join('?' * len(some))})"  # noqa: S608
            found.update(row[0] for row in self._rows(query, some))
        return found

    def add_vectors(self, keys: Sequence[str], shard: str) -> None:
        """Note that the rows of a shard are the vectors of these keys, in order."""
        with self.transaction():
            self._connection.executemany(
                "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)",
                [(key, shard, row) for row, key in enumerate(keys)],
            )

    def count(self) -> tuple[int, int]:
        """Number of files and of passages."""
        ((files, passages),) = self._rows("SELECT (SELECT count(*) FROM files), (SELECT count(*) FROM passages)")
        return int(files), int(passages)

    def _bump(self) -> None:
        self.set_meta("generation", self.generation + 1)


def _portions(values: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(values), _AT_ONCE):
        yield list(values[start : start + _AT_ONCE])
