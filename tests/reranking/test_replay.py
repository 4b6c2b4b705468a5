"""A real model's scores over a public benchmark, replayed: our interpolation gives what was measured for it.

The data is not part of the project. REASONIR_DATA names its folder: `bright_runs/reasonir8b_gpt4cot_top100/*.trec`
(a run of ReasonIR-8B), `bright_runs/qwen32b_pointwise_over_rader_{a,b}/*.json` (scores of a 32B model, 0 to 1), and
`bright_examples/*.jsonl` (gold and excluded ids).
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

from reasonir_agent.reranking import interpolate
from reasonir_agent.types import Hit, Passage


def ndcg_at_10(ranking: list[str], gold: set[str]) -> float:
    """trec_eval's formula with binary gains: rank r (from 1) counts 1 / log2(r + 1)."""
    gained = sum(1 / math.log2(rank + 1) for rank, one in enumerate(ranking[:10], start=1) if one in gold)
    best = sum(1 / math.log2(rank + 1) for rank in range(1, min(10, len(gold)) + 1))
    return gained / best if best else 0.0


def test_ndcg_by_hand() -> None:
    assert ndcg_at_10(["a", "b", "c"], {"a"}) == 1.0
    assert ndcg_at_10(["a", "b", "c"], {"b"}) == pytest.approx(1 / math.log2(3))
    assert ndcg_at_10(["x", "a", "b"], {"a", "b"}) == pytest.approx((1 / math.log2(3) + 0.5) / (1 + 1 / math.log2(3)))
    assert ndcg_at_10([f"x{n}" for n in range(10)] + ["a"], {"a"}) == 0.0
    assert ndcg_at_10(["a"], {f"a{n}" for n in range(20)} | {"a"}) == pytest.approx(
        1 / sum(1 / math.log2(rank + 1) for rank in range(1, 11))
    )


@pytest.fixture(scope="module")
def data() -> Path:
    named = os.environ.get("REASONIR_DATA")
    if not named or not (Path(named) / "bright_runs").is_dir():
        pytest.skip("REASONIR_DATA names no folder with bright_runs; the replay of stored runs needs it")
    return Path(named)


def read_run(file: Path) -> dict[str, dict[str, float]]:
    run: dict[str, dict[str, float]] = {}
    for line in file.read_text(encoding="utf-8").split("\n"):
        if line:
            fields = line.split(" ")  # some ids hold a space: the id is all between Q0 and the last three
            run.setdefault(fields[0], {})[" ".join(fields[2:-3])] = float(fields[-2])
    return run


def score_split(data: Path, scores_name: str, split: str, *, weight: float) -> float:
    run = read_run(data / "bright_runs" / "reasonir8b_gpt4cot_top100" / f"{split}.trec")
    scores = json.loads((data / "bright_runs" / scores_name / f"{split}.json").read_text(encoding="utf-8"))
    examples = (data / "bright_examples" / f"{split}.jsonl").read_text(encoding="utf-8").split("\n")
    found = []
    for example in (json.loads(line) for line in examples if line):
        excluded, gold = set(example["excluded_ids"]), set(example["gold_ids"])
        judged = scores.get(example["id"], {})
        candidates = [
            (Hit(Passage(one, one, 0, 0, ""), cosine), judged[one])
            for one, cosine in run[example["id"]].items()
            if one in judged and one not in excluded
        ]
        result = interpolate([hit for hit, _ in candidates], [score for _, score in candidates], weight=weight)
        found.append(ndcg_at_10([hit.passage.id for hit in result.hits], gold))
    return sum(found) / len(found)


@pytest.mark.slow
@pytest.mark.parametrize("scores_name", ["qwen32b_pointwise_over_rader_a", "qwen32b_pointwise_over_rader_b"])
def test_real_scores_interpolated_reach_what_was_measured(data: Path, scores_name: str) -> None:
    splits = sorted(file.stem for file in (data / "bright_examples").glob("*.jsonl"))
    assert len(splits) == 12
    both = sum(score_split(data, scores_name, split, weight=0.5) for split in splits) / 12
    retriever_alone = sum(score_split(data, scores_name, split, weight=0.0) for split in splits) / 12
    assert both >= 0.370
    assert retriever_alone < both - 0.02, "the replay must be able to fail"
