"""Reranking as it is shipped, over stored scores of a real model: nDCG@10 on BRIGHT, and how many calls it takes.

    python benchmarks/rerank_replay.py DATA

DATA holds `bright_examples` and `bright_runs`: ReasonIR-8B's top 100 with GPT-4's rewritten queries, and a 32B model's
pointwise scores in two files. Those were made for another retriever's candidates, so about 45 of the 100 have one, and
only these take part: the depths are places among them, and no row is what the pair would reach.
"""

from __future__ import annotations

import argparse
import json
import random
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reasonir_agent.bridge import run_sync
from reasonir_agent.config import AgentSettings
from reasonir_agent.corpus.report import Progress
from reasonir_agent.evaluation.datasets import DataSet, Split, open_data_set
from reasonir_agent.evaluation.metrics import HEADLINE
from reasonir_agent.evaluation.ranking import Found, Ranking
from reasonir_agent.evaluation.retrieval import System, evaluate
from reasonir_agent.evaluation.runs import StoredRun
from reasonir_agent.evaluation.searched import Questions
from reasonir_agent.reranking import judge
from reasonir_agent.types import Hit, Passage

RUN = "reasonir8b_gpt4cot_top100"
SCORES = ("qwen32b_pointwise_over_rader_a", "qwen32b_pointwise_over_rader_b")
PARTS = ("bright_examples", f"bright_runs/{RUN}", *(f"bright_runs/{name}" for name in SCORES))

Scaling = Callable[[Sequence[float]], list[float]]


@dataclass
class Stored:
    """Gives one query's stored scores and counts how often it is asked."""

    scores: dict[str, float]
    calls: int = 0

    async def score(self, question: str, passages: Sequence[Passage]) -> list[float | None]:
        self.calls += len(passages)
        found = (self.scores[passage.id] for passage in passages)
        return [None if score < 0 else score for score in found]  # -1: the reply could not be read


@dataclass
class Replay:
    """A second stage for `evaluate`: `judge` over stored scores, scored passages only.

    Attributes:
        folder: of the scores, a file for each split.
        depth: hits of the first wave; None asks about all, 0 about none.
        most: hits that are asked about at most.
        weight: of the reranker.
        scale: what is done to the cosines of a query before.
        shuffled: whether the hits come in any order.
        calls: of each query.
    """

    folder: Path
    depth: int | None = None
    most: int | None = None
    weight: float = 0.5
    scale: Scaling = list
    shuffled: bool = False
    calls: list[int] = field(default_factory=list)
    name: str = "replay"
    hash: str = "replay"
    settings: dict[str, Any] = field(default_factory=dict)

    def rerank(self, split: Split, ranking: Ranking, progress: Progress | None = None) -> tuple[Ranking, list[str]]:
        scores = json.loads((self.folder / f"{split.name}.json").read_text(encoding="utf-8"))
        return {query: self._one(found, scores.get(query, {})) for query, found in ranking.items()}, []

    def _one(self, found: Sequence[Found], scores: dict[str, float]) -> list[Found]:
        candidates = [one for one in found if one.id in scores]
        cosines = self.scale([one.retriever for one in candidates])
        hits = [Hit(Passage(one.id, one.id, 0, 0, ""), cosine) for one, cosine in zip(candidates, cosines, strict=True)]
        if self.shuffled:
            random.Random(len(hits)).shuffle(hits)
        stored = Stored(scores)
        judged = run_sync(judge("", hits, stored, weight=self.weight, depth=self.depth, most=self.most))
        self.calls.append(stored.calls)
        by_id = {one.id: one for one in candidates}
        # scores by place: `judge` orders, and what is behind may tie
        return [replace(by_id[hit.passage.id], score=-float(place)) for place, hit in enumerate(judged.hits)]


def min_max(cosines: Sequence[float]) -> list[float]:
    """Scaled to [0, 1] over the candidates of a query; what the interpolation does not do."""
    low, high = min(cosines, default=0.0), max(cosines, default=0.0)
    return [(one - low) / (high - low) if high > low else 0.0 for one in cosines]


def measured(data: Path, bright: DataSet, reranker: Replay | None) -> float:
    """Average nDCG@10 over BRIGHT's 12 splits."""
    run = StoredRun(data / "bright_runs" / RUN)
    return evaluate(bright, System("replay", run, Questions(), reranker, {}, {})).average[HEADLINE]


def rows(folder: Path) -> list[tuple[str, Replay]]:
    """What is compared, over one file of scores."""
    shipped = AgentSettings()
    depth, most = shipped.rerank_depth, shipped.rerank_most
    found = [("retriever alone, scored passages only", Replay(folder, depth=0))]
    found += [(f"the first {n}", Replay(folder, depth=n)) for n in (10, 20, 30)]
    found += [
        (f"as shipped: {depth}, then waves of 10 up to {most}", Replay(folder, depth=depth, most=most)),
        ("all", Replay(folder)),
        ("all, in any order", Replay(folder, shuffled=True)),
        ("all, cosines scaled min-max", Replay(folder, scale=min_max)),
    ]
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("data", type=Path)
    data = arguments.parse_args().data
    warnings.simplefilter("ignore")
    bright = open_data_set(str(data / "bright_examples"))
    print(f"{'retriever alone':52} {measured(data, bright, None):.4f}")
    for name in SCORES:
        print(f"\n{name:52} nDCG@10   calls a query")
        for label, reranker in rows(data / "bright_runs" / name):
            score = measured(data, bright, reranker)
            print(f"{label:52} {score:7.4f} {sum(reranker.calls) / len(reranker.calls):15.1f}")


if __name__ == "__main__":
    main()
