"""Seeds of a run: read from the documents, judged by the model, chosen, and written in the order in which they were drawn.

What the documents hold is read once: the candidates lie in a file of the folder until the seeds are settled, and a run
that was killed goes on with them. Judgements are in the journal like every reply, so judging again costs nothing.
Memory holds a judgement for each seed, not its text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from reasonir_agent.errors import StoreError, boundary
from reasonir_agent.types import Encoder
from reasonir_trainer.synthesis.exclusion import Exclusion
from reasonir_trainer.synthesis.making import Patience, RunCaller, tried
from reasonir_trainer.synthesis.pieces import Pieces
from reasonir_trainer.synthesis.pool import Stop, work_through
from reasonir_trainer.synthesis.progress import Progress
from reasonir_trainer.synthesis.rows import Seed
from reasonir_trainer.synthesis.run_folder import RunFolder
from reasonir_trainer.synthesis.seeds import (
    Dropped,
    QualityClassifier,
    SeedFile,
    SeedReport,
    candidates,
    choose,
    clusters_of,
    judge,
)
from reasonir_trainer.synthesis.settings import SynthesisSettings

_ROUNDS: Final = 2
_SCORED: Final = 64
"""Texts that a classifier is given together."""

Judgement = tuple[float | None, str]


class DocumentSeeds:
    """The seeds of the user's documents.

    Args:
        paths: files and folders.
        settings: what makes a seed.
        open_encoder: opens the local encoder, for clusters.
        guards: evaluation sets that no seed may be close to.
    """

    def __init__(
        self,
        paths: Sequence[str],
        settings: SynthesisSettings,
        open_encoder: Callable[[str], Encoder],
        guards: Sequence[Exclusion] = (),
    ) -> None:
        self._paths, self._settings, self._open_encoder = paths, settings, open_encoder
        self._guards = guards
        self._file = Path()
        self._folder = RunFolder(Path())
        self._judged: dict[str, Judgement | None] = {}
        self._reasons: Counter[str] = Counter()

    def gather(self, folder: RunFolder, progress: Progress) -> int:
        """Read the documents, or take what an earlier run has read; returns the candidates of the shard.

        Raises:
            InputError: a path is missing, or no candidate is left.
        """
        self._folder, self._file = folder, folder.candidates
        if not self._file.exists():
            progress.begin("reading documents")
            self._read()
        with SeedFile(self._file) as found:
            return sum(folder.shard.holds(one) for one in found.ids())

    async def judge(self, caller: RunCaller, workers: int, stop: Stop, patience: Patience, progress: Progress) -> None:
        """Have every candidate of the shard judged, where the settings ask for it."""

        async def one(seed: Seed) -> None:
            outcome = await tried(lambda: judge(seed, self._settings, caller), seed.id, caller, stop, patience)
            if outcome is None:
                return
            is_seed = isinstance(outcome, Seed)
            self._judged[seed.id] = (outcome.quality, outcome.field) if isinstance(outcome, Seed) else None
            if isinstance(outcome, Dropped):
                self._reasons[outcome.reason] += 1
            progress.done += 1
            progress.note = "" if is_seed and not self._reasons else _told(self._reasons)

        with SeedFile(self._file) as found:
            ours = [id for id in found.ids() if self._folder.shard.holds(id)]
            for _ in range(_ROUNDS):
                undone = (found.get(id) for id in ours if id not in self._judged)
                await work_through(undone, one, workers=workers, stop=stop)
                if stop.is_asked or len(self._judged) == len(ours):
                    break
        progress.note = ""
        left = len(ours) - len(self._judged)
        if left and not stop.is_asked:
            stop.drain("unavailable", f"{left} seeds could not be judged: {patience.last}")

    def settle(self, file: Path) -> None:
        """Choose among what was judged good enough, and write the seeds in the order in which they were drawn."""
        with SeedFile(self._file) as found:
            good = {id: judgement for id, judgement in self._judged.items() if judgement is not None}
            chosen = self._choose(found, good)
            aside = file.with_name(f"{file.name}.part")
            aside.unlink(missing_ok=True)
            with boundary(StoreError, f"writing {file}", catch=(OSError,)):
                with aside.open("w", encoding="utf-8") as writing:
                    for id in chosen:
                        writing.write(_judged(found.get(id), good).model_dump_json() + "\n")
                aside.replace(file)
        counts = Pieces.of_file(self._folder.documents)
        counts.settled(self._reasons, good=len(good), seeds=len(chosen)).write(self._folder.documents)
        self._file.unlink()

    def _choose(self, found: SeedFile, good: Mapping[str, Judgement]) -> list[str]:
        def all_good() -> Iterator[Seed]:
            return (_judged(seed, good) for seed in found if seed.id in good)

        settings, clusters = self._settings, None
        if settings.encoder and settings.most_seeds is not None and settings.most_seeds < len(good):
            clusters = clusters_of(all_good(), self._open_encoder(settings.encoder), settings.random_seed)
        return choose(all_good(), settings.most_seeds, settings.random_seed, clusters)

    def _read(self) -> None:
        report = SeedReport()
        aside = self._file.with_suffix(".unscored")
        with candidates(self._paths, self._settings, report, file=aside, guards=self._guards) as found:
            if self._settings.classifier and self._settings.least_quality > 0:
                self._score(found)
        if aside.exists():
            aside.replace(self._file)
        Pieces.of(report).write(self._folder.documents)

    def _score(self, found: SeedFile) -> None:
        """Let the classifier say the quality of every candidate."""
        classifier = QualityClassifier(self._settings.classifier)
        scored = self._file.with_suffix(".scored")
        scored.unlink(missing_ok=True)
        with SeedFile(scored) as writing:
            ids = found.ids()
            for start in range(0, len(ids), _SCORED):
                some = [found.get(id) for id in ids[start : start + _SCORED]]
                for seed, quality in zip(some, classifier.score([one.text for one in some]), strict=True):
                    writing.append(seed.model_copy(update={"quality": quality}))
        scored.replace(found.path)


def _judged(seed: Seed, good: Mapping[str, Judgement]) -> Seed:
    quality, field = good[seed.id]
    return seed.model_copy(update={"quality": quality, "field": field})


def _told(reasons: Counter[str]) -> str:
    return "dropped: " + ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
