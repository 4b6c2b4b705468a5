"""Chroma as an index over the store's own vectors: when it may be trusted, how it is brought up to date, how it is made anew.

Measured on Chroma 1.5.9: a process killed inside an update can leave files that crash every process that opens them,
or fill the disk; a cut file answers wrongly without an error. So nothing is kept in Chroma alone, and

- it is written by a child process (chroma/child.py) with a limit on the size of files, never by this one;
- it is updated in place under a dirty mark; a mark found later, or files that are not as they were left, means that it
  is built anew from the vectors, aside, and the manifest's one entry is the switch;
- rows that did not change are never written again;
- until the mark is gone and the generation fits, search is exact.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from reasonir_agent.errors import StoreError, boundary, redact
from reasonir_agent.stores import points
from reasonir_agent.stores.database import Database

if TYPE_CHECKING:
    from reasonir_agent.stores.chroma.index import ChromaIndex
    from reasonir_agent.stores.database import Numbers
    from reasonir_agent.types import FloatMatrix

_UPDATE_SHARE: Final = 0.25
"""A larger part of the rows than this is not updated in place, but all is built anew."""


class ChromaUpkeep:
    """Chroma's folder in a store.

    Args:
        store: the store's folder.
        database: its manifest.
        fingerprint: id of the encoder's fingerprint.
    """

    def __init__(self, store: Path, database: Database, fingerprint: str) -> None:
        self._store, self._database, self._fingerprint = store, database, fingerprint
        self._folder = store / "chroma"
        self._open: tuple[str, int, ChromaIndex] | None = None
        self._lock = threading.Lock()  # around what is open; never held while Chroma is written
        self._checked: tuple[str, int] | None = None

    def close(self) -> None:
        """Let go of Chroma's files."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._open is not None:
            self._open[2].close()
            self._open = None

    def is_current(self) -> bool:
        """Whether Chroma holds the passages of this generation, and its files are as they were left."""
        state = self._state()
        if state.get("state") != "clean" or state["generation"] != self._database.generation:
            return False
        if state["encoder"] != self._fingerprint:
            return False
        if self._checked != (state["folder"], state["generation"]):
            if _sizes(self._folder / state["folder"]) != state["files"]:
                return False
            self._checked = (state["folder"], state["generation"])
        return True

    def search(self, vector: FloatMatrix, k: int) -> list[tuple[int, float]] | None:
        """The k nearest as (passage number, cosine); None when Chroma cannot be trusted at this moment."""
        if not self.is_current():
            return None
        try:
            return self._search(vector, k)
        except StoreError:  # its folder was replaced, or its files cannot be opened here (a read-only disk)
            return None

    def _search(self, vector: FloatMatrix, k: int) -> list[tuple[int, float]]:
        with self._lock:
            state = self._state()
            if self._open is None or self._open[:2] != (state["folder"], state["generation"]):
                from reasonir_agent.stores.chroma.index import ChromaIndex

                self._close()
                index = ChromaIndex(self._folder / state["folder"], fingerprint=self._fingerprint)
                self._open = (state["folder"], state["generation"], index)
            return [(int(one), cosine) for one, cosine in self._open[2].search(vector, k)]

    def refresh(self, numbers: Numbers) -> None:
        """Bring Chroma up to these passages: in place when little changed and nothing is wrong, else anew.

        Raises:
            StoreError: it could not be built; the store works without it.
        """
        if self.is_current():
            return
        if not self._may_update(numbers) or not self._update(numbers):
            self.rebuild(numbers)

    def rebuild(self, numbers: Numbers) -> None:
        """Build anew from the vectors, aside, and switch."""
        name = uuid.uuid4().hex[:12]
        try:
            self._run("fill", name)
        except StoreError:
            shutil.rmtree(self._folder / name, ignore_errors=True)
            raise
        points.reached("chroma updated")
        self._switch(name, numbers)

    def problem(self) -> str | None:
        """What is wrong with Chroma, found by opening it in a child process; None when it is sound or not there."""
        state = self._state()
        if not state:
            return None
        if state["state"] != "clean":
            return "a process was stopped while it was updated"
        if _sizes(self._folder / state["folder"]) != state["files"]:
            return "its files are not as they were left"
        try:
            self._run("verify", state["folder"])
        except StoreError as found:
            return str(found)
        return None

    @property
    def is_there(self) -> bool:
        """Whether this store has had a Chroma index."""
        return bool(self._state())

    def remove_leavings(self) -> None:
        """Delete the folders that the manifest does not name."""
        current = self._state().get("folder")
        for folder in self._folder.glob("*"):
            if folder.name != current:
                shutil.rmtree(folder, ignore_errors=True)

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] | None = self._database.get_meta("chroma")
        return state or {}

    def _may_update(self, numbers: Numbers) -> bool:
        state = self._state()
        if state.get("state") != "clean" or state["encoder"] != self._fingerprint:
            return False
        if _sizes(self._folder / state["folder"]) != state["files"]:
            return False
        changed = len(np.setxor1d(self._database.in_chroma(), numbers, assume_unique=True))
        return changed <= _UPDATE_SHARE * len(numbers)

    def _update(self, numbers: Numbers) -> bool:
        """Update in place; False when that failed, and the mark stays."""
        state = self._state()
        self._database.note_chroma({**state, "state": "dirty"}, None)
        self.close()
        points.reached("chroma marked")
        try:
            self._run("fill", state["folder"])
        except StoreError:
            return False
        points.reached("chroma updated")
        self._switch(state["folder"], numbers)
        return True

    def _switch(self, name: str, numbers: Numbers) -> None:
        state = {
            "state": "clean",
            "folder": name,
            "generation": self._database.generation,
            "encoder": self._fingerprint,
            "files": _sizes(self._folder / name),
        }
        self._database.note_chroma(state, numbers)
        self._checked = None
        points.reached("chroma switched")
        self.remove_leavings()

    def _run(self, task: str, name: str) -> None:
        """Let a child process work on a folder; its last line says how it went."""
        request = {"task": task, "store": str(self._store), "folder": str(self._folder / name)}
        with boundary(StoreError, "running the process that writes Chroma", catch=(OSError,)):
            code, said = _answer(json.dumps(request).encode() + b"\n")
        lines = said.decode("utf-8", "replace").strip().splitlines()
        reply = json.loads(lines[-1]) if lines and code == 0 else {"problem": f"its process ended with {code}"}
        if "problem" in reply:
            raise StoreError(
                f"the Chroma index {'is damaged' if task == 'verify' else 'could not be built'}: "
                f"{redact(str(reply['problem']))}"
            )


def _answer(request: bytes) -> tuple[int, bytes]:
    """Exit code and output of a child process that is given a request."""
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "reasonir_agent.stores.chroma.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,  # nothing stays behind to be written when stdin is closed and the child is gone
        stderr=subprocess.DEVNULL,  # nobody reads it, and a full pipe would stop the child
    )
    with child:
        assert child.stdin is not None and child.stdout is not None
        try:
            with suppress(BrokenPipeError):  # a child that died before it read; its exit code says so
                child.stdin.write(request)  # and left open: its end tells the child that we are gone
            said = child.stdout.read()
        except BaseException:
            child.kill()
            raise
        return child.wait(), said


def _sizes(folder: Path) -> dict[str, int]:
    """Sizes of the files that hold Chroma's graph; its own database changes when it is merely opened, and must be there."""
    found = {
        str(file.relative_to(folder)): file.stat().st_size
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.parent != folder
    }
    database = folder / "chroma.sqlite3"
    return {**found, database.name: int(database.is_file() and database.stat().st_size > 0)}
