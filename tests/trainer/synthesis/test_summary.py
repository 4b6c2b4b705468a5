"""Counts that can be checked by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from reasonir_agent.llm import Price
from reasonir_trainer.synthesis.rows import Negative
from reasonir_trainer.synthesis.summary import Spread, Tally, costs, overlap, rank_group
from tests.trainer.data_sets import rejected, row, write_items


def test_a_spread_is_least_quartiles_most_and_mean() -> None:
    found = Spread.of([4, 1, 2, 3, 10])
    assert found == Spread(count=5, mean=4, least=1, lower=2, median=3, upper=4, most=10)
    assert Spread.of([]) is None


def test_overlap_counts_different_stems_without_function_words() -> None:
    assert overlap("Why do freezing lakes freeze from the top?", "Ice freezes; a lake has ice.") == pytest.approx(2 / 3)
    assert overlap("the of and", "the of and") == 0.0


@pytest.mark.parametrize(("rank", "group"), [(None, "not ranked"), (1, "1"), (2, "2 to 5"), (20, "11 to 20"),
                                             (21, "21 to 50"), (100, "51 to 100"), (101, "over 100")])  # fmt: skip
def test_ranks_are_grouped(rank: int | None, group: str) -> None:
    assert rank_group(rank) == group


def test_rows_and_rejections_are_counted() -> None:
    tally = Tally()
    negatives = (
        Negative(text="one two", origin="written", rank=3, similarity=0.25, grade=1.0),
        Negative(text="three", origin="bm25", rank=25),
    )
    tally.add(row(1, query="a b c d", positive="a b c d e", negatives=negatives, positive_grade=5.0, rewritten="x"))
    tally.add(row(2, "vl", query="k l m n o", positive="p"), seed_text="k m")
    tally.add(rejected(3, "too short"))
    tally.add(rejected(4, "too short"))
    tally.add(rejected(5, "a mess"))
    found = tally.summary(seeds=9)
    assert (found.items, found.rows, found.kinds, found.seeds, found.documents) == (5, 2, {"hq": 1, "vl": 1}, 9, 2)
    assert list(found.rejected.items()) == [("too short", 2), ("a mess", 1)]
    assert found.fields == {"biology": 1, "physics": 1}
    assert (found.models, found.prompts, found.attempts) == (["openai:scripted"], [1], {"3": 2})
    hard, varied = found.lengths["hq"], found.lengths["vl"]
    assert hard.requested_query is None and hard.query and hard.query.median == 4
    assert varied.requested_query and varied.requested_query.median == 20 and varied.query and varied.query.most == 5
    assert hard.negative and (hard.negative.count, hard.negative.mean) == (2, 1.5)
    assert found.negatives.origins == {"written": 2, "bm25": 1}
    assert found.negatives.ranks == {"2 to 5": 2, "21 to 50": 1}
    assert found.negatives.grades == {"1": 1} and (found.graded, found.rewritten) == (1, 1)
    assert found.negatives.similarity and found.negatives.similarity.count == 2
    assert found.overlap["vl"] and found.overlap["vl"].mean == pytest.approx(2 / 5)
    assert found.overlap["hq"] and found.overlap["hq"].mean == 1.0  # its positive is its seed


def test_a_row_whose_seed_is_not_at_hand_has_no_overlap() -> None:
    tally = Tally()
    tally.add(row(1, "vl"))
    assert tally.summary().overlap == {"vl": None}


def test_pages_of_a_document_are_one_document() -> None:
    tally = Tally()
    for page in (1, 2):
        one = row(page)
        tally.add(one.model_copy(update={"seed": one.seed.model_copy(update={"source": f"book.pdf#page={page}"})}))
    assert tally.summary().documents == 1


def test_costs_are_those_of_all_journals(tmp_path: Path) -> None:
    write_items(tmp_path, [row(1), row(2)], "1-of-2")
    write_items(tmp_path, [rejected(3)], "2-of-2")
    found = costs([tmp_path], Price(1.0, 10.0))
    assert (found.calls, found.prompt_tokens, found.completion_tokens) == (3, 300, 120)
    assert found.cost == pytest.approx(300 / 1e6 + 1200 / 1e6)
    assert costs([tmp_path]).cost is None


def test_the_cost_is_not_known_where_the_server_was_silent(tmp_path: Path) -> None:
    write_items(tmp_path, [row(1)])
    file = tmp_path / "calls-1-of-1.jsonl"
    file.write_text(file.read_text().replace(": 100", ": 0").replace(": 40", ": 0"))
    found = costs([tmp_path], Price(1.0, 1.0))
    assert (found.silent, found.cost) == (1, None)
