"""Hard negatives written by the model, in further turns of the conversation in which it wrote the query.

A negative is held against rules that cost nothing (length, no near-copy of the positive, of the query or of an earlier
negative), then against the local encoder, then judged in a further turn:

    near enough     at most a quarter of a sample of other seeds is nearer to the query than it is; a document that is
                    further away teaches nothing, since any other document would be as good a negative
    unhelpful       the model says whether it helps after all, with the strongest case for it first

What fails is asked for again with the reason. The judgement's turn is no part of what the next negative sees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict, StrictBool

from reasonir_trainer.synthesis import prompts
from reasonir_trainer.synthesis.asking import Asking, Refused, Talk, Text
from reasonir_trainer.synthesis.findings import Finding, Passed, held
from reasonir_trainer.synthesis.nearness import Nearness
from reasonir_trainer.synthesis.rows import Check, Negative
from reasonir_trainer.synthesis.settings import SynthesisSettings
from reasonir_trainer.synthesis.word_runs import count_words, shared_shingles

MOST_SHARED: Final = 0.5
"""Share of five-word runs of the shorter text from which one is a near-copy of the other."""

MOST_NEARER: Final = 0.25
"""Share of the sample of other seeds that may be nearer to the query than a negative."""

HELPS: Final = "negative helps after all"


class WrittenNegative(BaseModel):
    """What the model replies: what makes the document a trap, and the document."""

    model_config = ConfigDict(extra="ignore")

    trap: Text
    document: Text


class Judgement(BaseModel):
    """Whether a document helps after all."""

    model_config = ConfigDict(extra="ignore")

    reason: Text
    helps: StrictBool


@dataclass(frozen=True, slots=True)
class Pair:
    """A query and its positive, and the source of the seed that they were made from."""

    query: str
    positive: str
    source: str


async def written_negatives(
    asking: Asking, talk: Talk, pair: Pair, settings: SynthesisSettings, nearness: Nearness | None
) -> tuple[list[Negative], tuple[Check, ...]]:
    """Ask for the negatives of an item.

    Args:
        asking: counts and makes the calls.
        talk: the conversation so far; it holds the query and the positive.
        pair: query and positive.
        settings: how many, limits, whether they are judged.
        nearness: compares them with the query; None leaves that out.

    Returns:
        The negatives, nearest first where there is an encoder, and what they were held against.

    Raises:
        GivenUp: one of them could not be had.
    """
    texts: list[str] = []
    checks: tuple[Check, ...] = ()
    for number in range(1, settings.negatives_each + 1):

        async def accept(reply: WrittenNegative, said: Talk, number: int = number) -> Passed:
            found = findings(reply.document, pair, texts, settings)
            passed = held(reply.document, found)
            if nearness is not None:
                found.append(await _near_enough(reply.document, pair, nearness))
                passed = held(reply.document, found)
            if settings.judge_negatives:
                await _judge(asking, number, said, reply.document)
            return passed

        asked = prompts.negative(words=settings.least_negative_words, number=number)
        said = await asking.json(f"negative {number}", (*talk, ("user", asked)), WrittenNegative, accept)
        talk = said.talk
        texts.append(said.value.text)
        checks = (*checks, *said.value.checks)
    return await _placed(texts, pair, nearness), checks


def findings(document: str, pair: Pair, earlier: Sequence[str], settings: SynthesisSettings) -> list[Finding]:
    """Every rule for a written negative that needs its texts alone."""
    length, least = count_words(document), settings.least_negative_words
    too_short = (
        f"the document has {length} words, at least {least} are needed; add substance that does not help either."
    )
    return [
        Finding("negative words", "negative is too short", too_short, length, least, length >= least),
        _no_copy(document, [pair.positive], "positive", "the document that helps"),
        _no_copy(document, [pair.query], "query", "the query"),
        _no_copy(document, earlier, "other negative", "a document that you wrote before"),
    ]


def _no_copy(document: str, others: Sequence[str], name: str, called: str) -> Finding:
    shared = max((shared_shingles(document, other) for other in others), default=0.0)
    said = f"the document shares {shared:.0%} of its phrases with {called}; write about something else, in other words."
    passed = shared <= MOST_SHARED
    return Finding(f"negative shared with {name}", f"negative copies the {name}", said, shared, MOST_SHARED, passed)


async def _near_enough(document: str, pair: Pair, nearness: Nearness) -> Finding:
    compared = await nearness.compare(pair.query, [pair.positive, document], source=pair.source)
    nearer, most = compared.documents[1].nearer, math.ceil(MOST_NEARER * compared.sample)
    said = (
        "the document is too far from the query to be taken for relevant; stay with the query's own things and words, "
        "and leave out only what the answer turns on."
    )
    return Finding(
        "seeds nearer than the negative", "negative is far from the query", said, nearer, most, nearer <= most
    )


async def _judge(asking: Asking, number: int, talk: Talk, document: str) -> None:
    """Have the negative judged.

    Raises:
        Refused: it helps after all.
    """

    async def accept(reply: Judgement, _: Talk) -> Judgement:
        return reply

    judged = await asking.json(f"judge {number}", (*talk, ("user", prompts.judge())), Judgement, accept)
    if judged.value.helps:
        said = (
            f"the document helps to answer the query ({judged.value.reason[:500]}); write one in which that is missing."
        )
        raise Refused(HELPS, said, document)


async def _placed(texts: Sequence[str], pair: Pair, nearness: Nearness | None) -> list[Negative]:
    if nearness is None:
        return [Negative(text=text, origin="written") for text in texts]
    compared = await nearness.compare(pair.query, [pair.positive, *texts], source=pair.source)
    placed = [
        Negative(text=text, origin="written", rank=near.rank, similarity=near.similarity)
        for text, near in zip(texts, compared.documents[1:], strict=True)
    ]
    return sorted(placed, key=lambda negative: -(negative.similarity or 0.0))
