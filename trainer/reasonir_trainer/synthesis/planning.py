"""The list of items, made as it is needed: it follows from the seeds and the settings, and is never held as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from reasonir_trainer.synthesis.rows import Kind, Seed, item_id
from reasonir_trainer.synthesis.run_folder import Shard
from reasonir_trainer.synthesis.settings import SynthesisSettings


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to make.

    Attributes:
        id: the same in every run.
        seed: what it is made from.
        kind: of what sort.
        number: of the seed's items of that kind, from 0.
    """

    id: str
    seed: Seed
    kind: Kind
    number: int


def plan(seeds: Iterable[Seed], settings: SynthesisSettings, shard: Shard) -> Iterator[Item]:
    """The items of a shard, seed by seed. All items of a seed belong to one shard, which judged the seed too."""
    for seed in seeds:
        if shard.holds(seed.id):
            yield from items_of(seed, settings)


def items_of(seed: Seed, settings: SynthesisSettings) -> Iterator[Item]:
    """What is made from one seed."""
    wanted: tuple[tuple[Kind, int], ...] = (("vl", settings.varied), ("hq", settings.hard))
    for kind, count in wanted:
        for number in range(count):
            yield Item(item_id(seed, kind, number), seed, kind, number)


def needs_all_seeds(settings: SynthesisSettings) -> bool:
    """Whether an item depends on other seeds than its own, so that a shard must know them all."""
    compares = settings.negatives == "written" and bool(settings.encoder)
    mines = settings.negatives in ("bm25", "encoder")
    return settings.most_seeds is not None or (settings.negatives_each > 0 and (compares or mines))
