"""The page as a whole: self-contained, well-formed, safe, the same for the same runs; and wrong input."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from reasonir_agent.errors import InputError, StoreError
from reasonir_agent.evaluation.report import write_report
from reasonir_agent.evaluation.results import Result, RetrievalResult
from tests.evaluation.report import making
from tests.evaluation.report.page import LOADING, Element, read, rows, sections

TOPICS = ["Retrieval: bright", "Query length: bright", "Efficiency: bright-leetcode",
          "Answers: Answers and citations", "RAG: MMLU"]  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page about runs of all kinds."""
    folder = tmp_path_factory.mktemp("whole")
    return write_report(making.all_kinds(folder), folder / "report.html").file


def written(folder: Path, *results: Result) -> Element:
    """The page about results, read back."""
    runs = [making.saved(folder / f"run-{number}", one) for number, one in enumerate(results)]
    return read(write_report(runs, folder / "report.html").file)


@pytest.mark.slow
def test_every_kind_has_its_section(whole: Path) -> None:
    assert list(sections(read(whole))) == TOPICS


@pytest.mark.slow
def test_nothing_is_loaded_and_nothing_runs(whole: Path) -> None:
    page = read(whole)
    for one in page.all():
        assert one.tag not in LOADING
        for name, value in one.attributes.items():
            assert not name.startswith("on")
            assert name not in ("src", "srcset", "xlink:href", "action", "background")
            assert name != "href" or (value or "").startswith("#section-")
    text = whole.read_text(encoding="utf-8")
    assert "://" not in text
    assert "@import" not in text and "url(" not in text
    (policy,) = [one for one in page.every("meta") if one.attributes.get("http-equiv")]
    assert policy.attributes["content"] == "default-src 'none'; style-src 'unsafe-inline'"


