"""The page about a data set: complete, self-contained, safe whatever models write, and the same for the same folder."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from reasonir_agent.errors import InputError
from reasonir_agent.llm import Price
from reasonir_trainer.export import take_over
from reasonir_trainer.inspecting import write_page
from reasonir_trainer.synthesis.finishing import finish
from reasonir_trainer.synthesis.pieces import NOT_CHOSEN, Pieces
from reasonir_trainer.synthesis.rows import Outcome
from reasonir_trainer.synthesis.settings import SynthesisSettings
from tests.evaluation.report.page import LOADING, Element, read, rows, sections
from tests.trainer.data_sets import SETTINGS, rejected, row, seed, write_items, write_seeds

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'></summary>&amp;{{ 7 * 7 }}\u202e\x1b[31m"
SECTIONS = ["Examples", "Lengths", "Overlap", "Negatives", "Rejections", "Repetitions", "Cost"]


ALL_MADE = replace(SETTINGS, varied=0)  # an item of each of the twelve seeds


def made(
    folder: Path, outcomes: Iterable[Outcome], *, finished: bool = True, asked: SynthesisSettings = ALL_MADE
) -> Path:
    """A run's folder with settings and seeds."""
    write_items(folder, outcomes)
    write_seeds(folder, [seed(n) for n in range(12)])
    inputs = {"paths": ["notes"], "files": 12, "sha256": "0" * 64}
    settings = {"settings": asked.as_json(), "inputs": inputs, "exclude": [], "exclude_sha256": [], "prompts": 1}
    (folder / "settings.json").write_text(json.dumps(settings))
    if finished:
        finish(folder, settings=asked, price=Price(1.0, 2.0))
    return folder


def some() -> list[Outcome]:
    return [
        *(row(n, "hq" if n % 2 else "vl") for n in range(12)),
        row(50, query=row(3).query + " Surely so?"),
        *(rejected(100 + n) for n in range(4)),
        rejected(110, "too short", detail="3 words", example="Why is that?"),
    ]


def page(folder: Path, **options: int) -> Element:
    return read(write_page(folder, folder / "page.html", **options).file)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("run") / "my set", some())


def test_it_has_a_section_for_everything(whole: Path) -> None:
    found = page(whole)
    assert [name.partition(":")[0] for name in sections(found)] == SECTIONS
    (top,) = found.every("header")
    assert "Data set my set" in top.words and "12 rows from 12 documents, written by openai:scripted" in top.words
    assert "6 varied length, 6 hard query" in top.words and "33.3% of 18 items" in top.words
    assert "12 seeds chosen" in top.words
    assert not list(found.every("section", "warnings"))


def test_an_example_shows_query_positive_and_negative_side_by_side(whole: Path) -> None:
    examples = list(page(whole, examples=2).every("details", "reading"))
    readings = [one for one in examples if not one.words.startswith(("HQ with", "VL with"))]
    assert len(readings) == 4
    one = next(r for n in range(1, 12, 2) if (r := row(n)) and any(r.query in e.words for e in readings))
    (shown,) = [e for e in readings if one.query in e.words]
    titles = [next(side.every("h3")).words for side in shown.every("div", "side")]
    assert titles[:2] == ["Query 23 words", "Positive 81 words"]
    negative = one.negatives[0]
    assert titles[2] == f"Negative 51 words; written; rank {negative.rank}; cosine 0.50"
    told = dict(cells for cells in rows(shown, "Provenance") if len(cells) == 2)
    assert told["id"] == one.id and told["document"] == one.seed.source and told["model"] == "openai:scripted"
    assert rows(shown, "Checks")[1] == ["overlap", "0.25", "0.5", "passed"]


def test_figures_are_those_of_the_rows(whole: Path) -> None:
    parts = {name.partition(":")[0]: part for name, part in sections(page(whole)).items()}
    words = rows(parts["Lengths"], "Words")
    assert ["varied length: query, asked for", "6", "20", "20", "20", "20", "20", "20"] in words
    assert ["varied length: query", "6", "23", "23", "23", "23", "23", "23"] in words
    reasons = rows(parts["Rejections"], "Items by reason")[1:]
    assert [(name, number) for name, _, number, _ in reasons] == [
        ("query mentions the document", "4"), ("repeats another query", "1"), ("too short", "1"),
    ]  # fmt: skip
    cost = rows(parts["Cost"], "Calls, with those for seeds and refused replies")
    assert cost[1:] == [
        ["model calls", "18", "1.5"], ["tokens read", "1,800", "150"], ["tokens written", "720", "60"],
        ["cost", "0.0032", "0.0003"],
    ]  # fmt: skip


def test_a_repetition_is_shown_with_both_texts(whole: Path) -> None:
    part = next(one for name, one in sections(page(whole)).items() if name.startswith("Repetitions"))
    (pair,) = part.every("details", "reading")
    left, kept = pair.every("div", "side")
    assert {left.words.partition("?")[0], kept.words.partition("?")[0]} == {
        f"Left out {max(row(3).id, row(50).id)} {row(3).query[:-1]}",
        f"Kept {min(row(3).id, row(50).id)} {row(3).query[:-1]}",
    }
    assert "similarity of 0." in pair.words


def test_an_unfinished_folder_shows_what_is_there(tmp_path: Path) -> None:
    folder = made(tmp_path / "run", some(), finished=False)
    items = folder / "items-1-of-1.jsonl"
    items.write_text(items.read_text() + '{"id": "torn')
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    found = page(folder)
    (warnings,) = found.every("section", "warnings")
    assert "This run is not finished" in warnings.words
    assert [name.partition(":")[0] for name in sections(found)] == SECTIONS
    assert {file.name: file.read_bytes() for file in folder.iterdir() if file.name != "page.html"} == before


