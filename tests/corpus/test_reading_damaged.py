"""Real files with damage: whatever comes of them, it is documents or one sentence."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable

import docx
import pptx
import pytest
from pptx.util import Inches

from reasonir_agent.corpus.reading import Readers, Unreadable
from tests.corpus.making import PICTURE, epub, parquet, pdf, saved, zipped

DAMAGES = 100


def a_pdf() -> bytes:
    pages = ["On ducks\nTheir feet are cold.", PICTURE, "Ice\nand water-\nways"]
    return pdf(pages, outline=[(0, "On ducks", 1), (1, "Ice", 3)], info={"Title": "On ducks", "Author": "A"})


def a_docx() -> bytes:
    document = docx.Document()
    document.add_heading("On ducks", 1)
    document.add_paragraph("Their feet are cold.", style="List Bullet")
    document.add_table(2, 2).cell(0, 0).text = "ice"
    return saved(document)


def a_pptx() -> bytes:
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "On ducks"
    slide.shapes.add_table(2, 2, *[Inches(1)] * 4).table.cell(0, 0).text = "ice"
    slide.notes_slide.notes_text_frame.text = "say this"
    return saved(deck)


def an_epub() -> bytes:
    return epub({"a.xhtml": "<h1>Ducks</h1><p>Cold feet.</p>", "b.xhtml": "<p>Ice.</p>"}, metadata="<title>T</title>")


def a_parquet() -> bytes:
    rows = range(300)
    return parquet(
        {"id": list(rows), "text": [f"text {n}" for n in rows], "list": [[n] for n in rows]}, row_group_size=100
    )


def damaged_inside(content: bytes, dice: random.Random) -> bytes:
    """A sound archive with a damaged file in it."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = dice.choice([name for name, inner in entries.items() if inner])
    return zipped({**entries, name: damaged(entries[name], dice)})


def damaged(content: bytes, dice: random.Random) -> bytes:
    """A few bytes changed, a piece cut out, or the end cut off."""
    if content.startswith(b"PK") and dice.random() < 0.7:
        return damaged_inside(content, dice)
    kind = dice.randrange(4)
    if kind == 0:
        return content[: dice.randrange(len(content))]
    if kind == 1:
        start = dice.randrange(len(content))
        return content[:start] + content[start + dice.randrange(1, 200) :]
    changed = bytearray(content)
    for _ in range(dice.choice([1, 1, 3, 10, 50])):
        at = dice.randrange(len(changed)) if kind == 2 else max(0, len(changed) - 1 - dice.randrange(600))
        changed[at] = dice.randrange(256)
    return bytes(changed)


@pytest.mark.slow
@pytest.mark.parametrize("make", [a_pdf, a_docx, a_pptx, an_epub, a_parquet])
def test_damage_never_raises_anything_but_a_reason(make: Callable[[], bytes]) -> None:
    path = "file." + make.__name__.rpartition("_")[2]
    content = make()
    read = refused = 0
    with Readers(patience=20) as readers:
        assert readers.read(path, content)[0]
        for seed in range(DAMAGES):
            try:
                documents, skipped = readers.read(path, damaged(content, random.Random(seed)))
            except Unreadable as problem:
                refused += 1
                assert "\n" not in str(problem) and len(str(problem)) < 400
                assert not str(problem).startswith("could not be read within"), f"seed {seed}"
                continue
            read += 1
            assert documents
            for one in documents:
                assert all(0 <= part.start < part.end <= len(one.text) for part in one.sections)
                one.text.encode()
            assert all(one.reason for one in skipped)
    assert refused > 10
    assert read + refused == DAMAGES
