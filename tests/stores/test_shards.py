from __future__ import annotations

import io
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from reasonir_agent.errors import StoreError
from reasonir_agent.stores.shards import DamagedShard, Shards

ROWS = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
KEYS = [bytes([n]) * 16 for n in range(5)]
ROW_BYTES = 16 + 4 + 4 * 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "vectors"


@pytest.fixture
def shards(folder: Path) -> Shards:
    return Shards(folder, 4)


def test_rows_come_back_exactly_in_the_order_asked_for(shards: Shards) -> None:
    name = shards.write(KEYS, ROWS)
    found = shards.read(name, [3, 0, 3, 4])
    np.testing.assert_array_equal(found, ROWS[[3, 0, 3, 4]])
    np.testing.assert_array_equal(shards.vectors(name), ROWS)
    assert found.dtype == shards.vectors(name).dtype == np.float32
    assert shards.read(name, []).shape == (0, 4)


def test_a_row_holds_its_key_a_checksum_of_both_and_the_vector(shards: Shards, folder: Path) -> None:
    name = shards.write(KEYS, ROWS)
    rows = np.load(folder / f"{name}.npy", allow_pickle=False)
    assert rows.dtype.names == ("key", "crc", "vector")
    assert [row["key"].tobytes() for row in rows] == KEYS
    assert [int(row["crc"]) for row in rows] == [
        zlib.crc32(key + row.tobytes()) for key, row in zip(KEYS, ROWS, strict=True)
    ]
    np.testing.assert_array_equal(rows["vector"], ROWS)


def test_a_file_is_named_by_its_content(shards: Shards, folder: Path) -> None:
    name = shards.write(KEYS, ROWS)
    assert shards.write(KEYS, ROWS.copy()) == name
    assert shards.write(KEYS, np.asfortranarray(ROWS)) == name
    assert shards.write(KEYS, ROWS.astype(np.float64)) == name  # the same numbers
    fewer, others = shards.write(KEYS[:4], ROWS[:4]), shards.write(KEYS[::-1], ROWS)
    assert len({name, fewer, others}) == 3
    assert shards.names() == {name, fewer, others}
    assert {file.name for file in folder.iterdir()} == {f"{one}.npy" for one in (name, fewer, others)}


