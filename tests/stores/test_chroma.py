from __future__ import annotations

import gc
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from reasonir_agent.errors import EncoderMismatch, StoreError
from reasonir_agent.stores.chroma import index as chroma
from reasonir_agent.stores.chroma.index import ChromaIndex

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix


def random_units(number: int, dim: int, seed: int = 0) -> FloatMatrix:
    rows = np.random.default_rng(seed).standard_normal((number, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def open_paths(folder: Path) -> list[str]:
    return [path for path in chroma._open_paths if path.startswith(str(folder.resolve()))]


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
    assert not open_paths(tmp_path)


def test_requests_are_bounded_by_bytes_and_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = ChromaIndex(tmp_path / "chroma", fingerprint="f")
    sizes: list[int] = []
    add = index._collection.add

    def recorded(ids: list[str], embeddings: Any, metadatas: Any) -> None:
        sizes.append(len(ids))
        add(ids=ids, embeddings=embeddings, metadatas=metadatas)

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


def test_an_id_that_is_there_is_never_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed while Chroma writes a present id can leave files that crash the next one."""
    index = ChromaIndex(tmp_path / "chroma", fingerprint="f")
    sent: list[str] = []
    add = index._collection.add

    def recorded(ids: list[str], **rest: Any) -> None:
        sent.extend(ids)
        add(ids=ids, **rest)

    monkeypatch.setattr(index._collection, "add", recorded)
    monkeypatch.setattr(chroma, "_ROWS_PER_REQUEST", 2)
    index.add(["a", "b", "c"], random_units(3, 4))
    index.add(["c", "d", "a", "d"], random_units(4, 4, seed=1))
    index.add(["a", "b"], random_units(2, 4))
    assert sent == ["a", "b", "c", "d"]
    index.close()


_WRITER = """
import sys
from pathlib import Path
import numpy as np
from reasonir_agent.stores.chroma.index import ChromaIndex

index = ChromaIndex(Path(sys.argv[1]), fingerprint="f")
index.add([sys.argv[2]], np.eye(8, dtype=np.float32)[int(sys.argv[3])][None])
index.close()
"""


def write_in_another_process(folder: Path, one: str, direction: int) -> None:
    subprocess.run([sys.executable, "-c", _WRITER, str(folder), one, str(direction)], check=True, timeout=120)


def nearest(index: ChromaIndex, direction: int) -> str:
    return index.search(np.eye(8, dtype=np.float32)[direction][None], 1)[0][0]


@pytest.mark.slow
def test_opened_again_an_index_finds_what_another_process_wrote_meanwhile(tmp_path: Path) -> None:
    folder = tmp_path / "chroma"
    other = ChromaIndex(folder, fingerprint="f")  # stays open: what one index has in memory is no other's
    reader = ChromaIndex(folder, fingerprint="f")
    reader.add(["first"], np.eye(8, dtype=np.float32)[:1])
    assert nearest(reader, 5) == nearest(other, 5) == "first"
    write_in_another_process(folder, "second", 5)
    assert len(reader) == 2
    assert nearest(reader, 5) == "first"  # Chroma's stale search, the reason for all this
    reader.close()
    reader = ChromaIndex(folder, fingerprint="f")
    assert nearest(reader, 5) == "second"
    write_in_another_process(folder, "third", 6)
    reader.add(["fourth"], np.eye(8, dtype=np.float32)[7:])  # an index that writes catches up
    assert [nearest(reader, n) for n in (0, 5, 6, 7)] == ["first", "second", "third", "fourth"]
    reader.close()
    reader.close()  # a second time does nothing
    other.close()


def test_an_index_that_nobody_holds_any_more_is_closed(tmp_path: Path) -> None:
    for _ in range(3):
        ChromaIndex(tmp_path / "chroma", fingerprint="f")
        gc.collect()
        assert not open_paths(tmp_path)
    with pytest.raises(EncoderMismatch):
        ChromaIndex(tmp_path / "chroma", fingerprint="other")
    assert not open_paths(tmp_path)


def test_indexes_of_one_folder_in_one_process_do_not_close_each_other(tmp_path: Path) -> None:
    first, second = (ChromaIndex(tmp_path / "chroma", fingerprint="f") for _ in range(2))
    first.add(["a"], random_units(1, 4))
    first.close()
    assert second.ids() == {"a"}
    with pytest.raises(StoreError, match="listing the Chroma index"):
        first.ids()
    third = ChromaIndex(tmp_path / "chroma", fingerprint="f")
    assert third.search(random_units(1, 4), 1)[0][0] == "a"
    second.close()
    third.close()


def test_what_the_collection_keeps_of_metadata_are_floats_under_names_of_our_own(tmp_path: Path) -> None:
    index = ChromaIndex(tmp_path / "chroma", fingerprint="f")
    index.add(["a", "b"], random_units(2, 4), [{"$eq": 7, "#document": "x", "chroma:document": True}, {}])
    assert index._collection.get(ids=["a", "b"])["metadatas"] == [
        {"reasonir:$eq": 7.0, "reasonir:#document": "x", "reasonir:chroma:document": True},
        None,
    ]
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
