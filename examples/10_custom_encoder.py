"""Search with an encoder of your own, and with one that a server offers.

    python examples/10_custom_encoder.py

`HashingEncoder` is somebody's own encoder, whole: any object with these names and two roads will do (see
`reasonir_agent.types.Encoder`). Its fingerprint keeps its vectors apart from those of every other encoder. Then the same
corpus is searched through a server that speaks OpenAI's protocol; here it runs on this machine. For a real one:
`ReasonIREncoder("MODEL", base_url="http://HOST:8000/v1")`.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reasonir_agent import Corpus, ReasonIREncoder
from reasonir_agent.errors import EncoderMismatch
from reasonir_agent.testing import FakeFingerprint, ScriptedChatServer
from reasonir_agent.types import Encoder, PassageSource

CORPUS = Path(__file__).parent / "corpus"
QUESTION = "Why does a drilled hole stop a crack?"


class HashingEncoder:
    """Counts stems into a few hundred places: no weights, no order of words, and 20 lines."""

    name, dim, window, abstain_below = "hashing", 512, 100_000, None
    fingerprint = FakeFingerprint("hashing of words, first version", 512)

    def encode_queries(self, texts: Sequence[str], /) -> np.ndarray:
        return np.stack([self._vector(text) for text in texts]) if texts else np.zeros((0, self.dim), np.float32)

    encode_documents = encode_queries  # both roads are the same here; ReasonIR's are not

    def count_tokens(self, texts: Sequence[str], /) -> list[int]:
        return [len(re.findall(r"\w+", text)) for text in texts]

    def unknown_share(self, texts: Sequence[str], /) -> float:
        return 0.0

    def _vector(self, text: str) -> np.ndarray:
        vector = np.zeros(self.dim, np.float32)
        for word in re.findall(r"\w{4,}", text.lower()):
            vector[int(hashlib.sha256(word[:6].encode()).hexdigest(), 16) % self.dim] += 1.0
        return vector / (np.linalg.norm(vector) or 1.0)


def show(title: str, corpus: PassageSource) -> None:
    """Print the best hits."""
    print(f"\n== {title}")
    for hit in corpus.find([QUESTION], 3):
        print(f"  {hit.dense_score:.3f}  {Path(hit.passage.source).name}:{hit.passage.start}-{hit.passage.end}")


def main() -> None:
    own = HashingEncoder()
    assert isinstance(own, Encoder)
    with tempfile.TemporaryDirectory() as folder, ScriptedChatServer(embed=own.encode_documents) as server:
        with Corpus(f"{folder}/own", own, create=True) as corpus:
            print(f"{corpus.index([CORPUS]).passages} passages")
            show("an encoder of your own", corpus)
        remote = ReasonIREncoder("hashing", base_url=server.base_url)
        with Corpus(f"{folder}/remote", remote, create=True) as corpus:
            corpus.index([CORPUS])
            show(f"{remote.name!r} behind a server, {remote.dim} numbers", corpus)
        try:
            Corpus(f"{folder}/own", ReasonIREncoder("hashing", base_url=server.base_url))
        except EncoderMismatch as refused:
            print(f"\n== the one's vectors are not the other's\n  {refused}")


if __name__ == "__main__":
    main()
