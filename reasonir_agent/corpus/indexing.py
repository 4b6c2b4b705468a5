"""The incremental run: what is new is read, split and encoded; what is unchanged is not touched; what is gone is removed.

A file is known by the hash of its bytes, a vector by the hash of the text that was encoded. Files are committed one by
one, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from reasonir_agent.corpus.reading import Unreadable, find_files, read_file
from reasonir_agent.corpus.splitting import SplitSettings, split_document
from reasonir_agent.encoder.known import MULTILINGUAL_ENCODER
from reasonir_agent.errors import InputError
from reasonir_agent.stores.store import Store, vector_key
from reasonir_agent.types import Document, Encoder, Passage, Skipped

READERS_VERSION: Final = 1
"""Raised when a reader or the splitter gives other text for the same bytes; files are then read again."""

UNKNOWN_LIMIT: Final = 0.10
"""Share of unknown tokens above which an encoder does not know the language of a corpus."""

_TEXTS_AT_ONCE: Final = 2048

Progress = Callable[[str, int, int], None]
"""Called with (what, done, of how many)."""


@dataclass(slots=True)
class IndexReport:
    """What a run did. Counts are passages, except `files`.

    Attributes:
        files: files that are now indexed under the given paths.
        passages: passages that the store now holds.
        encoded: passages that were new and whose text was encoded or known.
        unchanged: passages that were there before and still are.
        removed: passages that are gone.
        skipped: what could not be read, and why.
        seconds: duration.
        warnings: sentences for the user.
    """

    files: int = 0
    passages: int = 0
    encoded: int = 0
    unchanged: int = 0
    removed: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The object that `reasonir index --json` prints."""
        return {
            "files": self.files,
            "passages": self.passages,
            "encoded": self.encoded,
            "unchanged": self.unchanged,
            "removed": self.removed,
            "skipped": [{"path": one.path, "reason": one.reason} for one in self.skipped],
            "seconds": round(self.seconds, 3),
            "warnings": list(self.warnings),
        }


@dataclass(slots=True)
class _FileWork:
    path: str
    digest: str
    documents: list[tuple[Document, list[Passage]]]