def test_a_file_is_on_disk_before_it_has_its_name(
    shards: Shards, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(handle: int) -> None:
        events.append(f"sync, {len(list(folder.glob('*.npy')))} named")
        fsync(handle)

    def renamed(self: Path, target: Path) -> Path:
        events.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    shards.write(KEYS, ROWS)
    assert events == ["sync, 0 named", "rename", "sync, 1 named"]  # the file, its name, the folder that has it


def damaged(shards: Shards, name: str) -> Shards:
    """The same folder with nothing mapped: all ways to read the file must refuse it, and name it."""
    fresh = Shards(shards.folder, shards.dim)
    assert not fresh.is_sound(name)
    with pytest.raises(DamagedShard) as error:
        fresh.vectors(name)
    text = str(error.value)
    assert str(shards.folder / f"{name}.npy") in text and text.endswith("; run: reasonir doctor")
    assert "\n" not in text
    return fresh


@pytest.mark.parametrize("row", range(5))
@pytest.mark.parametrize("at", [0, 15, 16, 19, 20, 35], ids=["key", "key end", "crc", "crc end", "vector", "end"])
def test_one_flipped_bit_costs_the_row_that_it_is_in_and_no_other(
    shards: Shards, folder: Path, row: int, at: int
) -> None:
    name = shards.write(KEYS, ROWS)
    content = bytearray((folder / f"{name}.npy").read_bytes())
    content[len(content) - (5 - row) * ROW_BYTES + at] ^= 0x10
    (folder / f"{name}.npy").write_bytes(content)
    others = [n for n in range(5) if n != row]
    fresh = damaged(shards, name)
    assert fresh.sound_rows(name) == {KEYS[n]: n for n in others}
    np.testing.assert_array_equal(fresh.read(name, others), ROWS[others])
    with pytest.raises(DamagedShard, match=rf"{name}\.npy holds other bytes than were written"):
        fresh.read(name, [others[0], row])


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Python warns while it reads some of the broken headers
def test_any_flipped_byte_is_found_or_harms_nothing(shards: Shards, folder: Path) -> None:
    name = shards.write(KEYS, ROWS)
    file = folder / f"{name}.npy"
    sound = file.read_bytes()
    header = len(sound) - 5 * ROW_BYTES
    harmless = 0
    for at in range(len(sound)):
        flips = {sound[at] ^ flip for flip in ((0x01, 0x08, 0x80, 0xFF) if at < header else (0x04,))}
        for byte in (flips | set(b"\0\n#('L") if at < header else flips) - {sound[at]}:
            file.write_bytes(sound[:at] + bytes([byte]) + sound[at + 1 :])
            fresh = Shards(folder, 4)
            if fresh.is_sound(name):
                harmless += 1
                assert at < header
                np.testing.assert_array_equal(fresh.vectors(name), ROWS)
                np.testing.assert_array_equal(fresh.read(name, range(5)), ROWS)
            else:
                assert set(fresh.sound_rows(name)) <= set(KEYS)
                with pytest.raises(DamagedShard):
                    fresh.vectors(name)
    assert harmless < 10 * header // 4  # white space of the header for other white space


@pytest.mark.parametrize("size", [0, 5, 60, 127, 128, 130, -1, -ROW_BYTES])
def test_a_cut_file_is_damaged_and_no_row_is_trusted(shards: Shards, folder: Path, size: int) -> None:
    name = shards.write(KEYS, ROWS)
    file = folder / f"{name}.npy"
    file.write_bytes(file.read_bytes()[:size])
    fresh = damaged(shards, name)
    assert fresh.sound_rows(name) == {}
    with pytest.raises(DamagedShard, match="cannot be read"):
        fresh.read(name, [0])


def test_a_missing_file_is_named(shards: Shards) -> None:
    shards.write(KEYS, ROWS)
    fresh = damaged(shards, "abc")
    assert fresh.sound_rows("abc") == {}
    with pytest.raises(DamagedShard, match=r"abc\.npy is missing; run: reasonir doctor"):
        fresh.read("abc", [0])


def test_a_row_that_a_file_does_not_have_is_refused(shards: Shards) -> None:
    name = shards.write(KEYS, ROWS)
    with pytest.raises(DamagedShard, match="holds 5 rows, row 5 was expected"):
        shards.read(name, [4, 5])


def test_damage_that_comes_later_is_found_by_asking_anew(shards: Shards, folder: Path) -> None:
    name = shards.write(KEYS, ROWS)
    assert shards.is_sound(name)
    with (folder / f"{name}.npy").open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(b"\x7f")
    assert not shards.is_sound(name)


def saved(array: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(array), allow_pickle=True)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (saved(ROWS), r"holds .*<f4.*, expected vectors of 4 dimensions"),
        (saved(np.zeros(2, dtype=[("key", "u1", (16,)), ("crc", "<u4"), ("vector", "<f4", (5,))])), "expected vectors"),
        (saved(np.zeros(2, dtype=[("key", "u1", (16,)), ("crc", "<u4"), ("vector", "<f8", (4,))])), "expected vectors"),
        (saved(np.zeros((2, 1), dtype=[("key", "u1", (16,)), ("crc", "<u4"), ("vector", "<f4", (4,))])), "expected"),
        (b"PK\x03\x04" + b"\0" * 100, "cannot be read"),
        (b"some text, and no array at all", "cannot be read"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + b" " * 100, "cannot be read"),
    ],
    ids=["no keys", "other dimension", "other numbers", "two axes", "zip", "text", "endless header"],
)
def test_a_file_of_another_shape_or_kind_is_refused(shards: Shards, folder: Path, content: bytes, message: str) -> None:
    folder.mkdir()
    (folder / "odd.npy").write_bytes(content)
    with pytest.raises(DamagedShard, match=message):
        shards.read("odd", [0])
    assert not shards.is_sound("odd")
    assert shards.sound_rows("odd") == {}


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.place),)


