"""The checked road to a collection, and the hole beside it."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromadb
import pytest
from chromadb.api.async_client import AsyncClient
from chromadb.config import Settings

from reasonir_agent.corpus.reembed import reembed_collection
from reasonir_agent.encoder.known import default_encoder
from reasonir_agent.errors import EncoderMismatch, InputError, StoreError
from reasonir_agent.stores.chroma import HNSW, Collection, ReasonIREmbeddingFunction, open_collection
from reasonir_agent.stores.chroma import embedding_function as module
from reasonir_agent.stores.chroma.index import FINGERPRINT
from reasonir_agent.testing import FakeEncoder

TEXTS = ["Duck feathers trap air and shed water.", "A bank run empties a solvent bank.", "Steel expands when heated."]
IDS = ["duck", "bank", "steel"]


@pytest.fixture(autouse=True)
def _nothing_is_open() -> Iterator[None]:
    module._rebuilt.clear()
    yield
    module._rebuilt.clear()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    opened = chromadb.PersistentClient(path=str(tmp_path / "db"), settings=Settings(anonymized_telemetry=False))
    yield opened
    opened.close()


def filled(client: Any, encoder: Any = None, **options: Any) -> Any:
    made = open_collection(client, "notes", encoder=encoder or FakeEncoder(), **options)
    made.add(ids=IDS, documents=TEXTS, metadatas=[{"n": n} for n in range(3)])
    return made


def best(collection: Any, text: str = "solvent bank") -> str:
    return str(collection.query(query_texts=[text], n_results=1)["ids"][0][0])


class TestMaking:
    def test_it_has_our_settings_our_function_and_the_fingerprint(self, client: Any) -> None:
        encoder = FakeEncoder()
        made = filled(client, encoder, metadata={"topic": "birds"})
        assert made.metadata == {"topic": "birds", FINGERPRINT: encoder.fingerprint.id}
        assert {key: made.configuration_json["hnsw"][key] for key in HNSW} == HNSW
        assert made.configuration_json["embedding_function"]["config"]["fingerprint"] == encoder.fingerprint.id
        assert best(made) == "bank"
        found = made.query(query_texts=["solvent bank"], n_results=3, where={"n": {"$ne": 1}})
        assert set(found["ids"][0]) == {"duck", "steel"}

    def test_opened_again_it_is_the_same_and_nothing_of_it_changes(self, client: Any) -> None:
        encoder = FakeEncoder()
        before = filled(client, encoder)
        again = open_collection(client, "notes", encoder=encoder, metadata={"other": 1})
        assert again.id == before.id and again.count() == 3
        assert again.metadata == before.metadata
        assert best(again) == "bank"

    def test_a_name_an_encoder_a_function_or_nothing_is_an_encoder(self, client: Any) -> None:
        made = open_collection(client, "usual")
        assert made.metadata == {FINGERPRINT: ReasonIREmbeddingFunction().encoder.fingerprint.id}
        name = default_encoder()
        for encoder in (name, ReasonIREmbeddingFunction(name), ReasonIREmbeddingFunction().encoder):
            assert open_collection(client, "usual", encoder=encoder).id == made.id  # type: ignore[arg-type]
        with pytest.raises(InputError, match="encoder must be an encoder or its name, got int"):
            open_collection(client, "more", encoder=7)  # type: ignore[arg-type]

    def test_without_an_encoder_the_collections_own_is_opened(self, client: Any) -> None:
        filled(client, "minilm")
        gc.collect()
        assert best(open_collection(client, "notes"), "Why do ducks stay dry?") == "duck"

    def test_create_false_makes_nothing(self, client: Any, tmp_path: Path) -> None:
        filled(client)
        with pytest.raises(InputError) as error:
            open_collection(client, "nots", create=False)
        assert str(error.value) == "there is no collection 'nots'; there are notes"
        with pytest.raises(InputError, match=r"is no Chroma folder: it has no chroma\.sqlite3"):
            open_collection(tmp_path / "nowhere", "notes", create=False)
        assert not (tmp_path / "nowhere").exists()


class TestAFolder:
    def test_its_client_is_closed_with_the_collection(self, tmp_path: Path) -> None:
        encoder = FakeEncoder()
        filled(tmp_path / "db", encoder)
        gc.collect()
        shutil.copytree(tmp_path / "db", tmp_path / "moved")
        shutil.rmtree(tmp_path / "db")
        assert best(open_collection(tmp_path / "moved", "notes", encoder=encoder, create=False)) == "bank"
        again = open_collection(tmp_path / "db", "notes", encoder=encoder)  # nothing of the old one is remembered
        assert again.count() == 0

    def test_a_client_that_is_open_with_other_settings_is_asked_for(self, tmp_path: Path) -> None:
        other = chromadb.PersistentClient(path=str(tmp_path / "db"))
        with pytest.raises(StoreError, match="a client that is open already: give that"):
            open_collection(tmp_path / "db", "notes", encoder=FakeEncoder())
        assert open_collection(other, "notes", encoder=FakeEncoder()).name == "notes"
        other.close()

    def test_a_damaged_database_and_something_else(self, tmp_path: Path) -> None:
        (tmp_path / "chroma.sqlite3").write_bytes(b"no database" * 1000)
        with pytest.raises(StoreError, match="opening the Chroma database in"):
            open_collection(tmp_path, "notes")
        with pytest.raises(InputError, match=r"expected a \(synchronous\) client of Chroma or a folder, got int"):
            open_collection(7, "notes")  # type: ignore[arg-type]
        with pytest.raises(InputError, match="got AsyncClient"):
            open_collection(AsyncClient.__new__(AsyncClient), "notes")  # type: ignore[arg-type]

    def test_a_name_that_chroma_refuses(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="opening the collection 'a b' failed"):
            open_collection(tmp_path / "db", "a b", encoder=FakeEncoder())


class TestAnotherEncoder:
    def test_is_refused_naming_both_and_the_remedy(self, client: Any) -> None:
        first = ReasonIREmbeddingFunction("minilm")
        other = ReasonIREmbeddingFunction("minilm", query_instruction="q: ")
        filled(client, first)
        with pytest.raises(EncoderMismatch) as error:
            open_collection(client, "notes", encoder=other)
        assert str(error.value) == (
            f"the collection 'notes' was made with the encoder 'minilm' ({first.encoder.fingerprint.id}) and cannot be "
            f"searched with 'minilm' ({other.encoder.fingerprint.id}): they differ in query prefix; open it with the "
            "first, or encode its texts anew: reasonir reembed --chroma FOLDER --collection notes --encoder NAME"
        )

    def test_the_hole_a_bare_get_collection_takes_any_instruction(self, client: Any) -> None:
        """The reason for `open_collection`: Chroma compares the name of the function alone."""
        filled(client, "minilm")
        other = ReasonIREmbeddingFunction("minilm", query_instruction="Answer in French: ")
        taken = client.get_collection("notes", embedding_function=other)
        assert taken.query(query_texts=["bank"], n_results=1)["ids"]  # no error, vectors that do not belong together
        with pytest.raises(EncoderMismatch):
            open_collection(client, "notes", encoder=other)

    def test_of_the_same_dimension_is_refused_too(self, client: Any) -> None:
        filled(client, FakeEncoder("one"))
        with pytest.raises(EncoderMismatch, match=r"'one' .* cannot be searched with 'two'"):
            open_collection(client, "notes", encoder=FakeEncoder("two"))

    def test_metadata_that_were_overwritten_do_not_open_it_to_others(self, client: Any) -> None:
        filled(client, FakeEncoder("one")).modify(metadata={"topic": "birds"})
        with pytest.raises(EncoderMismatch, match="cannot be searched with 'two'"):
            open_collection(client, "notes", encoder=FakeEncoder("two"))
        assert best(open_collection(client, "notes", encoder=FakeEncoder("one"))) == "bank"

    def test_vectors_of_another_length_under_our_fingerprint(self, client: Any) -> None:
        encoder = FakeEncoder()
        client.create_collection(
            "notes",
            embedding_function=None,
            metadata={FINGERPRINT: encoder.fingerprint.id},
            configuration={"hnsw": {"space": "cosine"}},
        ).add(ids=["a"], embeddings=[[1.0, 0.0]])
        with pytest.raises(EncoderMismatch, match="holds vectors of 2 numbers, the encoder 'fake' makes 64"):
            open_collection(client, "notes", encoder=encoder)


class TestCollectionsOfOthers:
    def test_one_that_names_no_encoder_is_refused(self, client: Any) -> None:
        client.create_collection("notes", embedding_function=None)
        with pytest.raises(EncoderMismatch) as error:
            open_collection(client, "notes", encoder=FakeEncoder())
        assert str(error.value) == (
            "the collection 'notes' does not say which encoder its vectors are of (its embedding function is "
            "'unknown'), so no query can be compared with them; encode its texts anew: reasonir reembed --chroma FOLDER "
            "--collection notes --encoder NAME"
        )

    def test_other_distances_are_refused(self, client: Any) -> None:
        encoder = FakeEncoder()
        function: Any = ReasonIREmbeddingFunction.from_encoder(encoder)
        client.create_collection("notes", embedding_function=function, configuration={"hnsw": {"space": "l2"}})
        with pytest.raises(InputError, match="measures 'l2' distances, expected 'cosine'; Chroma cannot change that"):
            open_collection(client, "notes", encoder=encoder)

    def test_one_with_our_function_and_without_metadata_is_opened(self, client: Any) -> None:
        """Made by `create_collection(embedding_function=ReasonIREmbeddingFunction(...))`, Chroma's own way."""
        function: Any = ReasonIREmbeddingFunction.from_encoder(FakeEncoder())
        client.create_collection("notes", embedding_function=function).add(ids=IDS, documents=TEXTS)
        assert best(open_collection(client, "notes", encoder=function)) == "bank"
        with pytest.raises(EncoderMismatch):
            open_collection(client, "notes", encoder=FakeEncoder("two"))

    def test_one_with_a_fingerprint_alone_needs_its_encoder(self, client: Any) -> None:
        encoder = FakeEncoder()
        client.create_collection(
            "notes",
            embedding_function=None,
            metadata={FINGERPRINT: encoder.fingerprint.id},
            configuration={"hnsw": {"space": "cosine"}},
        )
        with pytest.raises(InputError, match=f"does not say how its encoder {encoder.fingerprint.id} is opened; give"):
            open_collection(client, "notes")
        open_collection(client, "notes", encoder=encoder).add(ids=IDS, documents=TEXTS)
        assert best(open_collection(client, "notes", encoder=encoder)) == "bank"


def test_a_collection_that_was_reembedded_is_opened_and_asked_by_texts(tmp_path: Path) -> None:
    folder = tmp_path / "db"
    client = chromadb.PersistentClient(path=str(folder), settings=Settings(anonymized_telemetry=False))
    theirs = FakeEncoder("theirs", dim=16).encode_documents(TEXTS)
    client.create_collection("notes", embedding_function=None).add(ids=IDS, embeddings=theirs, documents=TEXTS)
    client.close()
    encoder = FakeEncoder("new", dim=48)
    collection = Collection(folder, "notes", encoder.fingerprint.id)
    reembed_collection(collection, encoder, staging=tmp_path / "staging" / "notes")
    collection.close()
    opened = open_collection(folder, "notes", create=False, encoder=encoder)
    assert best(opened) == "bank"
    assert open_collection(folder, "notes").count() == 3  # out of what it keeps
    with pytest.raises(EncoderMismatch, match=r"'new' .* cannot be searched with 'fake'"):
        open_collection(folder, "notes", encoder=FakeEncoder())
    bare = chromadb.PersistentClient(path=str(folder), settings=Settings(anonymized_telemetry=False))
    assert best(bare.get_collection("notes")) == "bank"
    bare.close()
