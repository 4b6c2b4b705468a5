"""What every `VectorIndex` does, on each that we have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from reasonir_agent.stores.chroma import ChromaIndex
from reasonir_agent.stores.exact import ExactIndex

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix, VectorIndex


def unit(*rows: list[float]) -> FloatMatrix:
    matrix = np.array(rows, dtype=np.float32)
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def random_units(number: int, dim: int, seed: int = 0) -> FloatMatrix:
    return unit(*np.random.default_rng(seed).standard_normal((number, dim)))


@pytest.fixture(params=["exact", "chroma"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[int], VectorIndex]]:
    with ExitStack() as opened:

        def make(dim: int) -> VectorIndex:
            if request.param == "exact":
                return ExactIndex(dim)
            index = ChromaIndex(tmp_path / "chroma", fingerprint="f")
            opened.callback(index.close)
            return index

        yield make


class TestVectorIndex:
    def test_scores_are_cosines_and_the_best_comes_first(self, make: Callable[[int], VectorIndex]) -> None:
        index = make(2)
        index.add(["right", "up", "left", "between"], unit([1, 0], [0, 1], [-1, 0], [3, 4]))
        found = index.search(unit([1, 0]), 4)
        assert [one for one, _ in found] == ["right", "between", "up", "left"]
        assert [score for _, score in found] == pytest.approx([1, 0.6, 0, -1], abs=1e-6)

    def test_a_query_is_a_row_or_a_vector(self, make: Callable[[int], VectorIndex]) -> None:
        index = make(2)
        index.add(["a", "b"], unit([1, 0], [0, 1]))
        assert index.search(unit([0, 1]), 1) == index.search(unit([0, 1])[0], 1) == [("b", pytest.approx(1))]

    def test_the_nearest_of_many_are_found(self, make: Callable[[int], VectorIndex]) -> None:
        rows, queries = random_units(300, 16), random_units(5, 16, seed=1)
        index = make(16)
        index.add([f"{n:03}" for n in range(300)], rows)
        for query in queries:
            scores = rows @ query
            best = np.argsort(-scores)[:10]
            found = index.search(query[None], 10)
            assert [one for one, _ in found] == [f"{n:03}" for n in best]
            assert [score for _, score in found] == pytest.approx(scores[best], abs=1e-5)

    def test_equal_scores_come_in_order_of_id(self, make: Callable[[int], VectorIndex]) -> None:
        index = make(2)
        index.add(["c", "a", "b"], unit([1, 0], [1, 0], [1, 0]))
        assert [one for one, _ in index.search(unit([1, 0]), 3)] == ["a", "b", "c"]

    def test_more_than_there_are_gives_all(self, make: Callable[[int], VectorIndex]) -> None:
        index = make(2)
        index.add(["a", "b"], unit([1, 0], [0, 1]))
        assert len(index.search(unit([1, 0]), 100)) == 2

    def test_none_are_none(self, make: Callable[[int], VectorIndex]) -> None:
        index = make(2)
        index.add(["a"], unit([1, 0]))
        assert index.search(unit([1, 0]), 0) == []

    def test_an_empty_index_finds_nothing(self, make: Callable[[int], VectorIndex]) -> None:
        index = make(2)
        assert index.search(unit([1, 0]), 5) == []
        assert index.ids() == set()
        index.delete(["a"])
        index.delete([])
        index.add([], np.zeros((0, 2), dtype=np.float32))
        assert index.ids() == set()

    def test_ids_are_those_that_were_added_and_not_deleted(self, make: Callable[[int], VectorIndex]) -> None:
        index = make(2)
        index.add(["a", "b"], unit([1, 0], [0, 1]))
        index.add(["c"], unit([1, 1]))
        assert index.ids() == {"a", "b", "c"}
        index.delete(iter(["b", "unknown"]))
        assert index.ids() == {"a", "c"}
        assert [one for one, _ in index.search(unit([0, 1]), 5)] == ["c", "a"]

    def test_an_index_that_was_emptied_can_be_filled_again(self, make: Callable[[int], VectorIndex]) -> None:
        index = make(2)
        index.add(["a", "b"], unit([1, 0], [0, 1]))
        index.delete(["a", "b"])
        assert index.search(unit([1, 0]), 5) == []
        index.add(["a"], unit([0, 1]))
        assert index.search(unit([0, 1]), 5) == [("a", pytest.approx(1))]

    def test_an_id_that_is_there_keeps_its_row(self, make: Callable[[int], VectorIndex]) -> None:
        index = make(2)
        index.add(["a"], unit([1, 0]))
        index.add(["a", "b"], unit([0, 1], [0, 1]))
        assert index.search(unit([1, 0]), 1) == [("a", pytest.approx(1))]
        assert index.ids() == {"a", "b"}


def test_exact_search_has_the_first_ids_among_ties_at_the_end_of_the_list() -> None:
    index = ExactIndex(2)
    index.add([f"{n:02}" for n in reversed(range(50))], unit(*[[1.0, 0.0]] * 50))
    assert [one for one, _ in index.search(unit([1, 0]), 3)] == ["00", "01", "02"]
