"""Rules that a query is held against. Each is a pure function of texts and limits, and gives a `Finding`.

    mentions_document   "according to the passage", "the author", "the above", in five languages
    looked_up           too many of its content words, or eight words in a row, stand in the seed: search by words finds it
    too_short           fewer words than asked for
    asks_nothing        neither a question nor a task
    repeats_heading     the heading of the seed, word by word

They refuse rather too much than too little: a wrong refusal costs one more call, with the reason told, and a query
that leans on its document teaches an encoder nothing. What they cannot see (whether the answer really needs reasoning)
is left to the prompt and to the grades. Whether a query repeats another is decided at the end over all items, by the
near-duplicates of the whole set.
"""

from __future__ import annotations

import re
from typing import Final

from reasonir_agent.stores.words import words
from reasonir_trainer.synthesis.findings import Finding
from reasonir_trainer.synthesis.mentions import mention
from reasonir_trainer.synthesis.word_runs import count_words, longest_run, words_in_order

LONGEST_RUN: Final = 8
"""Words in a row from the seed that make a query a look-up; 16 characters in scripts without spaces."""

_LEAST_HEADING: Final = 3
"""Words of a heading below which it is a term, not a title that a query could repeat."""


_ASKS: Final = re.compile(
    r"(?:^|[.!:\n]\s*)(?:please |bitte )?(?:why|how|what|which|explain|derive|prove|show that|determine|find|calculate"
    r"|compute|estimate|predict|describe|compare|design|decide|diagnose|work out|advise|suggest|tell me|help me"
    r"|warum|wieso|weshalb|wie|welche[rsnm]?|erkläre\w*|bestimme\w*|berechne\w*|beweise\w*|zeige\w*"
    r"|pourquoi|comment|quel(?:le)?s?|expliqu\w+|détermin\w+|calcul\w+|démontr\w+"
    r"|por qué|cómo|cuál(?:es)?|expli[cq]\w+|determin\w+|demuestr\w+)\b"
    r"|\b(?:i wonder|i am wondering|i'm wondering|(?:need|want|like|trying) to (?:know|understand|find out|predict|decide))\b"
    r"|为什么|為什麼|为何|為何|如何|怎么|怎麼|怎样|怎樣|什么|什麼|是否|吗|嗎|请|請|解释|解釋|计算|計算|证明|證明"
    r"|なぜ|でしょうか|ですか|왜|어떻게|습니까|나요",
    re.IGNORECASE,
)
"""A request at the start of a sentence, or a phrase that asks."""

_QUESTION_MARKS: Final = "?？؟՞\u037e"

_FUNCTION_WORDS: Final = frozenset(
    """der die das dem den des ein eine einer eines einem einen und oder aber nicht mit von zu zum zur im ist sind war wird
    auf für als auch bei aus nach wie wenn dass sich es er sie wir ich so nur noch werden kann hat haben
    le la les un une des du de et ou mais ne pas que qui dans par pour sur avec est sont ce cet cette ces il elle on nous
    se en au aux plus son sa ses leur été être
    el los las una unos unas y o pero no con por para del al es son este esta estos estas que como su sus lo más se ha
    han fue muy ya si""".split()
)
"""German, French and Spanish function words; the English ones are left out by `words` already."""


def mentions_document(query: str, *, clearly: bool = False) -> Finding:
    """Whether a query speaks of a document, an author or something "above".

    Args:
        query: its text.
        clearly: only what can mean nothing else; for long queries, whose "above" is their own.
    """
    found = mention(query, clearly=clearly)
    said = f'it says "{found}"; write it so that it stands alone, without any document.' if found else ""
    return Finding("mention of the document", "query mentions the document", said, float(bool(found)), 0, not found)


def content_words(text: str) -> set[str]:
    """The different content words of a text: stems, without function words; pairs of characters in Chinese."""
    return {word for word in words(text) if word not in _FUNCTION_WORDS and not word.isdigit()}


def looked_up(query: str, seed: str, *, most_overlap: float) -> Finding:
    """Whether search by words would find the seed: the share of the query's content words that it holds."""
    asked = content_words(query)
    share = len(asked & content_words(seed)) / len(asked) if asked else 1.0
    said = f"{share:.0%} of its content words stand in the document, at most {most_overlap:.0%} may; put it in other words."
    return Finding("word overlap", "query can be looked up", said, share, most_overlap, share <= most_overlap)


def copies_run(query: str, seed: str) -> Finding:
    """Whether a query copies a phrase of the seed."""
    run = longest_run(query, seed)
    said = (
        f"it copies {run:g} words in a row from the document; fewer than {LONGEST_RUN} may be; put it in other words."
    )
    return Finding("longest copied run", "query can be looked up", said, run, LONGEST_RUN - 1, run < LONGEST_RUN)


def too_short(query: str, *, least: int) -> Finding:
    """Whether a query has fewer words than asked for."""
    length = count_words(query)
    said = f"the query has {length} words, at least {least} are needed; describe the situation more fully."
    return Finding("query words", "query is too short", said, length, least, length >= least)


def asks_nothing(query: str) -> Finding:
    """Whether a query holds neither a question nor a task."""
    asks = any(mark in query for mark in _QUESTION_MARKS) or bool(_ASKS.search(query))
    return Finding("question or task", "query asks nothing", "end it with a question or a task.", float(asks), 1, asks)


def repeats_heading(query: str, heading: str) -> Finding:
    """Whether a query holds a part of the seed's heading path word by word; a heading of one or two words is a term."""
    asked = f" {' '.join(words_in_order(query))} "
    parts = [words_in_order(part) for part in heading.split(" > ")]
    held = [part for part in parts if len(part) >= _LEAST_HEADING and f" {' '.join(part)} " in asked]
    longest = max((len(part) for part in held), default=0)
    said = f'it repeats the heading "{" ".join(held[0])}"; do without it.' if held else ""
    return Finding("words of a repeated heading", "query repeats the heading", said, longest, 0, not held)
