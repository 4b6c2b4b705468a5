"""The real maker of items, with what it needs beside the model: the local encoder, and the seeds to mine among."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import overload

from reasonir_agent.types import Encoder
from reasonir_trainer.synthesis.calling import Caller
from reasonir_trainer.synthesis.items import Tools, make
from reasonir_trainer.synthesis.planning import Item
from reasonir_trainer.synthesis.rows import Outcome, Seed
from reasonir_trainer.synthesis.run_folder import RunFolder
from reasonir_trainer.synthesis.seeds import SeedFile
from reasonir_trainer.synthesis.settings import SynthesisSettings


class SeedList(Sequence[Seed]):
    """Seeds of a file as a sequence; their texts are read when they are asked for."""

    def __init__(self, file: SeedFile) -> None:
        self._file, self._ids = file, file.ids()

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, at: int) -> Seed: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Seed]: ...

    def __getitem__(self, at: int | slice) -> Seed | Sequence[Seed]:
        if isinstance(at, slice):
            return [self._file.get(id) for id in self._ids[at]]
        return self._file.get(self._ids[at])


def item_maker(
    settings: SynthesisSettings, open_encoder: Callable[[str], Encoder]
) -> Callable[[RunFolder], AbstractContextManager[Callable[[Item, Caller], Awaitable[Outcome]]]]:
    """What makes the items of a run, once its folder has seeds.

    Args:
        settings: what is made.
        open_encoder: opens the local encoder by its name.
    """

    @contextmanager
    def opened(folder: RunFolder) -> Iterator[Callable[[Item, Caller], Awaitable[Outcome]]]:
        encoder = open_encoder(settings.encoder) if settings.encoder and settings.negatives != "none" else None
        with SeedFile(folder.all_seeds if folder.all_seeds.exists() else folder.seeds) as file:
            tools = Tools.over(SeedList(file), settings, encoder)

            async def one(item: Item, caller: Caller) -> Outcome:
                return await make(item.seed, item.kind, item.number, settings, caller, tools)

            yield one

    return opened
