"""`Readers`: files as documents, each by the reader for its kind, the risky ones in a child process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType

from reasonir_agent.corpus.reading.formats import Fields, File, is_read_apart, kind_of, reader_of
from reasonir_agent.corpus.reading.problems import Unreadable
from reasonir_agent.corpus.reading.process import ReaderProcess
from reasonir_agent.types import Document, Skipped


class Readers:
    """Reads the files of one run; for one thread. Close it, or use it as a context.

    Args:
        fields: which fields of records are text, id and title.
        patience: seconds that a risky file may take for its next page or record.
    """

    def __init__(self, fields: Fields = Fields(), *, patience: float = 60.0) -> None:  # noqa: B008 - it is frozen
        self._fields = fields
        self._process = ReaderProcess(patience=patience)

    def __enter__(self) -> Readers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the child process, if there is one."""
        self._process.close()

    def read(self, path: str, content: bytes, *, date: str | None = None) -> tuple[list[Document], list[Skipped]]:
        """The documents of one file, and the parts of it that could not be read.

        Args:
            path: its name as the user gave it; becomes the documents' source.
            content: its bytes.
            date: YYYY-MM-DD for the documents that have no date of their own.

        Raises:
            Unreadable: nothing in it can be used.
        """
        documents: list[Document] = []
        skipped: list[Skipped] = []
        common = {"type": kind_of(path)} | ({"date": date} if date else {})
        for item in self._items(File(path, content, self._fields)):
            if isinstance(item, Skipped):
                skipped.append(item)
            else:
                documents.append(replace(item, metadata={**common, **item.metadata}))
        return documents, skipped

    def _items(self, file: File) -> Iterator[Document | Skipped]:
        reader = reader_of(file.path)
        if not file.content:
            raise Unreadable("is empty")
        return self._process.read(file) if is_read_apart(file) else reader(file)


def read_file(
    path: str,
    content: bytes,
    *,
    fields: Fields = Fields(),  # noqa: B008
    date: str | None = None,
) -> tuple[list[Document], list[Skipped]]:
    """`Readers.read` for one file alone.

    Raises:
        Unreadable: nothing in it can be used.
    """
    with Readers(fields) as readers:
        return readers.read(path, content, date=date)
