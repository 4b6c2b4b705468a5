from __future__ import annotations

from collections.abc import Iterator

import pytest

from reasonir_agent.corpus.reading import Readers, Unreadable
from reasonir_agent.types import Document, Skipped
from tests.corpus.making import BLANK, PICTURE, SHUT, pdf

LINES = "\n".join(["words of the page before"] * 5)


@pytest.fixture(scope="module")
def readers() -> Iterator[Readers]:
    with Readers() as opened:
        yield opened


def outline(document: Document) -> list[tuple[str, str]]:
    return [(" > ".join(one.heading), document.text[one.start : one.end].strip()) for one in document.sections]


def test_every_page_is_a_document_named_by_its_number(readers: Readers) -> None:
    documents, skipped = readers.read("a/paper.pdf", pdf(["Ducks swim.\nThey do.", "Ice is cold (0 °C)."]))
    assert [(one.source, one.text) for one in documents] == [
        ("a/paper.pdf#page=1", "Ducks swim.\nThey do.\n"),
        ("a/paper.pdf#page=2", "Ice is cold (0 °C).\n"),
    ]
    assert [one.metadata for one in documents] == [{"type": "pdf"}] * 2
    assert skipped == []


def test_pages_carry_the_heading_path_of_the_outline(readers: Readers) -> None:
    content = pdf(
        ["Preface", "1 Water\nWet.", "Still water.", f"{LINES}\n1.1 Ice\nCold.\n2 Fire\nHot."],
        outline=[(0, "1 Water", 2), (1, "Ice", 4), (0, "2 Fire", 4)],
    )
    documents, _ = readers.read("paper.pdf", content)
    assert [outline(one) for one in documents] == [
        [("", "Preface")],
        [("1 Water", "1 Water\nWet.")],
        [("1 Water", "Still water.")],
        [("1 Water", LINES), ("1 Water > Ice", "1.1 Ice\nCold."), ("2 Fire", "2 Fire\nHot.")],
    ]


def test_what_stands_above_the_first_heading_of_a_page_goes_with_it_where_it_is_short(readers: Readers) -> None:
    content = pdf(["Chapter 1: Water 7\n1.1 Ice\nCold."], outline=[(0, "Ice", 1)])
    (document,), _ = readers.read("paper.pdf", content)
    assert outline(document) == [("Ice", "Chapter 1: Water 7\n1.1 Ice\nCold.")]


def test_an_entry_whose_words_are_not_on_the_page_holds_from_its_top(readers: Readers) -> None:
    (first, second), _ = readers.read("p.pdf", pdf(["one", "two"], outline=[(0, "Figure", 1)]))
    assert outline(first) == [("Figure", "one")]
    assert outline(second) == [("Figure", "two")]


@pytest.mark.parametrize(
    ("title", "path"),
    [
        ("On the feet of ducks", "On the feet of ducks > Cold"),
        ("Cold", "Cold"),
        ("paper.docx", "Cold"),
        ("Microsoft Word - paper final", "Cold"),
        ("Untitled document", "Cold"),
        ("10.1000/xyz123", "Cold"),
    ],
)
def test_a_title_that_says_something_stands_above_the_headings(readers: Readers, title: str, path: str) -> None:
    (document,), _ = readers.read("p.pdf", pdf(["Cold\nfeet"], outline=[(0, "Cold", 1)], info={"Title": title}))
    assert outline(document) == [(path, "Cold\nfeet")]
    assert document.metadata["title"] == title


def test_the_title_said_again_as_the_first_heading_does_not_nest(readers: Readers) -> None:
    entries = [(0, "On ducks", 1), (1, "Feet", 1)]
    (document,), _ = readers.read("p.pdf", pdf(["On ducks\nFeet\nx"], outline=entries, info={"Title": "On ducks"}))
    assert [heading for heading, _ in outline(document)] == ["On ducks", "On ducks > Feet"]


def test_title_author_and_date_become_metadata(readers: Readers) -> None:
    info = {"Title": "On ducks", "Author": "A. Nás", "CreationDate": "D:20230704120000+02'00'"}
    (document,), _ = readers.read("p.pdf", pdf(["x"], info=info), date="2026-01-01")
    assert document.metadata == {"type": "pdf", "title": "On ducks", "author": "A. Nás", "date": "2023-07-04"}


