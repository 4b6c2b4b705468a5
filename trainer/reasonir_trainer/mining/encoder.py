"""Negatives by an encoder: sentence-transformers' `mine_hard_negatives` over the vectors of any encoder of ours.

The miner wants a SentenceTransformer; `_Vectors` is what it uses of one, over vectors that are there already. Before it
is called, the nearest documents are chosen by the same cosine, more than it looks at, so that a call costs the same for
every size of corpus and gives what it would give over the whole .

Positive-aware threshold (NV-Retriever, "TopK-PercPos"): a document whose cosine with the query is above `margin` times
the least cosine of the query's positives is likely an unlabelled positive and is not taken.

A document that is longer than the encoder's window is read in pieces; its vector is their mean, at length one. Texts are
encoded one by one: in a batch the last bits of a vector depend on its neighbours (1e-7 with MiniLM), and a rank must not
depend on which items were made at the same time. On CPU that costs nothing (24 texts of 20 to 400 words: 3.2 s one by
one, 4.8 s together).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from reasonir_agent.errors import ReasonIRError, boundary, missing_extra
from reasonir_agent.types import Encoder
from reasonir_trainer.mining.ordering import best_first

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

_DEEPER: Final = 20
"""Candidates that the miner gets beyond those that are wanted, since some may fall to the threshold after all."""

_ROUNDING: Final = 1e-4
"""By which the miner's cosines may differ from those here; whether a candidate is below the threshold, it decides."""

_PREFIX_TOKENS: Final = 32
"""Of a window that are left for an instruction and special tokens."""


@dataclass(frozen=True, slots=True)
class Mined:
    """A negative that was found.

    Attributes:
        number: of the document in the corpus.
        rank: among the documents that may be taken, positives and excluded ones left out, from 1.
        similarity: cosine with the query.
    """

    number: int
    rank: int
    similarity: float


@dataclass(frozen=True, slots=True)
class Found:
    """What was found for one query: negatives, hardest first, and the cosine of each of its positives, by their texts."""

    negatives: list[Mined]
    positives: dict[str, float]


class VectorRanks:
    """A corpus as vectors of an encoder. The texts themselves are not kept.

    Args:
        texts: the documents, gone through once.
        encoder: makes the vectors.
    """

    def __init__(self, texts: Iterable[str], encoder: Encoder) -> None:
        self._encoder = encoder
        self._first: dict[bytes, int] = {}  # hash of a text -> where it stands first
        rows: list[FloatMatrix] = []
        for number, text in enumerate(texts):
            self._first.setdefault(_hash(text), number)
            rows.append(document_vector(encoder, text))
        self._vectors: FloatMatrix = np.stack(rows) if rows else np.zeros((0, encoder.dim), dtype=np.float32)

    def mine(
        self,
        query: str,
        positives: Collection[str],
        *,
        negatives: int,
        margin: float,
        first_rank: int = 1,
        excluded: Collection[int] = (),
    ) -> Found:
        """Negatives for one query.

        Args:
            query: its text.
            positives: texts of its positives, one at least, in the corpus or not; none of them is taken.
            negatives: how many at most.
            margin: share of the least similarity of the positives that a negative may reach, up to 1.
            first_rank: first rank that is taken, counted over what passes the threshold.
            excluded: numbers of documents that may not be taken.
        """
        vector = self._encoder.encode_queries([query])[0]
        cosines = np.asarray(self._vectors @ vector)
        golds = {text: self._vector(text) for text in positives}
        is_open = self._open(golds, excluded)
        near = {text: float(row @ vector) for text, row in golds.items()}
        below = is_open & (cosines <= threshold(min(near.values()), margin) + _ROUNDING)
        depth = first_rank - 1 + negatives + _DEEPER
        candidates = list(islice(best_first(cosines, np.flatnonzero(below)), depth))
        numbers = _by_miner(
            vector,
            list(golds.values()),
            {number: self._vectors[number] for number in candidates},
            num_negatives=negatives,
            range_min=first_rank - 1,
            range_max=depth,
            relative_margin=1 - margin,
        )
        mined = [
            Mined(number, 1 + int((cosines[is_open] > cosines[number]).sum()), float(cosines[number]))
            for number in numbers
        ]
        return Found(mined, near)

    def _open(self, golds: Collection[str], excluded: Collection[int]) -> Any:
        """Which documents may be taken, bool [documents]; of equal texts the first."""
        is_open = np.zeros(len(self._vectors), dtype=bool)
        is_open[list(self._first.values())] = True
        is_open[[self._first[_hash(text)] for text in golds if _hash(text) in self._first]] = False
        is_open[list(excluded)] = False
        return is_open

    def _vector(self, text: str) -> FloatMatrix:
        number = self._first.get(_hash(text))
        return document_vector(self._encoder, text) if number is None else self._vectors[number]


