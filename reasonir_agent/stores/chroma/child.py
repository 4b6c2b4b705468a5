"""The process that writes and verifies Chroma for a store: `python -m reasonir_agent.stores.chroma.child`.

A JSON line on stdin says what to do, the last line on stdout how it went. Chroma's own failures (a crash, a file that
grows without end) end this process and nothing else; it ends, too, when its parent does.

    {"task": "fill" | "verify", "store": folder, "folder": Chroma's folder}
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any, Final

import numpy as np

from reasonir_agent.errors import ReasonIRError, StoreError
from reasonir_agent.stores.database import Database
from reasonir_agent.stores.encoders import active_encoder
from reasonir_agent.stores.vectors import Vectors

_ROWS_AT_ONCE: Final = 2000
_SAMPLE: Final = 20
_LEAST_LIMIT: Final = 1_000_000_000
_NEAR: Final = 0.999
"""A stored vector must find itself, or an equal one, with this cosine at least."""


def main() -> None:
    """Read the request, do it, say how it went."""
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        reply = _work(request)
    except ReasonIRError as problem:
        reply = {"problem": str(problem)}
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()
    os._exit(0)  # Chroma's threads are not waited for; everything is on disk


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def _work(request: dict[str, Any]) -> dict[str, Any]:
    from reasonir_agent.stores.chroma.index import ChromaIndex

    store, folder = Path(request["store"]), Path(request["folder"])
    database = Database(store)
    encoder = active_encoder(database)
    assert encoder is not None
    fingerprint = str(encoder.fingerprint["id"])
    vectors = Vectors(database, store, encoder.number, encoder.fingerprint, encoder.fingerprint["dim"])
    wanted = {str(one) for one in vectors.locations()[:, 0].tolist()}
    _limit_files(len(wanted) * vectors.dim * 4)
    index = ChromaIndex(folder, fingerprint=fingerprint)
    if request["task"] == "fill":
        _fill(index, wanted, vectors)
        index.close()
        index = ChromaIndex(folder, fingerprint=fingerprint)
    _verify(index, wanted, vectors)
    index.close()
    return {"rows": len(wanted)}


def _fill(index: Any, wanted: set[str], vectors: Vectors) -> None:
    there = index.ids()
    index.delete(sorted(there - wanted))
    new = sorted(map(int, wanted - there))
    for start in range(0, len(new), _ROWS_AT_ONCE):
        numbers, rows = vectors.read(new[start : start + _ROWS_AT_ONCE])
        index.add([str(one) for one in numbers], rows)


def _verify(index: Any, wanted: set[str], vectors: Vectors) -> None:
    there = index.ids()
    if there != wanted or len(index) != len(wanted):
        raise StoreError(f"it holds {len(there)} rows, {len(there & wanted)} of the {len(wanted)} that it should")
    numbers = sorted(map(int, wanted))
    dice = np.random.default_rng(0)
    sample = dice.choice(numbers, min(_SAMPLE, len(numbers)), replace=False).tolist() if numbers else []
    found, rows = vectors.read(sample)
    for number, row in zip(found, rows, strict=True):
        nearest = index.search(row[None], 1)
        if not nearest or nearest[0][1] < _NEAR:
            raise StoreError(f"row {number} does not find itself")


def _limit_files(size: int) -> None:
    """No file of ours may grow beyond what these vectors can need."""
    try:
        import resource
        import signal
    except ModuleNotFoundError:  # not on Windows
        return
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit, most = max(_LEAST_LIMIT, 8 * size), resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    if most != resource.RLIM_INFINITY:
        limit = min(limit, most)  # the system's own may not be raised
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


if __name__ == "__main__":
    main()
