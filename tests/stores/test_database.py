from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from reasonir_agent.errors import EncoderMismatch, StoreError
from reasonir_agent.stores.database import (
    FILE_NAME,
    FORMAT,
    Change,
    Database,
    DocumentEntry,
    FileEntry,
    metadata_digest,
    vector_key,
)
from reasonir_agent.stores.encoders import stored_encoder
from reasonir_agent.stores.examination import manifest_problems
from reasonir_agent.stores.filters import parse_where
from reasonir_agent.stores.store import Store
from reasonir_agent.testing import FakeEncoder
from reasonir_agent.types import Document, Passage, Scalar


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path, create=True)
    yield opened
    opened.close()


def document(
    source: str, *texts: str, heading: str = "H", metadata: Mapping[str, Scalar] | None = None
) -> DocumentEntry:
    """A document with a passage for each text, its digest as an index run makes it."""
    made, start = [], 0
    for text in texts:
        passage = Passage.make(source, start, start + len(text), text, heading)
        made.append((passage, vector_key(passage.encoded_text)))
        start += len(text)
    digest = repr((texts, heading)) + metadata_digest(metadata or {})
    return DocumentEntry(Document(source, "".join(texts), metadata=metadata or {}), digest, made)


def put(database: Database, path: str, *documents: DocumentEntry, digest: str = "d") -> Change:
    return database.put_file(path, FileEntry(digest, "stamp"), documents)


def texts(database: Database) -> list[str]:
    return sorted(one.text for one in database.passages(database.passage_ids()).values())


def by_text(database: Database) -> dict[str, int]:
    return {passage.text: number for number, passage in database.all_passages()}


class TestFiles:
    def test_a_file_brings_documents_and_passages_and_takes_them_with_it(self, database: Database) -> None:
        put(database, "f", document("f#1", "one", "two"), document("f#2", "three"))
        put(database, "g", document("g", "four"))
        assert database.count() == (2, 4)
        assert texts(database) == ["four", "one", "three", "two"]
        assert database.sources() == ["f#1", "f#2", "g"]
        assert database.document_text("f#1") == "onetwo"
        database.remove_files(["f", "unknown"])
        assert texts(database) == ["four"]
        assert database.document_text("f#1") is None
        assert database.count() == (1, 1)

    def test_what_is_known_of_a_file_comes_back(self, database: Database) -> None:
        skipped = [["f#page=2", "it is encrypted"]]
        database.put_file("f", FileEntry("d1", "12:34", skipped=skipped), [document("f", "one", "two")])
        database.put_file("empty", FileEntry("d2", ""), [])
        assert database.files() == {
            "f": FileEntry("d1", "12:34", 2, skipped),
            "empty": FileEntry("d2", "", 0, []),
        }
        database.stamp_files({"f": "56:78", "unknown": "9"})
        assert database.files()["f"] == FileEntry("d1", "56:78", 2, skipped)
        assert database.files().keys() == {"f", "empty"}

    def test_a_file_is_replaced_as_a_whole(self, database: Database) -> None:
        put(database, "f", document("f#1", "one"), document("f#2", "two"), digest="1")
        assert put(database, "f", document("f#1", "uno"), digest="2") == Change(added=1, kept=0, removed=2)
        assert texts(database) == ["uno"]
        assert database.files()["f"].digest == "2"
        assert database.document_digests("f") == {"f#1": document("f#1", "uno").digest}

    def test_a_passage_comes_back_as_it_was(self, database: Database) -> None:
        entry = document("ünï 'quoted'\n.txt", "水 \ufffd 😀")
        put(database, "f", entry)
        ((one, _),) = entry.passages or ()
        assert database.passages([one.id, "unknown"]) == {one.id: one}
        ((number, same),) = database.all_passages()
        assert same == one
        assert database.numbered([number, number + 1]) == {number: one}

    def test_more_ids_than_sqlite_takes_at_once_are_found(self, database: Database) -> None:
        entry = document("f", *(f"text {n} " for n in range(1234)))
        put(database, "f", entry)
        made = [one for one, _ in entry.passages or ()]
        assert database.passages([one.id for one in made]) == {one.id: one for one in made}
        numbers = database.numbers().tolist()
        assert list(database.numbered(numbers).values()) == made


