"""VL: a query of a requested length about the seed's subject, and in the next turn a document that helps.

Both lengths are drawn from the item's id (`lengths`). A query tells a situation at length and asks at its end; the
document teaches what the answer needs. Neither is the seed, which gives the subject alone. A length that is missed is
asked for again with the length obtained.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict

from reasonir_trainer.synthesis import prompts
from reasonir_trainer.synthesis.asking import Asking, Said, Talk, Text
from reasonir_trainer.synthesis.findings import Finding, Passed, held
from reasonir_trainer.synthesis.lengths import Length, requested
from reasonir_trainer.synthesis.query_checks import asks_nothing, mentions_document
from reasonir_trainer.synthesis.rows import Check, Seed
from reasonir_trainer.synthesis.settings import SynthesisSettings
from reasonir_trainer.synthesis.word_runs import count_words, shared_shingles

MOST_SHARED: Final = 0.5
"""Share of five-word runs that a document may share with the query it is to help."""


class VariedQuery(BaseModel):
    """What the model replies for the query."""

    model_config = ConfigDict(extra="ignore")

    query: Text


class HelpfulDocument(BaseModel):
    """What the model replies for the positive."""

    model_config = ConfigDict(extra="ignore")

    document: Text


@dataclass(frozen=True, slots=True)
class VariedPair:
    """A query and its positive, with what was asked for and what they were held against."""

    query: str
    positive: str
    query_length: Length
    positive_length: Length
    checks: tuple[Check, ...]


async def varied_pair(
    asking: Asking, seed: Seed, number: int, settings: SynthesisSettings, *, asker: str
) -> Said[VariedPair]:
    """Ask for the query, then for its positive; the conversation that comes back ends with the positive.

    Args:
        asking: counts and makes the calls.
        seed: gives the subject.
        number: of the item among the seed's.
        settings: limits.
        asker: who asks.

    Raises:
        GivenUp: no query, or no positive, passed.
    """
    wanted = requested(asking.item, "query", settings)
    asked = prompts.varied_query(
        seed.text, words=wanted.words, least=wanted.least, most=wanted.most, asker=asker, number=number
    )

    async def accept(reply: VariedQuery, _: Talk) -> Passed:
        return held(reply.query, query_findings(reply.query, wanted, settings))

    query = await asking.json("query", (("system", prompts.SYSTEM), ("user", asked)), VariedQuery, accept)
    positive, length = await _positive(asking, query, settings)
    checks = (*query.value.checks, *positive.value.checks)
    return Said(VariedPair(query.value.text, positive.value.text, wanted, length, checks), positive.talk)


async def _positive(asking: Asking, query: Said[Passed], settings: SynthesisSettings) -> tuple[Said[Passed], Length]:
    wanted = requested(asking.item, "positive", settings)
    asked = prompts.varied_positive(words=wanted.words, least=wanted.least, most=wanted.most)

    async def accept(reply: HelpfulDocument, _: Talk) -> Passed:
        return held(reply.document, positive_findings(reply.document, query.value.text, wanted, settings))

    return await asking.json("positive", (*query.talk, ("user", asked)), HelpfulDocument, accept), wanted


def query_findings(query: str, wanted: Length, settings: SynthesisSettings) -> list[Finding]:
    """Every rule for a varied query; in so long a text "the above" is its own, so only clear mentions count."""
    return [
        _length("query", query, wanted, settings.length_tolerance),
        asks_nothing(query),
        mentions_document(query, clearly=True),
    ]


def positive_findings(document: str, query: str, wanted: Length, settings: SynthesisSettings) -> list[Finding]:
    """Every rule for the positive of a varied query."""
    shared = shared_shingles(document, query)
    said = f"the document repeats {shared:.0%} of the query; write it without retelling the situation."
    return [
        _length("positive", document, wanted, settings.length_tolerance),
        Finding(
            "positive shared with query", "positive repeats the query", said, shared, MOST_SHARED, shared <= MOST_SHARED
        ),
    ]


def _length(part: str, text: str, wanted: Length, tolerance: float) -> Finding:
    """The length obtained against the length asked for."""
    words = count_words(text)
    missed = abs(words - wanted.words) / wanted.words
    name = "query" if part == "query" else "document"
    way = "longer" if words < wanted.words else "shorter"
    said = (
        f"the {name} has {words} words; {wanted.words} are needed ({wanted.least} to {wanted.most}): write a "
        f"{way} one{', with more parts that each add substance' if way == 'longer' else ''}."
    )
    return Finding(
        f"{part} length missed by", f"{part} misses its length", said, missed, tolerance, wanted.holds(words)
    )
