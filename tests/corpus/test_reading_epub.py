from __future__ import annotations

from collections.abc import Iterator

import pytest

from reasonir_agent.corpus.reading import Readers, Unreadable
from reasonir_agent.types import Document, Skipped
from tests.corpus.making import CONTAINER, epub, zipped

ENCRYPTION = """<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container"
 xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData><enc:EncryptionMethod Algorithm="{algorithm}"/>
<enc:CipherData><enc:CipherReference URI="{name}"/></enc:CipherData></enc:EncryptedData></encryption>"""


@pytest.fixture(scope="module")
def readers() -> Iterator[Readers]:
    with Readers() as opened:
        yield opened


def page(body: str, title: str = "a file") -> str:
    return (
        '<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml">'
        f"<head><title>{title}</title></head><body>{body}</body></html>"
    )


def outline(document: Document) -> list[tuple[str, str]]:
    return [(" > ".join(one.heading), document.text[one.start : one.end].strip()) for one in document.sections]


def test_chapters_come_in_the_order_of_the_spine_under_the_title_of_the_book(readers: Readers) -> None:
    content = epub(
        {
            "text/two.xhtml": page("<h1>Ice</h1><p>Cold.</p>"),
            "one.xhtml": page("<h1>Ducks</h1><p>Föhn.</p><h2>Feet</h2>x"),
        },
        spine=["one.xhtml", "text/two.xhtml"],
        metadata="<dc:title>On\n water</dc:title>",
    )
    documents, skipped = readers.read("b.epub", content)
    assert [one.source for one in documents] == ["b.epub#id=one.xhtml", "b.epub#id=text/two.xhtml"]
    assert [outline(one) for one in documents] == [
        [("On water > Ducks", "Ducks\n\nFöhn."), ("On water > Ducks > Feet", "Feet\n\nx")],
        [("On water > Ice", "Ice\n\nCold.")],
    ]
    assert skipped == []


def test_what_the_book_says_of_itself_becomes_metadata(readers: Readers) -> None:
    metadata = (
        "<dc:title>On water</dc:title><dc:creator>A. Nás</dc:creator><dc:creator>B</dc:creator>"
        "<dc:language>en</dc:language><dc:date>2021-03-04T00:00:00+00:00</dc:date>"
    )
    (document,), _ = readers.read("b.epub", epub({"a.xhtml": page("x")}, metadata=metadata))
    assert document.metadata == {
        "type": "epub",
        "title": "On water",
        "author": "A. Nás",
        "language": "en",
        "date": "2021-03-04",
    }


def test_the_table_of_contents_and_pages_without_words_are_left_out(readers: Readers) -> None:
    content = epub(
        {"cover.xhtml": page("<img src='c.jpg'/>"), "nav.xhtml": page("<nav>1 2</nav>"), "a.xhtml": page("x")}
    )
    documents, skipped = readers.read("b.epub", content)
    assert [one.source for one in documents] == ["b.epub#id=a.xhtml"]
    assert skipped == []


def test_names_that_are_written_as_in_an_address_are_found(readers: Readers) -> None:
    content = epub({"a%20b.xhtml": page("x")}, more={"OEBPS/a b.xhtml": page("found")})
    (document,), _ = readers.read("b.epub", content)
    assert (document.source, document.text) == ("b.epub#id=a b.xhtml", "found\n")


def test_a_chapter_that_is_missing_or_broken_is_named(readers: Readers) -> None:
    content = epub({"gone%2e.xhtml": "", "deep.xhtml": page("<div>" * 3000 + "x"), "a.xhtml": page("x")})
    documents, skipped = readers.read("b.epub", content)
    assert [one.source for one in documents] == ["b.epub#id=a.xhtml"]
    assert skipped == [
        Skipped("b.epub#id=gone..xhtml", "is a broken EPUB: 'OEBPS/gone..xhtml' is missing"),
        Skipped("b.epub#id=deep.xhtml", "its HTML is nested too deeply"),
    ]


def test_a_protected_book_is_named(readers: Readers) -> None:
    encryption = ENCRYPTION.format(algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc", name="OEBPS/a.xhtml")
    content = epub({"a.xhtml": "\x01\x02"}, more={"META-INF/encryption.xml": encryption})
    with pytest.raises(Unreadable, match=r"^is protected against copying \(DRM\)$"):
        readers.read("b.epub", content)


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [
        ("http://www.idpf.org/2008/embedding", "OEBPS/a.xhtml"),
        ("http://www.w3.org/2001/04/xmlenc#aes128-cbc", "OEBPS/f.otf"),
    ],
    ids=["obfuscated", "a font"],
)
def test_encrypted_fonts_are_no_protection(readers: Readers, algorithm: str, name: str) -> None:
    encryption = ENCRYPTION.format(algorithm=algorithm, name=name)
    content = epub({"a.xhtml": page("x")}, more={"META-INF/encryption.xml": encryption, "OEBPS/f.otf": "x"})
    assert readers.read("b.epub", content)[0][0].text == "x\n"


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    '<container><rootfiles><rootfile full-path="&b;"/></rootfiles></container>'
)


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"a": "a"}, r"^is a broken EPUB: 'META-INF/container.xml' is missing$"),
        ({"META-INF/container.xml": "<x/>"}, r"^is a broken EPUB: META-INF/container.xml names no package$"),
        ({"META-INF/container.xml": "<x"}, r"^is a broken EPUB: "),
        ({"META-INF/container.xml": CONTAINER}, r"^is a broken EPUB: 'OEBPS/content.opf' is missing$"),
        ({"META-INF/container.xml": BOMB}, r"^is a broken EPUB: EntitiesForbidden"),
        (
            {"META-INF/container.xml": CONTAINER, "OEBPS/content.opf": "<package/>"},
            r"^is a broken EPUB: it has no chap",
        ),
    ],
    ids=["another zip file", "no package", "no XML", "package missing", "entities", "no chapters"],
)
def test_a_broken_book_is_named(readers: Readers, entries: dict[str, str], reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        readers.read("b.epub", zipped(entries))


def test_a_book_of_pictures_is_refused(readers: Readers) -> None:
    with pytest.raises(Unreadable, match=r"^holds no text$"):
        readers.read("b.epub", epub({"a.xhtml": page("<img/>")}))
