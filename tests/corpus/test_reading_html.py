from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasonir_agent.corpus.reading import Unreadable, read_file
from reasonir_agent.types import Document


def read(html: str) -> Document:
    (document,), skipped = read_file("page.html", html.encode())
    assert skipped == []
    return document


def outline(html: str) -> list[tuple[str, str]]:
    document = read(html)
    return [(" > ".join(one.heading), document.text[one.start : one.end].strip()) for one in document.sections]


PAGE = """<!DOCTYPE html>
<html><head><title>Ducks &amp; ice</title><style>p {color: red}</style></head>
<body>
<!-- a comment -->
<h1>Ducks &amp; ice</h1>
<p>Feet are <b>cold</b>;
   feathers&nbsp;are   warm.</p>
<script>alert("no")</script>
<h2>Heat</h2>
<ul><li>in</li><li>out</li></ul>
<pre>
x = 1
    y  =  2
</pre>
<noscript>please enable</noscript>
</body></html>"""


def test_a_page_becomes_its_words_in_blocks() -> None:
    assert read(PAGE).text == (
        "Ducks & ice\n\nFeet are cold; feathers are warm.\n\nHeat\n\nin\n\nout\n\nx = 1\n    y  =  2\n"
    )


def test_headings_make_sections_and_the_title_said_again_does_not_nest() -> None:
    assert outline(PAGE) == [
        ("Ducks & ice", "Ducks & ice\n\nFeet are cold; feathers are warm."),
        ("Ducks & ice > Heat", "Heat\n\nin\n\nout\n\nx = 1\n    y  =  2"),
    ]


def test_another_h1_stands_under_the_title() -> None:
    assert outline("<title>Site</title><h1>Page</h1><p>a</p><h2>Part</h2><p>b</p><h1>Next</h1>c") == [
        ("Site > Page", "Page\n\na"),
        ("Site > Page > Part", "Part\n\nb"),
        ("Site > Next", "Next\n\nc"),
    ]


def test_the_title_said_again_ends_the_sections_before_it() -> None:
    assert outline("<title>T</title><body><h2>News</h2>a<h1>T</h1>b<h2>C</h2>d</body>") == [
        ("T > News", "News\n\na"),
        ("T", "T\n\nb"),
        ("T > C", "C\n\nd"),
    ]


def test_levels_that_were_left_out_do_not_nest_equals() -> None:
    assert [heading for heading, _ in outline("<title>T</title><h3>A</h3>a<h2>B</h2>b<h4>C</h4>c<h3>D</h3>d")] == [
        "T > A",
        "T > B",
        "T > B > C",
        "T > B > D",
    ]


def test_two_equal_headings_of_the_first_level_stand_beside_each_other() -> None:
    assert [heading for heading, _ in outline("<h1>A</h1>a<h2>B</h2>b<h1>A</h1>c")] == ["A", "A > B", "A"]


def test_a_heading_reads_as_its_words_in_the_text() -> None:
    document = read("<h2>The <i>GPU</i>s<br> of <!-- not -->old</h2><p>a</p>")
    assert document.sections[0].heading == ("The GPUs of old",)
    assert document.text == "The GPUs\n\nof old\n\na\n"


def test_a_heading_that_is_not_closed_ends_at_the_next() -> None:
    assert outline("<h1>One <h2>Two</h2>text") == [("One", "One"), ("One > Two", "Two\n\ntext")]


def test_a_page_without_body_and_title_is_read() -> None:
    assert read("just <b>words</b>").text == "just words\n"
    assert read("<title>T</title>words").text == "words\n"
    assert read("<p>unclosed<p>paragraphs").text == "unclosed\n\nparagraphs\n"


def test_conditional_comments_and_declarations_are_dropped() -> None:
    assert read("<?xml version='1.0'?><!DOCTYPE html><body>a<!--[if IE]>b<![endif]-->c</body>").text == "ac\n"


def test_a_text_that_looks_like_a_name_is_read_without_a_warning() -> None:
    assert read("notes.txt").text == "notes.txt\n"


@pytest.mark.parametrize(
    "html", ["<script>x</script>", "<body><!-- a --></body>", "<title>only a title</title>", "<p> </p>"]
)
def test_a_page_without_words_is_refused(html: str) -> None:
    with pytest.raises(Unreadable, match=r"^holds no text$"):
        read(html)


def test_markup_that_the_parser_rejects_is_refused() -> None:
    with pytest.raises(Unreadable, match=r"^is no valid HTML$"):
        read("<![foo[bar]]>x")


def test_a_page_that_is_nested_beyond_reason_is_refused() -> None:
    with pytest.raises(Unreadable, match=r"^its HTML is nested too deeply$"):
        read("<div>" * 5000 + "words")


TAGS = st.sampled_from(
    "<h1> </h1> <h2> </h2> <h3> <p> </p> <pre> </pre> <b> </b> <div> </div> <title> </title> <body> <!--x--> <br>".split()
)
WORDS = st.sampled_from(["one", " two ", "\n", "&lt;", "&nbsp;", "三", "  "])


@settings(deadline=None, max_examples=200)
@given(st.lists(st.one_of(TAGS, WORDS), max_size=30))
def test_sections_have_valid_offsets_and_cover_the_text(parts: list[str]) -> None:
    try:
        document = read("".join(parts))
    except Unreadable as problem:
        assert str(problem) in ("holds no text", "is empty")
        return
    assert "".join(document.text[one.start : one.end] for one in document.sections) == document.text
    assert all(one.start < one.end <= len(document.text) for one in document.sections)
