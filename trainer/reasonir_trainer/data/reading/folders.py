"""Folders of data sets, as `reasonir evaluate` reads them: BEIR, BRIGHT, corpus.jsonl with queries and qrels.

Judged documents above 0 are positives. Where grades differ they are kept, for distillation; documents judged 0 become
negatives. Documents that are excluded for a query are never its negatives. Where passages are judged by their unit
(a module of a book), every passage of a positive unit could answer: the one that shares most words with the query does.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from reasonir_agent.errors import InputError
from reasonir_agent.evaluation.datasets import Documents, Split, open_data_set
from reasonir_agent.stores.words import words
from reasonir_trainer.data.examples import Candidate, Example, same_words

_MOST_RELATED: Final = 64


def read_folder(folder: Path, splits: Sequence[str] = ()) -> Iterator[tuple[str, Example]]:
    """The examples of some splits (all, when none is named), and where each stands.

    Raises:
        InputError: the folder is no data set, or a split has no documents.
    """
    data_set = open_data_set(str(folder)).only(splits)
    for name in data_set.splits:
        split = data_set.load(name)
        if split.documents is None:
            raise InputError(f"{folder} has no documents for its split {name!r}, so nothing can be learnt from it")
        documents = _Texts(split.documents)
        for query in split.queries:
            yield f"{folder} ({name}, query {query!r})", _example(split, documents, query)


class _Texts:
    """Documents by id, or by the unit that they belong to."""

    def __init__(self, documents: Documents) -> None:
        self._places: dict[str, list[int]] = defaultdict(list)
        for place, name in enumerate(documents.units or documents.ids):
            self._places[name].append(place)
        self._texts = documents.texts
        self._words: dict[int, frozenset[str]] = {}

    def of(self, name: str, query: str) -> str | None:
        """The text of a judged document; of a unit, its text nearest to the query by shared words."""
        places = self._places.get(name, [])
        if len(places) <= 1:
            return self._texts[places[0]] if places else None
        wanted = set(words(query))
        return self._texts[max(places, key=lambda place: (self._shared(place, wanted), -place))]

    def _shared(self, place: int, wanted: set[str]) -> float:
        if place not in self._words:
            self._words[place] = frozenset(words(self._texts[place]))
        own = self._words[place]
        return len(wanted & own) / math.sqrt(10 + len(own))  # a long text holds more words of anything


def _example(split: Split, documents: _Texts, query: str) -> Example:
    text = split.queries[query]
    grades = split.qrels[query]
    differ = len(set(grades.values())) > 1
    found = {name: one for name in grades if (one := documents.of(name, text)) is not None and one.strip()}
    positives = _candidates(found, {name: grade for name, grade in grades.items() if grade > 0}, keep_grades=differ)
    good = {same_words(one.text) for one in positives}
    zero = _candidates(found, {name: grade for name, grade in grades.items() if grade <= 0}, keep_grades=differ)
    negatives = tuple(one for one in zero if same_words(one.text) not in good)
    excluded = sorted(split.excluded.get(query, ()))[:_MOST_RELATED]
    related = tuple(one for name in excluded if (one := documents.of(name, text)))
    return Example(id=query, query=text, positives=positives, negatives=negatives, related=related)


def _candidates(found: Mapping[str, str], grades: Mapping[str, int], *, keep_grades: bool) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(found[name], float(g) if keep_grades else None) for name, g in grades.items() if name in found
    )
