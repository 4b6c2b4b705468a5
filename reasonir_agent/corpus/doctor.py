"""What is wrong with a store, and its repair. Nothing that can be kept is given up.

Order of trust: the vector files explain themselves (keys, checksums, the encoder's fingerprint), the manifest says
which passages use them, everything else is made from these two and made anew when in doubt. A row that was damaged is
encoded again from the passage's text; a manifest that was damaged is put aside, and the next `index` fills a new one
from the files without encoding anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from reasonir_agent.corpus.encoding import EncodingQueue
from reasonir_agent.corpus.report import IndexReport
from reasonir_agent.errors import InputError, ReasonIRError, StoreError, boundary
from reasonir_agent.stores.database import FILE_NAME, Database
from reasonir_agent.stores.encoders import active_encoder, drop_other_encoders, note_encoder, use_encoder
from reasonir_agent.stores.examination import manifest_problems
from reasonir_agent.stores.lock import WriterLock
from reasonir_agent.stores.store import EXACT_BYTES, Store
from reasonir_agent.types import Encoder

_SAMPLE: Final = 16
_SAME: Final = 0.99
"""Cosine of a stored vector with a new one of the same text, at least; bfloat16 against float32 gives 0.999."""

OpenEncoder = Callable[[str], Encoder]
"""Opens an encoder by its stored name."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One part of a store.

    Attributes:
        part: manifest, vectors, lexical index, Chroma, encoder.
        sound: whether it is in order now.
        problem: what was wrong; "" when nothing was.
        done: what was done about it.
    """

    part: str
    sound: bool
    problem: str = ""
    done: str = ""

    def as_json(self) -> dict[str, Any]:
        """The parts."""
        return asdict(self)


def examine(
    folder: str | Path, open_encoder: OpenEncoder, *, rebuild: bool = False, exact_bytes: int = EXACT_BYTES
) -> list[Finding]:
    """Examine a store and repair what can be repaired.

    Args:
        folder: the store.
        open_encoder: opens the encoder by the name that the store knows.
        rebuild: make the indexes anew, drop unused vectors, and put a damaged manifest aside.
        exact_bytes: as for `Store`.

    Raises:
        InputError: there is no store.
        StoreBusy: another process is writing to it.
    """
    folder = Path(folder)
    has_vectors = any((folder / "vectors").glob("*/encoder.json"))
    if not (folder / FILE_NAME).is_file() and not has_vectors:
        raise InputError(f"there is no store at {folder}; make one with: reasonir index PATH")
    with WriterLock(folder).held():
        manifest = _examine_manifest(folder, open_encoder, rebuild=rebuild)
    if not manifest.sound:
        return [manifest]
    rebuild = rebuild and not manifest.problem  # a new manifest uses no vector yet, and none may be dropped for that
    return [manifest, *_examine_rest(folder, open_encoder, rebuild, exact_bytes)]


def _examine_manifest(folder: Path, open_encoder: OpenEncoder, *, rebuild: bool) -> Finding:
    problem = _manifest_problem(folder)
    if not problem:
        return Finding("manifest", sound=True)
    if not rebuild:
        return Finding("manifest", sound=False, problem=problem, done="nothing; --rebuild puts it aside, vectors stay")
    kept = _put_aside(folder)
    won = _new_manifest(folder, open_encoder)
    done = f"a new one was made with {won} vectors from the files; run: reasonir index PATH, to read the texts again"
    return Finding("manifest", sound=True, problem=problem, done=f"{kept}{done}")


def _manifest_problem(folder: Path) -> str:
    if not (folder / FILE_NAME).is_file():
        return f"{FILE_NAME} is missing"
    try:
        database = Database(folder)
    except StoreError as problem:
        return str(problem)
    try:
        found = manifest_problems(database)
    except StoreError as problem:
        return str(problem)
    finally:
        database.close()
    return "; ".join(found)


def _put_aside(folder: Path) -> str:
    """Rename a damaged manifest; nothing is deleted."""
    if not (folder / FILE_NAME).is_file():
        return ""
    number = 1
    while (folder / f"{FILE_NAME}.damaged-{number}").exists():
        number += 1
    with boundary(StoreError, f"putting {folder / FILE_NAME} aside", catch=(OSError,)):
        (folder / FILE_NAME).rename(folder / f"{FILE_NAME}.damaged-{number}")
        for ending in ("-wal", "-shm"):
            (folder / f"{FILE_NAME}{ending}").unlink(missing_ok=True)
    return f"it was renamed to {FILE_NAME}.damaged-{number}, and "


def _new_manifest(folder: Path, open_encoder: OpenEncoder) -> int:
    """A manifest that knows the vectors of the files, and no passages yet; returns how many vectors."""
    notes = sorted((folder / "vectors").glob("*/encoder.json"), key=lambda note: note.stat().st_mtime)
    if not notes:
        raise StoreError(f"{folder} has neither a sound manifest nor vectors; delete it and index again")
    with boundary(StoreError, f"reading {notes[-1]}", catch=(OSError, ValueError, KeyError)):
        name = str(json.loads(notes[-1].read_text(encoding="utf-8"))["name"])
    encoder = open_encoder(name)
    database = Database(folder, create=True)
    try:
        note_encoder(database, folder, encoder)
        use_encoder(database, encoder.fingerprint.id)
    finally:
        database.close()
    store = Store(folder, encoder)
    try:
        return store.vectors.adopt()
    finally:
        store.close()


def _examine_rest(folder: Path, open_encoder: OpenEncoder, rebuild: bool, exact_bytes: int) -> Iterator[Finding]:
    database = Database(folder)
    try:
        stored = active_encoder(database)
    finally:
        database.close()
    if stored is None:
        yield Finding("encoder", sound=False, problem="the store names none", done="nothing; run: reasonir index PATH")
        return
    try:
        encoder = open_encoder(stored.name)
        store = Store(folder, encoder, exact_bytes=exact_bytes)
    except ReasonIRError as problem:
        yield Finding("encoder", sound=False, problem=str(problem), done="nothing; vectors were not examined")
        return
    try:
        with store.writing():
            yield _examine_vectors(store, encoder, rebuild)
            yield _examine_encoder(store, encoder)
            yield _examine_lexical(store, rebuild)
            yield _examine_chroma(store, rebuild, exact_bytes)
    finally:
        store.close()


def _examine_vectors(store: Store, encoder: Encoder, rebuild: bool) -> Finding:
    vectors, problems, done = store.vectors, [], []
    for name in sorted(vectors.names().values()):
        if vectors.shards.is_sound(name):
            continue
        saved, lost = vectors.drop_damage(name)
        problems.append(f"the vector file {name}.npy is damaged or missing")
        done.append(f"{saved} of its vectors were kept, {lost} were lost")
    missing = len(vectors.missing())
    if missing:
        problems.append(f"{missing} passages have no vector")
        report = IndexReport()
        healed = EncodingQueue(vectors, store.database, encoder, lambda step: None, report).heal()
        store.database.bump()
        done.append(f"{healed} passages were encoded again")
    if rebuild:
        dropped = vectors.compact() + drop_other_encoders(store.database, store.folder)
        done += [f"{dropped} vectors that no passage or no encoder in use needs were dropped"] if dropped else []
    elif not problems:
        stored, unused = vectors.waste()
        done += [f"{unused} of {stored} belong to no passage (--rebuild drops them)"] if unused else []
    return Finding("vectors", sound=True, problem="; ".join(problems), done="; ".join(done))


def _examine_encoder(store: Store, encoder: Encoder) -> Finding:
    """Encode some stored texts again and compare."""
    numbers = store.database.numbers()
    sample = numbers[:: max(1, len(numbers) // _SAMPLE)][:_SAMPLE].tolist()
    if not sample:
        return Finding("encoder", sound=True)
    known, stored = store.vectors.read(sample)
    passages = store.database.numbered(known)
    fresh = encoder.encode_documents([passages[number].encoded_text for number in known])
    cosines = np.sum(stored * fresh, axis=1)
    norms = np.linalg.norm(fresh, axis=1)
    wrong = int(np.sum((cosines < _SAME) & (norms > 0)))
    if not wrong:
        return Finding("encoder", sound=True)
    problem = f"{encoder.name} gives other vectors now than are stored, for {wrong} of {len(known)} passages"
    return Finding(
        "encoder", sound=False, problem=problem, done="nothing; index into a new store, or: reasonir reembed"
    )


def _examine_lexical(store: Store, rebuild: bool) -> Finding:
    problem = store.lexical.problem() or ""
    if problem or rebuild:
        store.lexical.rebuild()
        return Finding("lexical index", sound=True, problem=problem, done="it was built anew")
    store.lexical.refresh()
    return Finding("lexical index", sound=True)


def _examine_chroma(store: Store, rebuild: bool, exact_bytes: int) -> Finding:
    numbers = store.vectors.locations()[:, 0]
    if len(numbers) * store.dim * 4 <= exact_bytes and not store.chroma.is_there:
        return Finding("Chroma", sound=True, done="not needed; this corpus is searched exactly")
    problem = store.chroma.problem() or ""
    if not problem and not rebuild and store.chroma.is_current():
        return Finding("Chroma", sound=True)
    try:
        store.chroma.rebuild(numbers)
    except StoreError as failure:
        return Finding("Chroma", sound=False, problem=problem or str(failure), done="nothing; search is exact")
    return Finding("Chroma", sound=True, problem=problem, done="it was built anew from the vectors")