@pytest.mark.slow
def test_pictures_are_xml_and_say_what_they_show(whole: Path) -> None:
    pictures = re.findall(r"<svg.*?</svg>", whole.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(pictures) > 20
    for one in pictures:
        root = ElementTree.fromstring(one)
        assert root.get("role") == "img"
        assert root[0].tag == "title" and root[0].text


@pytest.mark.slow
def test_the_page_is_good_for_readers_of_every_kind(whole: Path) -> None:
    page = read(whole)
    assert next(page.every("html")).attributes["lang"] == "en"
    ids = [one.attributes["id"] for one in page.all() if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    linked = {(one.attributes["href"] or "")[1:] for one in page.every("a")}
    assert len(linked) == len(TOPICS) and linked <= set(ids)
    for one in page.every("section"):
        assert one.attributes.get("aria-label") or one.attributes["aria-labelledby"] in ids
    for table in page.every("table"):
        assert next(table.every("caption")).words
        assert all("scope" in one.attributes for one in table.every("th"))
    wide = list(page.every("div", "scroll"))
    assert len(wide) == len(list(page.every("table"))) and all(one.attributes["tabindex"] == "0" for one in wide)


@pytest.mark.slow
def test_the_same_runs_give_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    again = write_report([*_runs(whole)], tmp_path / "again.html").file
    assert again.read_bytes() == whole.read_bytes()


def _runs(whole: Path) -> list[Path]:
    order = ["bright-0", "bright-1", "bright-2", "bright-3", "length", "efficiency", "answers", "rag"]
    return [whole.parent / one for one in order]


def test_only_sections_of_what_was_measured(tmp_path: Path) -> None:
    page = written(tmp_path, making.answers())
    assert list(sections(page)) == ["Answers: Answers and citations"]
    assert not list(page.every("nav"))


def test_the_head_says_what_when_and_with_what(tmp_path: Path) -> None:
    page = written(tmp_path, making.retrieval("bm25"), making.answers())
    (top,) = page.every("header")
    assert "2 runs: 1 of retrieval, 1 of answers. Measured 2026-03-14." in top.words
    assert rows(top, "Runs")[1:] == [
        ["bm25", "retrieval", "meadow", "2026-03-14 09:26", "6.2 min", "0.4.0", "x86_64, 16 cores, Linux"],
        ["extractive", "answers", "21 questions", "2026-03-14 09:26", "41 s", "0.4.0", "x86_64, 16 cores, Linux"],
    ]
    assert ["fusion", '{"weight": 0.5}'] in rows(top, "configuration")
    assert ["numpy", "2.4.6"] in rows(top, "versions")
    hashes = making.provenance(making.SMALL).hashes
    assert rows(top, "hashes") == [[name, one] for name, one in hashes.items()]
    (outer, *_) = top.every("details")
    assert "open" not in outer.attributes


def test_the_head_names_the_first_and_the_last_day(tmp_path: Path) -> None:
    one, two = making.answers("one"), making.answers("two")
    two.provenance.created = "2026-03-12T23:30:00-02:00"
    assert "2 runs of answers. Measured 2026-03-13 to 2026-03-14." in written(tmp_path, one, two).words


def test_warnings_stand_at_the_top(tmp_path: Path) -> None:
    page = written(tmp_path, making.retrieval("bm25", warnings=["2 documents are empty"]))
    assert [one.words for one in next(page.every("section", "warnings")).every("li")] == ["bm25: 2 documents are empty"]
    assert not list(written(tmp_path / "none", making.answers()).every("section", "warnings"))


def test_many_warnings_are_folded_and_none_is_lost(tmp_path: Path) -> None:
    page = written(tmp_path, making.retrieval("bm25", warnings=[f"oddity {n}" for n in range(8)]))
    box = next(page.every("section", "warnings"))
    assert [one.words for one in box.every("li")] == [f"bm25: oddity {n}" for n in range(8)]
    folded = next(box.every("details"))
    assert [one.words for one in folded.every("li")] == [f"bm25: oddity {n}" for n in (5, 6, 7)]
    assert "3 more" in folded.words


def test_secrets_of_a_configuration_are_not_shown(tmp_path: Path) -> None:
    config = {"api_key": "hunter2hunter2", "server": {"api_key": "hunter3"}, "llm": "sk-abcdefghijkl", "k": 8}
    page = written(tmp_path, making.answers().model_copy(update={"config": config}))
    assert "hunter" not in page.words and "abcdefghijkl" not in page.words
    assert ["k", "8"] in rows(next(page.every("header")), "configuration")


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></style></svg><svg onload=alert(1)>",
    "{{ 7 * 191 }}{% include 'page.html' %}",
    "javascript:alert(1)&lt;b&gt;\x00\x1b[31m",
)


@pytest.mark.parametrize("evil", HOSTILE)
def test_foreign_text_is_never_markup(tmp_path: Path, evil: str) -> None:
    splits = {evil: 4, "rivers": 3}
    runs = []
    for number, gain in enumerate((0.0, 0.2)):
        one = making.retrieval(f"{evil} {number}", splits=splits, data_set=evil, gain=gain, warnings=[evil])
        one = one.model_copy(update={"config": {evil: evil}})
        texts = [
            example.model_copy(
                update={
                    "question": evil,
                    "searched_with": evil * 30,
                    "gold": [example.gold[0].model_copy(update={"id": evil, "text": evil * 40})],
                    "top": [example.top[0].model_copy(update={"id": evil, "text": evil})],
                }
            )
            for example in making.examples(one)
        ]
        runs.append(making.saved(tmp_path / f"run-{number}", one, texts))
    wrong = making.answers(evil)
    wrong.questions[evil] = wrong.questions["broken"].model_copy(update={"failed": evil})
    lengths, costs, read_by = (
        making.lengths(evil, evil),
        making.efficiency(evil, evil),
        making.rag(evil, evil, [evil, "b"]),
    )
    lengths.curves[0].encoder = costs.rows[0].system = read_by.reader = read_by.conditions[1].name = evil
    for number, other in enumerate((wrong, lengths, costs, read_by)):
        runs.append(making.saved(tmp_path / f"other-{number}", other))
    file = write_report(runs, tmp_path / "report.html").file
    page = read(file)
    for element in page.all():
        assert element.tag not in LOADING
        assert not [name for name in element.attributes if name.startswith("on")]
    visible = " ".join(evil.replace("\x00", " ").replace("\x1b", " ").split())
    assert page.words.replace("_ ", "_").count(visible) > 40
    assert "1337" not in page.words
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", file.read_text(encoding="utf-8"))


def test_runs_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    same = making.retrieval("bm25")
    paths = [making.saved(tmp_path / one, same) for one in ("x/first", "y/first", "y/second")]
    paths.append(making.saved(tmp_path / "other", making.retrieval("minilm")))
    page = read(write_report(paths, tmp_path / "report.html").file)
    names = [row[0] for row in rows(next(page.every("header")), "Runs")[1:]]
    assert names == ["bm25 (x/first)", "bm25 (y/first)", "bm25 (y/second)", "minilm"]


def test_a_run_given_twice_is_shown_once(tmp_path: Path) -> None:
    one, two = (making.saved(tmp_path / name, making.retrieval(name)) for name in ("bm25", "minilm"))
    found = write_report([one, two, one / "result.json", tmp_path / "bm25" / ".." / "bm25"], tmp_path / "report.html")
    assert found.runs == 2
    assert found.warnings == ("2 of the runs were given more than once; each is shown once",)
    names = [row[0] for row in rows(next(read(found.file).every("header")), "Runs")[1:]]
    assert names == ["bm25", "minilm"]


def test_what_was_measured_on_other_data_stands_apart(tmp_path: Path) -> None:
    page = written(
        tmp_path,
        making.retrieval("bm25"),
        making.retrieval("bm25 in a wood", data_set="wood"),
        making.retrieval("minilm"),
        making.retrieval("other files", salt="x"),
    )
    found = sections(page)
    assert list(found) == ["Retrieval: meadow", "Retrieval: wood", "Retrieval: meadow (contents 2)"]
    assert len(list(found["Retrieval: meadow"].every("table"))) > len(list(found["Retrieval: wood"].every("table")))
    assert "Against bm25" in found["Retrieval: meadow"].words
    assert "Against" not in found["Retrieval: meadow (contents 2)"].words


def test_no_runs_are_wrong_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one run"):
        write_report([], tmp_path / "report.html")


@pytest.mark.parametrize("name", ["empty", "nowhere", "empty/result.json"])
def test_a_folder_without_a_result_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"there is no .*; name a folder that reasonir evaluate wrote"):
        write_report([tmp_path / name], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_result_of_another_version_is_told_as_one(tmp_path: Path) -> None:
    folder = making.saved(tmp_path / "run", making.answers())
    file = folder / "result.json"
    file.write_text(
        json.dumps(json.loads(file.read_text(encoding="utf-8")) | {"format": 2, "more": 1}), encoding="utf-8"
    )
    with pytest.raises(InputError, match=r"result\.json is of format 2, and this version reads format 1"):
        write_report([folder], tmp_path / "report.html")


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format": 1, "kind": "retrieval"}', '{"format": 1, "kind": "weather"}', "{"]
)
def test_a_file_that_is_no_result_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "result.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"result\.json is no result of reasonir evaluate"):
        write_report([tmp_path], tmp_path / "report.html")


def test_a_folder_as_the_file_is_wrong_input(tmp_path: Path) -> None:
    folder = making.saved(tmp_path / "run", making.answers())
    with pytest.raises(InputError, match="is a folder"):
        write_report([folder], tmp_path)


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    folder = making.saved(tmp_path / "run", making.answers())
    blocked = tmp_path / "file"
    blocked.write_text("no folder", encoding="utf-8")
    with pytest.raises(StoreError, match=r"writing .*report\.html"):
        write_report([folder], blocked / "report.html")
    page = write_report([folder], tmp_path / "new" / "folder" / "report.html").file
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [one.name for one in page.parent.iterdir()] == ["report.html"]


def test_the_results_are_only_read(tmp_path: Path) -> None:
    folder = making.saved(tmp_path / "run", making.retrieval("bm25"))
    before = (folder / "result.json").read_bytes()
    write_report([folder], tmp_path / "report.html")
    assert (folder / "result.json").read_bytes() == before
    assert isinstance(RetrievalResult.model_validate_json(before), RetrievalResult)
