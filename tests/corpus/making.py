"""Real files for the readers' tests: PDFs written by hand, the rest by the libraries that write them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

PICTURE = "a picture"
BLANK = "a blank page"
SHUT = b"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <%s> /U <%s> >> /ID [<00> <00>]" % (b"41" * 32, b"42" * 32)


def pdf(
    pages: Sequence[str],
    *,
    outline: Sequence[tuple[int, str, int]] = (),
    info: Mapping[str, str] | None = None,
    trailer: bytes = b"",
) -> bytes:
    """A PDF.

    Args:
        pages: text of each page, its lines below each other; PICTURE for an image, BLANK for nothing.
        outline: (level, words, page from 1) of its entries.
        info: what stands in its information dictionary.
        trailer: more entries for the trailer.
    """
    objects: dict[int, bytes] = {
        3: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    }
    objects[4] = _stream(b"\x80\x40", b"/Type /XObject /Subtype /Image /Width 2 /Height 1 /ColorSpace /DeviceGray "
                                      b"/BitsPerComponent 8")  # fmt: skip
    kids = []
    for number, page in enumerate(pages):
        at = 5 + 2 * number
        objects[at] = _stream(_content(page))
        objects[at + 1] = (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F 3 0 R >> /XObject << /I 4 0 R >> >> >>" % at
        )
        kids.append(at + 1)
    objects[2] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(b"%d 0 R" % one for one in kids), len(kids))
    objects[1] = b"<< /Type /Catalog /Pages 2 0 R >>"
    if outline:
        root = _outline(objects, outline, kids)
        objects[1] = b"<< /Type /Catalog /Pages 2 0 R /Outlines %d 0 R >>" % root
    if info:
        at = max(objects) + 1
        objects[at] = b"<< %s >>" % b" ".join(b"/%s %s" % (key.encode(), _text(value)) for key, value in info.items())
        trailer += b" /Info %d 0 R" % at
    return _assembled(objects, trailer)


def _content(page: str) -> bytes:
    if page == BLANK:
        return b""
    if page == PICTURE:
        return b"q 600 0 0 700 0 0 cm /I Do Q"
    lines = b" ".join(b"%s Tj T*" % _text(line) for line in page.split("\n"))
    return b"BT /F 12 Tf 14 TL 72 720 Td %s ET" % lines


def _text(text: str) -> bytes:
    escaped = text.encode("cp1252").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
    return b"(%s)" % escaped


def _stream(content: bytes, entries: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), entries, content)


def _outline(objects: dict[int, bytes], entries: Sequence[tuple[int, str, int]], kids: Sequence[int]) -> int:
    """Add the entries as a tree; returns the number of its root."""
    root = max(objects) + 1
    numbers = [root + 1 + at for at in range(len(entries))]
    parents = [
        next((numbers[above] for above in range(at - 1, -1, -1) if entries[above][0] < level), root)
        for at, (level, _, _) in enumerate(entries)
    ]
    for at, (_, words, page) in enumerate(entries):
        later = [numbers[one] for one in range(at + 1, len(entries)) if parents[one] == parents[at]]
        below = [numbers[one] for one in range(len(entries)) if parents[one] == numbers[at]]
        objects[numbers[at]] = b"<< /Title %s /Parent %d 0 R /Dest [%d 0 R /Fit]%s%s >>" % (
            _text(words),
            parents[at],
            kids[page - 1],
            b" /Next %d 0 R" % later[0] if later else b"",
            b" /First %d 0 R /Last %d 0 R /Count %d" % (below[0], below[-1], len(below)) if below else b"",
        )
    top = [number for number, parent in zip(numbers, parents, strict=True) if parent == root]
    objects[root] = b"<< /Type /Outlines /First %d 0 R /Last %d 0 R /Count %d >>" % (top[0], top[-1], len(top))
    return root


def _assembled(objects: Mapping[int, bytes], trailer: bytes) -> bytes:
    out = bytearray(b"%PDF-1.7\n")
    places = {}
    for number in sorted(objects):
        places[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, objects[number])
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % places[number] for number in sorted(objects))
    out += b"trailer << /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, trailer, start)
    return bytes(out)


def saved(document: Any) -> bytes:
    """The bytes of a document or presentation."""
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def zipped(entries: Mapping[str, str | bytes]) -> bytes:
    """A zip file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return out.getvalue()


CONTAINER = """<?xml version="1.0"?>
<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>
<rootfile full-path="OEBPS/content.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"""


def epub(
    chapters: Mapping[str, str], *, spine: Sequence[str] = (), metadata: str = "", more: Mapping[str, str] | None = None
) -> bytes:
    """An EPUB.

    Args:
        chapters: XHTML by name.
        spine: the names in reading order; all where it is empty.
        metadata: the inside of its metadata element.
        more: further entries of the archive.
    """
    nav = {"nav.xhtml": "properties='nav'"}
    items = "".join(
        f'<item id="i{at}" href="{name}" media-type="application/xhtml+xml" {nav.get(name, "")}/>'
        for at, name in enumerate(chapters)
    )
    numbers = {name: at for at, name in enumerate(chapters)}
    order = "".join(f'<itemref idref="i{numbers[name]}"/>' for name in spine or chapters)
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/" version="3.0">'
        f"<metadata>{metadata}</metadata><manifest>{items}</manifest><spine>{order}</spine></package>"
    )
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": CONTAINER,
            "OEBPS/content.opf": package,
            **{f"OEBPS/{name}": text for name, text in chapters.items()},
            **(more or {}),
        }
    )


def parquet(columns: Mapping[str, Any], **options: Any) -> bytes:
    """A Parquet file of columns."""
    import pyarrow
    import pyarrow.parquet

    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(dict(columns)), out, **options)
    return out.getvalue()