@pytest.mark.parametrize("finished", [True, False])
def test_items_that_are_missing_are_told(tmp_path: Path, finished: bool) -> None:
    folder = made(tmp_path / "run", some(), finished=finished, asked=SETTINGS)  # 2 items of each of 12 seeds, 18 made
    (warnings,) = page(folder).every("section", "warnings")
    assert "6 of 24 items are not made yet" in warnings.words
    if finished:
        assert json.loads((folder / "summary.json").read_text())["missing"] == 6
        assert "6 more were asked for and are not made" in (folder / "README.md").read_text()


def test_pieces_that_became_no_seeds_are_counted_by_reason(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    read = Pieces(files=14, pieces=40, dropped={"too short": 20, "licence text": 2}, unread_count=1)
    read.settled(Counter({"quality below the limit": 5}), good=13, seeds=12).write(folder / "documents-1-of-1.json")
    found = page(made(folder, some()))
    part = next(one for name, one in sections(found).items() if name.startswith("Seeds"))
    assert "40 pieces of 14 files; 12 seeds chosen." in part.words
    reasons = [(name, number) for name, _, number, _ in rows(part, "Pieces that are no seeds, by reason")[1:]]
    assert reasons == [("too short", "20"), ("quality below the limit", "5"), ("licence text", "2"), (NOT_CHOSEN, "1")]
    assert "1 file or record could not be read" in found.words


def test_a_data_set_apart_from_its_run_shows_what_its_summary_knows(tmp_path: Path) -> None:
    run = made(tmp_path / "run", some(), asked=SETTINGS)
    Pieces(files=1, pieces=20, dropped={"too short": 8}, seeds=12).write(run / "documents-1-of-1.json")
    finish(tmp_path / "apart", settings=SETTINGS, price=Price(1.0, 2.0), sources=[run])
    found = page(tmp_path / "apart")
    assert "12 seeds chosen" in next(found.every("header")).words
    assert "20 pieces of 1 file" in found.words and "6 of 24 items are not made yet" in found.words
    assert "model calls 18" in next(found.every("header")).words


def test_a_run_that_has_made_nothing_but_rejections(tmp_path: Path) -> None:
    found = page(made(tmp_path / "run", [rejected(n) for n in range(3)], finished=False))
    assert [name.partition(":")[0] for name in sections(found)] == ["Rejections", "Cost"]


def test_items_that_came_later_are_told(tmp_path: Path) -> None:
    folder = made(tmp_path / "run", some())
    made_at = (folder / "data.jsonl").stat().st_mtime
    os.utime(folder / "items-1-of-1.jsonl", (made_at + 5, made_at + 5))
    (warnings,) = page(folder).every("section", "warnings")
    assert "Items were added after this data set was made" in warnings.words


def test_data_of_another_format_can_be_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "triplets.jsonl"
    file.write_text(json.dumps({"anchor": "why?", "positive": "because", "negative": "no"}) + "\n")
    take_over(file, "triplets", tmp_path / "ours")
    found = page(tmp_path / "ours")
    assert "1 row from 1 document" in found.words and "The seeds of these rows are not at hand." in found.words


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every foreign text is an attack."""
    of = seed(1, source=f"notes/{HOSTILE}.md").model_copy(update={"heading": HOSTILE, "field": HOSTILE})
    bad = row(1).negatives[0].model_copy(update={"text": HOSTILE, "source": HOSTILE})
    made_by = row(1).made.model_copy(update={"model": HOSTILE})
    attack = row(1, of=of, query=HOSTILE, positive=HOSTILE, negatives=(bad,), rewritten=HOSTILE, made=made_by)
    again = row(2, query=HOSTILE)
    refused = rejected(3, HOSTILE, detail=HOSTILE, example=HOSTILE)
    return made(tmp_path_factory.mktemp("hostile") / "run", [attack, again, refused])


class TestSafety:
    def test_nothing_is_loaded_and_nothing_runs(self, hostile: Path) -> None:
        found = page(hostile)
        for one in found.all():
            assert one.tag not in LOADING
            for name, value in one.attributes.items():
                assert not name.startswith("on") and name not in ("src", "srcset", "xlink:href", "action", "background")
                assert name != "href" or (value or "").startswith("#section-")
        (policy,) = [one for one in found.every("meta") if one.attributes.get("http-equiv")]
        assert policy.attributes["content"] == "default-src 'none'; style-src 'unsafe-inline'"

    def test_foreign_texts_are_shown_as_they_are(self, hostile: Path) -> None:
        text = (hostile / "page.html").read_text()
        assert "<script>alert" not in text and "{{ 7 * 7 }}" in text
        assert "\x1b" not in text
        assert "<script>alert(1)</script>" in page(hostile).words

    def test_pictures_are_xml_and_say_what_they_show(self, whole: Path) -> None:
        page(whole)
        pictures = re.findall(r"<svg.*?</svg>", (whole / "page.html").read_text(), flags=re.DOTALL)
        assert len(pictures) > 8
        for one in pictures:
            root = ElementTree.fromstring(one)
            assert root.get("role") == "img" and root[0].tag == "title" and root[0].text


def test_the_same_folder_gives_the_same_bytes(whole: Path) -> None:
    first = write_page(whole, whole / "one.html").file.read_bytes()
    assert write_page(whole, whole / "two.html").file.read_bytes() == first


def test_what_is_no_folder_of_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds neither data\.jsonl nor items"):
        write_page(tmp_path, tmp_path / "page.html")
    with pytest.raises(InputError, match="is no folder"):
        write_page(tmp_path / "none", tmp_path / "page.html")
    with pytest.raises(InputError, match="is a folder; name the file"):
        write_page(tmp_path, tmp_path)
