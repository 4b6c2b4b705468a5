from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasonir_agent.sentences import sentence_spans


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("  It rains.\n It pours. ", ["It rains.", "It pours."]),
        ("No end at all", ["No end at all"]),
        ('"Stop!" He ran. (Fast.) Then he fell.', ['"Stop!"', "He ran.", "(Fast.)", "Then he fell."]),
        ("What?! Never.", ["What?!", "Never."]),
        ("A heading\n\nA line without a stop\n \nAnother", ["A heading", "A line without a stop", "Another"]),
        ("It weighs 3.14 kg. Not 2.5 kg.", ["It weighs 3.14 kg.", "Not 2.5 kg."]),
        ("It boils at 100. 50 is not enough.", ["It boils at 100.", "50 is not enough."]),
        ("The answer is no. Then he left.", ["The answer is no.", "Then he left."]),
        ("it ended. but the next began small.", ["it ended. but the next began small."]),
        ("", []),
        (" \n\t ", []),
    ],
)
def test_english_sentences_end_at_full_stops_and_paragraphs(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Smith met Mrs. Jones and Prof. Xu on St. Mary Road.",
        "J. R. R. Tolkien wrote it.",
        "The U.S. Army marched.",
        "Use signs, e.g. Greek ones, i.e. Alpha.",
        "See Fig. 3, Eq. 4, No. 5 and pp. 10 to 12.",
        "Shown before (Weber et al. 2020).",
        "Dogs vs. Cats, approx. 50 each.",
    ],
)
def test_an_abbreviation_ends_no_sentence(text: str) -> None:
    assert sentences(text) == [text]


def test_a_paragraph_ends_even_after_an_abbreviation() -> None:
    assert sentences("It is rich in vitamin C.\n\nIron is rare.") == ["It is rich in vitamin C.", "Iron is rare."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "水往低处流。人往高处走！真的吗？是的；当然。",
            ["水往低处流。", "人往高处走！", "真的吗？", "是的；", "当然。"],
        ),
        ("他说：“下雨了。”然后走了。", ["他说：“下雨了。”", "然后走了。"]),
        ("「行こう。」と言った。", ["「行こう。」", "と言った。"]),
        ("真的？！不会吧。", ["真的？！", "不会吧。"]),
        ("圆周率是3.14。对。", ["圆周率是3.14。", "对。"]),
        ("没有句号", ["没有句号"]),
    ],
)
def test_chinese_and_japanese_sentences_end_without_a_space(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


TEXTS = st.text(alphabet=st.one_of(st.sampled_from(list(" \n\tAabz.!?。！？；”\"')(，中\u3000\x1c")), st.characters()))


@settings(deadline=None, max_examples=300)
@given(TEXTS)
def test_everything_but_white_space_is_in_exactly_one_span(text: str) -> None:
    spans = sentence_spans(text)
    covered = [place for start, end in spans for place in range(start, end)]
    assert covered == sorted(set(covered))  # ordered and disjoint
    assert all(text[start:end].strip() == text[start:end] != "" for start, end in spans)
    assert "".join(text[place] for place in sorted(set(range(len(text))) - set(covered))).strip() == ""


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", ["a" * 1_000_000, ". " * 300_000, "\n" * 1_000_000, ". " + " " * 1_000_000 + "a"])
def test_the_time_grows_with_the_length_alone(text: str) -> None:
    spans = sentence_spans(text)
    assert sum(end - start for start, end in spans) >= len("".join(text.split()))
