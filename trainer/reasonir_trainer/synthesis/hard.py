"""HQ: a query that needs reasoning, for which the seed is the evidence.

The model works in four steps (what the seed teaches, how it reasons, a different setting, the query), so that the query
takes over the seed's knowledge and its pattern of reasoning and leaves its words behind. The positive is the seed.
What can be looked up, leans on the document, or asks nothing is refused, each with what to do otherwise.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from reasonir_trainer.synthesis import prompts
from reasonir_trainer.synthesis.asking import Asking, Said, Talk, Text
from reasonir_trainer.synthesis.findings import Finding, Passed, held
from reasonir_trainer.synthesis.query_checks import (
    asks_nothing,
    copies_run,
    looked_up,
    mentions_document,
    repeats_heading,
    too_short,
)
from reasonir_trainer.synthesis.rows import Seed
from reasonir_trainer.synthesis.settings import SynthesisSettings


class HardQuery(BaseModel):
    """What the model replies: its way to the query, and the query."""

    model_config = ConfigDict(extra="ignore")

    knowledge: Text
    reasoning: Text
    setting: Text
    query: Text


def findings(query: str, seed: Seed, settings: SynthesisSettings) -> list[Finding]:
    """Every rule for a hard query, in the order in which they are told."""
    return [
        too_short(query, least=settings.least_query_words),
        asks_nothing(query),
        mentions_document(query),
        repeats_heading(query, seed.heading),
        copies_run(query, seed.text),
        looked_up(query, seed.text, most_overlap=settings.most_overlap),
    ]


async def hard_query(
    asking: Asking, seed: Seed, number: int, settings: SynthesisSettings, *, asker: str
) -> Said[Passed]:
    """Ask for the query; the conversation that comes back ends with it.

    Args:
        asking: counts and makes the calls.
        seed: what it is to be evidence for.
        number: of the item among the seed's.
        settings: limits.
        asker: who asks.

    Raises:
        GivenUp: no query passed.
    """
    asked = prompts.hard_query(seed.text, words=settings.least_query_words, asker=asker, number=number)
    talk: Talk = (("system", prompts.SYSTEM), ("user", asked))

    async def accept(reply: HardQuery, _: Talk) -> Passed:
        return held(reply.query, findings(reply.query, seed, settings))

    return await asking.json("query", talk, HardQuery, accept)
