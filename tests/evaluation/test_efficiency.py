"""What a query costs. Of times nothing is said but that they were taken; operations are counted by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reasonir_agent.corpus.report import Step
from reasonir_agent.encoder import ReasonIREncoder
from reasonir_agent.errors import InputError
from reasonir_agent.evaluation import efficiency as module
from reasonir_agent.evaluation.datasets import DataSet
from reasonir_agent.evaluation.efficiency import measure
from reasonir_agent.evaluation.ledger import Ledger
from reasonir_agent.evaluation.ranking import FirstStage
from reasonir_agent.evaluation.rerankers import Live, StoredScores
from reasonir_agent.evaluation.results import read_result, write_result
from reasonir_agent.evaluation.retrieval import evaluate
from reasonir_agent.evaluation.runs import StoredRun, write_run
from reasonir_agent.evaluation.systems import LEXICAL, Dense
from reasonir_agent.evaluation.vector_cache import VectorCache
from reasonir_agent.reranking import PRESETS
from reasonir_agent.testing import ScriptedChatServer
from tests.evaluation.making import QRELS, Judge, chat, data_set, split, system, write_lines

BM25 = FirstStage(None, LEXICAL["bm25"])
PARAMETERS = 129_472
"""Of the tiny checkpoint, see tests/encoder/test_beginning.py."""

SKY = "why is the sky blue"
"""15 tokens to the tiny tokenizer."""


def sky(*texts: str, **more: object) -> DataSet:
    """A split that asks these questions."""
    queries = {f"b{n}": text for n, text in enumerate(texts)}
    return data_set(split(queries=queries, qrels=dict.fromkeys(queries, QRELS["bees"]["b1"]), **more))


@pytest.mark.slow
class TestEncoders:
    def dense(self, encoder: ReasonIREncoder, folder: Path) -> FirstStage:
        return FirstStage(Dense("tiny", encoder, VectorCache(folder / "vectors")), None)

    def test_operations_by_hand(self, tmp_path: Path, open_tiny: Callable[..., ReasonIREncoder]) -> None:
        """2 x parameters x tokens, and 2 x 6 documents x 64 dimensions; of three questions the median."""
        first = self.dense(open_tiny(query_instruction=""), tmp_path)
        (row,) = measure(sky(SKY, "why", f"{SKY} {SKY}"), [system(first)]).rows
        assert row.flops_per_query == 2 * PARAMETERS * 15 + 2 * 6 * 64
        assert (row.system, row.stage) == ("ours", "retriever")
        assert row.seconds_per_query > 0

    def test_the_instruction_is_read_too(self, tmp_path: Path, open_tiny: Callable[..., ReasonIREncoder]) -> None:
        encoder = open_tiny()
        flops = []
        for task in (None, "biology"):
            (row,) = measure(sky(SKY, task=task), [system(self.dense(encoder, tmp_path))]).rows
            flops.append(row.flops_per_query)
        prefixes = [encoder.query_prefix, encoder.for_task("biology").query_prefix]
        tokens = [count + 15 for count in encoder.count_tokens(prefixes)]
        assert tokens[0] != tokens[1]
        assert flops == [2 * PARAMETERS * count + 2 * 6 * 64 for count in tokens]

    def test_queries_are_encoded_while_their_time_is_taken(
        self, tmp_path: Path, open_tiny: Callable[..., ReasonIREncoder]
    ) -> None:
        encoder, steps = open_tiny(), list[Step]()
        texts = [f"{SKY} {n}" for n in range(7)]
        result = measure(sky(*texts), [system(self.dense(encoder, tmp_path))], sample=4, progress=steps.append)
        assert encoder.counters.encoded == 6 + 7 + (1 + 4), "documents, all queries for quality, a sample for time"
        assert [(one.done, one.total) for one in steps if one.what == "timing"] == [(n, 4) for n in range(5)]
        assert result.config["sample"] == 4
        again = measure(sky(*texts), [system(self.dense(encoder, tmp_path))], sample=50)
        assert again.config["sample"] == 7


def test_bm25_has_no_network(tmp_path: Path) -> None:
    result = measure(data_set(), [system(BM25)], config={"by": "hand"})
    (row,) = result.rows
    assert row.flops_per_query is None
    assert row.seconds_per_query > 0
    quality = evaluate(data_set(), system(BM25))
    assert row.ndcg == quality.average["ndcg@10"] < 1
    assert result.config == {"by": "hand", "sample": 2, "timed_split": "bees"}
    assert result.provenance.hashes == quality.provenance.hashes
    write_result(tmp_path, result)
    assert read_result(tmp_path) == result


def test_times_are_the_median_of_the_sample_and_the_warm_up_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = iter([1000.0, 9.0, 1.0, 2.0])
    monkeypatch.setattr(module, "_clock", lambda work: (next(taken), work()))
    (row,) = measure(sky("bees?", "honey?", "wax?"), [system(BM25)]).rows
    assert row.seconds_per_query == 2.0
    assert next(taken, None) is None


def test_a_reranker_has_a_row_of_its_own(tmp_path: Path) -> None:
    judge = Judge({"dance": 0, "Smoke": 5, "Meanders": 5, "dam": 5})
    with ScriptedChatServer(judge) as server:
        live = Live(chat(server), PRESETS["default"], Ledger(tmp_path / "finished.jsonl"))
        ours = system(BM25, name="reranked", reranker=live)
        rows = measure(data_set(), [system(BM25, name="alone"), ours], sample=1, reranker_parameters=1e9).rows
        asked = len(judge.judged)
        assert [(row.system, row.stage) for row in rows] == [
            ("alone", "retriever"),
            ("reranked", "retriever"),
            ("reranked", "reranker"),
        ]
        assert rows[0].ndcg == rows[1].ndcg == evaluate(data_set(), system(BM25)).average["ndcg@10"]
        assert rows[2].ndcg == evaluate(data_set(), ours).average["ndcg@10"] < rows[0].ndcg
        assert len(judge.judged) == asked, "the scores for quality are in the ledger"
        assert asked == (3 + 3 + 1 + 1) + 2 * 3, "quality: all candidates; time: warm-up and one query of three"
        assert rows[2].seconds_per_query > 0
        fresh = live.without_ledger()
        given = split("bees")
        assert given.documents is not None
        ranking = BM25.open(given, given.documents).rank(given.queries)
        fresh.rerank(given, {"b1": ranking["b1"]})
        meters = {"b1": fresh.reranker.meter.prompt_tokens + fresh.reranker.meter.completion_tokens}
        fresh = live.without_ledger()
        fresh.rerank(given, {"b2": ranking["b2"]})
        meters["b2"] = fresh.reranker.meter.prompt_tokens + fresh.reranker.meter.completion_tokens
        assert rows[2].flops_per_query in {2 * 1e9 * tokens for tokens in meters.values()}
        unknown = measure(data_set(), [ours], sample=1).rows[1]
        assert unknown.flops_per_query is None


class TestRefused:
    def test_what_was_stored_costs_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "runs").mkdir()
        write_run(tmp_path / "runs" / "bees.trec", {"b1": {"d1": 1.0}}, "x")
        scores = StoredScores(write_lines(tmp_path / "scores.json", [{"b1": {"d1": 1}}]))
        for given in (system(StoredRun(tmp_path / "runs")), system(BM25, reranker=scores)):
            with pytest.raises(InputError, match="the system 'ours' replays what was stored"):
                measure(data_set(), [given])

    @pytest.mark.parametrize("sample", [0, -1])
    def test_an_empty_sample(self, sample: int) -> None:
        with pytest.raises(InputError, match=f"the sample must hold 1 query or more, got {sample}"):
            measure(data_set(), [system(BM25)], sample=sample)

    def test_two_systems_of_one_name(self) -> None:
        with pytest.raises(InputError, match="different names, got ours, ours"):
            measure(data_set(), [system(BM25), system(BM25)])

    def test_a_split_without_documents(self) -> None:
        with pytest.raises(InputError, match="'bees' has no documents"):
            measure(data_set(split(documents=None)), [system(BM25)])
