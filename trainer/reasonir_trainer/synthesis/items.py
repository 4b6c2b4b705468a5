"""One item from its first call to its row: query and positive, negatives, grades, rewrite.

An item depends on its seed, its number, the settings, the replies and the seeds of the run: not on time, not on other
items, not on chance other than what its id decides. The same replies make the same row, byte for byte, so an item
whose replies are known from before a crash comes out as if there had been none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from reasonir_agent.errors import UnreadableReply
from reasonir_agent.llm import Reply
from reasonir_agent.rewriting import prompts as rewriting
from reasonir_agent.rewriting import usable_text
from reasonir_agent.types import Encoder
from reasonir_trainer.mining.grading import grade
from reasonir_trainer.synthesis import prompts
from reasonir_trainer.synthesis.asking import CUT_OFF, UNREADABLE, Asking, GivenUp, Refused, Talk
from reasonir_trainer.synthesis.calling import Caller
from reasonir_trainer.synthesis.hard import hard_query
from reasonir_trainer.synthesis.lengths import drawn
from reasonir_trainer.synthesis.mined import SeedMiner
from reasonir_trainer.synthesis.nearness import Nearness
from reasonir_trainer.synthesis.negatives import Pair, written_negatives
from reasonir_trainer.synthesis.rows import (
    Check,
    Kind,
    Negative,
    Outcome,
    Provenance,
    Rejected,
    Row,
    Seed,
    SeedPlace,
    item_id,
)
from reasonir_trainer.synthesis.settings import SynthesisSettings
from reasonir_trainer.synthesis.varied import varied_pair

REWRITE_WORDS: Final = 350
"""Length that a rewrite is asked for; what the agent asks for unless it is told otherwise."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What items are made with beside the model.

    Attributes:
        nearness: compares documents with queries; None without a local encoder.
        miner: finds negatives among the seeds; None where they are written, or not wanted.
    """

    nearness: Nearness | None = None
    miner: SeedMiner | None = None

    @classmethod
    def over(cls, seeds: Sequence[Seed], settings: SynthesisSettings, encoder: Encoder | None) -> Tools:
        """The tools that the settings ask for, over the seeds of the run.

        The seeds may be read from a file as they are asked for: they are gone through once here, and where negatives
        are mined, once more and then one by one in the miner's thread. Nothing is encoded or indexed yet.
        """
        if settings.negatives == "none" or not settings.negatives_each:
            return cls()
        nearness = None if encoder is None else Nearness.over(seeds, encoder, random_seed=settings.random_seed)
        if settings.negatives == "written":
            return cls(nearness)
        return cls(nearness, SeedMiner(seeds, settings, encoder=encoder, nearness=nearness))


@dataclass(frozen=True, slots=True)
class _Begun:
    """Query and positive of an item, and the conversation that holds both."""

    pair: Pair
    talk: Talk
    checks: tuple[Check, ...]
    query_words: int = 0
    positive_words: int = 0


async def make(
    seed: Seed, kind: Kind, number: int, settings: SynthesisSettings, caller: Caller, tools: Tools
) -> Outcome:
    """Make the n-th item of a kind from a seed.

    Args:
        seed: what it is made from.
        kind: "hq" or "vl".
        number: among the seed's items of the kind, from 0.
        settings: what is asked for.
        caller: who answers.
        tools: the encoder's and the miner's parts, both optional.

    Returns:
        The row, or why there is none.

    Raises:
        ChatUnavailable: no call can succeed.
        BudgetSpent: a bound of the run is reached.
        EncoderError: the local encoder failed.
    """
    asking = Asking(item_id(seed, kind, number), caller, settings.attempts)
    try:
        return await _made(asking, seed, kind, number, settings, tools)
    except GivenUp as why:
        return Rejected(
            id=asking.item,
            kind=kind,
            reason=why.reason,
            detail=why.detail,
            example=why.example,
            seed=seed.id,
            attempts=asking.calls,
        )


async def _made(asking: Asking, seed: Seed, kind: Kind, number: int, settings: SynthesisSettings, tools: Tools) -> Row:
    begun = await _begin(asking, seed, kind, number, settings)
    negatives, checks = await _negatives(asking, begun, settings, tools)
    positive_grade = None
    if settings.grade:
        positive_grade = await grade(asking, "grade positive", begun.pair.query, begun.pair.positive)
        negatives = [await _graded(asking, n, begun.pair.query, one) for n, one in enumerate(negatives, start=1)]
    rewritten = await _rewritten(asking, begun.pair.query) if settings.rewrite else ""
    return Row(
        id=asking.item,
        kind=kind,
        query=begun.pair.query,
        positive=begun.pair.positive,
        positive_grade=positive_grade,
        negatives=tuple(negatives),
        rewritten=rewritten,
        seed=SeedPlace.of(seed),
        made=Provenance(
            model=settings.model,
            prompts=prompts.VERSION,
            requested_query_words=begun.query_words,
            requested_positive_words=begun.positive_words,
            temperature=settings.temperature,
            attempts=asking.calls,
            checks=(*begun.checks, *checks),
        ),
    )


async def _begin(asking: Asking, seed: Seed, kind: Kind, number: int, settings: SynthesisSettings) -> _Begun:
    share = drawn(settings.random_seed, asking.item, "asker")
    asker = prompts.ASKERS[int(share * len(prompts.ASKERS))]
    if kind == "hq":
        query = await hard_query(asking, seed, number, settings, asker=asker)
        return _Begun(Pair(query.value.text, seed.text, seed.source), query.talk, query.value.checks)
    said = await varied_pair(asking, seed, number, settings, asker=asker)
    made = said.value
    pair = Pair(made.query, made.positive, seed.source)
    return _Begun(pair, said.talk, made.checks, made.query_length.words, made.positive_length.words)


async def _negatives(
    asking: Asking, begun: _Begun, settings: SynthesisSettings, tools: Tools
) -> tuple[list[Negative], tuple[Check, ...]]:
    if settings.negatives == "none" or not settings.negatives_each:
        return [], ()
    if settings.negatives == "written":
        return await written_negatives(asking, begun.talk, begun.pair, settings, tools.nearness)
    assert tools.miner is not None, "Tools.over makes a miner where negatives are mined"
    return await tools.miner.mine(begun.pair), ()


async def _graded(asking: Asking, number: int, query: str, negative: Negative) -> Negative:
    return negative.model_copy(update={"grade": await grade(asking, f"grade {number}", query, negative.text)})


async def _rewritten(asking: Asking, query: str) -> str:
    """The reasoning rewrite of a query, as the agent would search with it."""
    asked = rewriting.task(query, words=REWRITE_WORDS, missing="", evidence=(), angle=0)

    async def accept(reply: Reply) -> str:
        if reply.ended == "length":
            raise Refused(CUT_OFF, "it was cut off before its end; write less.", reply.text)
        try:
            return usable_text(reply)
        except UnreadableReply as problem:
            raise Refused(UNREADABLE, str(problem), reply.text) from problem

    return (await asking.text("rewrite", (("system", rewriting.SYSTEM), ("user", asked)), accept)).value
