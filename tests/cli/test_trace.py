"""The page of a question: what it says, that nothing in a document breaks out of it, and that it can be had from the CLI."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reasonir_agent.errors import InputError, StoreError
from reasonir_agent.testing import ScriptedChatServer
from reasonir_agent.tracing import Traced, ids_of, trace_page, write_trace
from reasonir_agent.tracing.markup import joined, tag
from reasonir_agent.tracing.quotes import linked, marked
from reasonir_agent.tracing.ranks import columns_of, draw_ranks
from reasonir_agent.types import Answer, Citation, Hit, Passage, SearchResult, Usage
from tests.evaluation.report.page import Element, parse

HOSTILE = (
    "</p></article></main><script>alert(1)</script><img src=x onerror=alert(2)> \"q\" 'q' & &lt;b&gt; <!-- ]]> "
    "</style><style>*{display:none}</style> \x00\x1b[31m red \u202eright to left"
)


def passage(number: int, text: str = "") -> Passage:
    text = text or f"The words of passage {number}, which are these."
    return Passage.make(f"folder/file-{number}.txt", 100, 100 + len(text), text)


def ranks(ids: Sequence[str], *, scored: bool) -> list[dict[str, Any]]:
    return [{"id": id, "dense": 0.5, "reranker": 0.6 if scored else None, "final": 0.55} for id in ids]


def quoting(n: int, one: Passage, words: str, verified: str = "supported") -> Citation:
    start = one.text.index(words)
    return Citation(n, one.id, one.source, one.start + start, one.start + start + len(words), words, verified)


@pytest.fixture
def passages() -> list[Passage]:
    return [passage(number) for number in range(60)]


@pytest.fixture
def traced(passages: list[Passage]) -> Traced:
    """Two rounds; passage 41 comes up from rank 42, passages 0, 1 and 41 are kept, 0 and 1 are quoted."""
    kept = [passages[0], passages[1], passages[41]]
    ids = [one.id for one in passages]
    up = [ids[0], ids[1], ids[41], *(one for one in ids if one not in (ids[0], ids[1], ids[41]))]
    trace = [
        {"step": "rewrite", "round": 1, "seconds": 2.0, "calls": 1, "rewrites": ["A long rewritten query."], "missing": []},
        {"step": "retrieve", "round": 1, "seconds": 0.5, "calls": 0, "ranks": ranks(ids, scored=False)},
        {"step": "rerank", "round": 1, "seconds": 4.0, "calls": 30, "prompt_tokens": 900, "completion_tokens": 60,
         "cost": 0.25, "ranks": ranks(up, scored=True)},
        {"step": "grade", "round": 1, "seconds": 1.0, "calls": 1, "verdict": "search", "missing": ["what veins do"]},
        {"step": "rewrite", "round": 2, "seconds": 1.0, "calls": 1, "rewrites": ["Veins and arteries."],
         "missing": ["what veins do"]},
        {"step": "grade", "round": 2, "seconds": 0.0, "calls": 0},
        {"step": "answer", "round": 2, "seconds": 1.5, "calls": 2, "abstained": False},
    ]  # fmt: skip
    answer = Answer(
        "Why is that so?",
        ["A long rewritten query.", "Veins and arteries."],
        [Hit(one, 0.5, 3.0, 0.6, 0.55) for one in kept],
        Usage(35, 1200, 160, 0.375, 10.0),
        ["2 of 30 passages got no reranker score"],
        answer="It is so [1]. Nobody knows why. [no source] And [2], [99] and [1, 2].",
        citations=[
            quoting(1, kept[0], "words of passage"),
            quoting(2, kept[1], "which are", "unsupported"),
        ],
    )
    return Traced.of(
        answer, trace, passages={one.id: one for one in passages}, settings={"k": 3, "max_money": None}, asked="today"
    )


def sections(page: Element) -> dict[str, Element]:
    return {next(one.every("h2")).exact: one for main in page.every("main") for one in main.every("section")}


def test_the_page_tells_the_whole_story(traced: Traced) -> None:
    page = parse(trace_page(traced))
    assert next(page.every("h1")).exact == "Why is that so?"
    lead = next(page.every("p", "lead")).exact
    assert lead == "answered with 1 citation · 2 rounds · 35 model calls · 1,360 tokens · 10 s · cost 0.3750"
    assert [one.exact for one in next(page.every("section", "warnings")).every("li")] == [
        "2 of 30 passages got no reranker score"
    ]
    found = sections(page)
    assert list(found) == [
        "Answer", "Through the ranks", "What it searched with", "Cost and time", "Passages that were kept", "Settings",
    ]  # fmt: skip
    assert [one.exact for one in found["What it searched with"].every("h3")] == ["Round 1", "Round 2"]
    told = found["What it searched with"].exact
    assert told.index("A long rewritten query.") < told.index("Something is missing: search again.")
    assert told.index("search again.") < told.index("what veins do") < told.index("Veins and arteries.")
    settings = [[one.exact for one in (*row.every("th"), *row.every("td"))] for row in found["Settings"].every("tr")]
    assert settings == [["k", "3"], ["max money", "–"]]


def test_numbers_of_the_answer_lead_to_passages_with_their_quotes_marked(traced: Traced) -> None:
    answer = sections(parse(trace_page(traced)))["Answer"]
    said = next(answer.every("p", "answer"))
    assert said.exact == "It is so [1]. Nobody knows why. [no source] And [2], [99] and [1, 2]."
    assert [one.attributes["href"] for one in said.every("a")] == ["#passage-1", "#passage-1"]
    assert [one.exact for one in said.every("span", "no-source")] == ["[no source]"]
    founded, doubted = answer.every("article")
    assert (founded.attributes["id"], doubted.attributes["id"]) == ("passage-1", "passage-2")
    assert [one.exact for one in founded.every("mark")] == ["words of passage"]
    assert "The words of passage 0, which are these." in founded.exact and "supports its sentence" in founded.exact
    assert [(one.exact, one.attributes["class"]) for one in doubted.every("mark")] == [("which are", "unsupported")]
    assert "does not support its sentence" in doubted.exact
    assert [one.exact for one in answer.every("h3")] == ["What it rests on", "Quoted without support, and not cited"]


@pytest.mark.parametrize(
    ("spans", "shown"),
    [
        ([], ["0123456789"]),
        ([(0, 3)], ["<012>", "3456789"]),
        ([(2, 6), (4, 8)], ["01", "<23>", "<45>", "<67>", "89"]),
        ([(5, 50)], ["01234", "<56789>"]),
        ([(3, 3)], ["0123456789"]),
        ([(-9, 2)], ["<01>", "23456789"]),
    ],
)
def test_quotes_are_marked_and_no_word_is_lost(spans: list[tuple[int, int]], shown: list[str]) -> None:
    one = Passage.make("a.txt", 100, 110, "0123456789")
    quotes = [Citation(1, one.id, one.source, 100 + start, 100 + end, "") for start, end in spans]
    markup = str(marked(one, quotes))
    assert "".join(shown) == markup.replace("<mark>", "<").replace("</mark>", ">")
    assert parse(markup).exact == one.text


def test_every_step_has_its_time_and_its_cost(traced: Traced) -> None:
    cost = sections(parse(trace_page(traced)))["Cost and time"]
    rows = [[one.exact for one in (*row.every("th"), *row.every("td"))] for row in cost.every("tr")]
    assert [[*row[:2], *row[3:]] for row in rows] == [
        ["Step", "Time", "Calls", "Tokens", "Cost"],
        ["Rewrite", "2 s", "1", "–", "–"],
        ["Retrieve", "500 ms", "0", "–", "–"],
        ["Rerank", "4 s", "30", "960", "0.2500"],
        ["Grade", "1 s", "1", "–", "–"],
        ["Rewrite, round 2", "1 s", "1", "–", "–"],
        ["Answer", "1.5 s", "2", "–", "–"],
        ["All", "10 s", "35", "1,360", "0.3750"],
    ]
    bars = [one for svg in cost.every("svg") for one in svg.every("rect")]
    # 220 pixels are 10 seconds; each bar begins where the one before it ends
    assert [(float(one.attributes["x"] or 0), float(one.attributes["width"] or 0)) for one in bars] == [
        (0, 44), (44, 11), (55, 88), (143, 22), (165, 22), (187, 33)
    ]  # fmt: skip


def test_the_picture_follows_kept_passages_from_far_down(traced: Traced, passages: list[Passage]) -> None:
    columns = columns_of(traced.steps)
    assert [column.heads for column in columns] == [("round 1", "retrieved"), ("round 1", "reranked")]
    picture = draw_ranks(
        columns,
        kept=[hit.passage.id for hit in traced.result.hits],
        cited=traced.cited,
        name_of=traced.name_of,
        width=900,
        labels=250,
    )
    svg = parse(picture.__html__())
    lines = [one.attributes["class"] for one in svg.every("line")]
    assert lines.count("kept c1") == 1 and lines.count("kept c0") == 2
    titles = [one.exact for mark in ("circle", "path") for shape in svg.every(mark) for one in shape.every("title")]
    assert "folder/file-41.txt: round 1, retrieved 42. cosine 0.500, reranker –, final 0.550" in titles
    assert "folder/file-41.txt: round 1, reranked 3. cosine 0.500, reranker 0.60, final 0.550" in titles
    assert "folder/file-42.txt" not in " ".join(titles)  # far down, and not kept
    words = [one.exact for one in svg.every("text")]
    assert words.count("30 more") == 2 and "42" in words
    assert words[-3:] == ["folder/file-0.txt", "folder/file-1.txt", "folder/file-41.txt"]
    heights = [float(one.attributes["y"] or 0) for one in svg.every("text")]
    assert max(heights) < float(next(svg.every("svg")).attributes["height"] or 0)


def test_one_list_is_no_way_through_the_ranks(traced: Traced) -> None:
    alone = replace(traced, steps=tuple(one for one in traced.steps if one.name != "rerank"))
    assert "Through the ranks" not in sections(parse(trace_page(alone)))


def hostile(traced: Traced) -> Traced:
    """The same with hostile words everywhere."""
    result = traced.answer
    assert result is not None
    evil = Passage.make(HOSTILE, 100, 100 + len(HOSTILE), HOSTILE, HOSTILE)
    citations = [Citation(1, evil.id, HOSTILE, 100, 130, HOSTILE[:30], HOSTILE)]
    said = replace(
        result, question=HOSTILE * 3, answer=f"{HOSTILE} [1]", warnings=[HOSTILE], citations=citations,
        hits=[Hit(evil, 0.5)],
    )  # fmt: skip
    steps = [replace(one, rewrites=(HOSTILE * 10,), missing=(HOSTILE,), verdict=HOSTILE) for one in traced.steps]
    renamed = [replace(one, name=HOSTILE if one.name == "answer" else one.name) for one in steps]
    everywhere = {id: replace(one, source=HOSTILE) for id, one in traced.passages.items()}
    return Traced(said, tuple(renamed), {**everywhere, evil.id: evil}, {HOSTILE: HOSTILE}, HOSTILE)


def test_hostile_words_stay_words(traced: Traced) -> None:
    honest, evil = trace_page(traced), trace_page(hostile(traced))
    assert evil.count("alert(1)") > 20
    page = parse(evil)
    allowed = {one.tag for one in parse(honest).all()} | {"details", "summary"}
    assert {one.tag for one in page.all()} <= allowed
    assert not {"script", "img", "iframe", "link", "object", "base", "form"} & allowed
    for element in page.all():
        assert not any(name.startswith("on") or name in ("src", "style", "action") for name in element.attributes)
        assert (element.attributes.get("href") or "#").startswith("#")
    assert len(list(page.every("style"))) == 2
    assert re.findall(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", evil) == []


def test_the_page_forbids_itself_to_load_or_run_anything(traced: Traced) -> None:
    page = trace_page(traced)
    policy = next(one for one in parse(page).every("meta") if "http-equiv" in one.attributes)
    assert policy.attributes["content"] == (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    )
    head = page[: page.index("<style>")]
    assert "Content-Security-Policy" in head
    assert not re.search(r"url\(|@import|https?://", page)


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("Why?", "Why?"),
        ("The crack grows every week, by about a centimetre. Why? " + "And what helps against it? " * 6, "The crack grows every week, by about a centimetre. Why? And what helps against it? And what helps against it? And what helps against it?"),
        ("Hm. " + "word " * 60, "Hm. " + "word " * 30 + "word"),
        ("裂缝每周增长一厘米，" * 5 + "为什么？" + "怎样才能让它停下来？" * 20, "裂缝每周增长一厘米，" * 5 + "为什么？" + "怎样才能让它停下来？" * 10),
    ],
)  # fmt: skip
def test_a_long_question_is_cut_between_sentences(traced: Traced, question: str, title: str) -> None:
    page = trace_page(replace(traced, result=replace(traced.result, question=question)))
    assert f">{title}</h1>" in page
    rest = question.strip().removeprefix(title).strip()
    assert (f'class="question" dir="auto">{rest}</p>' in page) if rest else 'class="question"' not in page


def test_a_text_joined_with_markup_is_escaped_again() -> None:
    assert str(tag("p", "<b>" + tag("i", "x"))) == "<p>&lt;b&gt;&lt;i&gt;x&lt;/i&gt;</p>"
    assert str(tag("p", [tag("i", "x"), None, ["<", ("&",)]])) == "<p><i>x</i>&lt;&amp;</p>"
    assert str(tag("a", href='"><x', aria_label="a", class_=None, hidden=True)) == (
        '<a href="&quot;&gt;&lt;x" aria-label="a" hidden></a>'
    )
    assert str(joined("a", tag("meta", name="b"))) == 'a<meta name="b">'
    assert str(linked("[0] [1, 2] [x]", [])) == '<span class="cite">[0]</span> <span class="cite">[1, 2]</span> [x]'


def test_a_search_and_an_abstention_have_pages_too(traced: Traced) -> None:
    result = traced.answer
    assert result is not None
    nothing = replace(result, answer="Nothing was found.", abstained=True, citations=[])
    page = parse(trace_page(replace(traced, result=nothing)))
    assert "No answer found" in sections(page) and not list(page.every("article"))
    assert next(page.every("p", "lead")).exact.startswith("abstained · 2 rounds")
    alone = SearchResult("Why?", [], list(result.hits), Usage(seconds=0.25))
    page = parse(trace_page(Traced.of(alone, [], passages={}, settings={})))
    assert list(sections(page)) == ["Passages that were kept"]
    assert next(page.every("p", "lead")).exact == "3 passages · 250 ms"
    assert list(sections(parse(trace_page(Traced.of(replace(alone, hits=[]), [], passages={}, settings={}))))) == []


def test_a_passage_that_has_left_the_store_is_shown_by_its_quote(traced: Traced) -> None:
    gone = replace(traced, passages={})
    answer = sections(parse(trace_page(gone)))["Answer"]
    assert [one.exact for one in answer.every("mark")] == ["words of passage", "which are"]
    assert gone.name_of("0123456789abcdef") == "passage 01234567"


def test_the_ids_of_a_trace_are_each_named_once() -> None:
    trace = [{"step": "retrieve", "ranks": ranks(["a", "b"], scored=False)}, {"step": "rerank"},
             {"step": "rerank", "ranks": ranks(["b", "c"], scored=True)}]  # fmt: skip
    assert ids_of(trace) == ["a", "b", "c"]


def test_a_page_is_replaced_whole_or_not_at_all(traced: Traced, tmp_path: Path) -> None:
    file = tmp_path / "new" / "folder" / "trace.html"
    write_trace(traced, file)
    assert file.read_text(encoding="utf-8") == trace_page(traced)
    assert [one.name for one in file.parent.iterdir()] == ["trace.html"]
    with pytest.raises(InputError, match=r"is a folder; name the file of the trace"):
        write_trace(traced, tmp_path)
    with pytest.raises(StoreError, match="writing"):
        write_trace(traced, file / "below a file.html")


QUESTION = "Why do ducks not freeze to the ice?"


def test_ask_leaves_a_page(run: Any, indexed: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def script(request: Any) -> str:
        system, text = (str(request["messages"][i]["content"]) for i in (0, 1))
        if system.startswith("You answer"):
            shown = re.findall(r'<passage n="(\d+)">(.*?)</passage>', text, re.S)
            n = next(int(n) for n, words in shown if "Ducks keep" in words)
            citation = {"n": n, "quote": "Ducks keep their feet cold"}
            return json.dumps({"found": True, "answer": f"They stay cold there [{n}].", "citations": [citation]})
        if system.startswith("You check"):
            return '{"pairs": [{"pair": 1, "supported": true}]}'
        if system.startswith("You decide"):
            return '{"verdict": "answer", "missing": []}'
        return "Score: 3" if system.startswith("You judge") else "Ducks and the exchange of heat in their legs."

    with ScriptedChatServer(script) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        words = ("ask", QUESTION, "--store", indexed / "store", "--llm", "openai:big", "--trace", "pages/trace.html")
        found = run(*words)
        as_json = run(*words, "--json")
    assert found.code == as_json.code == 0
    assert found.err.splitlines()[-1] == "trace: pages/trace.html"
    assert as_json.json["warnings"] == [] and "trace" not in as_json.json
    page = parse((work / "pages" / "trace.html").read_text(encoding="utf-8"))
    told = sections(page)
    assert [one.exact for one in told["Answer"].every("mark")] == ["Ducks keep their feet cold"]
    assert "Ducks and the exchange of heat in their legs." in told["What it searched with"].exact
    assert "The passages suffice: answer." in told["What it searched with"].exact
    assert "texts/ducks.txt" in told["Through the ranks"].exact
    assert {"openai:big", "minilm"} <= {one.exact for one in told["Settings"].every("td")}


def test_a_search_without_a_model_leaves_a_page(run: Any, indexed: Path, work: Path) -> None:
    found = run("search", QUESTION, "--store", indexed / "store", "--trace", "t.html", "--where", "source=texts/*")
    assert found.code == 0
    assert "Ducks keep their feet cold" in (work / "t.html").read_text(encoding="utf-8")


def test_a_page_that_cannot_be_written_is_told_and_the_result_is_there(run: Any, indexed: Path, work: Path) -> None:
    (work / "folder").mkdir()
    refused = run("ask", QUESTION, "--store", indexed / "store", "--trace", "folder", "--json")
    assert refused.code == 2 and "is a folder" in refused.json["error"]
    (work / "file").write_text("x")
    found = run("ask", QUESTION, "--store", indexed / "store", "--trace", "file/t.html", "--json")
    assert found.code == 0 and found.json["citations"]
    assert "the trace was not written" in found.json["warnings"][-1]
