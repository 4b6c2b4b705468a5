"""Seeds by what they are about, where an encoder is at hand: k-means over their vectors, by scikit-learn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from math import isqrt
from typing import TYPE_CHECKING, Final

import numpy as np

from reasonir_agent.errors import InputError, missing_extra
from reasonir_agent.types import Encoder
from reasonir_trainer.synthesis.rows import Seed

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

MOST_CLUSTERS: Final = 100
"""More would hardly be told apart by name, and each adds to every seed's comparisons."""

_ENCODED_AT_ONCE: Final = 256
_BATCH: Final = 4096  # seeds of one step; below 3 times the clusters scikit-learn starts badly


def clusters_of(
    seeds: Iterable[Seed], encoder: Encoder, random_seed: int, *, clusters: int | None = None
) -> dict[str, int]:
    """The number of each seed's cluster, by id.

    While it works it holds the vectors: 4 bytes for each of their dimensions a seed (1.5 kB with MiniLM).

    Args:
        seeds: in the same order for the same result (`SeedFile` gives them so).
        encoder: encodes them as documents, unit vectors.
        random_seed: where the centres begin.
        clusters: how many; None takes the root of half the seeds (Mardia et al. 1979), 100 at most.

    Raises:
        MissingExtra: scikit-learn, which sentence-transformers brings, is not installed.
    """
    try:
        from sklearn.cluster import MiniBatchKMeans  # type: ignore[import-untyped]
    except ModuleNotFoundError as cause:
        raise missing_extra("encoder", "sampling over clusters", cause) from cause
    if clusters is not None and clusters < 1:
        raise InputError(f"the number of clusters must be 1 or more, got {clusters}")
    ids: list[str] = []
    vectors: list[FloatMatrix] = [encoder.encode_documents(texts) for texts in _texts(seeds, ids)]
    if not ids:
        return {}
    number = min(clusters or max(1, min(MOST_CLUSTERS, isqrt(len(ids) // 2))), len(ids))
    means = MiniBatchKMeans(number, batch_size=_BATCH, n_init=3, random_state=random_seed)
    labels = means.fit_predict(np.concatenate(vectors))
    return dict(zip(ids, labels.tolist(), strict=True))


def _texts(seeds: Iterable[Seed], ids: list[str]) -> Iterator[list[str]]:
    waiting = iter(seeds)
    while batch := list(islice(waiting, _ENCODED_AT_ONCE)):
        ids += [seed.id for seed in batch]
        yield [seed.text for seed in batch]