def test_a_pickle_is_never_loaded(shards: Shards, folder: Path, tmp_path: Path) -> None:
    array = np.empty((1, 4), dtype=object)
    array[:] = Bomb(tmp_path / "exploded")
    folder.mkdir()
    (folder / "bomb.npy").write_bytes(saved(array))
    for read in (lambda: shards.read("bomb", [0]), lambda: shards.vectors("bomb")):
        with pytest.raises(DamagedShard, match=r"bomb\.npy cannot be read"):
            read()
    assert shards.sound_rows("bomb") == {}
    assert not (tmp_path / "exploded").exists()
    np.load(folder / "bomb.npy", allow_pickle=True)  # the guard: it would have exploded
    assert (tmp_path / "exploded").exists()


def test_a_write_that_fails_leaves_nothing_behind(
    shards: Shards, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards.write(KEYS, ROWS)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"writing vectors to .* failed: OSError: .*No space left"):
        shards.write(KEYS, ROWS * 2)
    assert len(list(folder.iterdir())) == 1


FULL_DISK = """
import resource, signal, sys
import numpy as np
from pathlib import Path
from reasonir_agent.errors import StoreError
from reasonir_agent.stores.shards import Shards
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
shards = Shards(Path(sys.argv[1]), 64)
few = shards.write([bytes([1]) * 16], np.ones((1, 64)))
try:
    shards.write([n.to_bytes(16, "big") for n in range(100)], np.ones((100, 64)))
except StoreError as problem:
    print(problem)
assert shards.names() == {few}, shards.names()
"""


@pytest.mark.skipif(os.name != "posix", reason="only POSIX bounds the size of a process's files")
def test_a_file_that_the_system_refuses_to_take_is_an_error_of_the_store(folder: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(f"writing vectors to {folder} failed: OSError:")
    assert len(list(folder.iterdir())) == 1


def test_a_folder_that_cannot_be_made_is_an_error_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="writing vectors to"):
        Shards(tmp_path / "file" / "vectors", 4).write(KEYS, ROWS)


def test_what_a_killed_writer_left_half_written_is_no_file_of_ours_and_is_removed(shards: Shards, folder: Path) -> None:
    name = shards.write(KEYS, ROWS)
    (folder / "tmp123.part").write_bytes((folder / f"{name}.npy").read_bytes()[:100])
    (folder / "encoder.json").write_text("{}")
    assert shards.names() == {name}
    assert shards.remove_leavings() == 1
    assert shards.remove_leavings() == 0
    assert {file.name for file in folder.iterdir()} == {f"{name}.npy", "encoder.json"}


def test_a_folder_that_was_never_written_has_no_files(shards: Shards, folder: Path) -> None:
    assert shards.names() == set()
    assert shards.remove_leavings() == 0
    assert not folder.exists()


def test_a_removed_file_is_gone_here_and_lives_on_where_it_is_mapped(shards: Shards, folder: Path) -> None:
    name = shards.write(KEYS, ROWS)
    reader = Shards(folder, 4)
    reader.vectors(name)
    shards.remove(name)
    shards.remove(name)  # once more does nothing
    with pytest.raises(DamagedShard, match="is missing"):
        shards.vectors(name)
    np.testing.assert_array_equal(reader.vectors(name), ROWS)
    np.testing.assert_array_equal(reader.read(name, [4]), ROWS[4:])


def test_a_file_may_be_written_again_after_it_was_lost(shards: Shards, folder: Path) -> None:
    name = shards.write(KEYS, ROWS)
    shards.vectors(name)
    (folder / f"{name}.npy").unlink()
    assert shards.write(KEYS, ROWS) == name
    np.testing.assert_array_equal(shards.read(name, [2]), ROWS[2:3])
