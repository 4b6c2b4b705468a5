from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from reasonir_agent.stores import vectors as vectors_module
from reasonir_agent.stores.database import Database, FileEntry, vector_key
from reasonir_agent.stores.encoders import note_encoder
from reasonir_agent.stores.shards import DamagedShard
from reasonir_agent.stores.vectors import LOCATED, Vectors, vector_folder
from reasonir_agent.testing import FakeEncoder, FakeFingerprint
from tests.stores.conftest import entry

ENCODER = FakeEncoder()
TEXTS = [f"number {n} of many" for n in range(12)]
KEYS = [vector_key(text) for text in TEXTS]
ROWS = ENCODER.encode_documents(TEXTS)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path, create=True)
    yield opened
    opened.close()


def vectors_of(database: Database, folder: Path, encoder: FakeEncoder = ENCODER) -> Vectors:
    """As another process sees them: nothing is mapped."""
    number = note_encoder(database, folder, encoder)
    return Vectors(database, folder, number, encoder.fingerprint.as_json(), encoder.dim)


@pytest.fixture
def vectors(database: Database, tmp_path: Path) -> Vectors:
    return vectors_of(database, tmp_path)


@pytest.fixture
def put(database: Database) -> Callable[..., None]:
    """Passages without their vectors."""

    def put(source: str, *texts: str) -> None:
        one = entry(source, texts, {})
        database.put_file(source, FileEntry("", ""), [one])

    return put


def files(vectors: Vectors) -> list[str]:
    return sorted(file.name for file in vectors.shards.folder.glob("*.npy"))


def assert_all_there(vectors: Vectors, numbers: list[int], expected: np.ndarray = ROWS) -> None:
    found, rows = vectors.read(numbers)
    assert found == numbers
    np.testing.assert_array_equal(rows, expected)


class TestWhereVectorsAre:
    def test_each_passage_has_the_vector_of_its_text(
        self, vectors: Vectors, database: Database, put: Callable[..., None]
    ) -> None:
        put("f", *TEXTS)
        vectors.add(KEYS[5:], ROWS[5:])  # in two files, and not in the order of the passages
        vectors.add(KEYS[4::-1], ROWS[4::-1])
        numbers = database.numbers().tolist()
        assert_all_there(vectors, numbers)
        np.testing.assert_array_equal(vectors.of_keys(KEYS[::-1]), ROWS[::-1])
        names = {name: number for number, name in vectors.names().items()}
        assert names.keys() == vectors.shards.names()
        assert vectors.locations().tolist() == [
            *([number, 2, row] for number, row in zip(numbers[:5], range(4, -1, -1), strict=True)),
            *([number, 1, row] for number, row in zip(numbers[5:], range(7), strict=True)),
        ]
        assert vectors.locations(numbers[3:7]).tolist() == vectors.locations().tolist()[3:7]

    def test_equal_texts_share_one_vector(self, vectors: Vectors, database: Database, put: Callable[..., None]) -> None:
        put("f", TEXTS[0], TEXTS[1], TEXTS[0])
        put("g", TEXTS[0])
        assert vectors.known(KEYS) == set()
        vectors.add(KEYS[:2], ROWS[:2])
        assert vectors.known([*KEYS, b"unknown"]) == set(KEYS[:2])
        numbers = database.numbers().tolist()
        assert_all_there(vectors, numbers, ROWS[[0, 1, 0, 0]])
        assert [row for _, _, row in vectors.locations().tolist()] == [0, 1, 0, 0]
        assert vectors.waste() == (2, 0)

    def test_passages_without_a_vector_are_missing(
        self, vectors: Vectors, database: Database, put: Callable[..., None]
    ) -> None:
        put("f", *TEXTS)
        numbers = database.numbers().tolist()
        assert vectors.missing().tolist() == numbers
        vectors.add(KEYS[:3], ROWS[:3])
        assert vectors.missing().tolist() == numbers[3:]
        assert vectors.locations()[:, 0].tolist() == numbers[:3]
        found, rows = vectors.read(numbers)
        assert (found, rows.shape) == (numbers[:3], (3, ENCODER.dim))
        assert vectors.read([])[1].shape == (0, ENCODER.dim)
        assert vectors.locations([]).shape == (0, 3)

    def test_more_than_sqlite_takes_at_once(
        self, vectors: Vectors, database: Database, put: Callable[..., None]
    ) -> None:
        texts = [f"{n} apples" for n in range(1100)]
        keys, rows = [vector_key(text) for text in texts], ENCODER.encode_documents(texts)
        put("f", *texts)
        vectors.add(keys, rows)
        assert vectors.known(keys) == set(keys)
        assert_all_there(vectors, database.numbers().tolist(), rows)

    def test_what_was_added_is_there_for_the_next_process(
        self, vectors: Vectors, database: Database, put: Callable[..., None], tmp_path: Path
    ) -> None:
        put("f", *TEXTS)
        vectors.add(KEYS, ROWS)
        other = Database(tmp_path)
        assert_all_there(vectors_of(other, tmp_path), other.numbers().tolist())
        other.close()

    def test_encoders_do_not_share_vectors_even_where_these_are_equal(
        self, vectors: Vectors, database: Database, put: Callable[..., None], tmp_path: Path
    ) -> None:
        """Another prefix for queries makes another encoder, and the very same vectors of documents."""
        put("f", *TEXTS)
        vectors.add(KEYS, ROWS)
        other_encoder = FakeEncoder()
        other_encoder.fingerprint = FakeFingerprint("another prefix", ENCODER.dim)
        other = vectors_of(database, tmp_path, other_encoder)
        assert other.known(KEYS) == set()
        other.add(KEYS, ROWS)
        numbers = database.numbers().tolist()
        for one in (vectors, other, vectors_of(database, tmp_path, other_encoder)):
            assert_all_there(one, numbers)
            assert set(one.names().values()) == one.shards.names()
        assert other.drop_damage(*other.names().values()) == (12, 0)
        for one in (vectors, other):
            assert_all_there(one, numbers)
            assert one.adopt() == 0


