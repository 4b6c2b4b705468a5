from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from reasonir_agent.errors import EncoderMismatch, StoreError
from reasonir_agent.stores.database import FILE_NAME, FORMAT, Database
from reasonir_agent.stores.store import Store, stored_encoder
from reasonir_agent.testing import FakeEncoder
from reasonir_agent.types import Document, Passage


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path, create=True)
    yield opened
    opened.close()


def passages(source: str, *texts: str) -> tuple[Document, list[tuple[Passage, str]]]:
    """A document with a passage for each text; the key of a vector is the text."""
    whole, made, start = "".join(texts), [], 0
    for text in texts:
        made.append((Passage.make(source, start, start + len(text), text, "H"), text))
        start += len(text)
    return Document(source, whole), made


def texts(database: Database) -> list[str]:
    return sorted(one.text for one in database.passages(database.passage_ids()).values())


def test_a_file_brings_documents_and_passages_and_takes_them_with_it(database: Database) -> None:
    database.replace_file("f", "digest", [passages("f#1", "one", "two"), passages("f#2", "three")])
    database.replace_file("g", "other", [passages("g", "four")])
    assert database.count() == (2, 4)
    assert database.file_digests() == {"f": "digest", "g": "other"}
    assert texts(database) == ["four", "one", "three", "two"]
    assert len(database.passage_ids("f")) == 3
    assert database.document_text("f#1") == "onetwo"
    database.remove_files(["f", "unknown"])
    assert texts(database) == ["four"]
    assert database.document_text("f#1") is None


def test_a_file_is_replaced_as_a_whole(database: Database) -> None:
    database.replace_file("f", "1", [passages("f#1", "one"), passages("f#2", "two")])
    database.replace_file("f", "2", [passages("f#1", "uno")])
    assert texts(database) == ["uno"]
    assert database.file_digests() == {"f": "2"}


def test_a_passage_comes_back_as_it_was(database: Database) -> None:
    document, made = passages("ünï 'quoted'\n.txt", "水 \ufffd 😀")
    database.replace_file("f", "1", [(document, made)])
    ((one, _),) = made
    assert database.passages([one.id, "unknown"]) == {one.id: one}
    assert list(database.all_texts()) == [(one.id, one.encoded_text)]


def test_more_ids_than_sqlite_takes_at_once_are_found(database: Database) -> None:
    document, made = passages("f", *(f"text {n} " for n in range(1234)))
    database.replace_file("f", "1", [(document, made)])
    database.add_vectors([key for _, key in made], "shard")
    ids = [one.id for one, _ in made]
    assert database.passages(ids) == {one.id: one for one, _ in made}
    assert database.known_keys([key for _, key in made] + ["unknown"]) == {key for _, key in made}
    assert (
        database.locations(ids)
        == database.locations()
        == sorted((one.id, "shard", n) for n, (one, _) in enumerate(made))
    )


def test_equal_keys_share_a_vector(database: Database) -> None:
    database.replace_file("f", "1", [passages("f", "same")])
    database.replace_file("g", "1", [passages("g", "same")])
    database.add_vectors(["other", "same"], "shard")
    assert [(shard, row) for _, shard, row in database.locations()] == [("shard", 1)] * 2


def test_a_transaction_that_fails_changes_nothing(database: Database) -> None:
    database.replace_file("f", "1", [passages("f", "one")])
    before = database.generation
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), database.transaction():
            database.set_meta("x", 1)
            database._connection.execute("DELETE FROM files")
            raise error
    assert database.get_meta("x") is None
    assert texts(database) == ["one"]
    assert database.generation == before
    with database.transaction():
        database.set_meta("x", 1)
    assert database.get_meta("x") == 1


def test_a_replacement_that_fails_half_way_keeps_what_was_there(database: Database) -> None:
    database.replace_file("f", "1", [passages("f", "one")])
    broken = [(Passage("id", "nowhere", 0, 1, "x"), "x")]  # its document does not exist
    with pytest.raises(StoreError, match="FOREIGN KEY constraint failed"):
        database.replace_file("f", "2", [passages("f", "two"), (Document("f#2", "x"), broken)])
    assert texts(database) == ["one"]
    assert (database.file_digests(), database.generation) == ({"f": "1"}, 1)


def test_each_change_of_the_passages_is_a_generation(database: Database) -> None:
    assert database.generation == 0
    database.replace_file("f", "1", [passages("f", "one")])
    assert database.generation == 1
    database.add_vectors(["one"], "shard")  # no change of the passages
    assert database.generation == 1
    database.remove_files(["f"])
    assert database.generation == 2


def test_what_was_written_is_there_after_opening_again(database: Database, tmp_path: Path) -> None:
    database.replace_file("f", "1", [passages("f", "one")])
    database.set_meta("m", {"a": [1, None, "水"]})
    database.close()
    again = Database(tmp_path, create=False)
    assert (texts(again), again.generation, again.get_meta("m")) == (["one"], 1, {"a": [1, None, "水"]})
    again.close()


