"""Somebody's Chroma collection, made with other vectors: read, encoded again, replaced; nothing of it is lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
from chromadb.config import Settings

from reasonir_agent.corpus.reembed import ReembedReport, reembed_collection
from reasonir_agent.errors import InputError, StoreError
from reasonir_agent.stores.chroma import collection as chroma_collection
from reasonir_agent.stores.chroma.collection import Collection, Record
from reasonir_agent.stores.database import FILE_NAME
from reasonir_agent.testing import FakeEncoder

OTHER = FakeEncoder("other", dim=48)
NEW = OTHER.fingerprint.id
RECORDS = [
    Record(f"id-{n:03}", f"Record {n} tells of {'ice' if n % 2 else 'lava'}.", {"n": n, "odd": bool(n % 2), "x": n / 4})
    for n in range(40)
]


@contextmanager
def client(folder: Path) -> Iterator[Any]:
    opened = chromadb.PersistentClient(path=str(folder), settings=Settings(anonymized_telemetry=False))
    try:
        yield opened
    finally:
        opened.close()


def write(folder: Path, records: list[Record], *, name: str = "notes", metadata: dict[str, Any] | None = None) -> None:
    """A collection as another program makes it, with vectors of its own."""
    vectors = FakeEncoder("theirs", dim=16).encode_documents([record.text or "-" for record in records])
    with client(folder) as opened:
        made = opened.create_collection(name, embedding_function=None, metadata=metadata)
        for record, vector in zip(records, vectors, strict=True):
            made.add(
                ids=[record.id],
                embeddings=[vector],
                documents=[record.text] if record.text else None,
                metadatas=[record.metadata] if record.metadata else None,
            )


def contents(folder: Path, name: str = "notes") -> dict[str, tuple[str, Any, list[float]]]:
    """Text, metadata and vector of each record."""
    with client(folder) as opened:
        found = opened.get_collection(name, embedding_function=None).get(
            include=["documents", "metadatas", "embeddings"]
        )
    rows = zip(found["ids"], found["documents"], found["metadatas"], found["embeddings"], strict=True)
    return {one: (text, metadata, np.asarray(vector).tolist()) for one, text, metadata, vector in rows}


def written(folder: Path, name: str) -> dict[str, int]:
    """Chroma's ids, and the number that it gave each at its last writing."""
    query = (
        "SELECT e.embedding_id, e.seq_id FROM embeddings e JOIN segments s ON e.segment_id = s.id "
        "JOIN collections c ON s.collection = c.id WHERE c.name = ?"
    )
    connection = sqlite3.connect(folder / "chroma.sqlite3")
    rows = dict(connection.execute(query, (name,)))
    connection.close()
    return rows


def names(folder: Path) -> list[str]:
    with client(folder) as opened:
        return sorted(one.name for one in opened.list_collections())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "theirs"


@pytest.fixture
def reembed(folder: Path, tmp_path: Path) -> Callable[..., ReembedReport]:
    """One run of the command, with everything opened anew."""

    def run(encoder: FakeEncoder = OTHER) -> ReembedReport:
        collection = Collection(folder, "notes", encoder.fingerprint.id)
        try:
            return reembed_collection(
                collection, encoder, staging=tmp_path / "staging" / f"notes-{encoder.fingerprint.id}"
            )
        finally:
            collection.close()

    return run


def assert_replaced(folder: Path, records: list[Record], encoder: FakeEncoder = OTHER) -> None:
    found = contents(folder)
    assert {one: (text, metadata) for one, (text, metadata, _) in found.items()} == {
        record.id: (record.text, record.metadata) for record in records
    }
    vectors = encoder.encode_documents([record.text for record in records])
    for record, vector in zip(records, vectors, strict=True):
        np.testing.assert_allclose(found[record.id][2], vector, atol=1e-6)