class Indexer:
    """One run over a store.

    Args:
        store: where to.
        encoder: the store's encoder.
        progress: told how far the run is; None for silence.
    """

    def __init__(self, store: Store, encoder: Encoder, *, progress: Progress | None = None) -> None:
        self._store, self._encoder = store, encoder
        self._progress: Progress = progress or (lambda what, done, total: None)
        self._split = SplitSettings.for_window(encoder.window)
        self._recipe = f"readers {READERS_VERSION}, split {self._split.tokens}/{self._split.overlap}"
        self._report = IndexReport()

    def run(self, paths: Sequence[str]) -> IndexReport:
        """Index files and folders.

        Raises:
            InputError: a path is missing, or nothing under the paths can be read and nothing of them was indexed.
        """
        began = time.perf_counter()
        found = list(dict.fromkeys(entry for path in paths for entry in find_files(path)))  # roots may overlap
        self._report.skipped += [entry for entry in found if isinstance(entry, Skipped)]
        before = self._store.database.file_digests()
        present = self._index_files([entry for entry in found if isinstance(entry, str)], before)
        seen = {entry.path if isinstance(entry, Skipped) else entry for entry in found}
        gone = [path for path in sorted(before.keys() - present) if _is_gone(path, paths, seen)]
        if not present and not gone:
            raise InputError(_nothing(paths, self._report.skipped))
        self._remove(gone)
        if not present:
            self._report.warnings.append(f"{_nothing(paths, self._report.skipped)}; what was indexed there was removed")
        self._report.files = len(present)
        self._report.passages = self._store.database.count()[1]
        self._note_language()
        self._progress("building the indexes", 0, 1)
        self._store.refresh()
        self._progress("building the indexes", 1, 1)
        self._report.seconds = time.perf_counter() - began
        return self._report

    def _index_files(self, files: list[str], before: dict[str, str]) -> set[str]:
        """Index files; returns those that are now in the store."""
        present: set[str] = set()
        waiting: list[_FileWork] = []
        passages = 0
        for number, path in enumerate(files):
            self._progress("reading", number, len(files))
            try:
                work = self._read(path, before.get(path))
            except (Unreadable, OSError) as problem:
                reason = problem.strerror or str(problem) if isinstance(problem, OSError) else str(problem)
                self._report.skipped.append(Skipped(path, reason))
                continue
            present.add(path)
            if work is None:
                self._report.unchanged += len(self._store.database.passage_ids(path))
                continue
            waiting.append(work)
            passages += sum(len(some) for _, some in work.documents)
            if passages >= _TEXTS_AT_ONCE:
                self._commit(waiting)
                waiting, passages = [], 0
        self._commit(waiting)
        self._progress("reading", len(files), len(files))
        return present

    def _read(self, path: str, known_digest: str | None) -> _FileWork | None:
        """Read and split one file; None when nothing changed."""
        content = Path(path).read_bytes()
        digest = hashlib.sha256(self._recipe.encode() + b"\0" + content).hexdigest()
        if digest == known_digest:
            return None
        documents, skipped = read_file(path, content)
        self._report.skipped += skipped
        split = [(one, split_document(one, self._encoder.count_tokens, self._split)) for one in documents]
        return _FileWork(path, digest, split)

    def _commit(self, waiting: list[_FileWork]) -> None:
        """Encode the texts that have no vector yet, then commit file by file."""
        texts = {p.encoded_text: None for work in waiting for _, passages in work.documents for p in passages}
        keys = {text: vector_key(text) for text in texts}
        known = self._store.database.known_keys(list(keys.values()))
        new = [text for text, key in keys.items() if key not in known]
        for start in range(0, len(new), _TEXTS_AT_ONCE):
            self._progress("encoding", start, len(new))
            some = new[start : start + _TEXTS_AT_ONCE]
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                self._store.add_vectors(some, self._encoder.encode_documents(some))
            self._report.warnings += sorted({str(one.message) for one in caught})
        for work in waiting:
            self._commit_file(work, keys)

    def _commit_file(self, work: _FileWork, keys: dict[str, str]) -> None:
        before = set(self._store.database.passage_ids(work.path))
        self._store.database.replace_file(
            work.path,
            work.digest,
            [(document, [(p, keys[p.encoded_text]) for p in some]) for document, some in work.documents],
        )
        after = {p.id for _, some in work.documents for p in some}
        self._report.encoded += len(after - before)
        self._report.unchanged += len(after & before)
        self._report.removed += len(before - after)

    def _remove(self, gone: list[str]) -> None:
        for path in gone:
            self._report.removed += len(self._store.database.passage_ids(path))
        if gone:
            self._store.database.remove_files(gone)

    def _note_language(self) -> None:
        """Measure the share of unknown tokens on a sample; above the limit, say so and lean on words."""
        database = self._store.database
        ids = database.passage_ids()
        sample = database.passages(ids[:: max(1, len(ids) // 400)])
        shares = [self._encoder.unknown_share([p.text]) for p in sample.values()]
        foreign = [share for share in shares if share > UNKNOWN_LIMIT]
        overall = self._encoder.unknown_share([p.text for p in sample.values()])
        database.set_meta("foreign", overall > UNKNOWN_LIMIT)
        if overall > UNKNOWN_LIMIT:
            self._report.warnings.append(
                f"the encoder {self._encoder.name} does not know {overall:.0%} of the tokens of this corpus; search "
                f"leans on words, and --encoder {MULTILINGUAL_ENCODER} would understand more"
            )
        elif foreign:
            self._report.warnings.append(
                f"about {len(foreign) / len(shares):.0%} of the passages are in a script that the encoder "
                f"{self._encoder.name} does not know; they are found by their words only "
                f"(--encoder {MULTILINGUAL_ENCODER} would understand them)"
            )


def _is_gone(path: str, roots: Sequence[str], seen: set[str]) -> bool:
    """Whether a file that was indexed before can no longer be read where it was.

    A hidden file that was once given by itself is not seen in its folder, and stays.
    """
    return any(_is_under(path, root) for root in roots) and (path in seen or not os.path.exists(path))  # noqa: PTH110


def _is_under(path: str, root: str) -> bool:
    """Whether a file stands at or under a path, by their names."""
    folder, file = Path(os.path.normpath(root)), Path(os.path.normpath(path))
    return file.is_relative_to(folder) and ".." not in file.relative_to(folder).parts


def _nothing(paths: Sequence[str], skipped: list[Skipped]) -> str:
    if not paths:
        return "nothing to index: no file or folder was given"
    where = ", ".join(map(repr, paths))
    if not skipped:
        return f"nothing to index: {where} holds no files"
    first = "; ".join(f"{one.path}: {one.reason}" for one in skipped[:3])
    return f"nothing to index under {where}: none of {len(skipped)} files could be read ({first})"
