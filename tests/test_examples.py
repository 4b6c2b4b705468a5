"""The examples run as they are, offline."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(name: str, *options: str) -> str:
    """What an example prints; a warning in it is an error."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def holds(printed: str, *parts: str) -> None:
    """All parts, in this order."""
    at = 0
    for part in parts:
        assert part in printed[at:], printed
        at = printed.index(part, at) + len(part)


@pytest.mark.slow
def test_asking_a_folder_prints_both_answers_with_citations() -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "01_ask_a_folder.py")], capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "== without a model" in done.stdout
    scripted = done.stdout.split("== with a scripted model")[1]
    assert "stress-concentration.md" in scripted
    assert "“the sharper the tip, the higher the stress”" in scripted
    assert "34 model calls" in scripted  # a rewrite, 30 passages, a decision, an answer, a look at its quote


@pytest.mark.slow
def test_mteb_and_we_agree_on_every_figure() -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "02_mteb.py")], capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "on 40 questions" in done.stdout
    figures = re.findall(r"(\S+) +ours (0\.\d+|1\.0+) +MTEB (0\.\d+|1\.0+)", done.stdout)
    assert [name for name, _, _ in figures] == ["ndcg@10", "recall@100", "mrr"]
    assert all(ours == theirs for _, ours, theirs in figures), done.stdout
    assert 0.3 < float(figures[0][1]) < 1  # equal zeros would be equal too


@pytest.mark.slow
def test_a_chain_finds_what_it_missed_with_one_line_changed() -> None:
    before, after = run("03_langchain_chain.py").split("== with ReasonIRRetriever")
    holds(before, "10 notes in a Chroma collection", "== the chain as it was", "The passages do not say.")
    assert "eccentric-contraction.md" not in before
    holds(after, "eccentric-contraction.md", "dense_score", "lexical_score", "reranker_score 1.00", "final_score")
    assert "Downhill the thighs brake" in after


@pytest.mark.slow
def test_an_agent_cites_from_what_its_tool_found() -> None:
    printed = run("04_langgraph_agent.py")
    holds(printed, "Citations:", "[1] stress-concentration.md")
    assert "[99] no such passage, dropped" in printed


@pytest.mark.slow
def test_chroma_alone_and_the_way_from_another_embedder() -> None:
    printed = run("07_chroma.py")
    holds(printed, "our own: 12 documents; ['stress-concentration'", "its embedding function is 'openai'")
    holds(printed, "after: vectors of 384 numbers; ['stress-concentration'", "-before-", "vectors of 1536 numbers")


@pytest.mark.slow
def test_the_http_server_speaks_with_the_openai_client() -> None:
    printed = run("08_http_server.py")
    holds(printed, "== embeddings", "== chat", "(scoring 6 passages)", "“the sharper the tip, the higher the stress”")
    holds(printed, "payload: [", "reasonir-rerank: [('stress-concentration'", "stopped")


@pytest.mark.slow
def test_an_assistant_by_mcp() -> None:
    printed = run("09_mcp.py")
    holds(printed, "tools: search, ask, read_passage", "stress-concentration.md:", "[1] stress-concentration.md")
    holds(printed, "read_passage: ", "no document of this store has the field 'colour'")


@pytest.mark.slow
def test_a_query_engine_of_llama_index() -> None:
    alone, ours = run("06_llama_index.py").split("== rewritten, by meaning and by words, reranked")
    assert "== the embedding alone, in LlamaIndex's own engine" in alone
    assert "stress-concentration.md" in ours.strip().splitlines()[1] or "stress-concentration.md" in ours
    holds(ours, "reranker 1.0")
    holds(ours, "13 model calls")


@pytest.mark.slow
def test_somebody_s_own_encoder_here_and_behind_a_server() -> None:
    printed = run("10_custom_encoder.py")
    holds(printed, "81 passages", "== an encoder of your own", "stress-concentration.md")
    holds(
        printed,
        "'hashing' behind a server, 512 numbers",
        "stress-concentration.md",
        "cannot be searched with 'hashing'",
    )


@pytest.mark.slow
def test_training_data_are_made_looked_at_exported_and_opened() -> None:
    printed = run("11_synthesize.py")
    holds(printed, "$ reasonir-trainer synthesize", "rows in", "data.jsonl", "model calls")
    holds(printed, "$ reasonir-trainer inspect", "rejected:", "page.html")
    holds(printed, "$ reasonir-trainer export", "train.jsonl", "held out in", "$ reasonir evaluate retrieval", "bm25")
    holds(printed, "datasets: ", "rows with id, kind, query, positive", "rows with anchor, positive, negative")
    holds(printed, "all-MiniLM-L6-v2 before training", "cosine_accuracy")


@pytest.mark.slow
def test_an_encoder_is_made_from_a_folder_measured_and_asked(tmp_path: Path) -> None:
    out = tmp_path / "made"
    printed = run("12_train.py", "--seeds", "8", "--steps", "2", "--batch", "4", "--out", str(out))
    holds(printed, "scripted model: this proves the road, not the method", "$ reasonir-trainer synthesize", "rows in")
    holds(printed, "rows held out in", "$ reasonir-trainer train", "encoder: ", "$ reasonir evaluate retrieval")
    holds(printed, "--system minilm", "nDCG@10", "$ reasonir evaluate retrieval", f"--system {out}", "nDCG@10")
    holds(printed, "on top of sentence-transformers/all-MiniLM-L6-v2", "the same vector within", "$ reasonir index")
    holds(printed, f"--encoder {out}/trained/model", "$ reasonir ask", "[1] ", "nothing about the method")
    difference = float(re.findall(r"same vector within (\S+)", printed)[0])
    assert difference <= 1e-5
