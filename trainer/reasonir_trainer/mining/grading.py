"""How far documents help to answer a query, from 0 to 5 by a chat model: graded labels, for distillation.

Each document is graded in a conversation of its own that tells neither where it comes from nor whether it is meant to
help. A grade is a number from 0 to 5 in a JSON object, read strictly: what is none is asked for again, then refused,
never guessed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from reasonir_trainer.mining.triplets import Triplet
from reasonir_trainer.synthesis import prompts
from reasonir_trainer.synthesis.asking import Asking, GivenUp, Talk, Text
from reasonir_trainer.synthesis.calling import Caller


class Grade(BaseModel):
    """How far a document helps; a number, not a word or a truth value that stands for one."""

    model_config = ConfigDict(extra="ignore")

    reason: Text
    grade: Annotated[float, Field(ge=0, le=5, strict=True)]


@dataclass(frozen=True, slots=True)
class Ungraded:
    """A triplet whose grades could not be had, and why."""

    triplet: Triplet
    reason: str
    detail: str


async def grade(asking: Asking, step: str, query: str, document: str) -> float:
    """The grade of one document, 0 to 5.

    Args:
        asking: counts and makes the calls.
        step: name of the call in the journal ("grade positive", "grade 1").
        query: what is asked.
        document: what may help.

    Raises:
        GivenUp: no readable grade could be had.
        ChatUnavailable: no call can succeed.
        BudgetSpent: a bound of the run is reached.
    """
    said = await asking.json(step, tuple(prompts.grade(query, document)), Grade, _accept)
    return said.value


async def _accept(reply: Grade, _: Talk) -> float:
    return reply.grade


async def graded(
    triplets: Iterable[Triplet], caller: Caller, *, attempts: int = 3, at_once: int = 8
) -> AsyncIterator[Triplet | Ungraded]:
    """Triplets with the grades of their positives and negatives, in their order; what cannot be graded is told.

    Args:
        triplets: those of a query stand together, so that a negative that they share is graded once.
        caller: who answers.
        attempts: how often a grade is asked for.
        at_once: queries whose grades are under way at the same time.

    Raises:
        ChatUnavailable: no call can succeed.
        BudgetSpent: a bound of the run is reached.
    """
    under_way: deque[asyncio.Task[list[Triplet | Ungraded]]] = deque()
    groups: Iterator[list[Triplet]] = (list(group) for _, group in groupby(triplets, key=lambda one: one.query_id))
    try:
        for group in groups:
            under_way.append(asyncio.create_task(_of_one_query(group, caller, attempts)))
            if len(under_way) >= at_once:
                for one in await under_way.popleft():
                    yield one
        while under_way:
            for one in await under_way.popleft():
                yield one
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _of_one_query(triplets: Sequence[Triplet], caller: Caller, attempts: int) -> list[Triplet | Ungraded]:
    known: dict[str, float | GivenUp] = {}
    done: list[Triplet | Ungraded] = []
    for triplet in triplets:
        texts = dict(
            zip([triplet.positive_id, *triplet.negative_ids], [triplet.positive, *triplet.negatives], strict=True)
        )
        for name, text in texts.items():
            if name not in known:
                known[name] = await _known_or_not(triplet, name, text, caller, attempts)
        failure = next((known[name] for name in texts if isinstance(known[name], GivenUp)), None)
        if isinstance(failure, GivenUp):
            done.append(Ungraded(triplet, failure.reason, failure.detail))
            continue
        grades = {name: value for name, value in known.items() if not isinstance(value, GivenUp)}
        negatives = [grades[name] for name in triplet.negative_ids]
        done.append(replace(triplet, positive_grade=grades[triplet.positive_id], grades=negatives))
    return done


async def _known_or_not(triplet: Triplet, name: str, text: str, caller: Caller, attempts: int) -> float | GivenUp:
    try:
        return await grade(Asking(triplet.query_id, caller, attempts), f"grade {name}", triplet.query, text)
    except GivenUp as failure:
        return failure