def document_vector(encoder: Encoder, text: str) -> FloatMatrix:
    """The vector of a whole document, float32 [dim]: the mean over pieces that fit the window, at length one."""
    room = encoder.window - min(_PREFIX_TOKENS, encoder.window // 4)
    rows = np.stack([encoder.encode_documents([piece])[0] for piece in _pieces(encoder, text, room)])
    whole = rows.sum(axis=0, dtype=np.float64)
    length = float(np.linalg.norm(whole)) if len(rows) > 1 else 1.0  # one is at length one
    vector: FloatMatrix = np.asarray(whole / (length or 1.0), dtype=np.float32)
    return vector


def _pieces(encoder: Encoder, text: str, room: int) -> list[str]:
    """A text halved, at a space where there is one, until every piece fits."""
    if len(text) < 2 or encoder.count_tokens([text])[0] <= room:
        return [text]
    middle = len(text) // 2
    after, before = text.find(" ", middle), text.rfind(" ", 0, middle)
    places = [place for place in (after, before) if 0 < place < len(text) - 1]
    cut = min(places, key=lambda place: abs(place - middle)) if places else middle
    halves = [half for half in (text[:cut], text[cut:]) if half.strip()]
    return [piece for half in halves for piece in _pieces(encoder, half, room)] or [text[:1]]


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()


def threshold(positive: float, margin: float) -> float:
    """The highest similarity that a negative may have, also for a positive of negative similarity."""
    return positive - abs(positive) * (1 - margin)


class _Vectors:
    """What the miner uses of a SentenceTransformer, over vectors that are there already; texts are their names."""

    def __init__(self, vectors: Mapping[str, FloatMatrix]) -> None:
        import torch

        self._vectors = vectors
        self.device = torch.device("cpu")

    def encode_query(self, names: Sequence[str], **_: object) -> FloatMatrix:
        return np.stack([self._vectors[name] for name in names])

    encode_document = encode_query

    def similarity(self, queries: FloatMatrix, documents: FloatMatrix) -> Any:
        import torch

        return torch.as_tensor(queries) @ torch.as_tensor(documents).T

    def similarity_pairwise(self, queries: FloatMatrix, documents: FloatMatrix) -> Any:
        import torch

        return (torch.as_tensor(queries) * torch.as_tensor(documents)).sum(dim=-1)


def _by_miner(
    query: FloatMatrix, positives: Sequence[FloatMatrix], candidates: Mapping[int, FloatMatrix], **options: Any
) -> list[int]:
    """Numbers of the candidates that sentence-transformers takes as negatives, nearest first."""
    if not candidates:
        return []
    try:
        from datasets import Dataset
        from sentence_transformers.util import hard_negatives
    except ModuleNotFoundError as cause:
        raise missing_extra("encoder", "mining by an encoder", cause) from cause
    golds = {f"positive {n}": row for n, row in enumerate(positives)}
    documents = {str(number): row for number, row in candidates.items()}
    with boundary(ReasonIRError, "mining by sentence-transformers"), _without_bars(hard_negatives):
        mined = hard_negatives.mine_hard_negatives(
            Dataset.from_dict({"query": ["query"] * len(golds), "positive": list(golds)}),
            cast("Any", _Vectors({"query": query, **golds, **documents})),
            corpus=list(documents),
            output_format="triplet",
            verbose=False,
            **options,
        )
    # with several positives the negatives of each are the same
    return [int(row["negative"]) for row in mined if row["positive"] == "positive 0"]


@contextmanager
def _without_bars(module: Any) -> Iterator[None]:
    """The miner draws a progress bar and has no option against it; a bar for each query would fill the screen."""
    shown = module.trange
    module.trange = lambda *bounds, **_: range(*bounds)
    try:
        yield
    finally:
        module.trange = shown
