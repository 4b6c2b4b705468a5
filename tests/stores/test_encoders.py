from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from reasonir_agent.errors import StoreError
from reasonir_agent.stores.database import vector_key
from reasonir_agent.stores.encoders import (
    StoredEncoder,
    active_encoder,
    drop_other_encoders,
    encoder_of,
    note_encoder,
    stored_encoder,
    use_encoder,
)
from reasonir_agent.stores.examination import manifest_problems
from reasonir_agent.stores.vectors import Vectors
from reasonir_agent.testing import FakeEncoder
from tests.stores.conftest import Stores

OTHER = FakeEncoder("other", dim=32)


def test_the_encoder_of_a_store_can_be_asked_without_an_encoder(stores: Stores, tmp_path: Path) -> None:
    assert stored_encoder(tmp_path / "nowhere") is None
    assert stored_encoder(tmp_path) is None
    stores.open(FakeEncoder("first"), create=True)
    assert stored_encoder(stores.folder) == stored_encoder(str(stores.folder)) == "first"


def test_it_is_written_into_the_manifest_and_beside_its_vectors(stores: Stores) -> None:
    encoder = FakeEncoder("first")
    store = stores.open(encoder, create=True)
    parts = encoder.fingerprint.as_json()
    assert active_encoder(store.database) == StoredEncoder(1, "first", parts)
    note = store.folder / "vectors" / encoder.fingerprint.id / "encoder.json"
    assert json.loads(note.read_text()) == {"name": "first", "fingerprint": parts}


def test_one_that_is_noted_again_keeps_its_number(stores: Stores) -> None:
    store = stores.open(create=True)
    number = note_encoder(store.database, store.folder, OTHER)
    assert number == note_encoder(store.database, store.folder, OTHER) == 2
    assert encoder_of(store.database, OTHER.fingerprint.id) == StoredEncoder(2, "other", OTHER.fingerprint.as_json())
    assert encoder_of(store.database, "unknown") is None


def test_a_second_one_is_in_use_only_after_the_switch(stores: Stores) -> None:
    store = stores.made({"a": "Ice."})
    note_encoder(store.database, store.folder, OTHER)
    generation = store.database.generation
    assert stored_encoder(store.folder) == "fake"
    use_encoder(store.database, OTHER.fingerprint.id)
    assert stored_encoder(store.folder) == "other"
    assert store.database.generation == generation + 1  # readers must look anew


def test_the_vectors_of_the_others_are_dropped_and_none_of_its_own(stores: Stores) -> None:
    store = stores.made({"a": "Ice.", "b": "Steam."})
    number = note_encoder(store.database, store.folder, OTHER)
    others = Vectors(store.database, store.folder, number, OTHER.fingerprint.as_json(), OTHER.dim)
    texts = ["Ice.", "Steam."]
    others.add([vector_key(text) for text in texts], OTHER.encode_documents(texts))
    before = store.vectors.read([1, 2])[1]
    assert drop_other_encoders(store.database, store.folder) == 2
    assert drop_other_encoders(store.database, store.folder) == 0
    assert [folder.name for folder in (store.folder / "vectors").iterdir()] == [FakeEncoder().fingerprint.id]
    assert encoder_of(store.database, OTHER.fingerprint.id) is None
    np.testing.assert_array_equal(store.vectors.read([1, 2])[1], before)
    assert manifest_problems(store.database) == []


def test_a_folder_that_cannot_be_written_to_is_an_error_of_the_store(stores: Stores) -> None:
    store = stores.open(create=True)
    shutil.rmtree(store.folder / "vectors")
    (store.folder / "vectors").write_text("in the way")
    with pytest.raises(StoreError, match=f"writing to the store {store.folder} failed"):
        note_encoder(store.database, store.folder, OTHER)
    assert encoder_of(store.database, OTHER.fingerprint.id) is None
