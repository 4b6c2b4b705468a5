"""Which examples of which source make the batch of a step: a pure function of seed and step.

Every batch comes from one source (ReasonIR: a batch of mixed sources is told apart by style instead of meaning). How often a
source is drawn follows its weight; without weights, the number of its examples to the power 1 / temperature (1: as often as
it has examples; large: all sources equally often). Draws are spread evenly: after any number of steps no source is more than
one batch away from its share.

A source is gone through in a shuffled order, then in another. A batch never crosses from one order into the next, so no
example is twice in a batch; the few examples that do not fill a batch at the end of an order wait for the next order.
Nothing is kept between steps, so a run that goes on at step n reads what the uninterrupted run reads at step n.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from reasonir_agent.errors import InputError
from reasonir_trainer.data.examples import Example, Source

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Drawn:
    """The examples of a step.

    Attributes:
        source: that they come from.
        examples: in order; each process takes its slice.
        passes: how often the source was gone through before, which turns the choice among several positives.
    """

    source: Source
    examples: list[Example]
    passes: int


class Mix:
    """A plan of batches over several sources.

    Args:
        sources: at least one; names differ.
        weights: one for each source, 0 or more; None takes sizes and `temperature`.
        temperature: see above; 1 or more.
        batch: examples of a step, over all processes. A smaller source gives all that it has.
        divisor: batches are a multiple of it (the number of processes).
        steps: length of the plan.
        seed: decides what is left to chance.

    Raises:
        InputError: the sources cannot be mixed so.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        batch: int,
        steps: int,
        seed: int,
        weights: Sequence[float] | None = None,
        temperature: float = 1.0,
        divisor: int = 1,
    ) -> None:
        if not sources:
            raise InputError("training needs at least one source")
        names = [source.name for source in sources]
        if len(set(names)) < len(names):
            raise InputError(f"the names of sources must differ, got {', '.join(names)}")
        self.sources, self.seed, self.steps = list(sources), seed, steps
        self.shares = _shares([len(source.examples) for source in sources], weights, temperature)
        self._sizes = [self._batch_of(source, batch, divisor) for source in sources]
        self._chosen = _spread(self.shares, steps)
        self._turn = _earlier(self._chosen, len(sources))

    @staticmethod
    def _batch_of(source: Source, batch: int, divisor: int) -> int:
        size = min(batch, len(source.examples)) // divisor * divisor
        if size < max(2, divisor):
            raise InputError(
                f"the source {source.name!r} has {len(source.examples)} examples, too few for a batch over "
                f"{divisor} processes; a batch needs 2 examples at least"
            )
        return size

    def draw(self, step: int) -> Drawn:
        """The examples of a step, from 0."""
        number = int(self._chosen[step])
        source, size = self.sources[number], self._sizes[number]
        batches = len(source.examples) // size
        passes, place = divmod(int(self._turn[step]), batches)
        order = _order(self.seed, source.name, passes, len(source.examples))
        picked = order[place * size : (place + 1) * size]
        return Drawn(source, [source.examples[one] for one in picked.tolist()], passes)

    def counts(self) -> dict[str, int]:
        """Batches of each source over the whole plan."""
        found = np.bincount(self._chosen, minlength=len(self.sources))
        return {source.name: int(count) for source, count in zip(self.sources, found, strict=True)}


def _shares(sizes: Sequence[int], weights: Sequence[float] | None, temperature: float) -> list[float]:
    if temperature < 1:
        raise InputError(f"the mixing temperature must be 1 or more, got {temperature}")
    if weights is None:
        weights = [size ** (1.0 / temperature) for size in sizes]
    if len(weights) != len(sizes) or min(weights) < 0 or not 0 < sum(weights) < float("inf"):
        raise InputError(f"sources need one weight of 0 or more each and one above 0, got {list(weights)}")
    total = sum(weights)
    return [weight / total for weight in weights]


def _spread(shares: Sequence[float], steps: int) -> NDArray[np.int64]:
    """For each step the source that is furthest behind its share."""
    share = np.asarray(shares)
    owed = np.zeros(len(share))
    chosen = np.zeros(steps, dtype=np.int64)
    for step in range(steps):
        owed += share
        chosen[step] = int(np.argmax(np.where(share > 0, owed, -np.inf)))
        owed[chosen[step]] -= 1.0
    return chosen


def _earlier(chosen: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """For each step how often its source was drawn before."""
    turn = np.zeros(len(chosen), dtype=np.int64)
    for number in range(count):
        places = np.flatnonzero(chosen == number)
        turn[places] = np.arange(len(places))
    return turn


@lru_cache(maxsize=64)
def _order(seed: int, name: str, passes: int, size: int) -> NDArray[np.int64]:
    return np.random.default_rng(chance(seed, name, passes)).permutation(size)


def chance(*parts: object) -> int:
    """A number from 0 to 2^63 that depends on the parts alone, the same in every process."""
    digest = hashlib.blake2b("\0".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
