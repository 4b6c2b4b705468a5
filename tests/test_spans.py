"""Spans: who collects gets counts and durations, never a text; who does not pays nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reasonir_agent.agent import ask, build_agent
from reasonir_agent.bridge import run_sync
from reasonir_agent.corpus import Corpus
from reasonir_agent.encoder import ReasonIREncoder
from reasonir_agent.reranking import judge
from reasonir_agent.spans import span
from reasonir_agent.testing import FakeEncoder, write_corpus
from reasonir_agent.types import Hit, Passage

SECRET = "zanzibarite"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What a program's own tracer collects."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(trace, "get_tracer", lambda name, version=None: provider.get_tracer(name, version))
    yield kept
    provider.shutdown()


def attributes(one: ReadableSpan) -> dict[str, object]:
    return dict(one.attributes or {})


class Halves:
    """Gives no score to every fifth passage."""

    async def score(self, question: str, passages: list[Passage]) -> list[float | None]:
        return [None if passage.start % 5 == 4 else 0.5 for passage in passages]


def test_encoding_leaves_counts_and_no_text(spans: InMemorySpanExporter, golden_folder: Path) -> None:
    encoder = ReasonIREncoder(golden_folder, device="cpu")
    encoder.encode_queries([SECRET, SECRET, "ducks"])
    (one,) = spans.get_finished_spans()
    assert one.name == "reasonir.encode"
    assert attributes(one) == {"reasonir.model": encoder.name, "reasonir.query": True, "reasonir.texts": 2}
    assert one.end_time is not None and one.start_time is not None and one.end_time > one.start_time
    assert SECRET not in one.to_json()


def test_reranking_leaves_how_many_were_scored_and_failed(spans: InMemorySpanExporter) -> None:
    hits = [Hit(Passage.make("a", n, n + 1, SECRET), 0.5) for n in range(12)]
    run_sync(judge(SECRET, hits, Halves(), weight=0.5, depth=10))
    (one,) = spans.get_finished_spans()
    assert one.name == "reasonir.rerank"
    assert attributes(one) == {
        "reasonir.passages": 12,
        "reasonir.depth": 10,
        "reasonir.scored": 8,
        "reasonir.failures": 2,
    }
    assert SECRET not in one.to_json()


def test_a_question_is_one_tree_of_spans(spans: InMemorySpanExporter, tmp_path: Path) -> None:
    write_corpus(tmp_path / "texts", [f"{SECRET} is a mineral.", "Ducks swim."])
    with Corpus(tmp_path / "store", FakeEncoder(), create=True) as corpus:
        corpus.index(tmp_path / "texts")
        graph = build_agent(store=corpus, encoder=corpus.encoder)
        with span("question"):
            ask(SECRET, store=corpus)
        assert graph.name == "reasonir"
    found = spans.get_finished_spans()
    steps = [one.attributes["reasonir.step"] for one in found if one.attributes and one.name == "reasonir.step"]
    assert steps[:4] == ["begin", "rewrite", "retrieve", "rerank"]
    assert len({one.context.trace_id for one in found if one.context}) == 1
    assert SECRET not in "".join(one.to_json() for one in found)


def test_a_failure_leaves_its_kind_and_not_its_message(spans: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match=SECRET), span("encode", model=None):
        raise ValueError(SECRET)
    (one,) = spans.get_finished_spans()
    assert attributes(one) == {"error.type": "ValueError"}
    assert one.status.status_code is trace.StatusCode.ERROR
    assert SECRET not in one.to_json()


PROGRAM = """
import sys
{before}
from reasonir_agent.spans import span
with span("encode", texts=2) as note:
    note(more=1)
assert [name for name in sys.modules if name.startswith("opentelemetry")] == [], "it was imported"
print("done")
"""


@pytest.mark.parametrize("before", ["", 'sys.modules["opentelemetry"] = None'], ids=["not imported", "not installed"])
def test_without_opentelemetry_nothing_happens_and_nothing_is_imported(before: str) -> None:
    program = PROGRAM.format(before=before)
    if before:
        program = program.replace('name.startswith("opentelemetry")', 'name.startswith("opentelemetry.")')
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr) == ("done\n", "")