class TestOnlyWhatChangedIsWritten:
    def test_the_same_again_writes_nothing_and_counts_what_is_kept(self, database: Database) -> None:
        entry = document("f", "one", "two")
        assert put(database, "f", entry) == Change(added=2, kept=0, removed=0)
        before, generation = by_text(database), database.generation
        rows = database._connection.total_changes
        assert put(database, "f", entry, digest="read anew") == Change(added=0, kept=2, removed=0)
        assert database._connection.total_changes == rows + 1  # what is known of the file, nothing else
        assert (by_text(database), database.generation) == (before, generation)
        assert database.files()["f"].digest == "read anew"

    def test_unchanged_passages_keep_their_number_and_numbers_are_never_given_twice(self, database: Database) -> None:
        put(database, "f", document("f", "one", "two", "six"))
        before = by_text(database)
        assert put(database, "f", document("f", "one", "TWO", "six")) == Change(added=1, kept=2, removed=1)
        after = by_text(database)
        assert (after["one"], after["six"]) == (before["one"], before["six"])
        assert after["TWO"] > max(before.values())
        assert put(database, "f", document("f", "one")) == Change(added=0, kept=1, removed=2)
        put(database, "f", document("f", "one", "two"))
        assert by_text(database)["two"] > after["TWO"]

    def test_other_documents_of_a_file_are_not_touched(self, database: Database) -> None:
        put(database, "f", document("f#1", "one"), document("f#2", "two"), document("f#3", "three"))
        before = by_text(database)
        change = put(database, "f", document("f#1", "one"), document("f#2", "zwei"), document("f#4", "four"))
        assert change == Change(added=2, kept=1, removed=2)
        assert by_text(database)["one"] == before["one"]
        assert texts(database) == ["four", "one", "zwei"]

    def test_a_new_heading_gives_a_new_number_since_its_vector_is_another(self, database: Database) -> None:
        put(database, "f", document("f", "one", heading="Old"))
        before = by_text(database)["one"]
        assert put(database, "f", document("f", "one", heading="New")) == Change(added=1, kept=0, removed=1)
        assert by_text(database)["one"] > before
        ((_, passage),) = database.all_passages()
        assert passage.heading == "New"

    def test_a_new_heading_that_does_not_change_the_vector_is_stored_all_the_same(self, database: Database) -> None:
        put(database, "f", document("f", "Money is debt.", heading="Old > Money"))
        put(database, "f", document("f", "Money is debt.", heading="New > Money"))
        ((_, passage),) = database.all_passages()
        assert passage.encoded_text == "Money is debt."  # the guard: the last heading stands in the text
        assert passage.heading == "New > Money"

    def test_metadata_alone_change_no_passage(self, database: Database) -> None:
        put(database, "f", document("f", "one", metadata={"year": 1999}))
        before, generation = by_text(database), database.generation
        entry = document("f", "one", metadata={"year": 2000})
        without = DocumentEntry(entry.document, entry.digest, None)  # its text is the stored one
        for changed in (without, document("f", "one", metadata={"year": 2001})):
            assert put(database, "f", changed) == Change(added=0, kept=1, removed=0)
            assert (by_text(database), database.generation) == (before, generation)
        assert database.numbers(parse_where(["year=2001"])).tolist() == list(before.values())
        assert database.numbers(parse_where(["year=1999"])).tolist() == []

    def test_each_change_of_the_passages_is_a_generation(self, database: Database) -> None:
        assert database.generation == 0
        put(database, "f", document("f", "one"))
        assert database.generation == 1
        put(database, "g")  # no passage
        database.stamp_files({"f": "new"})
        database.set_meta("x", 1)
        assert database.generation == 1
        database.remove_files(["f"])
        assert database.generation == 2

    def test_the_removal_of_files_without_passages_is_no_generation(self, database: Database) -> None:
        put(database, "f", document("f", "one"))
        put(database, "empty")
        database.remove_files([])
        database.remove_files(["unknown", "empty"])
        assert (database.generation, database.count()) == (1, (1, 1))


