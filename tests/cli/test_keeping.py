"""What keeps a store sound and answers right: doctor, reembed, filters, excludes, fields, one writer."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import chromadb
import pytest

from reasonir_agent.stores.lock import WriterLock
from reasonir_agent.testing import write_corpus

TINY = Path(__file__).parent.parent / "data" / "reasonir-tiny"


@pytest.fixture
def store(indexed: Path, work: Path) -> Path:
    """A copy of the indexed store, to be changed; the working folder has its texts."""
    shutil.copytree(indexed / "store", work / "store")
    shutil.copytree(indexed / "texts", work / "texts")
    return work / "store"


def vector_file(store: Path) -> Path:
    return next(store.glob("vectors/*/*.npy"))


class TestDoctor:
    def test_a_sound_store_is_told_part_by_part(self, run: Any, store: Path) -> None:
        found = run("doctor", "--store", store)
        assert found.code == 0
        first, *parts = found.out.splitlines()
        assert first == f"store {store}"
        assert [line[:14].strip() for line in parts] == ["manifest", "vectors", "encoder", "lexical index", "Chroma"]
        assert all(" ok" in line for line in parts)

    def test_as_json(self, run: Any, store: Path) -> None:
        found = run("doctor", "--store", store, "--json").json
        assert found["sound"] is True
        assert {frozenset(one) for one in found["findings"]} == {frozenset({"part", "sound", "problem", "done"})}

    def test_a_damaged_vector_is_named_and_encoded_again(self, run: Any, store: Path) -> None:
        before = run("search", "ducks", "--store", store, "--json").json["hits"]
        content = bytearray(vector_file(store).read_bytes())
        content[-5] ^= 1
        vector_file(store).write_bytes(content)
        refused = run("search", "ducks", "--store", store)
        assert refused.code == 2
        assert f"{vector_file(store).name} holds other bytes than were written (checksum); run: reasonir doctor" in (
            refused.err
        )
        mended = run("doctor", "--store", store)
        assert mended.code == 0
        assert "repaired" in mended.out
        after = run("search", "ducks", "--store", store, "--json").json["hits"]
        assert [one["id"] for one in after] == [one["id"] for one in before]

    def test_a_manifest_that_is_no_database_is_exit_2_until_rebuild(self, run: Any, store: Path) -> None:
        (store / "reasonir.sqlite").write_bytes(b"no database " * 500)
        found = run("doctor", "--store", store)
        assert found.code == 2
        assert "--rebuild" in found.out
        rebuilt = run("doctor", "--store", store, "--rebuild")
        assert rebuilt.code == 0
        again = run("index", "texts", "--store", store, "--json").json
        assert (again["passages"], again["encoded"]) == (3, 3)
        assert run("search", "ducks", "--store", store).code == 0

    def test_without_a_store(self, run: Any, work: Path) -> None:
        found = run("doctor")
        assert found.code == 2
        assert "there is no store at .reasonir" in found.err


class TestReembed:
    def test_a_store_gets_another_encoder_and_opens_with_it(self, run: Any, store: Path) -> None:
        found = run("reembed", "--store", store, "--encoder", TINY, "--json").json
        assert (found["texts"], found["encoded"], found["before"]) == (3, 3, "minilm")
        assert found["now"] == str(TINY)
        assert run("search", "ducks", "--store", store).code == 0
        refused = run("search", "ducks", "--store", store, "--encoder", "minilm")
        assert refused.code == 2
        assert "cannot be searched with 'minilm'" in refused.err
        assert run("index", "texts", "--store", store, "--json").json["unchanged"] == 3
        assert run("reembed", "--store", store, "--encoder", "minilm", "--json").json["encoded"] == 0

    def test_rebuild_drops_the_vectors_of_the_other_encoder(self, run: Any, store: Path) -> None:
        run("reembed", "--store", store, "--encoder", TINY)
        assert len(list(store.glob("vectors/*"))) == 2
        assert (
            "3 vectors that no passage or no encoder in use needs" in run("doctor", "--store", store, "--rebuild").out
        )
        assert len(list(store.glob("vectors/*"))) == 1

    def test_a_chroma_collection_of_another_embedder(self, run: Any, work: Path) -> None:
        client: Any = chromadb.PersistentClient(path=str(work / "db"))
        old = client.create_collection("notes", embedding_function=None)
        old.add(ids=["a", "b"], documents=["Water flows.", "Ice floats."], embeddings=[[1.0, 0.0], [0.0, 1.0]])
        client.close()
        found = run("reembed", "--chroma", "db", "--collection", "notes", "--encoder", "minilm")
        assert found.code == 0
        assert found.out.startswith("2 texts have vectors of another encoder (2 encoded now")
        client = chromadb.PersistentClient(path=str(work / "db"))
        new = client.get_collection("notes", embedding_function=None)
        assert len(new.get(include=["embeddings"])["embeddings"][0]) == 384
        assert new.get(ids=["a"])["documents"] == ["Water flows."]
        assert len(client.list_collections()) == 2
        client.close()
        assert sorted(path.name for path in work.iterdir()) == ["db"]

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--chroma", "db"], "--chroma FOLDER and --collection NAME belong together"),
            (["--chroma", "db", "--collection", "notes"], "db is no Chroma folder: it has no chroma.sqlite3"),
            (["--store", "nowhere"], "nowhere is no store"),
        ],
    )
    def test_bad_input_is_told(self, run: Any, words: list[str], message: str) -> None:
        found = run("reembed", "--encoder", "minilm", *words)
        assert found.code == 2
        assert message in found.err


class TestWhere:
    def test_only_what_the_filter_lets_through_is_found(self, run: Any, store: Path) -> None:
        found = run("search", "ducks and debts", "--store", store, "--where", "type=md", "--json").json
        assert [one["source"] for one in found["hits"]] == ["texts/debts.md"]
        both = ["--where", "type=txt", "--where", "source!=texts/ducks.txt"]
        found = run("search", "ducks and debts", "--store", store, *both, "--json").json
        assert [one["source"] for one in found["hits"]] == ["texts/wild.txt"]

    def test_ask_takes_it_too(self, run: Any, store: Path) -> None:
        question = "Why do ducks not freeze to the ice?"
        assert run("ask", question, "--store", store, "--json").json["citations"]
        found = run("ask", question, "--store", store, "--where", "type=md", "--json").json
        assert {one["source"] for one in found["hits"]} == {"texts/debts.md"}

    def test_the_date_is_that_of_the_file(self, run: Any, work: Path) -> None:
        paths = write_corpus(work / "in", {"old.txt": "Water flows.", "new.txt": "Water stands."})
        os.utime(paths[0], (1_500_000_000, 1_500_000_000))  # 2017-07-14
        run("index", "in", "--encoder", "minilm")
        found = run("search", "water", "--where", "date<=2017", "--json").json
        assert [one["source"] for one in found["hits"]] == ["in/old.txt"]

    @pytest.mark.parametrize(
        ("condition", "message"),
        [
            ("type", "a filter is a field, one of = != < <= > >=, and a value"),
            ("colour=red", "no document of this store has the field 'colour'; there are source, date, type"),
            ("date>yesterday", "a date is YYYY, YYYY-MM or YYYY-MM-DD; got 'yesterday'"),
        ],
    )
    @pytest.mark.parametrize("command", ["search", "ask"])
    def test_a_wrong_one_is_told(self, run: Any, indexed: Path, command: str, condition: str, message: str) -> None:
        found = run(command, "ducks", "--store", indexed / "store", "--where", condition)
        assert found.code == 2
        assert message in found.err


class TestIndex:
    def test_excludes_are_left_out_and_counted(self, run: Any, work: Path, texts: dict[str, str]) -> None:
        write_corpus(work / "in", texts)
        found = run("index", "in", "--exclude", "*.md", "--exclude", "wild*", "--encoder", "minilm", "--json").json
        assert found["files"] == 1
        assert found["warnings"] == ["left out by ignore rules: 2 (files and folders)"]

    def test_a_git_work_tree_is_read_as_git_sees_it(self, run: Any, work: Path, texts: dict[str, str]) -> None:
        write_corpus(work / "in", {**texts, ".gitignore": "*.md\n"})
        (work / "in" / ".git").mkdir()
        assert run("index", "in", "--encoder", "minilm", "--json").json["files"] == 2
        assert run("index", "in", "--no-gitignore", "--json").json["files"] == 3

    def test_the_field_of_records_is_chosen(self, run: Any, work: Path) -> None:
        write_corpus(work, {"in.csv": "key,body,year\nx,Water flows.,2001\ny,Ice floats.,2002\n"})
        refused = run("index", "in.csv", "--encoder", "minilm")
        assert refused.code == 2
        assert "has no field 'text'; its fields are 'key', 'body', 'year'" in refused.err
        assert run("index", "in.csv", "--text-field", "body", "--id-field", "key", "--json").json["passages"] == 2
        found = run("search", "ice", "--where", "year>2001", "--json").json
        assert [one["source"] for one in found["hits"]] == ["in.csv#id=y"]

    def test_a_second_writer_is_told_who_writes(self, run: Any, store: Path) -> None:
        with WriterLock(store).held():
            found = run("index", "texts", "--store", store)
        assert found.code == 2
        assert f"process {os.getpid()} (" in found.err
        assert "is writing to the store" in found.err

    @pytest.mark.slow
    def test_chroma_is_kept_beyond_the_size_that_was_chosen(
        self, run: Any, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        exact = run("search", "ducks", "--store", store, "--json").json["hits"]
        monkeypatch.setenv("REASONIR_EXACT_MB", "0")
        assert run("index", "texts", "--store", store).code == 0
        assert any(store.glob("chroma/*/chroma.sqlite3"))
        found = run("search", "ducks", "--store", store, "--json").json["hits"]
        assert [one["id"] for one in found] == [one["id"] for one in exact]
        assert [one["dense_score"] for one in found] == pytest.approx([one["dense_score"] for one in exact], abs=1e-5)
        monkeypatch.setenv("REASONIR_EXACT_MB", "many")
        refused = run("search", "ducks", "--store", store)
        assert refused.code == 2
        assert "must be a whole number of megabytes" in refused.err
