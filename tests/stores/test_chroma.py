from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from reasonir_agent.errors import EncoderMismatch, StoreError
from reasonir_agent.stores import chroma
from reasonir_agent.stores.chroma import ChromaIndex

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix


def random_units(number: int, dim: int, seed: int = 0) -> FloatMatrix:
    rows = np.random.default_rng(seed).standard_normal((number, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_an_index_is_there_after_opening_it_again(tmp_path: Path) -> None:
    rows = random_units(50, 8)
    index = ChromaIndex(tmp_path / "chroma", fingerprint="f")
    index.add([str(n) for n in range(50)], rows)
    index.delete(["7"])
    before = index.search(rows[3:4], 5)
    index.close()
    again = ChromaIndex(tmp_path / "chroma", fingerprint="f")
    assert again.search(rows[3:4], 5) == before
    assert again.ids() == {str(n) for n in range(50)} - {"7"}
    assert len(again) == 49
    again.close()


def test_the_index_of_another_encoder_is_refused_with_the_remedy(tmp_path: Path) -> None:
    ChromaIndex(tmp_path / "chroma", fingerprint="first").close()
    with pytest.raises(
        EncoderMismatch, match=r"made with the encoder first, got second; delete that folder, it is reb"
    ):
        ChromaIndex(tmp_path / "chroma", fingerprint="second")
    shutil.rmtree(tmp_path / "chroma")  # the remedy works within the same process
    index = ChromaIndex(tmp_path / "chroma", fingerprint="second")
    index.add(["a"], random_units(1, 4))
    assert index.ids() == {"a"}
    index.close()


def test_files_that_chroma_cannot_open_are_an_error_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "chroma").mkdir()
    (tmp_path / "chroma" / "chroma.sqlite3").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="opening the Chroma index in"):
        ChromaIndex(tmp_path / "chroma", fingerprint="f")


def test_requests_are_bounded_by_bytes_and_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = ChromaIndex(tmp_path / "chroma", fingerprint="f")
    sizes: list[int] = []
    add = index._collection.add

    def recorded(ids: list[str], embeddings: Any) -> None:
        sizes.append(len(ids))
        add(ids=ids, embeddings=embeddings)

    monkeypatch.setattr(index._collection, "add", recorded)
    monkeypatch.setattr(chroma, "_BYTES_PER_REQUEST", 1000)  # 10 rows of 25 numbers
    index.add([f"a{n}" for n in range(25)], random_units(25, 25))
    monkeypatch.setattr(chroma, "_ROWS_PER_REQUEST", 4)
    index.add([f"b{n}" for n in range(9)], random_units(9, 25))
    monkeypatch.setattr(chroma, "_BYTES_PER_REQUEST", 1)  # a row is larger than that and must go all the same
    index.add(["c0", "c1"], random_units(2, 25))
    assert sizes == [10, 10, 5, 4, 4, 1, 1, 1]
    index.delete(f"a{n}" for n in range(25))
    assert len(index) == 11
    index.close()


def test_a_server_is_connected_to_with_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: dict[str, Any] = {}

    def client(host: str, port: int, settings: Any) -> Any:  # the one stand-in: Chroma's server is not installed
        asked.update(host=host, port=port)
        return chroma.chromadb.PersistentClient(path=str(tmp_path / "server"), settings=settings)

    monkeypatch.setattr(chroma.chromadb, "HttpClient", client)
    with pytest.warns(UserWarning, match=r"server 10\.0\.0\.5:9000: versions 1\.0\.0 to 1\.5\.9 can be taken over"):
        index = ChromaIndex(None, fingerprint="f", host="10.0.0.5:9000")
    assert asked == {"host": "10.0.0.5", "port": 9000}
    index.add(["a"], random_units(1, 4))
    assert index.ids() == {"a"}
    index.close()


@pytest.mark.parametrize(
    ("given", "host", "port"),
    [("search.example", "search.example", 8000), ("localhost:1", "localhost", 1), ("[::1]:9000", "::1", 9000)],
)
def test_the_address_of_a_server_has_a_default_port(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str, host: str, port: int
) -> None:
    asked: list[tuple[str, int]] = []

    def client(host: str, port: int, settings: Any) -> Any:
        asked.append((host, port))
        return chroma.chromadb.PersistentClient(path=str(tmp_path / "server"), settings=settings)

    monkeypatch.setattr(chroma.chromadb, "HttpClient", client)
    with pytest.warns(UserWarning, match="can be taken over"):
        ChromaIndex(None, fingerprint="f", host=given).close()
    assert asked == [(host, port)]


def test_the_embedded_index_opens_without_a_warning_and_keeps_no_embedding_function(tmp_path: Path) -> None:
    index = ChromaIndex(tmp_path / "chroma", fingerprint="f")  # a warning would be an error here
    assert index._collection._embedding_function is None
    assert index._collection.configuration_json["hnsw"]["space"] == "cosine"
    index.close()


@pytest.fixture(scope="module")
def recall() -> Callable[[Path, dict[str, Any]], float]:
    rows, queries = random_units(2000, 4096), random_units(50, 4096, seed=1)
    truth = np.argsort(-(queries @ rows.T), axis=1)[:, :10]

    def measured(folder: Path, settings: dict[str, Any]) -> float:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(chroma, "HNSW", settings)
            index = ChromaIndex(folder, fingerprint="f")
        index.add([str(n) for n in range(len(rows))], rows)
        found = [{int(one) for one, _ in index.search(query[None], 10)} for query in queries]
        index.close()
        return sum(len(some & set(map(int, best))) for some, best in zip(found, truth, strict=True)) / truth.size

    return measured


@pytest.mark.slow
def test_recall_at_4096_dimensions_is_that_of_exact_search_and_better_than_chromas_defaults(
    recall: Callable[[Path, dict[str, Any]], float], tmp_path: Path
) -> None:
    ours = recall(tmp_path / "ours", dict(chroma.HNSW))
    defaults = recall(tmp_path / "defaults", {"space": "cosine"})
    print(f"recall@10 of 2,000 vectors at 4,096 dimensions: {ours:.3f}, with Chroma's defaults {defaults:.3f}")
    assert ours >= 0.98
    assert defaults < ours - 0.02
