"""PPTX: one document for each slide, named by its number: title, text frames, tables, groups, then the notes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from reasonir_agent.corpus.reading.archives import open_archive
from reasonir_agent.corpus.reading.decoding import clean
from reasonir_agent.corpus.reading.formats import File
from reasonir_agent.corpus.reading.office import properties_of
from reasonir_agent.corpus.reading.problems import Unreadable, missing_package
from reasonir_agent.types import Document, Section


def read_pptx(file: File) -> Iterator[Document]:
    """One document for each slide that holds text."""
    try:
        import pptx
    except ModuleNotFoundError:
        raise missing_package("PPTX") from None
    open_archive(file.content, "PPTX").close()
    deck = pptx.Presentation(io.BytesIO(file.content))
    properties = properties_of(deck.core_properties)
    found = False
    for number, slide in enumerate(deck.slides, start=1):
        title, text = _slide(slide)
        if text:
            found = True
            sections = (Section(0, len(text), (title,) if title else ()),)
            yield Document(f"{file.path}#page={number}", text, sections, properties)
    if not found:
        raise Unreadable("holds no text")


def _slide(slide: Any) -> tuple[str, str]:
    """The title and the whole text of a slide."""
    title = " ".join(clean(slide.shapes.title.text).split()) if _has_title(slide) else ""
    first = slide.shapes.title.shape_id if title else None
    blocks = [title, *_blocks(shape for shape in slide.shapes if shape.shape_id != first)]
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        blocks.append(_plain(slide.notes_slide.notes_text_frame.text))
    text = "\n\n".join(block for block in blocks if block)
    return title, f"{text}\n" if text else ""


def _has_title(slide: Any) -> bool:
    return slide.shapes.title is not None and slide.shapes.title.has_text_frame


def _blocks(shapes: Any) -> Iterator[str]:
    for shape in shapes:
        if hasattr(shape, "shapes"):  # a group
            yield from _blocks(shape.shapes)
        elif getattr(shape, "has_table", False):
            yield "\n".join(" | ".join(_cells(row)) for row in shape.table.rows)
        elif shape.has_text_frame:
            yield _plain(shape.text_frame.text)


def _cells(row: Any) -> list[str]:
    return [" ".join(clean(cell.text).split()) for cell in row.cells if not cell.is_spanned]


def _plain(text: str) -> str:
    return clean(text).replace("\v", "\n").strip()