class TestTransactions:
    def test_one_that_fails_changes_nothing(self, database: Database) -> None:
        put(database, "f", document("f", "one"))
        before = database.generation
        for error in (ValueError, KeyboardInterrupt):
            with pytest.raises(error), database.transaction():
                database.set_meta("x", 1)
                database.rows("DELETE FROM files")
                raise error
        assert database.get_meta("x") is None
        assert texts(database) == ["one"]
        assert database.generation == before
        with database.transaction():
            database.set_meta("x", 1)
        assert database.get_meta("x") == 1

    def test_a_replacement_that_fails_half_way_keeps_what_was_there(self, database: Database) -> None:
        put(database, "f", document("f", "one"), digest="1")
        broken = DocumentEntry(Document("f#2", "x"), "x", [(Passage("id", "nowhere", 0, 1, "x"), b"x" * 16)])
        with pytest.raises(StoreError, match="FOREIGN KEY constraint failed"):
            put(database, "f", document("f", "two"), broken, digest="2")
        assert texts(database) == ["one"]
        assert (database.files()["f"].digest, database.generation) == ("1", 1)

    def test_a_snapshot_sees_one_state_whatever_is_committed_meanwhile(
        self, database: Database, tmp_path: Path
    ) -> None:
        put(database, "f", document("f", "one"))
        reader = Database(tmp_path)
        with reader.snapshot():
            assert texts(reader) == ["one"]
            put(database, "g", document("g", "two"))  # not stopped by the reader
            database.remove_files(["f"])
            assert (texts(reader), reader.generation, reader.count()) == (["one"], 1, (1, 1))
            with reader.snapshot():  # one within another is the same one
                assert texts(reader) == ["one"]
            assert texts(reader) == ["one"]
        assert (texts(reader), reader.generation) == (["two"], 3)
        reader.close()

    def test_without_a_snapshot_a_reader_sees_what_is_committed_and_nothing_else(
        self, database: Database, tmp_path: Path
    ) -> None:
        reader = Database(tmp_path)
        with database.transaction():
            database.set_meta("x", 1)
            assert reader.get_meta("x") is None
        assert reader.get_meta("x") == 1
        reader.close()

    def test_a_second_writer_is_told_in_words(self, database: Database, tmp_path: Path) -> None:
        put(database, "f", document("f", "one"))
        other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        database.rows("PRAGMA busy_timeout = 10")
        with pytest.raises(StoreError, match=r"cannot be used: database is locked$"):
            database.remove_files(["f"])
        assert texts(database) == ["one"]  # readers do not wait for it
        other.execute("ROLLBACK")
        other.close()
        database.remove_files(["f"])
        assert texts(database) == []


class TestFilters:
    @pytest.fixture
    def filled(self, database: Database) -> Database:
        put(database, "notes/a.md", document("notes/a.md", "one", "two", metadata={"type": "md", "year": 1999}))
        put(
            database,
            "b.jsonl",
            document("b.jsonl#id=1", "three", metadata={"type": "jsonl", "year": 2005, "date": "2024-12-31"}),
            document("b.jsonl#id=2", "four", metadata={"type": "jsonl"}),
        )
        return database

    @pytest.mark.parametrize(
        ("conditions", "expected"),
        [
            ([], "one two three four"),
            (["type=md"], "one two"),
            (["type!=md"], "three four"),
            (["year>=2000"], "three"),
            (["year!=1999"], "three four"),
            (["date<=2024"], "three"),
            (["source=notes"], "one two"),
            (["source=b.jsonl"], "three four"),
            (["source=b.jsonl#id=2"], "four"),
            (["type=jsonl", "year<2000"], ""),
            (["unknown=1"], ""),
            (["type='; DROP TABLE passages; --"], ""),
        ],
    )
    def test_numbers_of_the_passages_whose_document_passes(
        self, filled: Database, conditions: list[str], expected: str
    ) -> None:
        numbers = by_text(filled)
        wanted = sorted(numbers[text] for text in expected.split())
        assert filled.numbers(parse_where(conditions)).tolist() == wanted
        assert filled.count() == (2, 4)

    def test_the_fields_are_those_of_all_documents_source_first(self, filled: Database) -> None:
        assert filled.metadata_fields() == ["source", "date", "type", "year"]


