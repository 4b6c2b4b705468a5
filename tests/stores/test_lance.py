from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import lancedb
import numpy as np
import pytest
from lancedb.index import IvfPq

from reasonir_agent.errors import EncoderMismatch, StoreError
from reasonir_agent.stores import lance
from reasonir_agent.stores.lance import LanceIndex
from reasonir_agent.types import Condition

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix


def random_units(number: int, dim: int, seed: int = 0) -> FloatMatrix:
    rows = np.random.default_rng(seed).standard_normal((number, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_the_index_of_another_encoder_is_refused_with_the_remedy(tmp_path: Path) -> None:
    index = LanceIndex(tmp_path / "lance", fingerprint="first")
    waiting = LanceIndex(tmp_path / "lance", fingerprint="second")  # there is nothing yet that could differ
    index.add(["a"], random_units(1, 4), [{"n": 1}])  # a new column leaves the fingerprint where it is
    wrong = r"made with the encoder first, got second; delete that folder, it is rebuilt"
    with pytest.raises(EncoderMismatch, match=wrong):
        LanceIndex(tmp_path / "lance", fingerprint="second")
    with pytest.raises(EncoderMismatch, match=wrong):
        waiting.add(["b"], random_units(1, 4))
    assert index.ids() == {"a"}
    index.close()
    shutil.rmtree(tmp_path / "lance")
    again = LanceIndex(tmp_path / "lance", fingerprint="second")
    again.add(["b"], random_units(1, 4))
    assert again.ids() == {"b"}
    assert len(again) == 1


def test_files_that_lancedb_cannot_open_are_an_error_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "lance" / "passages.lance").mkdir(parents=True)
    (tmp_path / "lance" / "passages.lance" / "garbage").write_bytes(b"no table" * 100)
    with pytest.raises(StoreError, match="opening the LanceDB index in"):
        LanceIndex(tmp_path / "lance", fingerprint="f")


def test_vectors_of_another_length_are_an_error_of_the_store(tmp_path: Path) -> None:
    index = LanceIndex(tmp_path / "lance", fingerprint="f")
    index.add(["a"], random_units(1, 4))
    with pytest.raises(StoreError, match="writing to the LanceDB index failed"):
        index.add(["b"], random_units(1, 8))
    with pytest.raises(StoreError, match="searching the LanceDB index failed"):
        index.search(random_units(1, 8), 1)
    assert index.ids() == {"a"}


def test_a_closed_index_says_so(tmp_path: Path) -> None:
    index = LanceIndex(tmp_path / "lance", fingerprint="f")
    index.add(["a"], random_units(1, 4))
    index.close()
    index.close()
    with pytest.raises(StoreError, match="is closed; open it again"):
        index.ids()


@pytest.mark.slow
def test_what_another_process_wrote_is_found_at_once(tmp_path: Path) -> None:
    writer = """
import sys
from pathlib import Path
import numpy as np
from reasonir_agent.stores.lance import LanceIndex

index = LanceIndex(Path(sys.argv[1]), fingerprint="f")
index.add([sys.argv[2]], np.eye(8, dtype=np.float32)[int(sys.argv[3])][None], [{sys.argv[2]: True}])
"""
    index = LanceIndex(tmp_path / "lance", fingerprint="f")
    assert index.ids() == set()
    for n, one in enumerate(["first", "second"]):
        subprocess.run([sys.executable, "-c", writer, str(tmp_path / "lance"), one, str(n)], check=True, timeout=120)
        assert index.search(np.eye(8, dtype=np.float32)[n][None], 1) == [(one, pytest.approx(1))]
        assert index.ids(where=(Condition(one, "=", True),)) == {one}


def test_no_text_is_read_as_sql(tmp_path: Path) -> None:
    index = LanceIndex(tmp_path / "lance", fingerprint="f")
    evil = ["' OR true OR '", "it's", "x') OR (1=1", "`", '"', "\\", "\\'", "a.b", "--", "a_b", "a5fb", "", "é", "%"]
    index.add(evil, random_units(len(evil), 4), [{"text": one, one or "empty": 1} for one in evil])
    for one in evil:
        assert index.ids(where=(Condition("text", "=", one),)) == {one}
        assert index.ids(where=(Condition("text", "!=", one),)) == set(evil) - {one}
        assert index.ids(where=(Condition(one or "empty", ">", 0),)) == {one}
    index.delete(evil[:3])
    assert index.ids() == set(evil[3:])


def test_many_small_additions_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lance, "_FRAGMENTS", 4)
    index = LanceIndex(tmp_path / "lance", fingerprint="f")
    rows = random_units(12, 8)
    for n in range(12):
        index.add([str(n)], rows[n : n + 1])
    table = lancedb.connect(str(tmp_path / "lance")).open_table("passages")
    assert table.stats()["fragment_stats"]["num_fragments"] <= 5
    assert index.ids() == {str(n) for n in range(12)}
    assert all(index.search(rows[n : n + 1], 1)[0] == (str(n), pytest.approx(1)) for n in range(12))


@pytest.mark.slow
def test_an_approximate_index_is_used_where_somebody_made_one_and_scores_stay_cosines(tmp_path: Path) -> None:
    rows, queries = random_units(1000, 64), random_units(10, 64, seed=1)
    index = LanceIndex(tmp_path / "lance", fingerprint="f")
    index.add([str(n) for n in range(1000)], rows, [{"half": n % 2} for n in range(1000)])
    table = lancedb.connect(str(tmp_path / "lance")).open_table("passages")
    table.create_index("vector", config=IvfPq(distance_type="cosine", num_partitions=4, num_sub_vectors=8))
    assert [one.columns for one in table.list_indices()] == [["vector"]]
    for query in queries:
        found = index.search(query[None], 5, where=(Condition("half", "=", 1),))
        assert len(found) == 5 and all(int(one) % 2 for one, _ in found)
        assert [score for _, score in found] == pytest.approx(
            [float(rows[int(one)] @ query) for one, _ in found], abs=1e-5
        )
