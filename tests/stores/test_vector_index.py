"""What every `VectorIndex` does, on each that we have.

To hold an engine of your own to it, copy this file beside your tests and write three lines:

    class TestMyIndex(DurableIndexFacts):
        def open_index(self, folder: Path, dim: int) -> VectorIndex:
            return MyIndex(folder, dim)

`folder` is empty at first; opened again with the same folder, the index holds what was written. An index that keeps
nothing takes `VectorIndexFacts` instead. An engine that has something to close has a method `close()`. The facts need
numpy, pytest, hypothesis and `reasonir_agent`, and nothing else of ours.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reasonir_agent.errors import InputError
from reasonir_agent.stores.chroma.index import ChromaIndex
from reasonir_agent.stores.exact import ExactIndex
from reasonir_agent.stores.filters import matches
from reasonir_agent.stores.lance import LanceIndex
from reasonir_agent.types import Condition, Scalar, VectorIndex, Where

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

Make = Callable[[int], VectorIndex]

ROWS: dict[str, dict[str, Scalar] | None] = {
    "pdf": {"type": "pdf", "year": 2020},
    "old": {"type": "md", "year": 1999.5, "draft": True},
    "text": {"type": "md", "year": "2020", "draft": "true"},
    "one": {"type": "", "year": 1, "draft": 1, "it's `odd\".$x": "it's; -- \"`"},
    "zero": {"year": 0, "draft": False, "$eq": "x", "#document": 1},
    "nothing": {},
}
FACTS: list[tuple[list[tuple[str, str, Scalar]], set[str]]] = [
    ([], set(ROWS)),
    ([("type", "=", "pdf")], {"pdf"}),
    ([("type", "=", "PDF")], set()),
    ([("type", "=", "")], {"one"}),
    ([("type", "!=", "pdf")], set(ROWS) - {"pdf"}),
    ([("type", "=", "md"), ("draft", "=", True)], {"old"}),
    ([("type", "!=", "md"), ("type", "!=", "pdf")], {"one", "zero", "nothing"}),
    # numbers, whole and not
    ([("year", "=", 2020)], {"pdf"}),
    ([("year", "=", 2020.0)], {"pdf"}),
    ([("year", "=", "2020")], {"text"}),
    ([("year", "!=", 2020)], set(ROWS) - {"pdf"}),
    ([("year", ">", 1999)], {"pdf", "old"}),
    ([("year", ">", 1999.5)], {"pdf"}),
    ([("year", ">=", 1999.5)], {"pdf", "old"}),
    ([("year", "<", 1999.5)], {"one", "zero"}),
    ([("year", "<=", 1999.5)], {"old", "one", "zero"}),
    ([("year", "<", 2020.5)], {"pdf", "old", "one", "zero"}),
    ([("year", ">=", 2020.5)], set()),
    ([("year", "=", 2020.5)], set()),
    ([("year", ">", -0.5)], {"pdf", "old", "one", "zero"}),
    ([("year", ">=", 1), ("year", "<", 2000)], {"old", "one"}),
    # truth values are neither numbers nor texts
    ([("draft", "=", True)], {"old"}),
    ([("draft", "=", False)], {"zero"}),
    ([("draft", "=", 1)], {"one"}),
    ([("draft", "=", 0)], set()),
    ([("draft", "=", "true")], {"text"}),
    ([("draft", "!=", True)], set(ROWS) - {"old"}),
    ([("draft", ">=", 0)], {"one"}),
    # fields that few rows have, and none
    ([("it's `odd\".$x", "=", "it's; -- \"`")], {"one"}),
    ([("it's `odd\".$x", "!=", "it's; -- \"`")], set(ROWS) - {"one"}),
    ([("$eq", "=", "x"), ("#document", "<", 2)], {"zero"}),
    ([("$eq", "!=", "x"), ("type", "=", "")], {"one"}),
    ([("nowhere", "=", "x")], set()),
    ([("nowhere", "=", 1)], set()),
    ([("nowhere", ">", 0)], set()),
    ([("nowhere", "!=", "x")], set(ROWS)),
    ([("nowhere", "!=", True), ("type", "=", "md")], {"old", "text"}),
]


def unit(*rows: list[float]) -> FloatMatrix:
    matrix = np.array(rows, dtype=np.float32)
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def random_units(number: int, dim: int, seed: int = 0) -> FloatMatrix:
    return unit(*np.random.default_rng(seed).standard_normal((number, dim)))


def where(*conditions: tuple[str, str, Scalar]) -> tuple[Condition, ...]:
    return tuple(Condition(field, operator, value) for field, operator, value in conditions)  # type: ignore[arg-type]


def fill(index: VectorIndex) -> FloatMatrix:
    """Put ROWS into an index of 8 dimensions; gives the vectors."""
    vectors = random_units(len(ROWS), 8)
    index.add(list(ROWS), vectors, [metadata or {} for metadata in ROWS.values()])
    return vectors


class VectorIndexFacts:
    """The facts of every index; give `open_index`."""

    def open_index(self, folder: Path, dim: int) -> VectorIndex:
        """The index of this folder."""
        raise NotImplementedError

    @pytest.fixture
    def make(self, tmp_path: Path) -> Iterator[Make]:
        with ExitStack() as opened:

            def make(dim: int) -> VectorIndex:
                index = self.open_index(tmp_path / "index", dim)
                opened.callback(getattr(index, "close", lambda: None))
                return index

            yield make

    def test_scores_are_cosines_and_the_best_comes_first(self, make: Make) -> None:
        index = make(2)
        index.add(["right", "up", "left", "between"], unit([1, 0], [0, 1], [-1, 0], [3, 4]))
        found = index.search(unit([1, 0]), 4)
        assert [one for one, _ in found] == ["right", "between", "up", "left"]
        assert [score for _, score in found] == pytest.approx([1, 0.6, 0, -1], abs=1e-6)

    def test_a_query_is_a_row_or_a_vector(self, make: Make) -> None:
        index = make(2)
        index.add(["a", "b"], unit([1, 0], [0, 1]))
        assert index.search(unit([0, 1]), 1) == index.search(unit([0, 1])[0], 1) == [("b", pytest.approx(1))]

    def test_the_nearest_of_many_are_found(self, make: Make) -> None:
        rows, queries = random_units(300, 16), random_units(5, 16, seed=1)
        index = make(16)
        index.add([f"{n:03}" for n in range(300)], rows)
        for query in queries:
            scores = rows @ query
            best = np.argsort(-scores)[:10]
            found = index.search(query[None], 10)
            assert [one for one, _ in found] == [f"{n:03}" for n in best]
            assert [score for _, score in found] == pytest.approx(scores[best], abs=1e-5)

    def test_rows_of_4096_numbers_are_found(self, make: Make) -> None:
        rows = random_units(40, 4096)
        index = make(4096)
        index.add([f"{n:02}" for n in range(40)], rows, [{"even": n % 2 == 0} for n in range(40)])
        scores = rows @ rows[7]
        best = np.argsort(-scores)[:5]
        found = index.search(rows[7:8], 5)
        assert [one for one, _ in found] == [f"{n:02}" for n in best]
        assert [score for _, score in found] == pytest.approx(scores[best], abs=1e-5)
        assert len(index.ids(where=where(("even", "=", True)))) == 20

    def test_equal_scores_come_in_order_of_id(self, make: Make) -> None:
        index = make(2)
        index.add(["c", "a", "b"], unit([1, 0], [1, 0], [1, 0]))
        assert [one for one, _ in index.search(unit([1, 0]), 3)] == ["a", "b", "c"]

    def test_more_than_there_are_gives_all(self, make: Make) -> None:
        index = make(2)
        index.add(["a", "b"], unit([1, 0], [0, 1]))
        assert len(index.search(unit([1, 0]), 100)) == 2

    def test_none_are_none(self, make: Make) -> None:
        index = make(2)
        index.add(["a"], unit([1, 0]))
        assert index.search(unit([1, 0]), 0) == []

    def test_an_empty_index_finds_nothing(self, make: Make) -> None:
        index = make(2)
        assert index.search(unit([1, 0]), 5) == []
        assert index.search(unit([1, 0]), 5, where=where(("a", "!=", 1))) == []
        assert index.ids() == index.ids(where=where(("a", "!=", 1))) == set()
        index.delete(["a"])
        index.delete([])
        index.add([], np.zeros((0, 2), dtype=np.float32))
        index.add([], np.zeros((0, 2), dtype=np.float32), [])
        assert index.ids() == set()

    def test_ids_are_those_that_were_added_and_not_deleted(self, make: Make) -> None:
        index = make(2)
        index.add(["a", "b"], unit([1, 0], [0, 1]))
        index.add(["c"], unit([1, 1]))
        assert index.ids() == {"a", "b", "c"}
        index.delete(iter(["b", "unknown", "it's"]))
        assert index.ids() == {"a", "c"}
        assert [one for one, _ in index.search(unit([0, 1]), 5)] == ["c", "a"]

    def test_an_index_that_was_emptied_can_be_filled_again(self, make: Make) -> None:
        index = make(2)
        index.add(["a", "b"], unit([1, 0], [0, 1]))
        index.delete(["a", "b"])
        assert index.search(unit([1, 0]), 5) == []
        index.add(["a"], unit([0, 1]))
        assert index.search(unit([0, 1]), 5) == [("a", pytest.approx(1))]

    def test_an_id_that_is_there_keeps_its_row(self, make: Make) -> None:
        index = make(2)
        index.add(["a"], unit([1, 0]), [{"n": 1}])
        index.add(["a", "b"], unit([0, 1], [0, 1]), [{"n": 2}, {"n": 2}])
        assert index.search(unit([1, 0]), 1) == [("a", pytest.approx(1))]
        assert index.ids() == {"a", "b"}
        assert index.ids(where=where(("n", "=", 1))) == {"a"}
        assert index.ids(where=where(("n", "=", 2))) == {"b"}

    def test_of_equal_ids_in_one_call_the_first_is_taken(self, make: Make) -> None:
        index = make(2)
        index.add(["a", "b", "a"], unit([1, 0], [0, 1], [0, 1]), [{"n": 1}, {"n": 2}, {"n": 3}])
        assert sorted(one for one, _ in index.search(unit([1, 0]), 5)) == ["a", "b"]
        assert index.search(unit([1, 0]), 1) == [("a", pytest.approx(1))]
        assert index.ids(where=where(("n", ">=", 1))) == {"a", "b"}
        assert index.ids(where=where(("n", "=", 3))) == set()

    def test_rows_come_with_and_without_metadata_and_fields_come_later(self, make: Make) -> None:
        index = make(2)
        index.add(["a"], unit([1, 0]))
        index.add(["b"], unit([0, 1]), [{"lang": "de"}])
        index.add(["c", "d"], unit([1, 1], [-1, 0]), [{"lang": 7, "page": 3}, {}])
        assert index.ids(where=where(("lang", "=", "de"))) == {"b"}
        assert index.ids(where=where(("lang", "!=", "de"))) == {"a", "c", "d"}
        assert index.ids(where=where(("page", "<=", 3))) == {"c"}
        index.delete(["c"])
        index.add(["c"], unit([1, 1]), [{"lang": "de"}])
        assert index.ids(where=where(("lang", "=", "de"))) == {"b", "c"}
        assert index.ids(where=where(("page", "<=", 3))) == set()

    def test_a_filter_lets_through_what_the_rule_says(self, make: Make) -> None:
        index = make(8)
        vectors = fill(index)
        scores = dict(zip(ROWS, (vectors @ vectors[0]).tolist(), strict=True))
        for conditions, expected in FACTS:
            wanted = where(*conditions)
            assert expected == {one for one, metadata in ROWS.items() if matches(metadata or {}, wanted)}, conditions
            assert index.ids(where=wanted) == expected, conditions
            found = index.search(vectors[:1], 10, where=wanted)
            assert [one for one, _ in found] == sorted(expected, key=lambda one: -scores[one]), conditions
            assert [score for _, score in found] == pytest.approx([scores[one] for one, _ in found], abs=1e-5)

    def test_the_nearest_are_taken_among_those_that_the_filter_lets_through(self, make: Make) -> None:
        rows = random_units(400, 16)
        index = make(16)
        index.add([f"{n:03}" for n in range(400)], rows, [{"group": n % 100} for n in range(400)])
        scores = rows @ -rows[0]  # the group of row 0 holds the farthest of all
        for group in (0, 50):
            best = sorted(range(group, 400, 100), key=lambda n: -scores[n])
            found = index.search(-rows[:1], 3, where=where(("group", "=", group)))
            assert [one for one, _ in found] == [f"{n:03}" for n in best[:3]]

    @pytest.mark.parametrize("rows", [0, 1])
    @pytest.mark.parametrize("operator", ["<", "<=", ">", ">="])
    @pytest.mark.parametrize("value", ["2020", "pdf", True])
    def test_only_numbers_have_an_order(self, make: Make, operator: str, value: Scalar, rows: int) -> None:
        index = make(2)
        index.add(["a"][:rows], unit([1, 0])[:rows], [{"n": 1, "type": "pdf"}][:rows])
        for wanted in (where(("n", operator, value)), where(("type", "=", "no"), ("n", operator, value))):
            with pytest.raises(InputError, match="needs a number, got"):
                index.search(unit([1, 0]), 1, where=wanted)
            with pytest.raises(InputError, match="needs a number, got"):
                index.ids(where=wanted)

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400])
    def test_a_number_that_is_not_finite_is_no_value_and_no_condition(self, make: Make, value: float) -> None:
        index = make(2)
        index.add(["a", "b"], unit([1, 0], [0, 1]), [{"n": value}, {"n": 1, "m": value}])
        assert index.ids(where=where(("n", ">", -1e300))) == {"b"}
        assert index.ids(where=where(("n", "!=", 1))) == {"a"}
        with pytest.raises(InputError, match="finite number; got"):
            index.ids(where=where(("n", "=", value)))

    def test_large_numbers_are_compared_as_floats(self, make: Make) -> None:
        index = make(2)
        index.add(["a", "b"], unit([1, 0], [0, 1]), [{"n": 2**63}, {"n": -1e308}])
        assert index.ids(where=where(("n", "=", 2.0**63))) == {"a"}
        assert index.ids(where=where(("n", "<", 1e308))) == {"a", "b"}
        assert index.ids(where=where(("n", "<=", -1e308))) == {"b"}

    @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def test_any_sequence_of_calls_gives_what_a_dictionary_gives(self, data: st.DataObject) -> None:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            index = self.open_index(Path(folder) / "index", 4)
            try:
                _compare_with_a_dictionary(index, data)
            finally:
                getattr(index, "close", lambda: None)()


SCALARS = st.one_of(st.sampled_from(["x", "y", "", "it's"]), st.integers(-2, 2), st.booleans(), st.just(0.5))
METADATA = st.dictionaries(st.sampled_from(["a", "b"]), SCALARS, max_size=2)
CONDITIONS = st.builds(
    Condition, st.sampled_from(["a", "b", "c"]), st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), SCALARS
)
VECTORS = random_units(12, 4, seed=3)  # no two of them, nor two cosines, are alike


Model = dict[str, tuple[int, dict[str, Scalar]]]


def _compare_with_a_dictionary(index: VectorIndex, data: st.DataObject) -> None:
    model: Model = {}
    for _ in range(data.draw(st.integers(1, 6))):
        step = data.draw(st.sampled_from(["add", "add", "delete", "search"]))
        ids = data.draw(st.lists(st.integers(0, 11).map(str), max_size=5))
        if step == "add":
            rows = [data.draw(METADATA) for _ in ids]
            index.add(ids, VECTORS[[int(one) for one in ids]].reshape(-1, 4), rows)
            for one, metadata in zip(ids, rows, strict=True):
                model.setdefault(one, (int(one), metadata))
        elif step == "delete":
            index.delete(ids)
            for one in ids:
                model.pop(one, None)
        assert index.ids() == set(model)
        wanted = tuple(data.draw(st.lists(CONDITIONS, max_size=2)))
        _compare_a_search(index, model, wanted, data.draw(st.integers(1, 12)), data.draw(st.integers(0, 11)))


def _compare_a_search(index: VectorIndex, model: Model, wanted: Where, k: int, query: int) -> None:
    vector = VECTORS[query : query + 1]
    try:
        matches({}, wanted)
    except InputError:
        with pytest.raises(InputError):
            index.ids(where=wanted)
        with pytest.raises(InputError):
            index.search(vector, k, where=wanted)
        return
    expected = {one for one, (_, metadata) in model.items() if matches(metadata, wanted)}
    assert index.ids(where=wanted) == expected
    best = sorted(expected, key=lambda one: -float(vector[0] @ VECTORS[int(one)]))[:k]
    assert [one for one, _ in index.search(vector, k, where=wanted)] == best


class DurableIndexFacts(VectorIndexFacts):
    """The facts of an index that keeps what it is given."""

    def test_what_was_written_is_there_after_opening_again(self, make: Make) -> None:
        index = make(8)
        vectors = fill(index)
        index.delete(["pdf", "nothing"])
        before = index.search(vectors[1:2], 10)
        getattr(index, "close", lambda: None)()
        again = make(8)
        assert again.ids() == set(ROWS) - {"pdf", "nothing"}
        assert again.search(vectors[1:2], 10) == before
        for conditions, expected in FACTS:
            assert again.ids(where=where(*conditions)) == expected - {"pdf", "nothing"}, conditions

    def test_an_index_that_was_opened_again_goes_on(self, make: Make) -> None:
        for n in range(4):
            index = make(2)
            index.add([str(n), "same"], unit([1, n], [0, 1]), [{"n": n, f"only{n}": True}, {"n": -1}])
            index.delete([str(n - 2)])
            getattr(index, "close", lambda: None)()
        index = make(2)
        assert index.ids() == {"2", "3", "same"}
        assert index.ids(where=where(("n", ">=", 0))) == {"2", "3"}
        assert index.ids(where=where(("only3", "!=", True))) == {"2", "same"}
        assert [one for one, _ in index.search(unit([1, 2]), 1)] == ["2"]


class TestExactIndex(VectorIndexFacts):
    """In memory, so excused by name from `DurableIndexFacts`."""

    def open_index(self, folder: Path, dim: int) -> VectorIndex:
        return ExactIndex(dim)


class TestChromaIndex(DurableIndexFacts):
    def open_index(self, folder: Path, dim: int) -> VectorIndex:
        return ChromaIndex(folder, fingerprint="f")


class TestLanceIndex(DurableIndexFacts):
    def open_index(self, folder: Path, dim: int) -> VectorIndex:
        return LanceIndex(folder, fingerprint="f")


def test_exact_search_has_the_first_ids_among_ties_at_the_end_of_the_list() -> None:
    index = ExactIndex(2)
    index.add([f"{n:02}" for n in reversed(range(50))], unit(*[[1.0, 0.0]] * 50))
    assert [one for one, _ in index.search(unit([1, 0]), 3)] == ["00", "01", "02"]
