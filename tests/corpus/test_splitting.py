from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasonir_agent.corpus.reading import markdown_sections
from reasonir_agent.corpus.splitting import SplitSettings, split_document
from reasonir_agent.testing import FakeEncoder
from reasonir_agent.types import Document, Passage, Section

Counter = Callable[[Sequence[str]], list[int]]


def characters(texts: Sequence[str]) -> list[int]:
    return [len(text) for text in texts]


def signs_and_white_space(texts: Sequence[str]) -> list[int]:
    """Like byte-level tokenizers, which count line ends too."""
    return [len(re.findall(r"\w{1,4}|[^\w]", text)) for text in texts]


words = FakeEncoder().count_tokens
COUNTERS = {"words": words, "characters": characters, "signs and white space": signs_and_white_space}


def split(text: str, tokens: int, overlap: int = 0, count: Counter = words) -> list[str]:
    return [one.text for one in split_document(Document("s", text), count, SplitSettings(tokens, overlap))]


def test_sentences_are_joined_up_to_the_limit() -> None:
    text = "One two. Three four. Five six. Seven."  # 3 tokens each, the last 2
    assert split(text, 100) == [text]
    assert split(text, 6) == ["One two. Three four.", "Five six. Seven."]
    assert split(text, 5) == ["One two.", "Three four.", "Five six. Seven."]
    assert split(text, 3) == ["One two.", "Three four.", "Five six.", "Seven."]


def test_the_last_sentences_of_a_passage_begin_the_next() -> None:
    text = "One two. Three four. Five six. Seven eight."
    assert split(text, 6, overlap=3) == ["One two. Three four.", "Three four. Five six.", "Five six. Seven eight."]
    assert split(text, 9, overlap=6) == ["One two. Three four. Five six.", "Three four. Five six. Seven eight."]
    assert split(text, 6, overlap=2) == ["One two. Three four.", "Five six. Seven eight."]  # no sentence is that short


def test_white_space_counts_where_the_tokenizer_counts_it() -> None:
    text = "Aaaaaaaa. Bbbb." + " " * 15 + "Cccc."
    assert split(text, 20, overlap=10, count=characters) == ["Aaaaaaaa. Bbbb.", "Cccc."]  # B does not fit beside C
    assert split(text, 35, overlap=0, count=characters) == [text]


def test_a_sentence_that_is_too_long_is_cut_near_its_middle_at_white_space() -> None:
    assert split("one two three four five six seven eight", 4) == ["one two three four", "five six seven eight"]


def test_a_chinese_text_without_any_sign_is_cut_between_characters() -> None:
    assert split("水往低处流人往高处走", 5, count=characters) == ["水往低处流", "人往高处走"]


def test_an_empty_document_has_no_passages() -> None:
    assert split("", 10) == split(" \n ", 10) == []


def test_passages_carry_source_span_text_and_heading_path() -> None:
    text = "# A\n\nOne.\n\n## B\n\nTwo."
    found = split_document(Document("notes.md", text, markdown_sections(text)), words, SplitSettings(20, 0))
    assert found == [
        Passage.make("notes.md", 0, 9, "# A\n\nOne.", "A"),
        Passage.make("notes.md", 11, 21, "## B\n\nTwo.", "A > B"),
    ]


def test_a_heading_stays_with_the_sentence_that_it_heads() -> None:
    text = "## Why\n\nBecause it is so. And so on."
    found = split_document(Document("s", text, markdown_sections(text)), words, SplitSettings(9, 0))
    assert [one.text for one in found] == ["## Why\n\nBecause it is so.", "And so on."]


def test_the_id_is_a_hash_of_source_span_and_text_alone() -> None:
    one = Passage.make("s", 1, 4, "abc", "heading")
    assert one.id == Passage.make("s", 1, 4, "abc", "another").id
    others = [Passage.make("t", 1, 4, "abc"), Passage.make("s", 2, 5, "abc"), Passage.make("s", 1, 4, "abd")]
    assert len({one.id, *(other.id for other in others)}) == 4
    assert one.id == hashlib.sha256(b"s\x001\x004\x00abc").hexdigest()[:32]


@pytest.mark.parametrize(
    ("heading", "text", "encoded"),
    [
        ("", "Water.", "Water."),
        ("Ice", "Water.", "Ice\nWater."),
        ("Physics > Ice", "# Ice\n\nWater.", "# Ice\n\nWater."),
        ("Physics > Ice", "Physics is fun.", "Physics > Ice\nPhysics is fun."),
        ("Ice", "x" * 200 + "Ice", "Ice\n" + "x" * 200 + "Ice"),  # shown too late to be read as a heading
    ],
)
def test_the_heading_is_encoded_where_the_passage_does_not_show_it(heading: str, text: str, encoded: str) -> None:
    assert Passage.make("s", 0, len(text), text, heading).encoded_text == encoded


