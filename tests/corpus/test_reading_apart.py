"""What comes back from the child process is what the readers give in this one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import docx
import pptx
import pytest
from pptx.util import Inches

from reasonir_agent.corpus.reading import Fields, read_file
from reasonir_agent.corpus.reading.formats import File, is_read_apart, reader_of
from reasonir_agent.types import Document, Skipped
from tests.corpus.making import PICTURE, epub, parquet, pdf, saved


def a_pdf() -> bytes:
    pages = ["Cracks grow\nslowly at first.", PICTURE, "Second chapter\nA hole stops them."]
    info = {"Title": "On cracks", "Author": "A. Smith", "CreationDate": "D:20240305120000"}
    return pdf(pages, outline=[(0, "Cracks grow", 1), (0, "Second chapter", 3)], info=info)


def a_docx() -> bytes:
    document = docx.Document()
    document.core_properties.title = "Report"
    document.add_heading("Report", 0)
    document.add_heading("Loads", 1)
    document.add_paragraph("The beam bends.")
    document.add_paragraph("First point", style="List Bullet")
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "Load", "12 kN"
    return saved(document)


def a_pptx() -> bytes:
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "Loads"
    slide.placeholders[1].text = "The beam bends."
    slide.notes_slide.notes_text_frame.text = "Say it slowly."
    table = slide.shapes.add_table(1, 2, Inches(1), Inches(1), Inches(2), Inches(1)).table
    table.cell(0, 0).text, table.cell(0, 1).text = "Load", "12 kN"
    return saved(deck)


def an_epub() -> bytes:
    chapter = "<html><head><title>x</title></head><body><h1>{}</h1><p>{}</p></body></html>"
    chapters = {"a.xhtml": chapter.format("One", "Water flows."), "b.xhtml": chapter.format("Two", "Ice floats.")}
    return epub(chapters, metadata="<dc:title>Water</dc:title><dc:date>2020-01-02</dc:date>")


def a_parquet() -> bytes:
    return parquet({"id": ["a", "b", "c"], "text": ["Water flows.", "Ice floats.", None], "year": [1999, 2001, 2003]})


@pytest.mark.parametrize(
    ("path", "make", "documents", "skipped"),
    [
        ("x.pdf", a_pdf, 2, 1),
        ("x.docx", a_docx, 1, 0),
        ("x.pptx", a_pptx, 1, 0),
        ("x.epub", an_epub, 2, 0),
        ("x.parquet", a_parquet, 2, 1),
        ("x.html", lambda: b"<h1>Water</h1>" + b"<p>It flows down.</p>" * 800, 1, 0),
    ],
)
def test_it_is_the_same(path: str, make: Callable[[], Any], documents: int, skipped: int) -> None:
    file = File(path, make(), Fields())
    assert is_read_apart(file)
    here = list(reader_of(path)(file))
    plain = [one for one in here if isinstance(one, Document)]
    apart, left = read_file(path, file.content)
    assert left == [one for one in here if isinstance(one, Skipped)]
    assert [(one.source, one.text, one.sections) for one in apart] == [
        (one.source, one.text, one.sections) for one in plain
    ]
    assert all(one.metadata.items() >= other.metadata.items() for one, other in zip(apart, plain, strict=True))
    assert (len(apart), len(left)) == (documents, skipped)
