"""Which encoders a store has vectors of, and which one is in use. A second one appears while a corpus is re-embedded."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reasonir_agent.errors import StoreError, boundary
from reasonir_agent.stores import points
from reasonir_agent.stores.database import FILE_NAME, Database
from reasonir_agent.stores.vectors import vector_folder
from reasonir_agent.types import Encoder


@dataclass(frozen=True, slots=True)
class StoredEncoder:
    """An encoder as the manifest knows it."""

    number: int
    name: str
    fingerprint: dict[str, Any]


def stored_encoder(folder: str | Path) -> str | None:
    """Name of the encoder that a store was made with; None when there is no store yet."""
    if not (Path(folder) / FILE_NAME).is_file():
        return None
    database = Database(Path(folder))
    try:
        found = active_encoder(database)
    finally:
        database.close()
    return None if found is None else found.name


def active_encoder(database: Database) -> StoredEncoder | None:
    """The encoder in use; None in a store that was never finished."""
    return encoder_of(database, str(database.get_meta("encoder")))


def encoder_of(database: Database, fingerprint: str) -> StoredEncoder | None:
    """The encoder with this fingerprint's id."""
    rows = database.rows("SELECT number, name, fingerprint FROM encoders WHERE id = ?", (fingerprint,))
    return StoredEncoder(rows[0][0], rows[0][1], json.loads(rows[0][2])) if rows else None


def note_encoder(database: Database, folder: Path, encoder: Encoder) -> int:
    """Write an encoder into the manifest and beside its vectors; returns its number."""
    fingerprint = encoder.fingerprint.as_json()
    with boundary(StoreError, f"writing to the store {folder}", catch=(OSError,)):
        note = vector_folder(folder, fingerprint) / "encoder.json"
        note.parent.mkdir(parents=True, exist_ok=True)
        aside = note.with_suffix(".part")
        aside.write_text(json.dumps({"name": encoder.name, "fingerprint": fingerprint}), encoding="utf-8")
        aside.replace(note)
    with database.transaction():
        database.rows(
            "INSERT OR IGNORE INTO encoders (id, name, fingerprint) VALUES (?, ?, ?)",
            (encoder.fingerprint.id, encoder.name, json.dumps(fingerprint)),
        )
    points.reached("encoder noted")
    found = encoder_of(database, encoder.fingerprint.id)
    assert found is not None
    return found.number


def use_encoder(database: Database, fingerprint: str) -> None:
    """Switch to an encoder whose vectors are there."""
    with database.transaction():
        database.set_meta("encoder", fingerprint)
        database.bump()
    points.reached("encoder switched")


def drop_other_encoders(database: Database, folder: Path) -> int:
    """Delete the vectors of all encoders but the one in use; returns how many vectors."""
    used = active_encoder(database)
    assert used is not None
    ((dropped,),) = database.rows("SELECT count(*) FROM vectors WHERE encoder != ?", (used.number,))
    with database.transaction():
        database.rows("DELETE FROM shards WHERE encoder != ?", (used.number,))
        database.rows("DELETE FROM encoders WHERE number != ?", (used.number,))
    for other in (folder / "vectors").glob("*"):
        if other.name != used.fingerprint["id"]:
            shutil.rmtree(other, ignore_errors=True)
    return int(dropped)
