from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasonir_agent.corpus.reading import markdown_sections, read_file


def outline(text: str) -> list[tuple[str, str]]:
    return [(" > ".join(one.heading), text[one.start : one.end]) for one in markdown_sections(text)]


def headings(text: str) -> list[str]:
    return [heading for heading, _ in outline(text) if heading]


def test_sections_carry_the_path_of_their_headings() -> None:
    text = "Intro.\n\n# Physics\nWater.\n## Heat\nWarm.\n### Latent\nIce.\n## Light\nBlue.\n# Chemistry\nSalt.\n"
    assert outline(text) == [
        ("", "Intro.\n\n"),
        ("Physics", "# Physics\nWater.\n"),
        ("Physics > Heat", "## Heat\nWarm.\n"),
        ("Physics > Heat > Latent", "### Latent\nIce.\n"),
        ("Physics > Light", "## Light\nBlue.\n"),
        ("Chemistry", "# Chemistry\nSalt.\n"),
    ]


def test_the_reader_gives_the_text_unchanged_with_its_sections() -> None:
    (document,), skipped = read_file("a.md", b"# One\r\n\r\ntext\r\n")
    assert document.text == "# One\n\ntext\n"
    assert document.sections == markdown_sections(document.text)
    assert skipped == []


def test_levels_that_were_left_out_do_not_nest_equals() -> None:
    assert headings("### Deep\na\n## Less\nb\n# Top\nc\n### Low\nd\n## Middle\ne\n") == [
        "Deep",
        "Less",
        "Top",
        "Top > Low",
        "Top > Middle",
    ]


@pytest.mark.parametrize(
    ("line", "heading"),
    [
        ("# Closed #", "Closed"),
        ("## Closed ######  ", "Closed"),
        ("# C#", "C#"),
        ("# F# and C# #", "F# and C#"),
        ("#\tTab", "Tab"),
        ("   # Indented by three", "Indented by three"),
        ("###### Sixth", "Sixth"),
        ("# `code` and *stars*", "`code` and *stars*"),
    ],
)
def test_a_heading_line_is_read_by_the_rules_of_commonmark(line: str, heading: str) -> None:
    assert headings(f"{line}\n\ntext\n") == [heading]


@pytest.mark.parametrize(
    "line", ["#hashtag", "####### Seventh", "    # Code by its indent", "text # text", "#", "# ##", "#  "]
)
def test_a_line_that_only_looks_like_a_heading_is_none(line: str) -> None:
    assert outline(f"{line}\n") == [("", f"{line}\n")]


@pytest.mark.parametrize(
    "code",
    [
        "```\n# comment\n```",
        "```python\n# comment\n```",
        "~~~\n# comment\n~~~",
        "```\n~~~\n# comment\n~~~\n# comment\n```",
        "````\n```\n# comment\n```\n# comment\n````",
        "```\n# comment\n``` not an end\n# comment\n```",
        "  ```\n# comment\n  ```",
    ],
)
def test_a_comment_in_a_code_fence_is_no_heading(code: str) -> None:
    assert headings(f"# Before\n\n{code}\n\n# After\n") == ["Before", "After"]


def test_a_fence_that_is_not_closed_reaches_to_the_end() -> None:
    assert headings("# Before\n```\n# comment\n") == ["Before"]


def test_three_backticks_within_a_line_open_no_fence() -> None:
    assert headings("```inline```\n# After\n") == ["After"]


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.sampled_from(["# a", "## b", "### c #", "```", "~~~~", "text", "", "#", " # d", "é 中"]), max_size=25)
)
def test_sections_cover_the_text_in_order(lines: list[str]) -> None:
    text = "\n".join(lines)
    sections = markdown_sections(text)
    assert "".join(text[one.start : one.end] for one in sections) == text
    assert all(one.start < one.end for one in sections)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    ["# a" + " " * 200_000 + "b", "# " + "#" * 200_000 + "x", "# a\n```\n```\n" * 20_000, "`" * 500_000],
    ids=["spaces", "signs", "many fences", "backticks"],
)
def test_hostile_markdown_takes_no_longer_than_any(text: str) -> None:
    assert sum(one.end - one.start for one in markdown_sections(text)) == len(text)