def test_a_page_without_a_date_of_its_own_takes_the_given_one(readers: Readers) -> None:
    (document,), _ = readers.read("p.pdf", pdf(["x"], info={"CreationDate": "D:20231399"}), date="2026-01-01")
    assert document.metadata == {"type": "pdf", "date": "2026-01-01"}


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ("a counter-\ncurrent flow", "a countercurrent flow"),
        ("a counter-\ncurrent and a counter-current", "a counter-current and a counter-current"),
        ("state-of-the-\nart", "state-of-the-art"),
        ("the FcConfig-\nParse call", "the FcConfig-Parse call"),
        ("pages 10-\n12", "pages 10-12"),
    ],
)
def test_words_that_are_parted_at_the_end_of_a_line_are_joined_where_that_is_safe(
    readers: Readers, lines: str, text: str
) -> None:
    (document,), _ = readers.read("p.pdf", pdf([lines]))
    assert document.text.replace("-\n", "-") == text + "\n"


def test_pages_that_are_pictures_are_named_and_blank_ones_are_not(readers: Readers) -> None:
    documents, skipped = readers.read("p.pdf", pdf([PICTURE, "text", BLANK, PICTURE]))
    assert [one.source for one in documents] == ["p.pdf#page=2"]
    reason = "has no text: it looks scanned and needs OCR"
    assert skipped == [Skipped("p.pdf#page=1", reason), Skipped("p.pdf#page=4", reason)]


def test_a_scanned_file_is_named_as_needing_ocr(readers: Readers) -> None:
    reason = r"^holds no text: it looks scanned and needs OCR first \(for example: ocrmypdf\)$"
    with pytest.raises(Unreadable, match=reason):
        readers.read("scan.pdf", pdf([PICTURE, BLANK, PICTURE]))


def test_a_file_of_blank_pages_does_not_look_scanned(readers: Readers) -> None:
    with pytest.raises(Unreadable, match=r"^holds no text$"):
        readers.read("blank.pdf", pdf([BLANK]))


def test_an_encrypted_file_is_named(readers: Readers) -> None:
    with pytest.raises(Unreadable, match=r"^is encrypted with a password$"):
        readers.read("shut.pdf", pdf(["secret"], trailer=SHUT))


@pytest.mark.parametrize("content", [b"%PDF-1.7\n", b"no PDF at all", b"\0" * 1000], ids=["head", "text", "zeros"])
def test_a_broken_file_is_named(readers: Readers, content: bytes) -> None:
    with pytest.raises(Unreadable, match=r"^is a broken PDF: "):
        readers.read("broken.pdf", content)


def test_an_empty_file_is_named(readers: Readers) -> None:
    with pytest.raises(Unreadable, match=r"^is empty$"):
        readers.read("empty.pdf", b"")


def test_a_file_that_was_cut_in_the_middle_is_read_as_far_as_it_goes_or_named(readers: Readers) -> None:
    whole = pdf([f"page {number}" for number in range(20)])
    kept = 0
    for share in range(1, 10):
        try:
            documents, _ = readers.read("cut.pdf", whole[: len(whole) * share // 10])
        except Unreadable as problem:
            assert str(problem).startswith("is a broken PDF: ")
            continue
        kept += 1
        assert {one.text for one in documents} <= {f"page {number}\n" for number in range(20)}
    assert kept < 9


def test_what_stands_beyond_the_edge_of_the_page_is_not_read(readers: Readers) -> None:
    (document,), _ = readers.read("p.pdf", pdf(["seen" + "\n" * 60 + "not seen"]))
    assert document.text == "seen\n"


def test_an_outline_that_runs_in_a_circle_ends(readers: Readers) -> None:
    content = pdf(["x"], outline=[(0, "One", 1), (0, "Two", 1)])
    circle = content.replace(b"/Title (Two)", b"/Title (Two) /Next 8 0 R")
    assert content != circle
    (document,), _ = readers.read("p.pdf", circle)
    assert document.text == "x\n"
