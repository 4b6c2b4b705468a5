from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pptx
import pytest
from pptx.util import Inches

from reasonir_agent.corpus.reading import Readers, Unreadable
from reasonir_agent.types import Document, Section
from tests.corpus.making import saved

TITLE_AND_TEXT, BLANK = 1, 6
BOX = (Inches(1), Inches(1), Inches(4), Inches(1))


@pytest.fixture(scope="module")
def readers() -> Iterator[Readers]:
    with Readers() as opened:
        yield opened


@pytest.fixture
def made() -> Any:
    return pptx.Presentation()


def slide(deck: Any, layout: int = BLANK) -> Any:
    return deck.slides.add_slide(deck.slide_layouts[layout])


def read(readers: Readers, deck: Any) -> list[Document]:
    documents, skipped = readers.read("deck.pptx", saved(deck))
    assert skipped == []
    return documents


def test_every_slide_is_a_document_with_its_title_as_heading(readers: Readers, made: Any) -> None:
    first = slide(made, TITLE_AND_TEXT)
    first.shapes.title.text = "Ducks\von ice"
    first.placeholders[1].text = "Feet are cold.\nVeins are warm."
    slide(made)
    third = slide(made)
    third.shapes.add_textbox(*BOX).text_frame.text = "no title"
    documents = read(readers, made)
    text = "Ducks on ice\n\nFeet are cold.\nVeins are warm.\n"
    assert [(one.source, one.text) for one in documents] == [
        ("deck.pptx#page=1", text),
        ("deck.pptx#page=3", "no title\n"),
    ]
    assert [one.sections for one in documents] == [(Section(0, len(text), ("Ducks on ice",)),), (Section(0, 9),)]


def test_tables_groups_and_notes_are_read(readers: Readers, made: Any) -> None:
    one = slide(made)
    table = one.shapes.add_table(2, 2, *BOX).table
    table.cell(0, 0).merge(table.cell(0, 1))
    for at, text in {(0, 0): "wide", (1, 0): "left", (1, 1): "right"}.items():
        table.cell(*at).text = text
    group = one.shapes.add_group_shape()
    group.shapes.add_textbox(*BOX).text_frame.text = "outer"
    group.shapes.add_group_shape().shapes.add_textbox(*BOX).text_frame.text = "inner"
    one.notes_slide.notes_text_frame.text = "say this"
    assert read(readers, made)[0].text == "wide\nleft | right\n\nouter\n\ninner\n\nsay this\n"


def test_properties_become_metadata(readers: Readers, made: Any) -> None:
    made.core_properties.title, made.core_properties.author = "Talk", "A. Nás"
    made.core_properties.modified = datetime(2024, 2, 29)
    slide(made).shapes.add_textbox(*BOX).text_frame.text = "x"
    assert read(readers, made)[0].metadata == {
        "type": "pptx",
        "title": "Talk",
        "author": "A. Nás",
        "date": "2024-02-29",
    }


def test_a_deck_without_text_is_refused(readers: Readers, made: Any) -> None:
    slide(made)
    with pytest.raises(Unreadable, match=r"^holds no text$"):
        read(readers, made)


def test_a_deck_that_was_cut_is_named(readers: Readers, made: Any) -> None:
    content = saved(made)
    with pytest.raises(Unreadable, match=r"^is a broken PPTX: "):
        readers.read("deck.pptx", content[: len(content) // 2])