@pytest.mark.parametrize(("window", "tokens"), [(256, 220), (512, 448), (131072, 448), (64, 28), (8, 16)])
def test_passages_fit_the_window_with_room_for_prefix_and_heading(window: int, tokens: int) -> None:
    assert SplitSettings.for_window(window).tokens == tokens
    assert SplitSettings.for_window(window).overlap < tokens / 2


def test_a_long_heading_path_takes_its_room_from_the_passages() -> None:
    path = tuple(f"{name} " + "heading " * 9 for name in ("First", "Second", "Third", "Fourth"))
    text = "A sentence of six words. " * 300
    found = split_document(Document("s", text, (Section(0, len(text), path),)), words, SplitSettings.for_window(256))
    assert max(words([one.encoded_text for one in found])) <= 256 - 12  # 12: prefix and special tokens
    assert len(found) > 5


def test_a_paragraph_in_the_place_of_a_heading_is_shortened() -> None:
    text = "One. Two."
    (found,) = split_document(Document("s", text, (Section(0, 9, ("long " * 1000,)),)), words, SplitSettings(220, 40))
    assert found.heading == ("long " * 1000)[:119] + "…"


TEXTS = st.one_of(
    st.text(alphabet=st.sampled_from(list(' \n\tAabz.!?。！？；”"(，中文水')), max_size=400),
    st.text(max_size=200),
    st.lists(
        st.sampled_from(["Short. ", "A somewhat longer sentence with words. ", "水往低处流。", "\n\n", " " * 50]),
        max_size=60,
    ).map("".join),
    st.integers(1, 2000).map(lambda n: "x" * n),
    st.integers(1, 2000).map(lambda n: "水" * n),
    st.integers(1, 500).map(lambda n: "?!…" * n),
)
LIMITS = st.tuples(st.integers(4, 60), st.integers(0, 30)).map(lambda pair: SplitSettings(*pair))


@st.composite
def documents(draw: st.DrawFn) -> Document:
    text = draw(TEXTS)
    cuts = sorted({0, len(text), *draw(st.lists(st.integers(0, len(text)), max_size=4))})
    return Document("s", text, tuple(Section(a, b, (f"h{a}",)) for a, b in pairwise(cuts)))


@pytest.mark.parametrize("counter", COUNTERS)
@settings(deadline=None, max_examples=150)
@given(document=documents(), limits=LIMITS)
def test_the_invariants_of_splitting(counter: str, document: Document, limits: SplitSettings) -> None:
    text, count = document.text, COUNTERS[counter]
    found = split_document(document, count, limits)
    assert found == split_document(document, count, limits)  # deterministic
    assert all(one.text == text[one.start : one.end] and one.text.strip() for one in found)
    assert all(tokens <= limits.tokens for tokens in count([one.text for one in found]))
    covered = {place for one in found for place in range(one.start, one.end)}
    assert all(place in covered or character.isspace() for place, character in enumerate(text))
    assert all(any(s.start <= one.start and one.end <= s.end for s in document.sections) for one in found)
    assert all(a.start < b.start and a.end < b.end for a, b in pairwise(found))  # in order, and always further


@settings(deadline=None, max_examples=100)
@given(st.integers(2, 80), st.integers(10, 60))
def test_neighbours_overlap_by_whole_sentences_up_to_the_limit(number: int, tokens: int) -> None:
    text = " ".join(f"Number {n} here." for n in range(number))  # 4 tokens each
    overlap = tokens // 2
    found = split_document(Document("s", text), words, SplitSettings(tokens, overlap))
    for before, after in pairwise(found):
        shared = text[after.start : before.end]
        assert shared
        assert shared.startswith("Number") and shared.endswith(".")
        assert words([shared])[0] <= overlap


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "text",
    [
        "x" * 5_000_000,
        "水" * 5_000_000,
        "?" * 5_000_000,
        " x" * 2_500_000,
        " " * 2_500_000 + "x" + " " * 2_500_000 + "y",
    ],
    ids=["one word", "Chinese", "signs", "words", "white space"],
)
@pytest.mark.slow
def test_five_megabytes_without_a_sentence_are_split(text: str) -> None:
    """Quadratic work would take hours; the suite's time limit ends it."""
    for count in (words, characters):
        found = split_document(Document("s", text), count, SplitSettings.for_window(256))
        assert found[0].start == len(text) - len(text.lstrip())
        assert found[-1].end == len(text)
        assert all(text[a.end : b.start].strip() == "" for a, b in pairwise(found))


def test_no_single_count_is_asked_for_an_endless_text() -> None:
    asked: list[int] = []

    def counted(texts: Sequence[str]) -> list[int]:
        asked.extend(map(len, texts))
        return characters(texts)

    split_document(Document("s", "x" * 1_000_000), counted, SplitSettings(220, 40))
    assert max(asked) <= 220 * 64
    assert sum(asked) < 10 * 1_000_000
