"""Reranking as it is shipped, over stored scores of a real 32B model: the figures that the rules were chosen by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.rerank_replay import PARTS, SCORES, Replay, measured, min_max
from reasonir_agent.config import AgentSettings
from reasonir_agent.evaluation.datasets import DataSet, Split, open_data_set
from reasonir_agent.evaluation.ranking import Found
from tests.evaluation.making import real_data

SPLIT = Split("bees", {"b1": "Why?"}, {"b1": {"d1": 1}})
FOUND = {"b1": [Found(f"d{n}", None, 0.9 - n / 10, 0.9 - n / 10) for n in range(1, 5)]}  # cosines .8, .7, .6, .5


class TestTheReplayItself:
    """By hand, without real data."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        scores = {"b1": {"d4": 1.0, "d2": 0.2, "d1": 0.4, "unknown": 1.0}}
        (tmp_path / "bees.json").write_text(json.dumps(scores), encoding="utf-8")
        return tmp_path

    @pytest.mark.parametrize(
        ("how", "order", "calls"),
        [
            ({}, ["d4", "d1", "d2"], 3),  # .5 x (1 + .5), .5 x (.4 + .8), .5 x (.2 + .7); d3 has no score
            ({"shuffled": True}, ["d4", "d1", "d2"], 3),
            ({"depth": 2}, ["d1", "d2", "d4"], 2),
            ({"depth": 0}, ["d1", "d2", "d4"], 0),
            ({"depth": 1, "most": 9}, ["d4", "d1", "d2"], 3),
            ({"scale": min_max}, ["d1", "d4", "d2"], 3),  # .5 x (.4 + 1), .5 x (1 + 0), .5 x (.2 + .67)
            ({"weight": 1.0}, ["d4", "d1", "d2"], 3),
        ],
    )
    def test_order_and_calls(self, folder: Path, how: dict[str, object], order: list[str], calls: int) -> None:
        replay = Replay(folder, **how)  # type: ignore[arg-type]
        ranking, _ = replay.rerank(SPLIT, FOUND)
        assert [one.id for one in ranking["b1"]] == order
        assert replay.calls == [calls]


@pytest.fixture(scope="module")
def data() -> Path:
    return real_data(*PARTS)


@pytest.fixture(scope="module")
def bright(data: Path) -> DataSet:
    return open_data_set(str(data / "bright_examples"))


@pytest.mark.slow
@pytest.mark.parametrize("name", SCORES)
class TestBright:
    def test_all_scored_passages_raw_cosines_half_and_half(self, data: Path, bright: DataSet, name: str) -> None:
        folder = data / "bright_runs" / name
        alone = measured(data, bright, None)
        score = measured(data, bright, Replay(folder))
        assert round(alone, 3) == 0.306
        assert score >= 0.370
        assert measured(data, bright, Replay(folder, shuffled=True)) == score
        assert measured(data, bright, Replay(folder, scale=min_max)) < score - 0.005

    def test_waves_as_shipped_reach_it_with_fewer_calls(self, data: Path, bright: DataSet, name: str) -> None:
        shipped = AgentSettings()
        waves = Replay(data / "bright_runs" / name, depth=shipped.rerank_depth, most=shipped.rerank_most)
        assert (waves.depth, waves.most, waves.weight) == (30, 100, shipped.rerank_weight)
        score = measured(data, bright, waves)
        first = Replay(data / "bright_runs" / name, depth=30)
        assert score >= max(0.370, measured(data, bright, first))
        every = Replay(data / "bright_runs" / name)
        measured(data, bright, every)
        assert sum(first.calls) < sum(waves.calls) < 0.8 * sum(every.calls)