class TestReplacement:
    def test_ids_texts_and_metadata_stay_and_vectors_are_those_of_the_new_encoder(
        self, folder: Path, tmp_path: Path, reembed: Callable[..., ReembedReport]
    ) -> None:
        write(folder, RECORDS)
        before = contents(folder)
        report = reembed(FakeEncoder("other", dim=48))
        assert_replaced(folder, RECORDS)
        assert names(folder) == ["notes", f"notes-before-{NEW}"]
        assert contents(folder, f"notes-before-{NEW}") == before
        assert (report.texts, report.encoded, report.before, report.now) == (40, 40, f"notes-before-{NEW}", "notes")
        assert report.warnings == []
        assert not (tmp_path / "staging").exists()

    def test_the_new_one_is_searched_by_cosine_whatever_the_old_one_was(
        self, folder: Path, reembed: Callable[..., ReembedReport]
    ) -> None:
        write(folder, RECORDS, metadata={"hnsw:space": "l2", "owner": "me"})
        reembed()
        with client(folder) as opened:
            found = opened.get_collection("notes", embedding_function=None)
            assert found.metadata == {"owner": "me", "reasonir:fingerprint": NEW}
            assert found.configuration_json["hnsw"]["space"] == "cosine"
            query = OTHER.encode_queries(["Record 7 tells of ice."])
            assert found.query(query_embeddings=query, n_results=1, where={"n": {"$lt": 9}})["ids"] == [["id-007"]]

    def test_records_without_metadata_and_equal_texts_are_kept(
        self, folder: Path, reembed: Callable[..., ReembedReport]
    ) -> None:
        records = [
            Record("a", "The same text.", None),
            Record("b", "The same text.", {"n": 1}),
            Record("c", "水 \n 'quoted' 😀", None),
        ]
        write(folder, records)
        report = reembed()
        assert (report.texts, report.encoded) == (3, 2)
        assert_replaced(folder, records)

    def test_a_collection_without_any_metadata_and_an_empty_one(
        self, folder: Path, reembed: Callable[..., ReembedReport]
    ) -> None:
        write(folder, [Record("a", "One.", None), Record("b", "Two.", None)])
        reembed()
        assert_replaced(folder, [Record("a", "One.", None), Record("b", "Two.", None)])
        write(folder.with_name("empty"), [])
        collection = Collection(folder.with_name("empty"), "notes", NEW)
        assert reembed_collection(collection, OTHER, staging=folder.with_name("s") / "x").texts == 0
        collection.close()
        assert contents(folder.with_name("empty")) == {}

    def test_other_collections_are_not_touched(self, folder: Path, reembed: Callable[..., ReembedReport]) -> None:
        write(folder, RECORDS[:3])
        write(folder, RECORDS[5:9], name="others")
        before = contents(folder, "others")
        reembed()
        assert contents(folder, "others") == before

    def test_records_are_read_in_portions_and_each_once(self, folder: Path) -> None:
        write(folder, RECORDS)
        collection = Collection(folder, "notes", NEW)
        portions = list(collection.read(7))
        assert [len(some) for some in portions] == [7, 7, 7, 7, 7, 5]
        assert sorted((r for some in portions for r in some), key=lambda r: r.id) == RECORDS
        assert len(collection) == 40 and not collection.is_replaced
        collection.close()

    def test_requests_are_bounded_by_bytes(
        self, folder: Path, reembed: Callable[..., ReembedReport], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(chroma_collection, "_BYTES_PER_REQUEST", 7 * 48 * 4)
        sizes: list[int] = []
        add = chromadb.Collection.add

        def noted(self: Any, **rows: Any) -> None:
            sizes.append(len(rows["ids"]))
            add(self, **rows)

        write(folder, RECORDS)
        monkeypatch.setattr(chromadb.Collection, "add", noted)
        reembed()
        assert sizes == [7, 7, 7, 7, 7, 5]
        assert_replaced(folder, RECORDS)


class TestASecondRun:
    def test_it_encodes_nothing_and_says_so(self, folder: Path, reembed: Callable[..., ReembedReport]) -> None:
        write(folder, RECORDS)
        reembed()
        before = contents(folder)
        encoder = FakeEncoder("other", dim=48)
        report = reembed(encoder)
        assert (report.texts, report.encoded, encoder.encoded) == (40, 0, [])
        assert (report.before, report.now) == (f"notes-before-{NEW}", "notes")
        assert report.warnings == ["it was done before; nothing was encoded"]
        assert contents(folder) == before
        assert names(folder) == ["notes", f"notes-before-{NEW}"]

    def test_a_third_encoder_replaces_the_second(self, folder: Path, reembed: Callable[..., ReembedReport]) -> None:
        write(folder, RECORDS)
        third = FakeEncoder("third", dim=8)
        reembed()
        second = contents(folder)
        assert reembed(third).encoded == 40
        assert_replaced(folder, RECORDS, third)
        assert contents(folder, f"notes-before-{third.fingerprint.id}") == second

    def test_the_way_back_to_an_earlier_encoder_is_not_taken_for_done(
        self, folder: Path, reembed: Callable[..., ReembedReport]
    ) -> None:
        write(folder, RECORDS)
        reembed()
        third = FakeEncoder("third", dim=8)
        reembed(third)
        with pytest.raises(InputError, match=f"'notes-before-{NEW}'.* is in the way; rename or delete it"):
            reembed()
        assert_replaced(folder, RECORDS, third)
        with client(folder) as opened:
            opened.get_collection(f"notes-before-{NEW}", embedding_function=None).modify(name="kept")
        assert reembed().encoded == 40
        assert_replaced(folder, RECORDS)


class Stopped(Exception):
    """Stands for a kill: nothing of ours catches it."""


class StoppingEncoder(FakeEncoder):
    """Is stopped at its second call."""

    def encode_documents(self, texts: Any, /) -> Any:
        if self.encoded:
            raise Stopped
        return super().encode_documents(texts)


class TestARunThatWasStopped:
    @pytest.mark.slow
    def test_within_the_encoding_it_goes_on_with_the_rest(
        self, folder: Path, reembed: Callable[..., ReembedReport]
    ) -> None:
        records = [Record(f"{n:04}", f"Text number {n}.", {"n": n}) for n in range(600)]
        write_at_once(folder, records)
        before = contents(folder)
        stopping, again = StoppingEncoder("other", dim=48), FakeEncoder("other", dim=48)
        with pytest.raises(Stopped):
            reembed(stopping)
        done = len(stopping.encoded)
        assert 0 < done < 600  # the guard
        assert contents(folder) == before and names(folder) == ["notes"]  # it serves as it did
        report = reembed(again)
        assert sorted(again.encoded + stopping.encoded) == sorted(record.text for record in records)
        assert (report.texts, report.encoded) == (600, 600 - done)
        assert_replaced(folder, records)

    @pytest.mark.parametrize("requests", [0, 3])
    def test_within_the_filling_it_goes_on_without_encoding(
        self, folder: Path, reembed: Callable[..., ReembedReport], monkeypatch: pytest.MonkeyPatch, requests: int
    ) -> None:
        write(folder, RECORDS)
        monkeypatch.setattr(chroma_collection, "_BYTES_PER_REQUEST", 7 * 48 * 4)
        add, left = chromadb.Collection.add, [requests]

        def stopped(self: Any, **rows: Any) -> None:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            add(self, **rows)

        monkeypatch.setattr(chromadb.Collection, "add", stopped)
        with pytest.raises(KeyboardInterrupt):
            reembed()
        monkeypatch.setattr(chromadb.Collection, "add", add)
        assert names(folder) == ["notes", f"notes-{NEW}"]
        encoder, before = FakeEncoder("other", dim=48), written(folder, f"notes-{NEW}")
        assert len(before) == 7 * requests
        assert reembed(encoder).encoded == 0
        assert encoder.encoded == []
        assert before.items() <= written(folder, "notes").items()  # none of them was written again
        assert_replaced(folder, RECORDS)
        assert names(folder) == ["notes", f"notes-before-{NEW}"]

    @pytest.mark.parametrize("renamed", [0, 1])
    def test_at_the_two_renames_the_same_command_finishes(
        self,
        folder: Path,
        tmp_path: Path,
        reembed: Callable[..., ReembedReport],
        monkeypatch: pytest.MonkeyPatch,
        renamed: int,
    ) -> None:
        write(folder, RECORDS)
        before = contents(folder)
        modify, left = Collection._modify, [renamed]

        def stopped(self: Collection, name: str, new_name: str) -> None:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            modify(self, name, new_name)

        monkeypatch.setattr(Collection, "_modify", stopped)
        with pytest.raises(KeyboardInterrupt):
            reembed()
        monkeypatch.undo()
        assert ("notes" in names(folder)) == (renamed == 0)
        encoder = FakeEncoder("other", dim=48)
        reembed(encoder)
        assert encoder.encoded == []
        assert_replaced(folder, RECORDS)
        assert names(folder) == ["notes", f"notes-before-{NEW}"]
        assert contents(folder, f"notes-before-{NEW}") == before
        assert not (tmp_path / "staging" / f"notes-{NEW}").exists()

    def test_while_its_staging_folder_was_made(
        self, folder: Path, tmp_path: Path, reembed: Callable[..., ReembedReport]
    ) -> None:
        write(folder, RECORDS[:3])
        (tmp_path / "staging" / f"notes-{NEW}").mkdir(parents=True)
        (tmp_path / "staging" / f"notes-{NEW}" / FILE_NAME).touch()
        assert reembed().encoded == 3

    def test_records_that_came_and_went_meanwhile_are_followed(
        self, folder: Path, reembed: Callable[..., ReembedReport], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(folder, RECORDS)

        def stopped(self: Collection, name: str, new_name: str) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Collection, "_modify", stopped)
        with pytest.raises(KeyboardInterrupt):
            reembed()
        monkeypatch.undo()
        with client(folder) as opened:
            theirs = opened.get_collection("notes", embedding_function=None)
            theirs.delete(ids=["id-000", "id-001"])
            theirs.add(ids=["new"], embeddings=[[1.0] * 16], documents=["New."], metadatas=[{"n": 99}])
            theirs.update(ids=["id-002"], embeddings=[[1.0] * 16], documents=["Changed."])
        assert reembed().encoded == 2
        changed = Record("id-002", "Changed.", RECORDS[2].metadata)
        assert_replaced(folder, [changed, *RECORDS[3:], Record("new", "New.", {"n": 99})])


def write_at_once(folder: Path, records: list[Record]) -> None:
    vectors = FakeEncoder("theirs", dim=16).encode_documents([record.text for record in records])
    with client(folder) as opened:
        opened.create_collection("notes", embedding_function=None).add(
            ids=[r.id for r in records],
            embeddings=vectors,
            documents=[r.text for r in records],
            metadatas=[dict(r.metadata or {}) for r in records],
        )


class TestWhatCannotBeReplaced:
    @pytest.mark.parametrize("text", ["", None])
    def test_records_without_a_text_are_refused_and_nothing_is_changed(
        self, folder: Path, reembed: Callable[..., ReembedReport], text: str | None
    ) -> None:
        write(folder, [*RECORDS[:5], Record("bare", text, {"n": 1})])  # type: ignore[arg-type]
        before = contents(folder)
        with pytest.raises(InputError) as error:
            reembed()
        assert str(error.value) == (
            "the collection 'notes' holds records without a text, for example 'bare'; only texts can be encoded"
        )
        assert contents(folder) == before and names(folder) == ["notes"]

    def test_a_folder_without_chroma(self, tmp_path: Path) -> None:
        for one in (tmp_path, tmp_path / "nowhere"):
            with pytest.raises(InputError, match=r"is no Chroma folder: it has no chroma\.sqlite3"):
                Collection(one, "notes", NEW)
        assert list(tmp_path.iterdir()) == []

    def test_a_name_that_is_not_there_is_told_which_are(self, folder: Path) -> None:
        write(folder, RECORDS[:1])
        write(folder, RECORDS[:1], name="others")
        with pytest.raises(InputError, match=r"there is no collection 'node' in .*; there are notes, others"):
            Collection(folder, "node", NEW)

    def test_a_database_that_is_damaged(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "chroma.sqlite3").write_bytes(b"no database" * 1000)
        with pytest.raises(StoreError, match="opening the Chroma database in"):
            Collection(folder, "notes", NEW)
