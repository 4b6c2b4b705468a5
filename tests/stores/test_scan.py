from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasonir_agent.stores.scan import Scan, best, dots, positions
from reasonir_agent.stores.shards import DamagedShard
from reasonir_agent.testing import FakeEncoder
from tests.stores.conftest import Stores


def numbers(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def test_positions_of_numbers_in_a_sorted_list() -> None:
    assert positions(numbers(2, 5, 9), numbers(5, 1, 9, 10, 2, 6)).tolist() == [1, -1, 2, -1, 0, -1]
    assert positions(numbers(), numbers(1, 2)).tolist() == [-1, -1]
    assert positions(numbers(1, 2), numbers()).tolist() == []


@settings(deadline=None, max_examples=100)
@given(st.sets(st.integers(1, 30)), st.lists(st.integers(0, 31)))
def test_a_position_is_where_the_number_stands(there: set[int], wanted: list[int]) -> None:
    some = sorted(there)
    found = positions(numbers(*some), numbers(*wanted)).tolist()
    assert found == [some.index(one) if one in there else -1 for one in wanted]


def scores(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


@pytest.mark.parametrize(
    ("k", "expected"), [(0, []), (1, [2]), (2, [1, 2, 4]), (3, [1, 2, 4]), (4, [0, 1, 2, 4]), (5, [0, 1, 2, 3, 4])]
)
def test_the_best_are_the_highest_and_all_that_equal_the_last(k: int, expected: list[int]) -> None:
    assert sorted(best(scores(3, 4, 5, -1, 4), k).tolist()) == expected


def test_the_best_of_none_and_more_than_there_are() -> None:
    assert best(scores(), 0).tolist() == best(scores(), 3).tolist() == []
    assert sorted(best(scores(1, 2), 9).tolist()) == [0, 1]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(-3, 3), max_size=20), st.integers(0, 25))
def test_nothing_outside_of_the_best_is_better_than_one_inside(values: list[int], k: int) -> None:
    chosen = set(best(scores(*values), k).tolist())
    inside, outside = [values[n] for n in chosen], [v for n, v in enumerate(values) if n not in chosen]
    assert len(chosen) >= min(k, len(values))
    if inside and outside:
        assert max(outside) < min(inside)
        assert sum(value > min(inside) for value in inside) < k


@pytest.mark.parametrize("count", [0, 1, 2, 7, 300])
def test_dots_are_the_matrix_product_and_each_row_s_is_its_own(count: int) -> None:
    chance = np.random.default_rng(3)
    stored = np.zeros(count, dtype=[("key", "u1", (16,)), ("crc", "<u4"), ("vector", "<f4", (384,))])  # as in a file
    stored["vector"] = chance.standard_normal((count, 384))
    query = chance.standard_normal(384).astype(np.float32)
    found = dots(stored["vector"], query)
    assert found.dtype == np.float32 and found.shape == (count,)
    exact = stored["vector"].astype(np.float64) @ query.astype(np.float64)
    np.testing.assert_allclose(found, exact, atol=1e-4)
    alone = [float(dots(np.ascontiguousarray(stored["vector"][n : n + 1]), query)[0]) for n in range(count)]
    assert found.tolist() == alone


class TestCosines:
    def test_they_are_the_matrix_product_in_order_of_number(self, stores: Stores, texts: dict[str, str]) -> None:
        encoder, sources = FakeEncoder(), list(texts)
        store = stores.open(create=True)
        for n in range(0, 40, 7):  # several files of vectors
            stores.fill(store, {source: texts[source] for source in sources[n : n + 7]})
        stores.remove(store, *sources[3:9])
        stores.fill(store, {sources[20]: "Quite another text.", "twin": texts[sources[0]]})
        scan = Scan(store.vectors)
        passages = dict(store.database.all_passages())
        assert scan.numbers.tolist() == sorted(passages)
        rows = encoder.encode_documents([passages[number].text for number in sorted(passages)])
        query = encoder.encode_queries(["ice and water"])
        found = scan.cosines(query)
        assert found.dtype == np.float32 and found.shape == (35,)
        np.testing.assert_allclose(found, rows @ query[0], atol=1e-6)
        assert len(scan._parts) > 3  # the guard: it had to be put together
        np.testing.assert_array_equal(scan.cosines(query[0]), found)
        assert scan.size == 35 * 64 * 4

    def test_a_store_without_passages_has_none(self, stores: Stores) -> None:
        scan = Scan(stores.open(create=True).vectors)
        assert (scan.cosines(FakeEncoder().encode_queries(["ice"])).shape, scan.size) == ((0,), 0)

    def test_a_passage_without_a_vector_is_left_out(self, stores: Stores) -> None:
        store = stores.made({"a": "Ice.", "b": "Steam."})
        store.database.rows("DELETE FROM vectors WHERE row = 0")
        scan = Scan(store.vectors)
        assert len(scan.numbers) == len(scan.cosines(FakeEncoder().encode_queries(["ice"]))) == 1

    def test_a_flipped_bit_is_found_before_a_cosine_is_given(self, stores: Stores) -> None:
        store = stores.made({"a": "Ice.", "b": "Steam."})
        (file,) = (store.folder / "vectors").rglob("*.npy")
        content = bytearray(file.read_bytes())
        content[-2] ^= 1
        file.write_bytes(content)
        with pytest.raises(DamagedShard, match=file.name):
            Scan(store.vectors).cosines(FakeEncoder().encode_queries(["ice"]))
