"""A corpus in two versions, stores made of them, and what "the same state" means."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reasonir_agent.corpus import Corpus
from reasonir_agent.corpus.doctor import Finding, examine
from reasonir_agent.stores.database import Database
from reasonir_agent.stores.encoders import active_encoder
from reasonir_agent.stores.vectors import Vectors
from reasonir_agent.testing import FakeEncoder

DIM = 24
WRITER = Path(__file__).with_name("writer.py")
WORDS = "amber birch cedar delta ember fjord grove heron inlet juniper kelp larch maple nettle otter poppy".split()


def encoder(name: str = "fake") -> FakeEncoder:
    return FakeEncoder(name, dim=DIM)


def sentence(dice: random.Random) -> str:
    return " ".join(dice.choices(WORDS, k=12)).capitalize() + "."


def first_version(folder: Path, files: int = 36) -> None:
    dice = random.Random(1)
    for number in range(files):
        file = folder / f"{number % 3}" / f"{number:02}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n\n".join(f"# Part {n}\n\n{sentence(dice)}" for n in range(4)) + "\n", encoding="utf-8")


def second_version(folder: Path) -> None:
    """One file changed, one gone, one moved, one new, and a table of records."""
    changed = folder / "0" / "00.md"
    changed.write_text(changed.read_text(encoding="utf-8") + "\n# More\n\nA heron stood alone.\n", encoding="utf-8")
    (folder / "1" / "01.md").unlink()
    (folder / "2" / "02.md").rename(folder / "2" / "moved.md")
    (folder / "new.txt").write_text("Quite another sentence about otters. " * 3, encoding="utf-8")
    rows = [json.dumps({"id": n, "text": f"Record {n} tells of kelp.", "year": 1990 + n}) for n in range(6)]
    (folder / "records.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")


def write(
    action: str, store: Path, folder: Path, *, point: str = "", time: int = 1, exact_bytes: int = 10**9
) -> subprocess.CompletedProcess[str]:
    """Run the writer to its end, or to its death at a point."""
    words = [sys.executable, str(WRITER), action, str(store), str(folder), "--exact-bytes", str(exact_bytes)]
    words += ["--point", point, "--time", str(time)] if point else []
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)


def start_writer(store: Path, folder: Path, *, exact_bytes: int = 10**9) -> subprocess.Popen[str]:
    """Start the writer; it has imported everything when this returns."""
    words = [sys.executable, str(WRITER), "index", str(store), str(folder), "--exact-bytes", str(exact_bytes)]
    started = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


@dataclass
class State:
    """Everything that must be the same: ids, texts, hashes, manifest; and the vectors."""

    manifest: dict[str, Any]
    vectors: dict[str, np.ndarray]

    def assert_same(self, other: State) -> None:
        assert self.manifest == other.manifest
        assert self.vectors.keys() == other.vectors.keys()
        for one, row in self.vectors.items():
            assert np.allclose(row, other.vectors[one], atol=1e-5), one


def state_of(store: Path) -> State:
    database = Database(store)
    try:
        used = active_encoder(database)
        assert used is not None
        ids = dict(database.rows("SELECT number, id FROM passages"))
        vectors = Vectors(database, store, used.number, used.fingerprint, used.fingerprint["dim"])
        numbers, rows = vectors.read(sorted(ids))
        assert len(numbers) == len(ids), "every passage has a vector"
        manifest = {
            "encoder": used.fingerprint["id"],
            "files": sorted(database.rows("SELECT path, digest, skipped FROM files")),
            "documents": sorted(database.rows("SELECT source, path, digest, metadata, text FROM documents")),
            "passages": sorted(database.rows('SELECT id, source, start, "end", heading, text, hex(key) FROM passages')),
            "meta": {key: database.get_meta(key) for key in ("format", "fields", "split", "foreign", "language")},
        }
        return State(manifest, {ids[n]: row for n, row in zip(numbers, rows, strict=True)})
    finally:
        database.close()


def assert_sound(store: Path, *, exact_bytes: int = 10**9, name: str = "fake") -> None:
    """The doctor finds nothing, nothing half-written lies about, and a known text is found."""
    findings: list[Finding] = examine(store, lambda _: encoder(name), exact_bytes=exact_bytes)
    assert [one.problem for one in findings] == [""] * 5
    assert not [file for file in store.rglob("*") if file.suffix == ".part"]
    with Corpus(store, encoder(name), exact_bytes=exact_bytes) as corpus:
        passage = next(iter(corpus.passages(corpus.store.database.passage_ids()).values()))
        assert passage.id in {hit.passage.id for hit in corpus.search(passage.encoded_text, 3)}


@dataclass
class Scene:
    """A folder in its second version, a store of its first, and the state that indexing must end in."""

    folder: Path
    store: Path
    wanted: State

    def copy_store(self, to: Path) -> Path:
        shutil.copytree(self.store, to)
        return to
