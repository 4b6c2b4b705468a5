"""The zip files that DOCX, PPTX and EPUB are. Nothing is unpacked before it is known to fit.

What an archive declares is checked first: the sum of the sizes, the number of entries, how far one is compressed. Then
each entry is unpacked once and dropped, for an archive can lie: one that holds more than it declares is refused, too.
"""

from __future__ import annotations

import copy
import io
import zipfile
from typing import Final

from reasonir_agent.corpus.reading.problems import Unreadable, described

_MOST_UNPACKED: Final = 512_000_000  # bytes, of all entries
_MOST_ENTRIES: Final = 20_000
_MOST_RATIO: Final = 200  # text and XML rarely reach 50
_SMALL: Final = 10_000_000  # bytes; below, no ratio is suspicious
_OLE: Final = b"\xd0\xcf\x11\xe0"  # a Microsoft container: what an encrypted DOCX, and an old DOC, begins with
_PIECE: Final = 1 << 20


def open_archive(content: bytes, format: str) -> zipfile.ZipFile:
    """Open an archive that is known to unpack to a bounded size.

    Args:
        content: its bytes.
        format: what it is to the user ("DOCX").

    Raises:
        Unreadable: it is broken, encrypted or a decompression bomb.
    """
    if content.startswith(_OLE):
        raise Unreadable(f"is encrypted with a password, or of an older format than {format}")
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        _check_declared(archive)
        for entry in archive.infolist():
            _check_unpacked(archive, entry)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, ValueError) as problem:
        if isinstance(problem, Unreadable):
            raise
        raise Unreadable(f"is a broken {format}: {described(problem)}") from None
    except RuntimeError:  # zipfile's word for a missing password
        raise Unreadable("is encrypted with a password") from None
    return archive


def _check_declared(archive: zipfile.ZipFile) -> None:
    entries = archive.infolist()
    if len(entries) > _MOST_ENTRIES:
        raise Unreadable(f"is a decompression bomb: it holds {len(entries)} files, at most {_MOST_ENTRIES} are read")
    if (size := sum(entry.file_size for entry in entries)) > _MOST_UNPACKED:
        raise Unreadable(
            f"is a decompression bomb: it would unpack to {size / 1e6:.0f} MB, at most {_MOST_UNPACKED / 1e6:.0f} MB are read"
        )
    for entry in entries:
        if entry.file_size > max(_SMALL, _MOST_RATIO * entry.compress_size):
            raise Unreadable(
                f"is a decompression bomb: {entry.filename!r} would unpack to {entry.file_size / 1e6:.0f} MB from "
                f"{entry.compress_size / 1e3:.0f} kB"
            )


def _check_unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    more = copy.copy(entry)
    more.file_size += 1  # reading stops at the declared size; whether more would come is the question
    del more.CRC  # and of the longer text there is no sum; the parser checks the right one
    size = 0
    with archive.open(more) as unpacked:
        while piece := unpacked.read(_PIECE):
            size += len(piece)
    if size > entry.file_size:
        raise Unreadable(f"is broken or a decompression bomb: {entry.filename!r} unpacks to more than it declares")
