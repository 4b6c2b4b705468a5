"""Seeds: the pieces of the user's documents that are worth asking about.

reading.py      files -> pieces, by the readers and the splitter of `reasonir_agent.corpus`
filters.py      length and rules; boilerplate.py: what is no prose; language.py
duplicates.py   what an earlier seed says already
judging.py      quality and field, in one call; classifier.py: quality by a model that the user names
sampling.py     which are taken, evenly over fields, sources and clusters; clusters.py
seed_file.py    seeds on disk, found by id; report.py: what became of all pieces

    report = SeedReport()
    seeds = candidates(paths, settings, report, file=folder / "candidates.jsonl")
    good = [one for seed in seeds if isinstance(one := await judge(seed, settings, caller), Seed)]
    ids = choose(good, settings.most_seeds, settings.random_seed)

All of it is in one fixed order and free of chance but for `random_seed`. Texts stay on disk. Measured on drawn prose of
200 words, one in ten a near-copy (benchmarks/seeds.py): 2 ms of one processor and 1.0 kB a seed from documents to
candidates, then 0.1 to 0.2 kB a seed for the open file and 0.3 to 0.5 kB for the choice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reasonir_agent.errors import InputError
from reasonir_trainer.synthesis.rows import Seed
from reasonir_trainer.synthesis.seeds.classifier import QualityClassifier
from reasonir_trainer.synthesis.seeds.clusters import clusters_of
from reasonir_trainer.synthesis.seeds.duplicates import first_ones
from reasonir_trainer.synthesis.seeds.filters import apart, first_reason, rules
from reasonir_trainer.synthesis.seeds.judging import FIELDS, judge
from reasonir_trainer.synthesis.seeds.reading import pieces
from reasonir_trainer.synthesis.seeds.report import Dropped, SeedReport
from reasonir_trainer.synthesis.seeds.sampling import choose
from reasonir_trainer.synthesis.seeds.seed_file import SeedFile
from reasonir_trainer.synthesis.settings import SynthesisSettings

if TYPE_CHECKING:
    from reasonir_trainer.synthesis.exclusion import Exclusion

__all__ = [
    "FIELDS",
    "Dropped",
    "QualityClassifier",
    "SeedFile",
    "SeedReport",
    "candidates",
    "choose",
    "clusters_of",
    "judge",
]


def candidates(
    paths: Sequence[str],
    settings: SynthesisSettings,
    report: SeedReport,
    *,
    file: Path,
    guards: Sequence[Exclusion] = (),
) -> SeedFile:
    """The pieces of the documents that pass the filters and repeat no other, written to a file.

    The file is written aside and appears when it is complete; one that is there is replaced. `report.kept` counts what
    is in it.

    Args:
        paths: the user's files and folders.
        settings: lengths, languages, likeness of near-duplicates.
        report: told of everything that is left out.
        file: where to.
        guards: evaluation sets that no seed may be close to.

    Raises:
        InputError: a path is missing, a language is unknown, or no piece is left; the counts by reason are given.
    """
    passed, kept = (file.with_name(f"{file.name}.{name}.part") for name in ("passed", "kept"))
    for old in (passed, kept):
        old.unlink(missing_ok=True)
    try:
        with SeedFile(passed) as before, SeedFile(kept) as after:
            for seed in _passing(paths, settings, report, guards):
                before.append(seed)
            for seed in first_ones(before, settings.near_duplicate, report):
                after.append(seed)
            report.kept = len(after)
        if not report.kept:
            raise InputError(f"no seeds are left of {', '.join(map(repr, paths))}: {report.counts()}")
        kept.replace(file)
    finally:
        for old in (passed, kept):
            old.unlink(missing_ok=True)
    return SeedFile(file)


def _passing(
    paths: Sequence[str], settings: SynthesisSettings, report: SeedReport, guards: Sequence[Exclusion]
) -> Iterator[Seed]:
    """The pieces that every filter lets pass."""
    least, most = settings.least_seed_words, settings.most_seed_words
    asked = (*rules(least=least, most=most, languages=settings.languages), *apart(guards))
    for seed in pieces(paths, least=least, most=most, report=report):
        reason = first_reason(seed.text, asked)
        if reason is None:
            yield seed
        else:
            report.drop(Dropped(seed.source, seed.start, seed.end, reason))
