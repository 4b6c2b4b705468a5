from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasonir_agent.corpus.reading import read_file
from reasonir_agent.corpus.reading.text import python_sections

ENDINGS = """py js ts tsx jsx java c h cpp hpp cs go rs rb php swift kt scala sh sql r jl lua pl hs ml ex clj dart vue css scss
tex org adoc rst yaml yml toml ini cfg log R SQL""".split()
NAMES = ["Makefile", "src/Dockerfile", "README", "LICENSE", "CHANGELOG", "Gemfile"]

SOURCE = '''"""Ducks."""
import os

LIMIT = 3

@cache
@other
def swim(far):
    def stroke():
        pass
    return far

# about the class
class Duck:
    size = 1

    async def feet(self):
        return 2

if LIMIT:
    def late(): pass
print(1)'''


def outline(text: str) -> list[tuple[str, str]]:
    return [(" > ".join(one.heading), text[one.start : one.end]) for one in python_sections(text)]


@pytest.mark.parametrize("ending", ENDINGS)
def test_source_code_is_read_by_its_ending(ending: str) -> None:
    (document,), _ = read_file(f"a/b.{ending}", b"x = 1\n")
    assert (document.text, document.metadata) == ("x = 1\n", {"type": ending.lower()})


@pytest.mark.parametrize("name", NAMES)
def test_well_known_files_without_an_ending_are_read(name: str) -> None:
    (document,), _ = read_file(name, b"all: test\n")
    assert (document.text, document.metadata) == ("all: test\n", {"type": name.rpartition("/")[2].lower()})


def test_python_has_a_section_for_each_class_and_function() -> None:
    assert outline(SOURCE) == [
        ("", '"""Ducks."""\nimport os\n\nLIMIT = 3\n\n'),
        ("swim", "@cache\n@other\ndef swim(far):\n"),
        ("swim > stroke", "    def stroke():\n        pass\n"),
        ("swim", "    return far\n"),
        ("", "\n# about the class\n"),
        ("Duck", "class Duck:\n    size = 1\n\n"),
        ("Duck > feet", "    async def feet(self):\n        return 2\n"),
        ("", "\nif LIMIT:\n"),
        ("late", "    def late(): pass\n"),
        ("", "print(1)"),
    ]


def test_the_reader_gives_python_unchanged_with_its_sections() -> None:
    (document,), _ = read_file("duck.py", SOURCE.replace("\n", "\r\n").encode())
    assert document.text == SOURCE
    assert document.sections == python_sections(SOURCE)


@pytest.mark.parametrize(
    "text",
    ["def broken(:\n", "print 'old'\n", "x = 1\n", "a\0b", "(" * 100_000, "-" * 1_000_000 + "1", "a." * 200_000 + "b"],
    ids=["broken", "Python 2", "no definitions", "NUL", "brackets", "signs", "attributes"],
)
def test_what_has_no_definitions_or_is_no_python_has_no_sections(text: str) -> None:
    assert python_sections(text) == ()


def test_code_that_warns_is_read_in_silence() -> None:
    assert outline('def f():\n    return "\\d" is 1\n') == [("f", 'def f():\n    return "\\d" is 1\n')]


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.sampled_from(
            [
                "def f():",
                "class C:",
                "    def g(self): pass",
                "    x = 1",
                "@d",
                "x = '''",
                "é = 1",
                "",
                "\f",
                "if 1:",
                "\r",
            ]
        ),
        max_size=12,
    )
)
def test_sections_cover_the_text_in_order(lines: list[str]) -> None:
    text = "\n".join(lines)
    sections = python_sections(text)
    assert not sections or "".join(text[one.start : one.end] for one in sections) == text