class TestAdoption:
    def test_a_file_that_was_written_and_not_noted_is_won_back(
        self, vectors: Vectors, database: Database, put: Callable[..., None]
    ) -> None:
        put("f", *TEXTS)
        vectors.add(KEYS[:4], ROWS[:4])
        vectors.shards.write(KEYS[2:], ROWS[2:])  # killed here
        assert vectors.adopt() == 8
        assert vectors.adopt() == 0
        assert_all_there(vectors, database.numbers().tolist())
        assert len(files(vectors)) == 2

    def test_one_that_brings_nothing_new_is_deleted(self, vectors: Vectors) -> None:
        vectors.add(KEYS, ROWS)
        vectors.shards.write(KEYS[3:5], ROWS[3:5])
        assert vectors.adopt() == 0
        assert files(vectors) == [f"{name}.npy" for name in vectors.names().values()]

    def test_of_a_damaged_one_the_sound_rows_are_won(self, vectors: Vectors) -> None:
        vectors.add(KEYS[:4], ROWS[:4])
        name = vectors.shards.write(KEYS[4:], ROWS[4:])
        file = vectors.shards.folder / f"{name}.npy"
        whole = file.read_bytes()
        file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        assert vectors.adopt() == len(KEYS) - 5
        assert not file.exists()
        assert vectors.known(KEYS) == set(KEYS[:-1])

    @pytest.mark.parametrize("cut", [50, -1], ids=["cut", "cut at the end"])
    def test_a_torn_one_and_half_written_ones_are_deleted(self, vectors: Vectors, cut: int) -> None:
        vectors.add(KEYS[:4], ROWS[:4])
        name = vectors.shards.write(KEYS[4:], ROWS[4:])
        file = vectors.shards.folder / f"{name}.npy"
        file.write_bytes(file.read_bytes()[:cut])
        (vectors.shards.folder / "tmpx.part").write_bytes(b"half")
        assert vectors.adopt() == 0
        assert files(vectors) == [f"{one}.npy" for one in vectors.names().values()] != [file.name]
        assert not list(vectors.shards.folder.glob("*.part"))
        assert vectors.known(KEYS) == set(KEYS[:4])

    def test_a_noted_file_that_is_damaged_is_left_to_the_doctor(self, vectors: Vectors) -> None:
        vectors.add(KEYS, ROWS)
        (file,) = vectors.shards.folder.glob("*.npy")
        file.write_bytes(file.read_bytes()[:-1])
        assert vectors.adopt() == 0
        assert file.exists()

    def test_a_store_without_vectors_has_none_to_adopt(self, vectors: Vectors) -> None:
        assert vectors.adopt() == 0

    def test_files_that_compaction_replaced_are_deleted_by_the_next_writer_and_not_won_back(
        self, vectors: Vectors, database: Database, put: Callable[..., None]
    ) -> None:
        put("f", *TEXTS[:2])
        vectors.add(KEYS, ROWS)
        (old,) = files(vectors)
        assert vectors.compact() == 10
        assert len(files(vectors)) == 2 and old in files(vectors)  # a reader may just be about to open it
        assert vectors.adopt() == 0
        assert len(files(vectors)) == 1 and old not in files(vectors)
        assert vectors.known(KEYS) == set(KEYS[:2])
        vectors.shards.write(KEYS, ROWS)  # the same texts came back, and the writer was killed
        assert vectors.adopt() == 10
        assert_all_there(vectors, database.numbers().tolist(), ROWS[:2])


