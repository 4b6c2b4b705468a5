from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest

from reasonir_agent.errors import StoreError
from reasonir_agent.stores.shards import Shards

ROWS = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)


@pytest.fixture
def shards(tmp_path: Path) -> Shards:
    return Shards(tmp_path / "vectors", 4)


def test_rows_come_back_exactly_in_the_order_asked_for(shards: Shards) -> None:
    one, other = shards.write(ROWS), shards.write(ROWS[::-1] * 2)
    found = shards.read([(other, 0), (one, 0), (one, 3), (one, 0), (other, 4)])
    np.testing.assert_array_equal(found, np.stack([ROWS[4] * 2, ROWS[0], ROWS[3], ROWS[0], ROWS[0] * 2]))
    assert found.dtype == np.float32
    assert shards.read([]).shape == (0, 4)


def test_a_shard_is_named_by_its_content(shards: Shards, tmp_path: Path) -> None:
    name = shards.write(ROWS)
    assert shards.write(ROWS.copy()) == name
    assert shards.write(np.asfortranarray(ROWS)) == name
    assert shards.write(ROWS.astype(np.float64)) == name  # the same numbers
    assert shards.write(ROWS[:4]) != name
    assert {file.name for file in (tmp_path / "vectors").iterdir()} == {f"{name}.npy", f"{shards.write(ROWS[:4])}.npy"}


def test_another_process_reads_what_was_written(shards: Shards, tmp_path: Path) -> None:
    name = shards.write(ROWS)
    np.testing.assert_array_equal(np.load(tmp_path / "vectors" / f"{name}.npy", allow_pickle=False), ROWS)
    np.testing.assert_array_equal(Shards(tmp_path / "vectors", 4).read([(name, 2)]), ROWS[2:3])


def test_a_missing_shard_is_named(shards: Shards) -> None:
    shards.write(ROWS)
    with pytest.raises(StoreError, match=r"reading the vector file .*abc\.npy failed: FileNotFoundError"):
        shards.read([("abc", 0)])


@pytest.mark.parametrize("size", [0, 5, 60, 130, -1])
def test_a_torn_shard_is_refused(shards: Shards, tmp_path: Path, size: int) -> None:
    name = shards.write(ROWS)
    file = tmp_path / "vectors" / f"{name}.npy"
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(StoreError, match=f"reading the vector file .*{name}"):
        shards.read([(name, 0)])


def test_a_row_that_a_shard_does_not_have_is_refused(shards: Shards) -> None:
    name = shards.write(ROWS)
    with pytest.raises(StoreError, match="holds 5 rows, row 5 was expected"):
        shards.read([(name, 4), (name, 5)])


def saved(array: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(array), allow_pickle=True)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (saved(ROWS[:, :3]), r"holds float32 \[5, 3\], expected float32 \[n, 4\]"),
        (saved(ROWS[0]), r"holds float32 \[4\], expected"),
        (saved(ROWS.astype(np.float64)), r"holds float64 \[5, 4\], expected float32"),
        (b"PK\x03\x04" + b"\0" * 100, "failed: ValueError"),
        (b"some text, and no array at all", "failed: ValueError"),
    ],
)
def test_a_file_of_another_shape_or_kind_is_refused(
    shards: Shards, tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "vectors").mkdir()
    (tmp_path / "vectors" / "odd.npy").write_bytes(content)
    with pytest.raises(StoreError, match=message):
        shards.read([("odd", 0)])


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.place),)


def test_a_pickle_is_never_loaded(shards: Shards, tmp_path: Path) -> None:
    array = np.empty((1, 4), dtype=object)
    array[:] = Bomb(tmp_path / "exploded")
    (tmp_path / "vectors").mkdir()
    (tmp_path / "vectors" / "bomb.npy").write_bytes(saved(array))
    with pytest.raises(StoreError, match="reading the vector file"):
        shards.read([("bomb", 0)])
    assert not (tmp_path / "exploded").exists()
    np.load(tmp_path / "vectors" / "bomb.npy", allow_pickle=True)  # the guard: it would have exploded
    assert (tmp_path / "exploded").exists()


def test_a_write_that_fails_leaves_nothing_behind(
    shards: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards.write(ROWS)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"writing vectors to .* failed: OSError: .*No space left"):
        shards.write(ROWS * 2)
    assert len(list((tmp_path / "vectors").iterdir())) == 1


def test_a_folder_that_cannot_be_made_is_an_error_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="writing vectors to"):
        Shards(tmp_path / "file" / "vectors", 4).write(ROWS)
