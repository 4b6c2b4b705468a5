from __future__ import annotations

import pytest

from reasonir_agent.corpus.reading import Unreadable, decode, read_file
from reasonir_agent.types import Document


@pytest.mark.parametrize("path", ["notes.txt", "a/b.text", "manual.rst", "SHOUT.TXT", "a.b.log"])
def test_a_text_file_is_one_document_without_sections(path: str) -> None:
    kind = path.rpartition(".")[2].lower()
    assert read_file(path, b" First.\n\nSecond.\n") == (
        [Document(path, " First.\n\nSecond.\n", metadata={"type": kind})],
        [],
    )


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("naïve 中文".encode(), "naïve 中文"),
        ("naïve 中文".encode("utf-8-sig"), "naïve 中文"),
        ("naïve 中文".encode("utf-16"), "naïve 中文"),
        (b"\xff\xfe" + "naïve 中文".encode("utf-16-le"), "naïve 中文"),
        (b"\xfe\xff" + "naïve 中文".encode("utf-16-be"), "naïve 中文"),
        ("a “naïve” café – 5 €".encode("cp1252"), "a “naïve” café – 5 €"),
        (b"undefined in cp1252: \x81", "undefined in cp1252: \ufffd"),
        (b"\xff\xfea\x00\x00\xd8b\x00", "a\ufffdb"),  # UTF-16 with a lone surrogate
        (b"one\r\ntwo\nthree\rfour", "one\ntwo\nthree\rfour"),
        ("one\r\ntwo".encode("utf-16"), "one\ntwo"),
        (b"x" * 8192 + b"\0y", "x" * 8192 + "\ufffdy"),
    ],
)
def test_bytes_are_decoded(content: bytes, text: str) -> None:
    assert decode(content) == text


@pytest.mark.parametrize("content", [b"\x7fELF\x02\x01\x01\0\0\0", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"text\0text"])
def test_binary_content_is_refused(content: bytes) -> None:
    with pytest.raises(Unreadable, match=r"^is no text \(it holds NUL bytes\)$"):
        read_file("picture.txt", content)


@pytest.mark.parametrize("content", [b"", b" \n\t\r\n", b"\xef\xbb\xbf", b"\xff\xfe"])
def test_a_file_without_text_is_refused(content: bytes) -> None:
    with pytest.raises(Unreadable, match=r"^is empty$"):
        read_file("empty.txt", content)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("photo.jpeg", "no reader for .jpeg"),
        ("photo.JPEG", "no reader for .jpeg"),
        ("unknown", "no reader for files without an ending"),
        ("a.txt/b", "no rea"),
    ],
)
def test_an_unknown_ending_is_refused_by_name(path: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=f"^{reason}"):
        read_file(path, b"text")