def one_sentence(error: pytest.ExceptionInfo[StoreError]) -> str:
    text = str(error.value)
    assert "\n" not in text and 20 < len(text) < 400
    return text


def test_a_missing_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as error:
        Store(tmp_path / "nowhere", FakeEncoder())
    assert one_sentence(error) == f"there is no store at {tmp_path / 'nowhere'}; make one with: reasonir index PATH"


def test_a_folder_without_our_database_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as error:
        Store(tmp_path, FakeEncoder())
    assert "is no store: it has no reasonir.sqlite; make one with: reasonir index PATH" in one_sentence(error)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="must be a folder, and a file of that name is there"):
        Store(tmp_path / "file", FakeEncoder(), create=True)
    with pytest.raises(StoreError):
        Store(tmp_path / "file", FakeEncoder())
    with pytest.raises(StoreError, match="making the store's folder"):
        Store(tmp_path / "file" / "below", FakeEncoder(), create=True)
    assert (tmp_path / "file").read_text() == "x"


def test_no_store_is_made_in_a_folder_that_holds_something_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(StoreError, match="is not a store of ours and not empty; give another --store"):
        Store(tmp_path, FakeEncoder(), create=True)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_store_is_made_in_an_empty_or_a_new_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "new/deep"):
        Store(tmp_path / name, FakeEncoder(), create=True).close()
        assert stored_encoder(tmp_path / name) == "fake"


def test_a_store_of_another_format_is_refused(tmp_path: Path) -> None:
    Store(tmp_path / "s", FakeEncoder(), create=True).close()
    connection = sqlite3.connect(tmp_path / "s" / FILE_NAME)
    with connection:
        connection.execute("UPDATE meta SET value = '2' WHERE key = 'format'")
        connection.execute("DROP TABLE passages")
    connection.close()
    with pytest.raises(StoreError) as error:
        Store(tmp_path / "s", FakeEncoder())
    assert f"is a store of format 2, this version reads format {FORMAT}" in one_sentence(error)


def test_the_database_of_another_program_is_refused_and_not_touched(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    before = (tmp_path / FILE_NAME).read_bytes()
    for create in (False, True):
        with pytest.raises(StoreError, match="is the database of another program"):
            Store(tmp_path, FakeEncoder(), create=create)
    assert (tmp_path / FILE_NAME).read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough to be one" * 50, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_damaged_database_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(StoreError) as error:
        Store(tmp_path, FakeEncoder())
    assert f"{FILE_NAME} cannot be used: file is not a database" in one_sentence(error)


def test_damage_within_the_database_is_an_error_of_the_store(tmp_path: Path) -> None:
    database = Database(tmp_path, create=True)
    database.replace_file("f", "1", [passages("f", *(f"text {n} " * 50 for n in range(300)))])
    database.close()
    content = bytearray((tmp_path / FILE_NAME).read_bytes())
    half = len(content) // 2 // 4096 * 4096
    content[half:] = b"\xff" * (len(content) - half)
    (tmp_path / FILE_NAME).write_bytes(bytes(content))
    with pytest.raises(StoreError, match="cannot be used: database disk image is malformed"):
        damaged = Database(tmp_path, create=False)
        try:
            damaged.passages(damaged.passage_ids())
            list(damaged.all_texts())
        finally:
            damaged.close()


def test_a_store_that_another_run_is_writing_to_is_an_error_in_words(database: Database, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    database._connection.execute("PRAGMA busy_timeout = 10")
    with pytest.raises(StoreError, match="cannot be used: database is locked"):
        database.remove_files(["f"])
    other.execute("ROLLBACK")
    other.close()
    database.remove_files(["f"])


def test_another_encoder_is_refused_naming_both_and_the_remedy(tmp_path: Path) -> None:
    Store(tmp_path / "s", FakeEncoder("first"), create=True).close()
    for create in (False, True):
        with pytest.raises(EncoderMismatch) as error:
            Store(tmp_path / "s", FakeEncoder("second"), create=create)
        text = str(error.value)
        assert "'first'" in text and "'second'" in text
        assert "they differ in weights;" in text
        assert text.endswith("use --encoder first, or index into another --store")
    with pytest.raises(EncoderMismatch, match="differ in dim"):
        Store(tmp_path / "s", FakeEncoder("first", dim=32))
    Store(tmp_path / "s", FakeEncoder("first")).close()


def test_the_encoder_of_a_store_can_be_asked_without_an_encoder(tmp_path: Path) -> None:
    assert stored_encoder(tmp_path / "nowhere") is None
    assert stored_encoder(tmp_path) is None
    Store(tmp_path / "s", FakeEncoder("first"), create=True).close()
    assert stored_encoder(tmp_path / "s") == "first"