def test_what_was_written_is_there_after_opening_again(database: Database, tmp_path: Path) -> None:
    put(database, "f", document("f", "one"))
    database.set_meta("m", {"a": [1, None, "水"]})
    database.close()
    again = Database(tmp_path)
    assert (texts(again), again.generation, again.get_meta("m")) == (["one"], 1, {"a": [1, None, "水"]})
    assert again.get_meta("never set") is None
    again.close()


def test_the_state_of_chroma_and_its_passages_change_in_one_step(database: Database) -> None:
    put(database, "f", document("f", "one", "two"))
    numbers = database.numbers()
    database.note_chroma({"state": "clean"}, numbers)
    assert database.in_chroma().tolist() == numbers.tolist()
    database.note_chroma({"state": "dirty"}, None)  # the mark alone
    assert database.in_chroma().tolist() == numbers.tolist()
    database.note_chroma({"state": "clean"}, numbers[:1])
    assert (database.in_chroma().tolist(), database.get_meta("chroma")) == ([numbers[0]], {"state": "clean"})
    with pytest.raises(StoreError, match="UNIQUE constraint"):
        database.note_chroma({"state": "wrong"}, numbers[[0, 0]])
    assert (database.in_chroma().tolist(), database.get_meta("chroma")) == ([numbers[0]], {"state": "clean"})


class TestProblems:
    @pytest.fixture
    def filled(self, database: Database) -> Database:
        put(database, "f", document("f", "one", "two", metadata={"year": 1999}))
        assert manifest_problems(database) == []
        return database

    @pytest.mark.parametrize(
        ("damage", "found"),
        [
            ("UPDATE documents SET text = 'onetwi'", "1 texts of passages are not what stands in their documents"),
            ("UPDATE passages SET text = 'uno' WHERE text = 'one'", "1 texts of passages"),
            ("UPDATE passages SET heading = 'X' WHERE text = 'one'", "1 passages are not what was written"),
            ("UPDATE passages SET key = zeroblob(16)", "2 passages are not what was written"),
            ("UPDATE passages SET id = 'x' WHERE text = 'one'", "1 passages are not what was written"),
            ("""UPDATE documents SET metadata = '{"year": 1998}'""", "1 metadata are not what was written"),
            ("UPDATE documents SET metadata = '{'", "1 rows of metadata are no JSON"),
            ("UPDATE files SET skipped = '['", "1 rows of skipped parts are no JSON"),
            ("UPDATE meta SET value = 'x' WHERE key = 'generation'", "1 settings are no JSON"),
        ],
    )
    def test_a_changed_row_is_found(self, filled: Database, damage: str, found: str) -> None:
        filled.rows(damage)
        assert any(one.startswith(found) for one in manifest_problems(filled)), manifest_problems(filled)

    def test_a_row_that_refers_to_nothing_is_found(self, filled: Database) -> None:
        filled.rows("PRAGMA foreign_keys = OFF")
        filled.rows("DELETE FROM documents")
        assert "a row of passages refers to nothing" in manifest_problems(filled)


def one_sentence(error: pytest.ExceptionInfo[StoreError]) -> str:
    text = str(error.value)
    assert "\n" not in text and 20 < len(text) < 400
    return text


