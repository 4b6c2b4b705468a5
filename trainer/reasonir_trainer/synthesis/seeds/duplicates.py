"""Seeds that say what an earlier one says already, word for word or nearly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from reasonir_trainer.synthesis.near_duplicates import NearDuplicates
from reasonir_trainer.synthesis.rows import Seed
from reasonir_trainer.synthesis.seeds.report import Dropped, SeedReport
from reasonir_trainer.synthesis.seeds.seed_file import SeedFile

EXACT: Final = "repeats another seed"
NEAR: Final = "nearly repeats another seed"


def first_ones(seeds: SeedFile, threshold: float, report: SeedReport) -> Iterator[Seed]:
    """The seeds of a file without those that repeat an earlier one, in the order of the file.

    Args:
        seeds: all of them; its texts are read again where two have to be compared.
        threshold: Jaccard similarity of 5-word shingles from which two seeds are one.
        report: counts what is left out, and names the seed that it repeats.
    """
    texts = NearDuplicates(threshold)
    for seed in seeds:
        texts.add(seed.text)
    ids = seeds.ids()
    repeats = texts.find(lambda number: seeds.get(ids[number]).text)
    repeat = next(repeats, None)
    for number, seed in enumerate(seeds):
        if repeat is None or repeat.number != number:
            yield seed
            continue
        first = seeds.get(ids[repeat.of])
        place = f"{first.source}, characters {first.start} to {first.end} (seed {first.id})"
        detail = f"repeats {place}; similarity {repeat.similarity:.2f}"
        report.drop(Dropped(seed.source, seed.start, seed.end, EXACT if repeat.exact else NEAR, detail))
        repeat = next(repeats, None)
