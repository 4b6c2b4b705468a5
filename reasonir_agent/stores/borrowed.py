"""Somebody else's index in the place of a `Corpus`: found by meaning there, by words here, fused as in our own store.

A framework's adapter gives functions: which passages are nearest to a vector, and, as far as its index can tell,
passages and vectors by id and a list of all passages. With the list, search is what `stores.store` does: 100 candidates
by meaning and 100 by words, the same fusion, the same background, the same rule for a language that the encoder does
not know. Without it only meaning decides.

What the index no longer holds is not shown: the list is read again when the index's size has changed, when a passage is
found that is not in it, and when one that was found by its words is gone from the index or has another text there.
Cosines are the encoder's, see `reported_cosines`. Nothing is written, and a filter is refused.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from reasonir_agent.errors import InputError, ReasonIRError, StoreError, boundary, redact
from reasonir_agent.stores.fusion import Forms, background, by_evidence, by_halves, in_order, shares
from reasonir_agent.stores.passage_list import Listing, PassageList
from reasonir_agent.stores.reported_cosines import ReportedCosines
from reasonir_agent.stores.store import CANDIDATES, LEXICAL_WEIGHT_FOREIGN
from reasonir_agent.types import Encoder, Hit, Passage, Where

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

UNKNOWN_SIZE: Final = 10_000
"""Passages that an index is taken to hold when nobody says."""

_REMEMBERED: Final = 20_000  # passages; a search brings some hundreds
_SAMPLE: Final = 2000  # stored vectors by which a question's background is estimated, as in our own store
_ENCODED_SAMPLE: Final = 128  # the same where each must be encoded first

Found = tuple[Passage, float | None]
"""A passage and its cosine, None where the index does not tell it."""


@dataclass(slots=True)
class _Candidates:
    """What was found by meaning and by words.

    Attributes:
        found: nearest first, then those by words alone.
        words: BM25 of each, float32 [len(found)].
        most_words: the most that a passage could reach.
        nearest: how many of them were found by meaning.
        is_current: whether the list agrees with the index.
    """

    found: list[Found]
    words: FloatMatrix
    most_words: float
    nearest: int
    is_current: bool


class BorrowedCorpus:
    """A `PassageSource` over an index that somebody else filled and keeps.

    Args:
        encoder: the encoder that the index was filled with.
        nearest: (unit vector float32 [dim], k) -> passages, nearest first, each with its cosine, or None where the index
            does not tell it.
        name: the index in messages ("the vector store Chroma").
        fetch: the passages that the index holds under some ids; it may raise NotImplementedError.
        vectors: the stored vectors, float32 [dim], under some ids; without, passages that are found by words alone are
            encoded again.
        passages: all passages, or a function that lists them, for search by words; None: by meaning alone. A function's
            passages are in the index under their ids, and are read again when the index has changed.
        sample: a fair sample of the stored vectors, float32 [n, dim], where `vectors` cannot give one.
        size: number of passages, or a cheap function that counts them; None: as listed, else UNKNOWN_SIZE.
    """

    def __init__(
        self,
        encoder: Encoder,
        nearest: Callable[[FloatMatrix, int], Sequence[Found]],
        *,
        name: str,
        fetch: Callable[[Sequence[str]], Iterable[Passage]] | None = None,
        vectors: Callable[[Sequence[str]], Mapping[str, FloatMatrix]] | None = None,
        passages: Sequence[Passage] | Callable[[], Iterable[Passage]] | None = None,
        sample: Callable[[], FloatMatrix] | None = None,
        size: int | Callable[[], int] | None = None,
    ) -> None:
        self.encoder = encoder
        self.name = name
        self._ask, self._fetch, self._vectors, self._stored_sample, self._size = nearest, fetch, vectors, sample, size
        self._list = PassageList(passages, self._counted, encoder, name)
        self._reported = ReportedCosines(encoder, name)
        self._seen: OrderedDict[str, Passage] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Number of passages, as far as it is known."""
        for known in (self._counted(), self._list.length):
            if known is not None:
                return known
        return UNKNOWN_SIZE

    def check(self, where: Where) -> None:
        """Refuse any filter.

        Raises:
            InputError: there is one.
        """
        if where:
            wanted = ", ".join(f"{one.field}{one.operator}{one.value}" for one in where)
            raise InputError(f"filters are not offered over {self.name}, got {wanted}; index into a store of your own")

    def find(
        self,
        queries: Sequence[str],
        k: int,
        *,
        vectors: FloatMatrix | None = None,
        where: Where = (),
        rewritten: bool = False,
        weights: Sequence[float] | None = None,
    ) -> list[Hit]:
        """The best passages for several forms of one question, best first.

        Args:
            queries: the forms; at least one.
            k: how many hits.
            vectors: their vectors, float32 [len(queries), dim], when the caller has them already.
            where: must be empty.
            rewritten: whether these are rewritten queries, which are fused by another rule.
            weights: what each form counts, 0 or more; equal ones when None.

        Returns:
            up to k hits; `final_score` is the fused score, or the cosine where words are not known.

        Raises:
            InputError: the question is empty, k is not positive, a filter is asked for, or the weights do not fit.
            StoreError: the index cannot be searched with vectors of this encoder.
        """
        if not queries or not all(query.strip() for query in queries):
            raise InputError("a question is needed, got an empty text")
        if k < 1:
            raise InputError(f"k must be 1 or more, got {k}")
        self.check(where)
        forms = Forms(queries, shares(weights, len(queries)))
        rows = self.encoder.encode_queries(list(queries)) if vectors is None else vectors
        query: FloatMatrix = forms.shares @ np.asarray(rows, dtype=np.float32)
        listing = self._list.current()
        nearest = self._nearest(query, k if listing is None else max(k, CANDIDATES))
        if listing is not None:
            listing, candidates = self._candidates(forms, query, nearest, listing)
        if listing is None:
            return self._by_meaning(query, nearest)[:k]
        return self._by_both(query, candidates, listing, is_rewritten=rewritten)[:k]

    def passages(self, ids: Sequence[str]) -> dict[str, Passage]:
        """The passages with these ids: those found before, others by the index's own ids; unknown ones are left out.

        Raises:
            StoreError: the index could not be read.
        """
        with self._lock:
            known = {one: self._seen[one] for one in ids if one in self._seen}
        return known | self._fetched([one for one in dict.fromkeys(ids) if one not in known])

    def rarity(self, terms: Sequence[str]) -> dict[str, float]:
        """How telling each word is among the passages; 1 for all where they are not known."""
        listing = self._list.current()
        return dict.fromkeys(terms, 1.0) if listing is None else listing.words.rarity(terms)

    def _by_meaning(self, query: FloatMatrix, nearest: Sequence[Found]) -> list[Hit]:
        cosines = self._reported.of(query, nearest).tolist()
        self._reported.compare_order(cosines)
        hits = [Hit(one, cosine, final_score=cosine) for (one, _), cosine in zip(nearest, cosines, strict=True)]
        return sorted(hits, key=lambda hit: (-hit.dense_score, hit.passage.id))

    def _by_both(
        self, query: FloatMatrix, candidates: _Candidates, listing: Listing, *, is_rewritten: bool
    ) -> list[Hit]:
        """The candidates fused as `stores.store` does it; equal scores in order of cosine, then of id."""
        by_id = sorted(range(len(candidates.found)), key=lambda place: candidates.found[place][0].id)
        cosines = self._reported.of(query, candidates.found)
        self._reported.compare_order(cosines[: candidates.nearest].tolist())
        cosines, words = cosines[by_id], candidates.words[by_id]
        if listing.is_foreign:
            fused = by_halves(cosines, words, lexical_weight=LEXICAL_WEIGHT_FOREIGN)
        elif is_rewritten:
            fused = by_halves(cosines, words)
        else:
            fused = by_evidence(cosines, words, background(self._sample(listing) @ query, candidates.most_words))
        passages = [candidates.found[place][0] for place in by_id]
        return [
            Hit(passages[place], float(cosines[place]), float(words[place]), None, float(fused[place]))
            for place in in_order(fused, cosines)
        ]

    def _candidates(
        self, forms: Forms, query: FloatMatrix, nearest: Sequence[Found], listing: Listing
    ) -> tuple[Listing | None, _Candidates]:
        """What is found with the list; where the list is behind the index, it is read again, once."""
        candidates = self._with_words(forms, query, nearest, listing)
        if candidates.is_current:
            return listing, candidates
        fresh = self._list.behind(listing)
        if fresh is None or fresh is listing:
            return fresh, candidates
        candidates = self._with_words(forms, query, nearest, fresh)
        if not candidates.is_current:
            self._list.did_not_help()
        return fresh, candidates

    def _with_words(self, forms: Forms, query: FloatMatrix, nearest: Sequence[Found], listing: Listing) -> _Candidates:
        """The nearest with their BM25, and the best by words."""
        listed = listing.words
        scores, most = listed.scores(forms)
        is_current, words, met = True, [], set()
        for passage, _ in nearest:
            place = listed.place(passage)
            if place is None or listed.passages[place].text != passage.text:
                is_current = False
                words.append(listed.score(forms, passage))
            else:
                words.append(float(scores[place]))
            met.add(place)
        best = [int(place) for place in listed.best(scores, CANDIDATES) if place not in met]
        others = [listed.passages[place] for place in best]
        held = self._still_held(others)
        is_current = is_current and len(held) == len(others)
        stored = self._stored(sorted(held))
        found = list(nearest)
        for place, passage in zip(best, others, strict=True):
            if passage.id in held:
                row = stored.get(passage.id)
                found.append((passage, None if row is None else float(row @ query)))
                words.append(float(scores[place]))
        return _Candidates(found, np.array(words, dtype=np.float32), most, len(nearest), is_current)

    def _still_held(self, passages: Sequence[Passage]) -> set[str]:
        """The ids of those of the listed passages that the index holds unchanged; all, where that cannot be asked."""
        if not self._list.is_live or self._fetch is None:
            self._remember(passages)
            return {one.id for one in passages}
        fetched = self._fetched([one.id for one in passages])
        return {one.id for one in passages if one.id in fetched and fetched[one.id].text == one.text}

    def _nearest(self, query: FloatMatrix, k: int) -> list[Found]:
        """The passages nearest to the mean of the queries' vectors, which is shorter than 1 where they differ."""
        length = float(np.linalg.norm(query))
        try:
            found = self._ask(query / np.float32(length) if length > 0 else query, k)
        except ReasonIRError:
            raise
        except NotImplementedError as cause:
            raise InputError(f"{self.name} cannot be searched by a vector; take another") from cause
        except Exception as cause:
            raise StoreError(
                f"{self.name} could not be searched with a vector of {len(query)} numbers by the encoder "
                f"{self.encoder.name!r}; it must have been filled with the same encoder ({_first_line(cause)})"
            ) from cause
        distinct: dict[str, Found] = {}
        for passage, cosine in found:
            if passage.text.strip():
                distinct.setdefault(passage.id, (passage, None if cosine is None else cosine * length))
        self._remember([passage for passage, _ in distinct.values()])
        return list(distinct.values())

    def _stored(self, ids: Sequence[str]) -> dict[str, FloatMatrix]:
        """Stored vectors, as far as the index gives them and they have the right length."""
        if self._vectors is None or not ids:
            return {}
        with boundary(StoreError, f"reading {self.name}"):
            rows = {one: np.asarray(row, dtype=np.float32) for one, row in self._vectors(ids).items()}
        return {one: row for one, row in rows.items() if row.shape == (self.encoder.dim,)}

    def _sample(self, listing: Listing) -> FloatMatrix:
        """Vectors of passages at even distances, float32 [n, dim]: stored ones where they can be had and are believed."""
        if listing.sample is None:
            listing.sample = self._new_sample(listing.words.passages)
        return listing.sample

    def _new_sample(self, passages: Sequence[Passage]) -> FloatMatrix:
        if self._reported.are_believed is not False:
            ids = [one.id for one in passages[:: max(1, len(passages) // _SAMPLE)]]
            rows = self._stored(ids)
            if len(rows) == len(ids) and rows:
                return np.stack([rows[one] for one in ids])
            if self._stored_sample is not None:
                with boundary(StoreError, f"reading {self.name}"):
                    return np.asarray(self._stored_sample(), dtype=np.float32).reshape(-1, self.encoder.dim)
        return self._reported.encode(passages[:: max(1, len(passages) // _ENCODED_SAMPLE)])

    def _fetched(self, ids: Sequence[str]) -> dict[str, Passage]:
        """The passages that the index holds under these ids."""
        if not ids or self._fetch is None:
            return {}
        try:
            with boundary(StoreError, f"reading {self.name}"):
                fetched = {one.id: one for one in self._fetch(ids) if one.id in set(ids)}
        except StoreError as problem:
            if isinstance(problem.__cause__, NotImplementedError):
                return {}
            raise
        self._remember(list(fetched.values()))
        return fetched

    def _remember(self, passages: Sequence[Passage]) -> None:
        with self._lock:
            for passage in passages:
                self._seen[passage.id] = passage
                self._seen.move_to_end(passage.id)
            while len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)

    def _counted(self) -> int | None:
        if not callable(self._size):
            return self._size
        with boundary(StoreError, f"counting {self.name}"):
            return int(self._size())


def _first_line(cause: Exception) -> str:
    return redact(f"{type(cause).__name__}: {str(cause).strip()}".splitlines()[0][:200])
