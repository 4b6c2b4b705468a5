"""nDCG@10 on held-out data sets while training: exact search, the metrics and rules of `reasonir evaluate`."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

from reasonir_agent.errors import InputError
from reasonir_agent.evaluation.datasets import Documents, Split, open_data_set
from reasonir_agent.evaluation.metrics import HEADLINE, score
from reasonir_agent.evaluation.ranking import FirstStage, as_run
from reasonir_agent.evaluation.rewrites import read_rewrites
from reasonir_agent.evaluation.systems.legs import Dense
from reasonir_trainer.data.mixing import chance
from reasonir_trainer.training.config import EvaluationSet

if TYPE_CHECKING:
    from reasonir_agent.evaluation.vector_cache import VectorCache
    from reasonir_agent.types import Encoder, FloatMatrix
    from reasonir_trainer.training.live import LiveEncoder

REWRITTEN: Final = " (rewritten)"
"""What the name of a set with rewritten queries ends in."""


@dataclass(frozen=True)
class HeldOut:
    """A split of a data set under the name that tables give it."""

    name: str
    split: Split


def open_held_out(sets: Sequence[EvaluationSet]) -> list[HeldOut]:
    """Read the held-out data; a set with rewritten queries is there twice, the second time by their name.

    Raises:
        InputError: a set is missing, damaged or without documents, or a query has no rewritten one.
    """
    found: list[HeldOut] = []
    for one in sets:
        data_set = open_data_set(str(one.path)).only(one.splits)
        for name in data_set.splits:
            split = data_set.load(name)
            if split.documents is None:
                raise InputError(f"{one.path} has no documents for its split {name!r}, so nothing can be searched")
            label = one.label if len(data_set.splits) == 1 else f"{one.label}/{name}"
            small = _smaller(split, one)
            found.append(HeldOut(label, small))
            if one.rewritten is not None:
                queries, _ = read_rewrites(one.rewritten).for_split(small)
                found.append(HeldOut(f"{label}{REWRITTEN}", replace(small, queries=queries)))
    names = [one.name for one in found]
    if len(set(names)) < len(names):
        raise InputError(f"evaluation sets must have different names, got {', '.join(names)}")
    return found


def measure(encoder: LiveEncoder, held_out: Sequence[HeldOut]) -> dict[str, float]:
    """nDCG@10 of dense search on each set, between 0 and 1."""
    found: dict[str, float] = {}
    first = FirstStage(Dense("", cast("Encoder", encoder), cast("VectorCache", _LastDocuments())), None)
    for one in held_out:
        split = one.split
        assert split.documents is not None
        ranking = first.open(split, split.documents).rank(split.queries)
        per_query = score({query: split.qrels[query] for query in split.queries}, as_run(ranking))
        found[one.name] = sum(values[HEADLINE] for values in per_query.values()) / len(per_query)
    return found


def average(measured: Mapping[str, float]) -> float:
    """The mean over sets, which is what weights are chosen by."""
    return sum(measured.values()) / len(measured)


def is_better(
    found: Mapping[str, float], than: Mapping[str, float], before: Mapping[str, float], most_loss: float | None
) -> bool:
    """Whether weights are taken rather than others, by what was measured with both.

    Args:
        found: nDCG@10 of each set with the one.
        than: with the other.
        before: with the base.
        most_loss: share of its value with the base that a set may lose; None goes by the average alone.
    """

    def rank(one: Mapping[str, float]) -> tuple[bool, float]:
        limit = 1.0 if most_loss is None else most_loss
        return all(one[name] >= before[name] * (1 - limit) for name in before), average(one)

    return rank(found) > rank(than)


class _LastDocuments:
    """A vector cache of one list of documents: original and rewritten queries share it, and the weights stay in between."""

    def __init__(self) -> None:
        self._last: tuple[Sequence[str], list[FloatMatrix]] | None = None

    def blocks(self, encoder: Encoder, texts: Sequence[str], *_: object) -> list[FloatMatrix]:
        if self._last is None or self._last[0] is not texts:
            self._last = (texts, [encoder.encode_documents(texts)])
        return self._last[1]

    def vectors(self, encoder: Encoder, texts: Sequence[str], *_: object) -> FloatMatrix:
        return encoder.encode_queries(texts)


def _smaller(split: Split, wanted: EvaluationSet) -> Split:
    """Fewer queries and documents, the same ones every time; every judged document stays."""
    chosen = set(sorted(split.queries, key=lambda one: chance(split.name, one))[: wanted.most_queries])
    queries = {one: text for one, text in split.queries.items() if one in chosen}
    documents = split.documents
    assert documents is not None
    if wanted.most_documents is not None and len(documents.ids) > wanted.most_documents:
        judged = {name for one in queries for name in split.qrels[one]}
        documents = _some(documents, judged, wanted.most_documents)
    return replace(split, queries=queries, documents=documents)


def _some(documents: Documents, judged: Container[str], most: int) -> Documents:
    names = documents.units or documents.ids
    others = [place for place, name in enumerate(names) if name not in judged]
    others.sort(key=lambda place: chance(documents.ids[place]))
    needed = [place for place, name in enumerate(names) if name in judged]
    places = sorted(needed + others[: max(0, most - len(needed))])
    units = None if documents.units is None else [documents.units[place] for place in places]
    return Documents([documents.ids[one] for one in places], [documents.texts[one] for one in places], units)
