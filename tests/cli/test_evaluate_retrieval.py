"""`reasonir evaluate retrieval` from the command line to the files: systems, second stages, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reasonir_agent.cli.evaluation.systems import EVALUATIONS
from reasonir_agent.encoder.engine import Engine
from reasonir_agent.evaluation.results import RetrievalResult, read_examples, read_result
from reasonir_agent.testing import ScriptedChatServer
from tests.evaluation.making import QUERIES, REWRITTEN, TEXTS, Judge, write_lines, write_plain, write_rewrites

SCORES = {"dance": 5, "Smoke": 4, "Meanders": 3, "dam": 3}


@pytest.fixture
def tiny(work: Path) -> Path:
    return write_plain(work / "tiny")


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Judge, ScriptedChatServer]]:
    """A chat server that the command line finds by OPENAI_BASE_URL."""
    script = Judge(SCORES)
    with ScriptedChatServer(script, api_key="right") as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "right")
        yield script, server


def result(name: str) -> RetrievalResult:
    found = read_result(EVALUATIONS / name)
    assert isinstance(found, RetrievalResult)
    return found


class TestOutput:
    def test_a_table_and_a_folder_for_each_system(self, run: Any, tiny: Path) -> None:
        found = run("evaluate", "retrieval", "tiny", "--system", "bm25", "--system", "bm25-bright")
        assert found.code == 0
        lines = [line.split() for line in found.out.splitlines()]
        assert lines[0] == ["tiny,", "nDCG@10", "x", "100"]
        assert lines[1] == ["bees", "(2)", "rivers", "(2)", "average", "(4)", "recall@100", "MRR"]
        assert lines[2:4] == [[name, "100.0", "80.7", "90.3", "87.5", "100.0"] for name in ("bm25", "bm25-bright")]
        assert f"tiny, bm25-bright: {EVALUATIONS}/tiny-bm25-bright" in found.err
        for name in ("bm25", "bm25-bright"):
            assert result(f"tiny-{name}").config == {"lexical": name, "searched_with": "the questions"}
            assert len(read_examples(EVALUATIONS / f"tiny-{name}")) == 4

    def test_many_splits_are_lines(self, run: Any, work: Path) -> None:
        write_lines(work / "five" / "corpus.jsonl", [{"id": one, "text": text} for one, text in TEXTS.items()])
        for n in range(5):
            write_lines(work / "five" / f"queries_s{n}.jsonl", [{"id": "q", "text": "bees dance"}])
            (work / "five" / f"qrels_s{n}.tsv").write_text("q\td1\t1\n")
        found = run("evaluate", "retrieval", "five", "--system", "bm25", "--out", "elsewhere")
        lines = [line.split() for line in found.out.splitlines() if line.strip()]
        assert lines[1] == ["bm25"]
        assert lines[2:] == [
            *([f"s{n}", "(1)", "100.0"] for n in range(5)),
            ["average", "(5)", "100.0"],
            ["recall@100", "100.0"],
            ["MRR", "100.0"],
        ]
        assert (work / "elsewhere" / "five-bm25" / "result.json").is_file()

    def test_json_is_one_object_with_all_runs(self, run: Any, tiny: Path) -> None:
        shutil.copytree("tiny", "other")
        words = ["--system", "bm25", "--system", "bm25-bright", "--json"]
        found = run("evaluate", "retrieval", "tiny", "other", *words)
        assert found.code == 0
        runs = [RetrievalResult.model_validate(one) for one in found.json["runs"]]
        assert [(one.data_set, one.name) for one in runs] == [
            (data_set, name) for data_set in ("tiny", "other") for name in ("bm25", "bm25-bright")
        ]
        assert runs[3] == result("other-bm25-bright")

    def test_one_split_of_a_set_under_reasonir_data(
        self, run: Any, work: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_plain(work / "mine" / "tiny-set")
        monkeypatch.setenv("REASONIR_DATA", "mine")
        found = run("evaluate", "retrieval", "tiny-set", "--split", "rivers", "--system", "bm25", "--json")
        (one,) = found.json["runs"]
        assert list(one["splits"]) == ["rivers"]
        assert one["average"] == one["splits"]["rivers"]["measures"]

    def test_warnings_of_the_data_are_notes(self, run: Any, tiny: Path) -> None:
        with (tiny / "queries_bees.jsonl").open("a") as file:
            file.write('{"id": "b3", "text": "\\u001b[31mred?"}\n')
        found = run("evaluate", "retrieval", "tiny", "--system", "bm25")
        assert found.code == 0
        assert "note: tiny/qrels_bees.tsv: queries without a positive judgement, which are left out: 1" in found.err
        assert result("tiny-bm25").warnings


class TestSystems:
    @pytest.mark.slow
    def test_encoders_fusions_and_rewrites_and_again_without_encoding(
        self, run: Any, tiny: Path, golden_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_rewrites(Path("gpt4.jsonl"))
        words = ["evaluate", "retrieval", "tiny", "--rewrites", "gpt4.jsonl", "--json"]
        words += ["--system", golden_folder, "--system", f"{golden_folder}+bm25-reasonir"]
        found = run(*words)
        assert found.code == 0
        dense, fused = found.json["runs"]
        assert fused["name"] == "reasonir-tiny+bm25-reasonir, rewritten by gpt4"
        assert fused["config"] == {
            "encoder": str(golden_folder),
            "lexical": "bm25-reasonir",
            "fusion": "half",
            "searched_with": "gpt4",
        }
        assert "fusion" not in dense["config"]
        assert dense["average"] != fused["average"]
        assert set(dense["provenance"]["hashes"]) == {"encoder", "searched", "split:bees", "split:rivers"}
        examples = read_examples(EVALUATIONS / "tiny-reasonir-tiny-rewritten-by-gpt4")
        assert {one.id: one.searched_with for one in examples} == REWRITTEN

        def never(*_: object) -> None:
            raise AssertionError("something was encoded again")

        monkeypatch.setattr(Engine, "run", never)
        again = run(*words)
        assert again.code == 0, again.err
        assert [one["splits"] for one in again.json["runs"]] == [dense["splits"], fused["splits"]]

    @pytest.mark.slow
    def test_the_usual_system_is_the_products_search(self, run: Any, tiny: Path, golden_folder: Path) -> None:
        found = run("evaluate", "retrieval", "tiny", "--encoder", golden_folder, "--cache", "kept", "--json")
        (one,) = found.json["runs"]
        assert one["name"] == "reasonir-tiny+bm25-reasonir"
        assert one["config"]["fusion"] == "evidence"
        assert sorted(path.name[16:] for path in Path("kept").iterdir()) == ["-documents", "-queries"]

    def test_stored_scores(self, run: Any, tiny: Path) -> None:
        for name in QUERIES:
            given = {query: {one: 1.0 if one in ("d6", "d3") else 0.0 for one in TEXTS} for query in QUERIES[name]}
            write_lines(Path("scores") / f"{name}.json", [given])
        found = run("evaluate", "retrieval", "tiny", "--system", "bm25", "--rerank-scores", "scores", "--json")
        assert found.code == 0
        (one,) = found.json["runs"]
        assert one["name"] == "bm25, reranked by scores"
        assert one["config"]["rerank_weight"] == 0.5
        assert one["splits"]["bees"]["per_query"]["b1"]["mrr"] == 0.5, "d6 with 0.5 + 0.07 stands before d1 with 0.5"

    def test_rankings_scored_again_as_a_stored_run(self, run: Any, tiny: Path) -> None:
        assert run("evaluate", "retrieval", "tiny", "--system", "bm25").code == 0
        stored = f"run:{EVALUATIONS}/tiny-bm25/runs"
        write_rewrites(Path("gpt4.jsonl"))  # for other systems; what is stored was searched already
        found = run("evaluate", "retrieval", "tiny", "--system", stored, "--rewrites", "gpt4.jsonl", "--json")
        assert found.code == 0
        (one,) = found.json["runs"]
        assert (one["name"], one["config"]["searched_with"]) == ("tiny-bm25", "the questions")
        before = result("tiny-bm25")
        assert RetrievalResult.model_validate(one).splits == before.splits
        assert set(one["provenance"]["hashes"]) == {"split:bees", "split:rivers", "run:bees", "run:rivers"}

    def test_a_file_with_rewrites_of_its_own(self, run: Any, tiny: Path) -> None:
        write_rewrites(Path("gpt4.jsonl"))
        Path("ours.toml").write_text('lexical = "bm25"\nrewrites = "gpt4.jsonl"')
        found = run("evaluate", "retrieval", "tiny", "--system", "bm25", "--system", "ours.toml", "--json")
        plain, ours = found.json["runs"]
        assert (plain["name"], ours["name"]) == ("bm25", "ours, rewritten by gpt4")
        assert plain["average"]["recall@100"] < ours["average"]["recall@100"] == 1.0


class TestChatModel:
    def test_the_papers_reranker_is_asked_as_the_paper_does(
        self, run: Any, work: Path, judge: tuple[Judge, ScriptedChatServer]
    ) -> None:
        script, server = judge
        write_plain(work / "bright_pony")
        found = run("evaluate", "retrieval", "bright_pony", "--system", "bm25", "--rerank", "qwen", "--json")
        assert found.code == 0, found.err
        (one,) = found.json["runs"]
        assert one["name"] == "bm25, reranked by qwen:openai:Qwen/Qwen2.5-32B-Instruct"
        assert one["config"]["rerank_depth"] == 100
        assert {(each["model"], each["temperature"], each["top_p"]) for each in server.requests} == {
            ("Qwen/Qwen2.5-32B-Instruct", 0.6, 0.9)
        }
        assert len(script.judged) == 3 + 3 + 1 + 1
        assert script.rewritten == []
        asked = [each["messages"][0]["content"] for each in server.requests[1:]]
        assert all("in the language Pony" in system for system in asked)

    def test_finished_work_is_shared_by_systems_and_kept(
        self, run: Any, tiny: Path, judge: tuple[Judge, ScriptedChatServer]
    ) -> None:
        script, _ = judge
        words = ["evaluate", "retrieval", "tiny", "--llm", "openai:scripted", "--rerank", "default", "--json"]
        words += ["--system", "bm25", "--system", "bm25-reasonir"]
        found = run(*words)
        assert found.code == 0, found.err
        names = [one["name"] for one in found.json["runs"]]
        assert names == [
            f"{name}, rewritten by openai:scripted 350 words, reranked by default:openai:scripted"
            for name in ("bm25", "bm25-reasonir")
        ]
        assert sorted(script.rewritten) == sorted([*QUERIES["bees"].values(), *QUERIES["rivers"].values()])
        assert len(script.judged) == len(set(script.judged))
        calls = (len(script.judged), script.greetings)
        assert calls[1] == 2
        again = run(*words)
        assert (len(script.judged), script.greetings) == calls, "a finished run needs no server"
        assert [one["splits"] for one in again.json["runs"]] == [one["splits"] for one in found.json["runs"]]

    def test_no_rewrite_searches_with_the_questions(
        self, run: Any, tiny: Path, judge: tuple[Judge, ScriptedChatServer]
    ) -> None:
        found = run("evaluate", "retrieval", "tiny", "--llm", "openai:x", "--no-rewrite", "--system", "bm25", "--json")
        assert found.json["runs"][0]["name"] == "bm25"
        assert judge[1].requests == []

    @pytest.mark.parametrize("words", [["--llm", "openai:x"], ["--rerank", "qwen"]])
    def test_a_refused_key_is_exit_code_2(
        self,
        run: Any,
        tiny: Path,
        judge: tuple[Judge, ScriptedChatServer],
        monkeypatch: pytest.MonkeyPatch,
        words: list[str],
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-and-secret")
        found = run("evaluate", "retrieval", "tiny", "--system", "bm25", *words, "--json")
        assert found.code == 2
        assert "refuses the key" in found.json["error"]
        assert "sk-wrong" not in found.out + found.err


class TestRefused:
    @pytest.mark.parametrize(
        ("words", "problem"),
        [
            (["--system", "no-such-encoder"], "unknown encoder 'no-such-encoder'"),
            (["--system", "bm25", "--system", "bm25"], "two systems are called 'bm25'"),
            (["--system", "bm25", "--split", "lakes"], "has no split 'lakes'; it has bees, rivers"),
            (["--system", "bm25", "--rewrites", "nowhere.jsonl"], "nowhere.jsonl"),
            (["--system", "bm25", "--rewrites", "half.jsonl"], "no rewritten query for 2 of the 2 queries"),
            (["--system", "bm25", "--rerank-scores", "nowhere"], "there are no rerank scores at 'nowhere'"),
            (["--system", "bm25", "--rerank", "gwen"], "must be one of default, qwen; got 'gwen'"),
            (["--system", "bm25", "--rerank", "default"], "needs a chat model; give --llm provider:model"),
            (["--system", "bm25", "--rerank", "qwen", "--rerank-scores", "tiny"], "not both"),
            (
                ["--system", "bm25", "--encoder", "minilm"],
                "give systems (--system) or an encoder (--encoder), not both",
            ),
            (["--system", "run:nowhere"], "there is no run 'nowhere'"),
            (["--system", "run:"], "needs the folder"),
            (["--system", "wrong.toml"], "unknown key 'colour'"),
            (["--system", "bm25", "--long"], "has no long documents"),
            (["--system", "bm25", "--colour"], "No such option"),
        ],
        ids=lambda value: "-".join(value) if isinstance(value, list) else None,
    )
    def test_wrong_input_is_one_sentence_and_exit_code_2(
        self, run: Any, tiny: Path, words: list[str], problem: str
    ) -> None:
        write_lines(Path("half.jsonl"), [{"id": "b1", "rewritten": "one"}, {"id": "b2", "rewritten": "two"}])
        Path("wrong.toml").write_text('lexical = "bm25"\ncolour = "red"')
        found = run("evaluate", "retrieval", "tiny", *words)
        assert found.code == 2
        assert found.out == "" or "half.jsonl" in words
        (error,) = [line for line in found.err.splitlines() if line.startswith("error: ")]
        assert problem in error
        as_json = run("evaluate", "retrieval", "tiny", *words, "--json")
        assert as_json.code == 2
        assert problem in as_json.json["error"]

    def test_an_unknown_data_set(self, run: Any) -> None:
        found = run("evaluate", "retrieval", "nowhere", "--system", "bm25", "--json")
        assert found.code == 2
        assert "there is no data set 'nowhere'" in found.json["error"]
        assert run("evaluate", "retrieval").code == 2

    def test_a_set_without_documents_takes_stored_runs_only(self, run: Any, work: Path) -> None:
        rows = [{"id": "q", "query": "bees?", "gold_ids": ["d1"], "excluded_ids": ["N/A"]}]
        write_lines(work / "bare" / "pony.jsonl", rows)
        found = run("evaluate", "retrieval", "bare", "--system", "bm25", "--json")
        assert found.code == 2
        assert "the split 'pony' has no documents; only a stored run" in found.json["error"]
        (work / "pony.trec").write_text("q Q0 d2 1 2.0 x\nq Q0 d1 2 1.0 x\n")
        found = run("evaluate", "retrieval", "bare", "--system", "run:pony.trec", "--json")
        assert found.json["runs"][0]["average"]["mrr"] == 0.5

    def test_two_runs_that_would_share_a_folder(self, run: Any, tiny: Path) -> None:
        Path("one.toml").write_text('name = "a+b"\nlexical = "bm25"')
        Path("two.toml").write_text('name = "a b"\nlexical = "bm25"')
        found = run("evaluate", "retrieval", "tiny", "--system", "one.toml", "--system", "two.toml", "--json")
        assert found.code == 2
        assert f"two runs would be written to {EVALUATIONS}/tiny-a-b" in found.json["error"]
        shutil.copytree("tiny", "more/tiny")
        found = run("evaluate", "retrieval", "tiny", "more/tiny", "--system", "bm25", "--json")
        assert found.code == 2
        assert not EVALUATIONS.exists()

    def test_an_out_that_is_a_file(self, run: Any, tiny: Path) -> None:
        Path("out").write_text("")
        found = run("evaluate", "retrieval", "tiny", "--system", "bm25", "--out", "out", "--json")
        assert found.code == 2
        assert "writing out/tiny-bm25" in found.json["error"]


def test_help_names_every_kind_of_system(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    found = run("evaluate", "retrieval", "--help")
    assert found.code == 0
    for word in ("bm25-bright", "run:FOLDER", "FILE.toml", "--rerank-scores", "REASONIR_DATA"):
        assert word in found.out
    assert json.dumps(found.err) == '""'
