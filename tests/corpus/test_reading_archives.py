"""Decompression bombs, made here: small files that would unpack to much."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator

import docx
import pytest

from reasonir_agent.corpus.reading import Readers, Unreadable
from reasonir_agent.corpus.reading.archives import open_archive
from tests.corpus.making import epub, saved, zipped

MB = 1_000_000


@pytest.fixture(scope="module")
def readers() -> Iterator[Readers]:
    with Readers() as opened:
        yield opened


def with_zeros(megabytes: int, files: int = 1) -> bytes:
    """A document with files of zeros added; 1 MB of them takes 1 kB."""
    out = io.BytesIO(saved(docx.Document()))
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive:
        for number in range(files):
            with archive.open(f"word/media/zeros{number}.bin", "w") as entry:
                for _ in range(megabytes):
                    entry.write(bytes(MB))
    return out.getvalue()


def test_an_entry_that_is_compressed_too_far_is_refused(readers: Readers) -> None:
    content = with_zeros(20)
    assert len(content) < 100_000
    with pytest.raises(
        Unreadable, match=r"^is a decompression bomb: 'word/media/zeros0.bin' would unpack to 20 MB from "
    ):
        readers.read("a.docx", content)


def test_a_small_entry_may_be_compressed_far(readers: Readers) -> None:
    with pytest.raises(Unreadable, match=r"^holds no text$"):
        readers.read("a.docx", with_zeros(9))


def declared(content: bytes, size: int) -> bytes:
    """An archive whose last entry declares another size in its directory."""
    at = content.rindex(b"PK\x01\x02") + 24
    return content[:at] + struct.pack("<I", size) + content[at + 4 :]


def test_entries_that_declare_too_much_together_are_refused() -> None:
    with pytest.raises(
        Unreadable, match=r"^is a decompression bomb: it would unpack to 513 MB, at most 512 MB are read$"
    ):
        open_archive(declared(zipped({"a": "a"}), 513 * MB), "EPUB")


def test_an_entry_that_holds_more_than_it_declares_is_refused() -> None:
    content = declared(zipped({"a.xhtml": bytes(2 * MB)}), 100)
    with pytest.raises(
        Unreadable, match=r"^is broken or a decompression bomb: 'a.xhtml' unpacks to more than it declares$"
    ):
        open_archive(content, "EPUB")


def test_an_entry_that_declares_what_it_holds_is_read() -> None:
    with open_archive(zipped({"a": bytes(2 * MB), "b": "", "c/": ""}), "EPUB") as archive:
        assert archive.read("a") == bytes(2 * MB)


@pytest.mark.slow
def test_too_many_entries_are_refused() -> None:
    with pytest.raises(Unreadable, match=r"^is a decompression bomb: it holds 20001 files, at most 20000 are read$"):
        open_archive(zipped({str(number): "" for number in range(20_001)}), "EPUB")


def test_an_entry_with_a_wrong_sum_is_a_broken_file(readers: Readers) -> None:
    content = epub({"a.xhtml": "<p>words</p>"})
    at = content.rindex(b"PK\x01\x02", 0, content.rindex(b"PK\x01\x02")) + 16
    with pytest.raises(Unreadable, match=r"^is a broken EPUB: "):
        readers.read("b.epub", content[:at] + b"\0\0\0\0" + content[at + 4 :])


def test_an_entry_with_a_password_is_named(readers: Readers) -> None:
    content = bytearray(epub({"a.xhtml": "<p>words</p>"}))
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    content[content.rindex(b"PK\x03\x04") + 6] |= 1
    with pytest.raises(Unreadable, match=r"^is encrypted with a password$"):
        readers.read("b.epub", bytes(content))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_of_packing_are_read(method: int) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr("a", b"words")
    with open_archive(out.getvalue(), "EPUB") as opened:
        assert opened.read("a") == b"words"
