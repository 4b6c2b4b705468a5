"""Citations, quotes and silence, counted by hand over a real corpus and a scripted model."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from reasonir_agent import AgentSettings, Corpus
from reasonir_agent.errors import ChatError, ChatUnavailable, InputError
from reasonir_agent.evaluation.answers import abstention_accuracy, figures, measure
from reasonir_agent.evaluation.ledger import Ledger
from reasonir_agent.evaluation.questions import GoldQuestion
from reasonir_agent.evaluation.results import AnsweredQuestion, AnswersResult
from reasonir_agent.llm import ChatModel, open_chat_model
from reasonir_agent.testing import FakeEncoder, Reply, ScriptedChatServer, write_corpus

TEXTS = {
    "duck.txt": "Ducks keep their feet cold. Warm blood heats the returning cold blood.",
    "bond.txt": "Inflation erodes the value of nominal debts. Borrowers repay with money that buys less.",
    "salt.txt": "Salt slows the yeast in a dough. Bakers use it to control how fast bread rises.",
}
SETTINGS = AgentSettings(rewrite=False, rerank_depth=3, k=3)


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    with Corpus(tmp_path / "store", FakeEncoder(), create=True) as made:
        made.index(write_corpus(tmp_path / "texts", TEXTS))
        yield made


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "run" / "finished.jsonl") as opened:
        yield opened


class Model:
    """Answers by what the question says: `says` maps its first word to quotes, to None for silence, or to a reply."""

    def __init__(self, **says: list[str] | Reply | None) -> None:
        self.says = says
        self.asked: list[str] = []

    def __call__(self, request: Mapping[str, Any]) -> str | Reply:
        system, text = (str(request["messages"][n]["content"]) for n in (0, -1))
        if "Reply with the word" in system:
            return "ready"
        if system.startswith("You judge"):
            return "Score: 3"
        if system.startswith("You decide"):
            return '{"verdict": "answer"}'
        if system.startswith("You check"):
            return json.dumps({"pairs": [{"pair": one["pair"], "supported": True} for one in json.loads(text)]})
        text = str(request["messages"][1]["content"])
        question = text.rpartition("Question:\n")[2]
        self.asked.append(question)
        says = self.says[question.split()[0]]
        if isinstance(says, Reply):
            return says
        if says is None:
            return json.dumps({"found": False, "answer": "Nothing about that."})
        passages = re.findall(r'<passage n="(\d+)">\n(.*?)\n</passage>', text, flags=re.DOTALL)
        cited = [(int(n), quote) for quote in says for n, passage in passages if quote in passage]
        return json.dumps(
            {
                "answer": " ".join(f"So [{n}]." for n, _ in cited),
                "citations": [{"n": n, "quote": quote} for n, quote in cited],
            }
        )


def chat_of(server: ScriptedChatServer, **options: Any) -> ChatModel:
    return open_chat_model("openai:test", base_url=server.base_url, **{"max_retries": 0, "timeout": 5.0, **options})


QUESTIONS = [
    GoldQuestion("both", "both of them?", ("duck", "bond")),
    GoldQuestion("half", "half right?", ("duck",)),
    GoldQuestion("shy", "shy where it could answer?", ("salt",)),
    GoldQuestion("bold", "bold where nothing is known?", ()),
    GoldQuestion("silent", "silent where nothing is known?", ()),
]
SAYS: dict[str, Any] = {
    "both": ["Ducks keep their feet cold", "Borrowers repay"],
    "half": ["Warm blood heats", "Salt slows"],
    "shy": None,
    "bold": ["Bakers use it"],
    "silent": None,
}


def run(corpus: Corpus, ledger: Ledger, model: Model, questions: list[GoldQuestion] | None = None) -> AnswersResult:
    with ScriptedChatServer(model) as server:
        return measure(corpus, questions or QUESTIONS, ledger=ledger, name="t", chat=chat_of(server), settings=SETTINGS)


def test_every_figure_is_what_a_hand_counts(corpus: Corpus, ledger: Ledger) -> None:
    found = run(corpus, ledger, Model(**SAYS))
    assert found.citation_precision == 3 / 5  # duck, bond; duck, salt; salt
    assert found.citation_recall == 3 / 3  # duck and bond of "both", duck of "half"; "shy" was not answered
    assert found.verbatim_share == 1.0
    assert found.answered_share == 3 / 5
    assert found.abstention_accuracy == 3 / 5
    of = list(found.questions.values())
    assert (abstention_accuracy(of, answerable=True), abstention_accuracy(of, answerable=False)) == (2 / 3, 1 / 2)
    assert found.questions["both"] == AnsweredQuestion(
        answerable=True, abstained=False, citations=2, verbatim=2, helping=2, gold=2, gold_cited=2
    )
    assert found.questions["shy"] == AnsweredQuestion(answerable=True, abstained=True, gold=1)
    assert found.questions["bold"] == AnsweredQuestion(answerable=False, abstained=False, citations=1, verbatim=1)
    assert found.warnings == []
    usage = found.config["usage"]
    assert (
        usage["llm_calls"] == 5 * (3 + 2) + 3
    )  # three scores, a grading and an answer each; three answers had quotes to judge
    assert usage["prompt_tokens"] > 0
    assert found.config["llm"] == "openai:test"


def test_two_citations_of_one_document_are_one_document(corpus: Corpus, ledger: Ledger) -> None:
    said = Model(both=["Ducks keep their feet cold", "Warm blood heats"])
    found = run(corpus, ledger, said, [QUESTIONS[0]])
    assert (found.citation_precision, found.citation_recall) == (1.0, 1 / 2)
    assert found.questions["both"].helping == 2


def test_figures_are_none_where_there_is_nothing_to_count() -> None:
    silent = AnsweredQuestion(answerable=False, abstained=True)
    assert figures([silent]) == {
        "citation_precision": None,
        "citation_recall": None,
        "verbatim_share": None,
        "answered_share": 0.0,
        "abstention_accuracy": 1.0,
        "on_answerable": None,
        "on_unanswerable": 1.0,
    }


def test_a_failed_question_is_neither_an_answer_nor_silence() -> None:
    failed = AnsweredQuestion(answerable=True, abstained=False, gold=1, failed="no reply")
    also = AnsweredQuestion(answerable=False, abstained=False, failed="no reply")
    good = AnsweredQuestion(answerable=True, abstained=False, citations=1, verbatim=1, helping=1, gold=1, gold_cited=1)
    found = figures([failed, also, good])
    assert (found["answered_share"], found["abstention_accuracy"], found["citation_recall"]) == (1 / 3, 1 / 3, 1.0)


class TestQuotes:
    """They are checked against the store, not believed."""

    def kept(self, ledger: Ledger, **changed: Any) -> None:
        """Change the one citation that the ledger holds."""
        line = json.loads(ledger.file.read_text(encoding="utf-8").splitlines()[-1])
        line["value"]["citations"][0].update(changed)
        ledger.put(line["key"], line["value"])

    def again(self, corpus: Corpus, ledger: Ledger, **changed: Any) -> AnswersResult:
        said = Model(half=["Warm blood heats"])
        first = run(corpus, ledger, said, [QUESTIONS[1]])
        assert (first.verbatim_share, first.warnings) == (1.0, [])
        self.kept(ledger, **changed)
        second = run(corpus, ledger, said, [QUESTIONS[1]])
        assert said.asked == ["half right?"]
        return second

    @pytest.mark.parametrize(
        "changed",
        [
            {"quote": "Warm blood cools"},
            {"start": 0, "end": 10},
            {"start": 29},
            {"end": 10_000},
            {"start": -5},
            {"source": "elsewhere.txt"},
            {"quote": " "},
        ],
    )
    def test_a_quote_that_does_not_stand_where_it_says_is_counted(
        self, corpus: Corpus, ledger: Ledger, changed: dict[str, Any]
    ) -> None:
        found = self.again(corpus, ledger, **changed)
        assert found.verbatim_share == 0.0
        assert found.warnings == ["1 citations are marked otherwise than the stored documents say"]

    def test_spaces_and_forms_of_signs_do_not_matter(self, corpus: Corpus, ledger: Ledger) -> None:
        found = self.again(corpus, ledger, quote="Warm\u00a0blood\n heats")
        assert (found.verbatim_share, found.warnings) == (1.0, [])

    def test_a_quote_that_is_there_and_marked_unverified_is_told_too(self, corpus: Corpus, ledger: Ledger) -> None:
        found = self.again(corpus, ledger, verified="")
        assert found.verbatim_share == 1.0
        assert found.warnings == ["1 citations are marked otherwise than the stored documents say"]


class TestGoingOn:
    def test_finished_questions_are_not_asked_again(self, corpus: Corpus, ledger: Ledger) -> None:
        first, second = Model(**SAYS), Model(**SAYS)
        one = run(corpus, ledger, first, QUESTIONS[:3])
        two = run(corpus, ledger, second)
        assert sorted(second.asked) == [question.question for question in QUESTIONS[3:]]
        assert one.questions.items() <= two.questions.items()
        with ScriptedChatServer(Model()) as server:
            chat = chat_of(server)
        third = measure(corpus, QUESTIONS, ledger=ledger, name="t", chat=chat, settings=SETTINGS)  # nobody is asked
        assert third.questions == two.questions

    def test_other_gold_ids_need_no_new_answers(self, corpus: Corpus, ledger: Ledger) -> None:
        run(corpus, ledger, Model(**SAYS))
        moved = [GoldQuestion(one.id, one.question, ("salt",)) for one in QUESTIONS]
        said = Model()
        assert run(corpus, ledger, said, moved).citation_precision == 2 / 5
        assert said.asked == []

    @pytest.mark.parametrize("change", ["settings", "corpus", "model"])
    def test_what_shapes_an_answer_makes_it_another(
        self, corpus: Corpus, ledger: Ledger, change: str, tmp_path: Path
    ) -> None:
        asked = [QUESTIONS[1]]
        run(corpus, ledger, Model(**SAYS), asked)
        said = Model(**SAYS)
        settings = AgentSettings(rewrite=False, rerank_depth=2, k=3) if change == "settings" else SETTINGS
        if change == "corpus":
            corpus.index(write_corpus(tmp_path / "more", {"more.txt": "Something else."}))
        with ScriptedChatServer(said) as server:
            chat = chat_of(server)
            chat.name = "openai:other" if change == "model" else chat.name
            measure(corpus, asked, ledger=ledger, name="t", chat=chat, settings=settings)
        assert len(said.asked) == 1

    def test_how_many_are_under_way_shapes_nothing(self, corpus: Corpus, ledger: Ledger) -> None:
        run(corpus, ledger, Model(**SAYS))
        said = Model()
        with ScriptedChatServer(said) as server:
            settings = AgentSettings(rewrite=False, rerank_depth=3, k=3, concurrency=2)
            measure(corpus, QUESTIONS, ledger=ledger, name="t", chat=chat_of(server), settings=settings)
        assert said.asked == []


class TestFailures:
    def test_one_is_recorded_counted_and_tried_again(self, corpus: Corpus, ledger: Ledger) -> None:
        found = run(corpus, ledger, Model(**{**SAYS, "half": Reply("overloaded", status=503)}))
        failed = found.questions["half"]
        assert (failed.abstained, failed.citations, failed.gold, failed.gold_cited) == (False, 0, 1, 0)
        assert "no answer could be had from the model" in failed.failed
        assert len(found.questions) == len(QUESTIONS)
        assert (found.answered_share, found.abstention_accuracy) == (2 / 5, 2 / 5)
        assert any(line.startswith("1 questions failed") for line in found.warnings)
        said = Model(**SAYS)
        assert run(corpus, ledger, said).questions["half"].failed == ""
        assert said.asked == ["half right?"]

    def test_a_quarter_stops_the_run_and_what_is_finished_is_kept(self, corpus: Corpus, ledger: Ledger) -> None:
        many = [GoldQuestion(f"{n}", f"{'good' if n < 6 else 'bad'} question {n}?", ()) for n in range(40)]
        said = Model(good=None, bad=Reply("overloaded", status=503))
        settings = AgentSettings(rewrite=False, rerank_depth=3, k=3, concurrency=1)
        stopped = pytest.raises(ChatError, match=r"2 of 8 questions failed.*the same command goes on")
        with ScriptedChatServer(said) as server, stopped:
            measure(corpus, many, ledger=ledger, name="t", chat=chat_of(server), settings=settings)
        assert len(Ledger(ledger.file)) == 6

    def test_a_refused_key_stops_before_work_starts(self, corpus: Corpus, ledger: Ledger) -> None:
        said = Model(**SAYS)
        with (
            ScriptedChatServer(said, api_key="right") as server,
            pytest.raises(ChatUnavailable, match="refuses the key"),
        ):
            measure(corpus, QUESTIONS, ledger=ledger, name="t", chat=chat_of(server), settings=SETTINGS)
        assert said.asked == []
        assert not ledger.file.exists()

    def test_an_unknown_gold_id_is_named(self, corpus: Corpus, ledger: Ledger) -> None:
        wrong = [GoldQuestion("q7", "why?", ("duck", "goose"))]
        with pytest.raises(InputError, match="'q7' names the document 'goose'"):
            measure(corpus, wrong, ledger=ledger, name="t")


def test_warnings_of_the_agent_are_counted_by_kind(corpus: Corpus, ledger: Ledger) -> None:
    wrong = json.dumps(
        {"answer": "So [1] and [2].", "citations": [{"n": 1, "quote": "x y z"}, {"n": 2, "quote": "(q"}]}
    )

    def script(request: Mapping[str, Any]) -> str:
        system = str(request["messages"][0]["content"])
        if system.startswith("You decide"):
            return '{"verdict": "answer"}'
        return "Score: 3" if system.startswith("You judge") else wrong

    with ScriptedChatServer(script) as server:
        found = measure(corpus, QUESTIONS, ledger=ledger, name="t", chat=chat_of(server), settings=SETTINGS)
    assert found.warnings == [
        "5 questions: none of the model's citations could be verified; sentences were extracted instead"
    ]


def test_without_a_model_sentences_are_extracted(corpus: Corpus, ledger: Ledger) -> None:
    asked = [
        GoldQuestion("feet", "ducks keep their feet cold", ("duck",)),
        GoldQuestion("none", "xylograph quixotic zephyr", ()),
    ]
    steps: list[int] = []
    found = measure(corpus, asked, ledger=ledger, name="t", progress=lambda step: steps.append(step.done))
    assert found.questions["feet"].helping >= 1
    assert found.questions["none"].abstained
    assert (found.verbatim_share, found.abstention_accuracy, found.config["llm"]) == (1.0, 1.0, None)
    assert steps == [0, 1, 2]


@pytest.fixture
def example_store(tmp_path: Path) -> Callable[[], Corpus]:
    root = Path(__file__).parents[2] / "examples"

    def made() -> Corpus:
        corpus = Corpus(tmp_path / "examples", FakeEncoder(), create=True)
        corpus.index(root / "corpus")
        return corpus

    return made


@pytest.mark.slow
def test_the_examples_can_be_measured(example_store: Callable[[], Corpus], ledger: Ledger) -> None:
    from reasonir_agent.evaluation.questions import read_questions

    asked = read_questions(Path(__file__).parents[2] / "examples" / "questions.jsonl")
    with example_store() as corpus:
        found = measure(corpus, asked, ledger=ledger, name="t")
    assert len(found.questions) == len(asked)
    assert found.verbatim_share == 1.0
    assert found.abstention_accuracy is not None
