"""Which seeds are taken, where not all are: evenly over fields, sources and clusters.

One after the other is drawn: from the field that has the fewest so far, in it from the source that has the fewest, in it
from the cluster that has the fewest, and of those the one whose hash with `random_seed` comes first. So fields never
differ by more than one while both still have seeds; sources and clusters do not where every field has seeds of them. The
draw depends on nothing else, not on the order in which seeds come; and who asks for more gets the same ones and others.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Protocol

from reasonir_agent.errors import InputError


class Choosable(Protocol):
    """What is known of a seed here; `Seed` and `SeedPlace` have it."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def source(self) -> str:
        """Its document, with "#page=N" or "#id=..." where the file holds several."""
        ...

    @property
    def field(self) -> str:
        """Its field, or ""."""
        ...


def choose(
    seeds: Iterable[Choosable],
    most: int | None,
    random_seed: int,
    clusters: Mapping[str, int] | None = None,
) -> list[str]:
    """Draw seeds evenly. Holds about 300 bytes a seed; texts are not kept.

    Args:
        seeds: all of them, in any order; an id that comes twice counts once.
        most: how many are drawn at most; None draws all.
        random_seed: another one draws others.
        clusters: id -> number of its cluster; a seed that is not in it counts as of a cluster of its own kind.

    Returns:
        Ids in the order in which they were drawn: those of a smaller `most` are the beginning of it.
    """
    if most is not None and most < 0:
        raise InputError(f"the number of seeds to draw must be 0 or more, got {most}")
    groups = _Groups(random_seed, clusters or {})
    for seed in {one.id: _Place(one.id, one.field, one.source.partition("#")[0]) for one in seeds}.values():
        groups.add(seed)
    drawn: list[str] = []
    for one in groups.draw():
        if most is not None and len(drawn) >= most:
            break
        drawn.append(one)
    return drawn


@dataclass(frozen=True, slots=True)
class _Place:
    id: str
    field: str
    source: str


@dataclass(slots=True)
class _Cell:
    """The seeds of one field and source, by cluster, each in reverse order of drawing."""

    clusters: defaultdict[int, list[tuple[bytes, str]]] = field(default_factory=lambda: defaultdict(list))


class _Groups:
    def __init__(self, random_seed: int, clusters: Mapping[str, int]) -> None:
        self._random_seed, self._cluster_of = random_seed, clusters
        self._cells: defaultdict[str, defaultdict[str, _Cell]] = defaultdict(lambda: defaultdict(_Cell))
        self._sources: Counter[str] = Counter()
        self._clusters: Counter[int] = Counter()

    def add(self, seed: _Place) -> None:
        cell = self._cells[seed.field][seed.source]
        cell.clusters[self._cluster_of.get(seed.id, -1)].append((self._lot("seed", seed.id), seed.id))

    def draw(self) -> Iterator[str]:
        """Every id, one after the other."""
        for cells in self._cells.values():
            for cell in cells.values():
                for waiting in cell.clusters.values():
                    waiting.sort(reverse=True)
        fields = [(0, self._lot("field", name), name) for name in self._cells]
        sources = {name: self._heap(cells) for name, cells in self._cells.items()}
        heapify(fields)
        while fields:
            count, lot, name = heappop(fields)
            yield self._from_field(self._cells[name], sources[name])
            if self._cells[name]:
                heappush(fields, (count + 1, lot, name))

    def _heap(self, cells: Iterable[str]) -> list[tuple[int, bytes, str]]:
        heap = [(0, self._lot("source", source), source) for source in cells]
        heapify(heap)
        return heap

    def _from_field(self, cells: dict[str, _Cell], heap: list[tuple[int, bytes, str]]) -> str:
        count, lot, source = heappop(heap)
        while count != self._sources[source]:  # other fields have drawn from it meanwhile
            heappush(heap, (self._sources[source], lot, source))
            count, lot, source = heappop(heap)
        cell = cells[source]
        cluster = min(cell.clusters, key=lambda one: (self._clusters[one], self._lot("cluster", str(one))))
        _, drawn = cell.clusters[cluster].pop()
        self._sources[source] += 1
        self._clusters[cluster] += 1
        if not cell.clusters[cluster]:
            del cell.clusters[cluster]
        if cell.clusters:
            heappush(heap, (count + 1, lot, source))
        else:
            del cells[source]
        return drawn

    def _lot(self, kind: str, name: str) -> bytes:
        """What decides between equals: chance that is the same in every run."""
        text = f"{self._random_seed}\0{kind}\0{name}".encode(errors="surrogatepass")
        return hashlib.blake2b(text, digest_size=8).digest()