class TestWhatIsNoStoreOfOurs:
    def test_a_missing_folder(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError) as error:
            Store(tmp_path / "nowhere", FakeEncoder())
        assert one_sentence(error) == f"there is no store at {tmp_path / 'nowhere'}; make one with: reasonir index PATH"

    def test_a_folder_without_our_database(self, tmp_path: Path) -> None:
        for opened in (lambda: Store(tmp_path, FakeEncoder()), lambda: Database(tmp_path)):
            with pytest.raises(StoreError) as error:
                opened()
            assert "is no store: it has no reasonir.sqlite; make one with: reasonir index PATH" in one_sentence(error)
        assert list(tmp_path.iterdir()) == []

    def test_a_file_in_the_place_of_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(StoreError, match="must be a folder, and a file of that name is there"):
            Store(tmp_path / "file", FakeEncoder(), create=True)
        with pytest.raises(StoreError):
            Store(tmp_path / "file", FakeEncoder())
        with pytest.raises(StoreError, match="making the store's folder"):
            Store(tmp_path / "file" / "below", FakeEncoder(), create=True)
        assert (tmp_path / "file").read_text() == "x"

    def test_a_folder_that_holds_something_else(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").write_text("x")
        with pytest.raises(StoreError, match="is not a store of ours and not empty; give another --store"):
            Store(tmp_path, FakeEncoder(), create=True)
        assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]

    def test_a_store_that_lost_its_database_is_told_how_to_save_its_vectors(self, tmp_path: Path) -> None:
        Store(tmp_path / "s", FakeEncoder(), create=True).close()
        (tmp_path / "s" / FILE_NAME).unlink()
        with pytest.raises(StoreError) as error:
            Store(tmp_path / "s", FakeEncoder(), create=True)
        assert "run: reasonir doctor --rebuild (its vectors are kept)" in one_sentence(error)
        assert not (tmp_path / "s" / FILE_NAME).exists()

    def test_a_store_is_made_in_an_empty_or_a_new_folder(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        for name in ("empty", "new/deep"):
            Store(tmp_path / name, FakeEncoder(), create=True).close()
            assert stored_encoder(tmp_path / name) == "fake"

    def test_a_store_of_another_format(self, tmp_path: Path) -> None:
        Store(tmp_path / "s", FakeEncoder(), create=True).close()
        connection = sqlite3.connect(tmp_path / "s" / FILE_NAME)
        with connection:
            connection.execute("UPDATE meta SET value = ? WHERE key = 'format'", (json.dumps(FORMAT + 1),))
            connection.execute("DROP TABLE passages")
        connection.close()
        for create in (False, True):
            with pytest.raises(StoreError) as error:
                Store(tmp_path / "s", FakeEncoder(), create=create)
            assert f"is a store of format {FORMAT + 1}, this version reads format {FORMAT}" in one_sentence(error)

    def test_a_store_that_was_never_finished(self, tmp_path: Path) -> None:
        (tmp_path / FILE_NAME).touch()  # killed before the first table
        with pytest.raises(StoreError, match="was never finished; run: reasonir index PATH"):
            Database(tmp_path)
        Database(tmp_path, create=True).close()
        with pytest.raises(StoreError, match="was never finished; run: reasonir index PATH"):
            Store(tmp_path, FakeEncoder())
        Store(tmp_path, FakeEncoder(), create=True).close()
        Store(tmp_path, FakeEncoder()).close()

    def test_the_database_of_another_program_is_not_touched(self, tmp_path: Path) -> None:
        connection = sqlite3.connect(tmp_path / FILE_NAME)
        connection.execute("CREATE TABLE recipes (name TEXT)")
        connection.close()
        before = (tmp_path / FILE_NAME).read_bytes()
        for create in (False, True):
            with pytest.raises(StoreError, match="is the database of another program"):
                Store(tmp_path, FakeEncoder(), create=create)
        assert (tmp_path / FILE_NAME).read_bytes() == before


REMEDY = "; run: reasonir doctor --rebuild (no vector is lost)"


class TestDamage:
    @pytest.mark.parametrize(
        "content", [b"not a database at all, but long enough to be one" * 50, b"SQLite format 3\0" + b"\xff" * 5000]
    )
    def test_a_file_that_is_no_database_is_refused_with_the_remedy(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / FILE_NAME).write_bytes(content)
        with pytest.raises(StoreError) as error:
            Store(tmp_path, FakeEncoder())
        assert one_sentence(error).endswith(f"{FILE_NAME} cannot be used: file is not a database{REMEDY}")
        assert (tmp_path / FILE_NAME).read_bytes() == content

    def test_damage_within_is_an_error_of_the_store_with_the_remedy(self, tmp_path: Path) -> None:
        database = Database(tmp_path, create=True)
        put(database, "f", document("f", *(f"text {n} " * 50 for n in range(300))))
        database.close()
        content = bytearray((tmp_path / FILE_NAME).read_bytes())
        half = len(content) // 2 // 4096 * 4096
        content[half:] = b"\xff" * (len(content) - half)
        (tmp_path / FILE_NAME).write_bytes(bytes(content))
        damaged = Database(tmp_path)
        try:
            with pytest.raises(StoreError, match="cannot be used: database disk image is malformed") as error:
                list(damaged.all_passages())
            assert one_sentence(error).endswith(REMEDY)
        finally:
            damaged.close()

    def test_a_damaged_setting_is_found(self, tmp_path: Path) -> None:
        Store(tmp_path / "s", FakeEncoder(), create=True).close()
        connection = sqlite3.connect(tmp_path / "s" / FILE_NAME)
        with connection:
            connection.execute("UPDATE meta SET value = '{' WHERE key = 'format'")
        connection.close()
        for create in (False, True):
            with pytest.raises(StoreError, match=r"is damaged: it holds '\{', expected JSON") as error:
                Database(tmp_path / "s", create=create)
            assert one_sentence(error).endswith(REMEDY)


WITHOUT_RIGHTS = """
import os, sys
import bm25s, filelock  # what is imported later, the other user may not be able to read
import numpy as np
from reasonir_agent.errors import StoreError
from reasonir_agent.stores.store import Store
from reasonir_agent.testing import FakeEncoder
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    open(os.path.join(sys.argv[1], "x"), "w")
except PermissionError:
    pass
else:
    sys.exit("the folder can be written to")
encoder = FakeEncoder()
store = Store(sys.argv[1], encoder)
print(*[hit.passage.text for hit in store.search(["ice"], encoder.encode_queries(["ice"]), 1)])
try:
    with store.writing():
        pass
except StoreError as problem:
    print(problem)
store.close()
"""


@pytest.fixture
def locked_folder() -> Iterator[Path]:
    """A folder that other users may enter; pytest's own may not be entered by them."""
    if os.name != "posix":
        pytest.skip("needs POSIX's rights on folders")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for one in (folder, *folder.rglob("*")):
        if one.is_dir():
            one.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.slow
class TestAReadOnlyFolder:
    @pytest.fixture
    def store(self, locked_folder: Path) -> Path:
        store = Store(locked_folder / "store", FakeEncoder(), create=True)
        with store.writing():
            entry = document("f", "Ice is cold.", heading="")
            for passage, key in entry.passages or ():
                store.vectors.add([key], FakeEncoder().encode_documents([passage.text]))
            put(store.database, "f", entry)
        store.refresh()
        store.close()
        return locked_folder / "store"

    def read(self, folder: Path) -> subprocess.CompletedProcess[str]:
        for one in (folder, *folder.rglob("*")):
            one.chmod(0o555 if one.is_dir() else 0o444)
        return subprocess.run(
            [sys.executable, "-c", WITHOUT_RIGHTS, str(folder)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def test_a_store_in_it_is_searched_and_not_written_to(self, store: Path) -> None:
        ran = self.read(store)
        assert ran.returncode == 0, ran.stderr
        found, refused = ran.stdout.splitlines()
        assert found == "Ice is cold."
        assert refused.startswith(f"locking the store {store} failed: PermissionError")

    def test_a_log_that_cannot_be_read_beside_it_is_an_error_and_not_overlooked(self, store: Path) -> None:
        connection = sqlite3.connect(store / FILE_NAME, isolation_level=None)
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("INSERT INTO meta VALUES ('x', '1')")
        copy = store.with_name("copy")
        shutil.copytree(store, copy)  # as a kill leaves it: the log is not emptied
        connection.close()
        (copy / f"{FILE_NAME}-shm").unlink()
        ran = self.read(copy)
        assert f"StoreError: the store's database {copy / FILE_NAME} cannot be used: unable to open" in ran.stderr


class TestEncoderOfAStore:
    def test_another_one_is_refused_naming_both_and_the_remedy(self, tmp_path: Path) -> None:
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
