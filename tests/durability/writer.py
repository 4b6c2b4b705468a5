"""A writer that can be killed: `python writer.py ACTION STORE FOLDER [--point NAME --time N] [--exact-bytes N]`.

With --point it kills itself, with SIGKILL, when that point is reached for the Nth time. Prints what it did as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time

from reasonir_agent.corpus import Corpus
from reasonir_agent.corpus.reembed import reembed_store
from reasonir_agent.stores import points
from reasonir_agent.testing import FakeEncoder

DIM = 24


class SlowEncoder(FakeEncoder):
    """Takes its time, so that a kill at a random moment finds it at work; counts what it encoded."""

    def encode_documents(self, texts, /):  # type: ignore[no-untyped-def]
        time.sleep(0.02)
        return super().encode_documents(texts)


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("action", choices=["index", "reembed", "compact"])
    arguments.add_argument("store")
    arguments.add_argument("folder")
    arguments.add_argument("--point")
    arguments.add_argument("--time", type=int, default=1)
    arguments.add_argument("--exact-bytes", type=int, default=10**9)
    given = arguments.parse_args()
    seen = 0

    def reached(point: str) -> None:
        nonlocal seen
        seen += point == given.point
        if point == given.point and seen == given.time:
            os.kill(os.getpid(), signal.SIGKILL)

    points.reached = reached  # type: ignore[assignment]
    name = "other" if given.action == "reembed" else "fake"
    encoder = SlowEncoder(name, dim=DIM)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if given.action == "reembed":
        reembed_store(given.store, encoder, exact_bytes=given.exact_bytes)
    else:
        with Corpus(given.store, encoder, create=True, exact_bytes=given.exact_bytes) as corpus:
            if given.action == "index":
                corpus.index(given.folder)
            else:
                with corpus.store.writing():
                    corpus.store.vectors.compact()
    sys.stdout.write(json.dumps({"encoded": len(encoder.encoded)}) + "\n")


if __name__ == "__main__":
    main()
