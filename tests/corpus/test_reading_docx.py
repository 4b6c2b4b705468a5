from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import docx
import pytest
from docx.oxml.parser import parse_xml

from reasonir_agent.corpus.reading import Readers, Unreadable
from reasonir_agent.types import Document as Read
from tests.corpus.making import saved, zipped

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


@pytest.fixture(scope="module")
def readers() -> Iterator[Readers]:
    with Readers() as opened:
        yield opened


@pytest.fixture
def made() -> Any:
    document = docx.Document()
    document.core_properties.author = ""
    return document


def read(readers: Readers, document: Any) -> Read:
    (found,), skipped = readers.read("a.docx", saved(document))
    assert skipped == []
    return found


def outline(document: Read) -> list[tuple[str, str]]:
    return [(" > ".join(one.heading), document.text[one.start : one.end].strip()) for one in document.sections]


def insert(document: Any, xml: str) -> None:
    body = document.element.body
    body.insert(len(body) - 1, parse_xml(xml))  # before the section's properties


def test_headings_paragraphs_lists_and_tables_come_in_their_order(readers: Readers, made: Any) -> None:
    made.add_heading("On ducks", 0)
    made.add_paragraph("They swim.")
    made.add_heading("Feet", 1)
    made.add_paragraph("Cold,", style="List Bullet")
    made.add_paragraph("wet.", style="List Number")
    table = made.add_table(2, 2)
    for cell, text in zip([*table.rows[0].cells, *table.rows[1].cells], ["Part", "°C", "foot", "2"], strict=True):
        cell.text = text
    made.add_heading("Veins", 2)
    made.add_paragraph("Counter\tcurrent")
    assert outline(read(readers, made)) == [
        ("On ducks", "On ducks\n\nThey swim."),
        ("On ducks > Feet", "Feet\n\n- Cold,\n\n- wet.\n\nPart | °C\nfoot | 2"),
        ("On ducks > Feet > Veins", "Veins\n\nCounter\tcurrent"),
    ]


def test_sections_cover_the_text(readers: Readers, made: Any) -> None:
    made.add_paragraph("before")
    made.add_heading("A", 1)
    made.add_paragraph("after")
    document = read(readers, made)
    assert "".join(document.text[one.start : one.end] for one in document.sections) == document.text


def test_a_style_that_is_based_on_a_heading_is_one(readers: Readers, made: Any) -> None:
    style = made.styles.add_style("Chapter", 1)
    style.base_style = made.styles["Heading 1"]
    made.add_paragraph("One", style="Chapter")
    made.add_paragraph("text")
    assert outline(read(readers, made)) == [("One", "One\n\ntext")]


def test_an_outline_level_of_the_paragraph_itself_makes_a_heading(readers: Readers, made: Any) -> None:
    insert(made, f'<w:p {W}><w:pPr><w:outlineLvl w:val="0"/></w:pPr><w:r><w:t>One</w:t></w:r></w:p>')
    made.add_paragraph("text")
    assert outline(read(readers, made)) == [("One", "One\n\ntext")]


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        (
            "<w:ins><w:r><w:t>new </w:t></w:r></w:ins><w:del><w:r><w:delText>old</w:delText><w:tab/></w:r></w:del>",
            "new end",
        ),
        ("<w:hyperlink><w:r><w:t>link </w:t></w:r></w:hyperlink>", "link end"),
        ("<w:sdt><w:sdtContent><w:r><w:t>field </w:t></w:r></w:sdtContent></w:sdt>", "field end"),
        ("<w:r><w:instrText>PAGE</w:instrText></w:r>", "end"),
        ("<w:r><w:t>co</w:t><w:noBreakHyphen/><w:t>op</w:t><w:br/></w:r>", "co-op\nend"),
    ],
    ids=["tracked changes", "a link", "a content control", "a field", "signs"],
)
def test_the_text_of_a_paragraph_is_what_a_reader_sees(readers: Readers, made: Any, inside: str, text: str) -> None:
    insert(made, f"<w:p {W}>{inside}<w:r><w:t>end</w:t></w:r></w:p>")
    assert read(readers, made).text == f"{text}\n"


def test_blocks_in_content_controls_are_read_and_tables_of_contents_are_not(readers: Readers, made: Any) -> None:
    made.styles.add_style("toc 1", 1)
    insert(made, f"<w:sdt {W}><w:sdtContent><w:p><w:r><w:t>in a control</w:t></w:r></w:p></w:sdtContent></w:sdt>")
    made.add_paragraph("Feet ..... 7", style="toc 1")
    assert read(readers, made).text == "in a control\n"


def test_a_text_box_is_read_once_after_its_paragraph(readers: Readers, made: Any) -> None:
    box = "<w:txbxContent><w:p><w:r><w:t>in the box</w:t></w:r></w:p></w:txbxContent>"
    insert(
        made,
        f'<w:p {W} xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"><w:r><w:t>around</w:t>'
        f"<mc:AlternateContent><mc:Choice>{box}</mc:Choice><mc:Fallback>{box}<w:t>old</w:t></mc:Fallback>"
        "</mc:AlternateContent>"
        "</w:r></w:p>",
    )
    assert read(readers, made).text == "around\n\nin the box\n"


def test_a_merged_cell_is_read_once_and_a_table_in_a_cell_after_its_own(readers: Readers, made: Any) -> None:
    table = made.add_table(2, 2)
    table.cell(0, 0).merge(table.cell(0, 1)).text = "wide"
    table.cell(1, 0).text = "left"
    table.cell(1, 1).add_table(1, 1).cell(0, 0).text = "inner"
    assert read(readers, made).text == "wide\nleft |\n\ninner\n"


def test_title_author_and_date_become_metadata(readers: Readers, made: Any) -> None:
    made.core_properties.title, made.core_properties.author = "On ducks", "A. Nás"
    made.core_properties.modified = datetime(2023, 7, 4, 12)
    made.add_paragraph("x")
    assert read(readers, made).metadata == {
        "type": "docx",
        "title": "On ducks",
        "author": "A. Nás",
        "date": "2023-07-04",
    }


def test_a_document_without_text_is_refused(readers: Readers, made: Any) -> None:
    with pytest.raises(Unreadable, match=r"^holds no text$"):
        read(readers, made)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no zip file", r"^is a broken DOCX: File is not a zip file$"),
        (zipped({"a.txt": "a"}), r"^is a broken DOCX: "),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504), r"^is encrypted with a password, or of an older format"),
    ],
    ids=["text", "another zip file", "encrypted"],
)
def test_what_is_no_document_is_refused(readers: Readers, content: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        readers.read("a.docx", content)


def test_a_document_that_was_cut_is_named(readers: Readers, made: Any) -> None:
    made.add_paragraph("x")
    content = saved(made)
    with pytest.raises(Unreadable, match=r"^is a broken DOCX: "):
        readers.read("a.docx", content[: len(content) // 2])


def test_entities_are_not_resolved(readers: Readers, made: Any) -> None:
    import io
    import zipfile

    made.add_paragraph("PLACE")
    source = zipfile.ZipFile(io.BytesIO(saved(made)))
    entries = {name: source.read(name) for name in source.namelist()}
    xml = entries["word/document.xml"].decode().replace("PLACE", "seen&file;")
    head, rest = xml.split("?>", 1)
    entries["word/document.xml"] = f'{head}?><!DOCTYPE x [<!ENTITY file SYSTEM "file:///etc/hostname">]>{rest}'.encode()
    (document,), _ = readers.read("a.docx", zipped(entries))
    assert document.text == "seen\n"