class TestRewriting:
    def test_tidy_joins_many_small_files_and_no_vector_changes(
        self, vectors: Vectors, database: Database, put: Callable[..., None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(vectors_module, "SMALL_SHARDS", 8)
        put("f", *TEXTS[:10])  # two of the vectors belong to no passage
        for key, row in zip(KEYS, ROWS, strict=True):
            vectors.add([key], row[None])
        vectors.tidy()
        assert len(vectors.names()) == 1
        assert_all_there(vectors, database.numbers().tolist(), ROWS[:10])
        np.testing.assert_array_equal(vectors.of_keys(KEYS), ROWS)
        vectors.adopt()
        assert len(files(vectors)) == 1
        assert_all_there(vectors, database.numbers().tolist(), ROWS[:10])
        vectors.tidy()  # nothing more to do
        assert len(files(vectors)) == 1

    def test_few_small_files_and_large_ones_are_left_alone(
        self, vectors: Vectors, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(vectors_module, "SMALL_SHARDS", 2)
        monkeypatch.setattr(vectors_module, "ROWS_PER_SHARD", 8)
        for start in (0, 4, 8):
            vectors.add(KEYS[start : start + 4], ROWS[start : start + 4])  # 4 are not less than half of 8
        before = files(vectors)
        vectors.tidy()
        assert files(vectors) == before
        monkeypatch.setattr(vectors_module, "ROWS_PER_SHARD", 10)
        monkeypatch.setattr(vectors_module, "SMALL_SHARDS", 3)
        vectors.tidy()  # three small ones are not more than three
        assert files(vectors) == before
        monkeypatch.setattr(vectors_module, "SMALL_SHARDS", 2)
        vectors.tidy()
        vectors.adopt()
        assert len(files(vectors)) == 2  # 10 rows and 2
        np.testing.assert_array_equal(vectors.of_keys(KEYS), ROWS)

    def test_compaction_drops_what_no_passage_uses_and_nothing_else(
        self, vectors: Vectors, database: Database, put: Callable[..., None]
    ) -> None:
        put("f", *TEXTS[:6])
        vectors.add(KEYS[:4], ROWS[:4])
        vectors.add(KEYS[4:], ROWS[4:])
        numbers = database.numbers().tolist()
        before = vectors.read(numbers)[1]
        assert vectors.waste() == (12, 6)
        assert vectors.compact() == 6
        assert vectors.waste() == (6, 0)
        np.testing.assert_array_equal(vectors.read(numbers)[1], before)
        assert_all_there(vectors, numbers, ROWS[:6])
        assert vectors.compact() == 0
        vectors.adopt()
        assert_all_there(vectors, numbers, ROWS[:6])

    def test_compaction_keeps_a_file_of_which_every_row_is_used(
        self, vectors: Vectors, database: Database, put: Callable[..., None]
    ) -> None:
        put("f", *TEXTS[:6])
        vectors.add(KEYS[:6], ROWS[:6])
        (used,) = files(vectors)
        vectors.add(KEYS[6:], ROWS[6:])
        assert vectors.compact() == 6
        vectors.adopt()
        assert files(vectors) == [used]
        assert_all_there(vectors, database.numbers().tolist(), ROWS[:6])

    def test_compaction_of_a_store_without_passages_leaves_no_file(self, vectors: Vectors) -> None:
        vectors.add(KEYS, ROWS)
        assert vectors.compact() == 12
        vectors.adopt()
        assert (files(vectors), vectors.names(), vectors.waste()) == ([], {}, (0, 0))

    def test_a_run_that_was_killed_in_a_compaction_loses_nothing(
        self, vectors: Vectors, database: Database, put: Callable[..., None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put("f", *TEXTS[:6])
        vectors.add(KEYS, ROWS)

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(vectors, "_note", killed)  # the new file is there, the manifest names the old one
        with pytest.raises(KeyboardInterrupt):
            vectors.compact()
        monkeypatch.undo()
        assert len(files(vectors)) == 2
        assert vectors.adopt() == 0
        assert len(files(vectors)) == 1
        assert vectors.known(KEYS) == set(KEYS)
        assert_all_there(vectors, database.numbers().tolist(), ROWS[:6])

    @pytest.mark.parametrize(("least", "compacted"), [(0, True), (10**9, False)])
    def test_tidy_compacts_when_most_is_waste_and_it_weighs_something(
        self,
        vectors: Vectors,
        put: Callable[..., None],
        monkeypatch: pytest.MonkeyPatch,
        least: int,
        compacted: bool,
    ) -> None:
        monkeypatch.setattr(vectors_module, "_WASTE_BYTES", least)
        put("f", *TEXTS[:6])
        vectors.add(KEYS, ROWS)
        vectors.tidy()
        assert vectors.waste() == (12, 6)  # as many as are used: not more
        put("f", *TEXTS[:5])
        vectors.tidy()
        assert vectors.waste() == ((5, 0) if compacted else (12, 7))


class TestDamage:
    @pytest.fixture
    def damaged(self, vectors: Vectors, put: Callable[..., None], tmp_path: Path, database: Database) -> Vectors:
        """A bit of the first vector in the first file is flipped, and one of the second."""
        put("f", *TEXTS)
        vectors.add(KEYS[:6], ROWS[:6])
        vectors.add(KEYS[6:], ROWS[6:])
        file = vectors.shards.folder / f"{vectors.names()[1]}.npy"
        content = bytearray(file.read_bytes())
        row = 16 + 4 + 4 * ENCODER.dim
        content[-6 * row + 27] ^= 1
        content[-5 * row + 27] ^= 1
        file.write_bytes(content)
        return vectors_of(database, tmp_path)

    def test_reading_it_names_the_file_and_other_rows_are_read(self, damaged: Vectors, database: Database) -> None:
        numbers = database.numbers().tolist()
        with pytest.raises(DamagedShard, match=rf"{damaged.names()[1]}\.npy holds other bytes.*reasonir doctor"):
            damaged.read(numbers)
        assert_all_there(damaged, numbers[2:], ROWS[2:])

    def test_only_the_damaged_rows_are_lost(self, damaged: Vectors, database: Database) -> None:
        name, numbers = damaged.names()[1], database.numbers().tolist()
        lost = numbers[:2]
        assert [number for number in numbers if not readable(damaged, number)] == lost
        assert damaged.drop_damage(name) == (4, 2)
        assert damaged.missing().tolist() == lost
        assert_all_there(damaged, numbers[2:], ROWS[2:])
        assert f"{name}.npy" not in files(damaged)
        damaged.add(KEYS[:2], ROWS[:2])  # encoded again
        assert_all_there(damaged, numbers)
        assert damaged.adopt() == 0

    def test_a_missing_file_costs_all_of_its_rows_and_no_other(
        self, damaged: Vectors, database: Database, tmp_path: Path
    ) -> None:
        name, numbers = damaged.names()[2], database.numbers().tolist()
        (damaged.shards.folder / f"{name}.npy").unlink()
        assert damaged.drop_damage(name) == (0, 6)
        assert damaged.missing().tolist() == numbers[6:]
        assert len(damaged.names()) == 1

    def test_a_row_with_the_key_of_another_text_is_lost_and_not_taken_for_it(
        self, vectors: Vectors, database: Database, put: Callable[..., None]
    ) -> None:
        """Checksums hold, and yet the file is not the one that was noted: two rows have changed places."""
        put("f", *TEXTS[:3])
        vectors.add(KEYS[:3], ROWS[:3])
        swapped = vectors.shards.write([KEYS[1], KEYS[0], KEYS[2]], ROWS[[1, 0, 2]])
        (vectors.shards.folder / f"{swapped}.npy").replace(vectors.shards.folder / f"{vectors.names()[1]}.npy")
        fresh = Vectors(database, vectors.shards.folder.parent.parent, 1, ENCODER.fingerprint.as_json(), ENCODER.dim)
        assert not fresh.shards.is_sound(fresh.names()[1])
        assert fresh.drop_damage(fresh.names()[1]) == (1, 2)
        assert_all_there(fresh, database.numbers().tolist()[2:], ROWS[2:3])


def readable(vectors: Vectors, number: int) -> bool:
    try:
        vectors.read([number])
    except DamagedShard:
        return False
    return True


def test_vectors_lie_under_the_id_of_their_encoder(vectors: Vectors, tmp_path: Path) -> None:
    vectors.add(KEYS, ROWS)
    assert vectors.shards.folder == vector_folder(tmp_path, ENCODER.fingerprint.as_json())
    assert vectors.shards.folder == tmp_path / "vectors" / ENCODER.fingerprint.id
    assert sorted(file.name for file in vectors.shards.folder.iterdir()) == sorted(["encoder.json", *files(vectors)])


def test_some_passages_are_located_by_their_numbers_and_not_by_reading_all_vectors(vectors: Vectors) -> None:
    plan = vectors._database.rows(f"EXPLAIN QUERY PLAN {LOCATED} WHERE p.number IN (?, ?)", (1, 2, 3))
    first, second = (row[3] for row in plan)
    assert first == "SEARCH p USING INTEGER PRIMARY KEY (rowid=?)"
    assert second == "SEARCH v USING PRIMARY KEY (encoder=? AND key=?)"
