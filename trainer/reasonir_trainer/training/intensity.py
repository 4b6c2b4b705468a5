"""Weights of examples by how much reasoning they need, measured with the base before training.

After ReasonEmbed (Chen et al., arXiv 2510.08252, "Redapter"). An example whose reasoning rewrite q' finds the documents much
better than its query q does is one where the reasoning is missing from the query, and has to be learnt. Its reasoning
intensity is

    RI = min(L(q, D) / L(q', D), most)

with L(q, D) = -cos(q, d+) / t + log sum_{d in D} exp(cos(q, d) / t), the InfoNCE loss over the example's candidates D: its first
positive d+, its negatives, and `others` positives of other examples of its source. The paper computes RI with the model in
training and the batch as D; here it is computed once, with the base, so that it costs one encoding of the data and a run that
goes on has the same weights. An example counts

    weight = RI / mean of RI over the rewritten examples of its source

times the weight that it came with; one without a rewrite has RI = the mean, so it keeps its weight. Inside a batch the loss
divides by the sum of weights, which is the paper's normalisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from reasonir_agent.errors import InputError
from reasonir_trainer.data.examples import Example, Source, same_words
from reasonir_trainer.data.mixing import chance
from reasonir_trainer.training.config import IntensitySettings

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

_TINY: Final = 1e-6
"""Added to both losses: a rewrite that finds its positive beyond doubt has a loss of 0."""


class Encodes(Protocol):
    """What is needed of an encoder."""

    def encode_queries(self, texts: Sequence[str], /) -> FloatMatrix:
        """Unit vectors of queries, [n, dim]."""

    def encode_documents(self, texts: Sequence[str], /) -> FloatMatrix:
        """Unit vectors of documents, [n, dim]."""


def weighted(source: Source, encoder: Encodes, settings: IntensitySettings, *, seed: int) -> Source:
    """The source with the weights of its examples set.

    Args:
        source: some of whose examples have a rewritten query.
        encoder: the base, with the instruction of the source.
        settings: `most` caps RI; `temperature` is t; `others` is the number of documents of other examples.
        seed: decides which others.

    Raises:
        InputError: no example of the source has a rewritten query.
    """
    places = [place for place, one in enumerate(source.examples) if one.rewritten.strip()]
    if not places:
        raise InputError(
            f"intensity needs rewritten queries, but no example of the source {source.name!r} has one; synthesize with "
            "--rewrite, or leave intensity out"
        )
    chosen = [source.examples[place] for place in places]
    texts, candidates = _candidates(source.examples, places, settings.others, seed)
    documents = encoder.encode_documents(texts)
    plain, helped = (
        _losses(encoder.encode_queries(queries), documents, candidates, settings.temperature)
        for queries in ([one.query for one in chosen], [one.rewritten for one in chosen])
    )
    found = intensities(plain, helped, settings.most)
    mean = sum(found) / len(found)
    examples = list(source.examples)
    for place, one in zip(places, found, strict=True):
        examples[place] = replace(examples[place], weight=examples[place].weight * one / mean)
    return replace(source, examples=examples)


def intensities(plain: Sequence[float], helped: Sequence[float], most: float) -> list[float]:
    """RI of examples from their losses with the query and with its rewrite; between 0 and `most`."""
    return [min((one + _TINY) / (other + _TINY), most) for one, other in zip(plain, helped, strict=True)]


def _candidates(
    examples: Sequence[Example], places: Sequence[int], others: int, seed: int
) -> tuple[list[str], list[list[int]]]:
    """All documents, and which of them are the candidates of each example, its positive first."""
    texts: list[str] = []
    known: dict[str, int] = {}

    def place_of(text: str) -> int:
        place = known.setdefault(same_words(text), len(texts))
        if place == len(texts):
            texts.append(text)
        return place

    candidates: list[list[int]] = []
    for number in places:
        own = examples[number]
        helps = {same_words(one.text) for one in own.positives} | {same_words(text) for text in own.related}
        wanted = [own.positives[0].text, *(one.text for one in own.negatives)]
        generator = np.random.default_rng(chance(seed, "intensity", own.id, own.query))
        drawn = generator.permutation(len(examples))[: others + 1].tolist()
        wanted += [examples[one].positives[0].text for one in drawn if one != number][:others]
        kept = [wanted[0], *(text for text in wanted[1:] if same_words(text) not in helps)]
        candidates.append(list(dict.fromkeys(place_of(text) for text in kept)))
    return texts, candidates


def _losses(
    queries: FloatMatrix, documents: FloatMatrix, candidates: Sequence[Sequence[int]], temperature: float
) -> list[float]:
    """InfoNCE of each query over its own candidates, the first of which is the positive."""
    found: list[float] = []
    for query, places in zip(queries, candidates, strict=True):
        scores = (documents[list(places)] @ query).astype(np.float64) / temperature
        found.append(float(np.logaddexp.reduce(scores) - scores[0]))
    return found
