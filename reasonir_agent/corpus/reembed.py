"""Another encoder for the same texts: of a store of ours, or of any Chroma collection.

In both, new vectors are stored beside the old ones under the new encoder's fingerprint and every few seconds, so a run
that was stopped goes on; the old ones serve until the last new one is there; then one step switches.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reasonir_agent.corpus.encoding import EncodingQueue
from reasonir_agent.corpus.report import IndexReport, Progress
from reasonir_agent.errors import InputError, StoreError, boundary
from reasonir_agent.stores.database import Database, vector_key
from reasonir_agent.stores.encoders import active_encoder, note_encoder, use_encoder
from reasonir_agent.stores.lock import WriterLock
from reasonir_agent.stores.store import EXACT_BYTES, Store
from reasonir_agent.stores.vectors import Vectors
from reasonir_agent.types import Encoder

if TYPE_CHECKING:
    from reasonir_agent.stores.chroma.collection import Collection

_AT_ONCE: Final = 2048


@dataclass(frozen=True, slots=True)
class ReembedReport:
    """What a run did.

    Attributes:
        texts: texts that have a vector of the new encoder now.
        encoded: those of them that were encoded in this run; the others were there.
        before: what was in use before: an encoder's name, or the collection's new name.
        now: what is in use now: an encoder's name, or the collection's name.
        seconds: duration of the encoding.
        warnings: sentences for the user.
    """

    texts: int
    encoded: int
    before: str
    now: str
    seconds: float
    warnings: list[str]

    def as_json(self) -> dict[str, Any]:
        """The object that `reasonir reembed --json` prints."""
        return {**asdict(self), "seconds": round(self.seconds, 3)}


def reembed_store(
    folder: str | Path, encoder: Encoder, *, progress: Progress | None = None, exact_bytes: int = EXACT_BYTES
) -> ReembedReport:
    """Give the passages of a store the vectors of another encoder, and switch to it.

    Passages stay as they were split. The old vectors stay until `reasonir doctor --rebuild`.

    Raises:
        StoreError: there is no store.
        StoreBusy: another process is writing to it.
    """
    folder, show = Path(folder), progress or (lambda step: None)
    database = Database(folder)
    report = IndexReport()
    try:
        with WriterLock(folder).held():
            before = active_encoder(database)
            if before is None:
                raise StoreError(f"the store {folder} was never finished; run: reasonir index PATH")
            number = note_encoder(database, folder, encoder)
            vectors = Vectors(database, folder, number, encoder.fingerprint.as_json(), encoder.dim)
            vectors.adopt()
            queue = EncodingQueue(vectors, database, encoder, show, report)
            texts = database.count()[1]
            queue.begin(texts)
            encoded = queue.heal()
            if before.number != number:
                use_encoder(database, encoder.fingerprint.id)
    finally:
        database.close()
    store = Store(folder, encoder, exact_bytes=exact_bytes)
    try:
        with store.writing():
            trouble = store.refresh()
    finally:
        store.close()
    report.warnings += [trouble] if trouble else []
    seconds = report.parts.get("encode", 0.0)
    return ReembedReport(texts, encoded, before.name, encoder.name, seconds, report.warnings)


def reembed_collection(
    collection: Collection, encoder: Encoder, *, staging: Path, progress: Progress | None = None
) -> ReembedReport:
    """Encode the texts of a Chroma collection with another encoder into a new collection beside it, and switch names.

    The vectors are gathered in a folder of ours first, since a kill inside Chroma may cost its database; the new
    collection is filled from there in one go. It is then renamed to the old one's name, and the old one, kept, to
    `NAME-before-FINGERPRINT`.

    Args:
        collection: the collection to read.
        encoder: the new encoder.
        staging: folder for the vectors; removed at the end.
        progress: told how far the run is.

    Raises:
        InputError: records have no text.
        StoreError: Chroma cannot be read or written.
    """
    if collection.is_replaced:
        shutil.rmtree(staging, ignore_errors=True)
        before, now = collection.replace(encoder, ())
        return ReembedReport(len(collection), 0, before, now, 0.0, ["it was done before; nothing was encoded"])
    show, report = progress or (lambda step: None), IndexReport()
    with boundary(StoreError, f"making {staging}", catch=(OSError,)):
        staging.mkdir(parents=True, exist_ok=True)
    with WriterLock(staging).held():
        database = Database(staging, create=True)
        try:
            number = note_encoder(database, staging, encoder)
            vectors = Vectors(database, staging, number, encoder.fingerprint.as_json(), encoder.dim)
            vectors.adopt()
            queue = EncodingQueue(vectors, database, encoder, show, report)
            texts = len(collection)
            queue.begin(texts)
            for records in collection.read(_AT_ONCE):
                if not all(record.text for record in records):
                    raise InputError(
                        f"the collection {collection.name!r} holds records without a text, for example "
                        f"{next(r.id for r in records if not r.text)!r}; only texts can be encoded"
                    )
                queue.encode({vector_key(record.text): record.text for record in records}, len(records))
            before, now = collection.replace(encoder, _with_vectors(collection, vectors))
        finally:
            database.close()
    with boundary(StoreError, f"removing {staging}", catch=(OSError,)):
        shutil.rmtree(staging)
        if not any(staging.parent.iterdir()):
            staging.parent.rmdir()
    return ReembedReport(texts, queue.encoded, before, now, report.parts.get("encode", 0.0), report.warnings)


def _with_vectors(collection: Collection, vectors: Vectors) -> Iterator[tuple[Any, Any]]:
    for records in collection.read(_AT_ONCE):
        yield records, vectors.of_keys([vector_key(record.text) for record in records])
