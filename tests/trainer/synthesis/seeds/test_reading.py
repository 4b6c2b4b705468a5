import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasonir_agent.errors import InputError
from reasonir_agent.types import Document, Section
from reasonir_trainer.synthesis.rows import Seed
from reasonir_trainer.synthesis.seeds.reading import pieces, spans
from reasonir_trainer.synthesis.seeds.report import SeedReport
from reasonir_trainer.synthesis.word_runs import count_words


def sentences(words: int, *, name: str = "w") -> str:
    """So many words in sentences of ten."""
    return " ".join(f"{name}{n}." if n % 10 == 9 else (f"W{n}" if n % 10 == 0 else f"{name}{n}") for n in range(words))


def read(paths, least=5, most=40) -> tuple[list[Seed], SeedReport]:
    report = SeedReport()
    return list(pieces([str(path) for path in paths], least=least, most=most, report=report)), report


def test_a_document_is_cut_at_sentences_into_pieces_of_at_most_so_many_words(tmp_path):
    text = sentences(95)
    (tmp_path / "a.txt").write_text(text)
    found, report = read([tmp_path / "a.txt"])
    assert [count_words(one.text) for one in found] == [40, 40, 15]
    assert all(text[one.start : one.end] == one.text for one in found)
    assert all(before.end <= after.start for before, after in pairwise(found))  # no overlap
    assert (report.files, report.pieces, report.skipped) == (1, 3, [])


def test_short_sections_go_together_under_the_headings_that_they_share(tmp_path):
    text = f"# Birds\n\n## Ducks\n\n{sentences(6)}\n\n## Geese\n\n{sentences(6)}\n\n# Fish\n\n{sentences(30)}\n"
    (tmp_path / "a.md").write_text(text)
    found, _ = read([tmp_path], least=10)
    assert [one.heading for one in found] == ["Birds", "Fish"]
    assert "## Ducks" in found[0].text and "## Geese" in found[0].text
    assert all(text[one.start : one.end] == one.text for one in found)


def test_a_long_section_keeps_its_own_heading(tmp_path):
    (tmp_path / "a.md").write_text(f"# Birds\n\n## Ducks\n\n{sentences(30)}\n\n## Geese\n\n{sentences(30)}\n")
    found, _ = read([tmp_path], least=10)
    assert [one.heading for one in found] == ["Birds > Ducks", "Birds > Geese"]


def test_files_come_in_order_of_their_names_whatever_way_they_are_given(tmp_path):
    for name in ("b.txt", "a.txt", "c/d.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(sentences(20, name=name[0]))
    forward, _ = read([tmp_path])
    backward, report = read([tmp_path / "c", tmp_path / "b.txt", tmp_path / "a.txt", tmp_path])
    assert forward == backward
    assert [one.source.rpartition("/")[2] for one in forward] == ["a.txt", "b.txt", "d.txt"]
    assert report.files == 3


def test_records_name_their_place(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        f'{{"id": "x", "text": "{sentences(10)}"}}\n{{"id": "y", "text": "Other words."}}'
    )
    assert [one.source.partition("#")[2] for one in read([tmp_path])[0]] == ["id=x", "id=y"]


def test_what_cannot_be_read_is_skipped_and_named(tmp_path):
    (tmp_path / "a.txt").write_text(sentences(20))
    (tmp_path / "b.bin").write_bytes(b"\0\1\2")
    (tmp_path / "c.txt").write_bytes(b"")
    (tmp_path / "d.jsonl").write_text('{"id": "x", "text": "Good words here."}\nno json\n')
    found, report = read([tmp_path])
    assert {one.source.rpartition("/")[2] for one in found} == {"a.txt", "d.jsonl#id=x"}
    assert [(one.path.rpartition("/")[2], one.reason) for one in report.skipped] == [
        ("b.bin", "no reader for .bin"),
        ("c.txt", "is empty"),
        ("d.jsonl:2", "is not valid JSON"),
    ]
    assert report.files == 2


def test_halves_of_characters_are_replaced_and_the_span_stays(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": "x", "text": "Half \\ud800 of a pair."}')
    (one,), _ = read([tmp_path])
    assert "\ufffd" in one.text and one.end - one.start == len(one.text)
    one.model_dump_json().encode()


def test_paths_that_are_missing_and_lengths_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(InputError, match="there is no file or folder"):
        read([tmp_path / "none"])
    with pytest.raises(InputError, match="no file or folder was given"):
        read([])
    with pytest.raises(InputError, match="least <= most"):
        read([tmp_path], least=41)


def test_an_introduction_keeps_its_heading_when_a_few_words_of_a_subsection_go_with_it(tmp_path):
    (tmp_path / "a.md").write_text(f"# Birds\n\n{sentences(30)}\n\n## Ducks\n\nThey swim.\n")
    found, _ = read([tmp_path], least=10)
    assert [one.heading for one in found] == ["Birds"]


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 10**6), st.integers(0, 30), st.integers(5, 60))
def test_pieces_cover_the_words_once_and_keep_to_the_bound(number, least, most):
    chance = random.Random(number)
    text, sections = "", []
    for at in range(chance.randrange(1, 6)):
        start = len(text)
        text += sentences(chance.randrange(0, 90), name=f"s{at}x") + chance.choice(["\n\n", " ", "\n# "])
        sections.append(Section(start, len(text), ("Top", f"H{at}")[: chance.randrange(3)]))
    found = list(spans(Document("x", text, tuple(sections)), least=min(least, most), most=most))
    covered = [text[start:end] for start, end, _ in found]
    assert "".join("".join(covered).split()) == "".join(text.split())
    assert all(count_words(piece) <= most for piece in covered)
    assert all(before[1] <= after[0] for before, after in pairwise(found))
