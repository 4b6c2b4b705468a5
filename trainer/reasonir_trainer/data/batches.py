"""The tokens of a step's batch: what each process feeds to the network, and what the loss must know about it.

Texts are tokenised as at inference (`encoder.tokens`), with the prefix of their side, and cut. Equal documents of a batch
are encoded once. Each side is sorted by length, longest first, so that a mini-batch holds texts of like length and its
padding is small; `query_order` and `document_order` put the vectors back.

Which positive of several, and which negatives of many, is decided by hashing seed, example and pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reasonir_agent.encoder.batching import Row, pad
from reasonir_agent.encoder.tokens import TextTokenizer, Tokens, well_formed
from reasonir_agent.encoder.windows import cut
from reasonir_agent.errors import InputError
from reasonir_trainer.data.examples import Candidate, Example, key_of, same_words
from reasonir_trainer.data.mixing import Drawn, chance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ids = NDArray[np.int64]
    Numbers = NDArray[np.float32]

NO_KEY = -1


@dataclass(frozen=True, slots=True)
class Side:
    """Queries or documents of one process.

    Attributes:
        texts: without prefix, in the loss's order.
        ids: [texts, tokens], right-padded, longest text first.
        attended: [texts, tokens], 1 where there is a token.
        prompt: leading tokens that are attended to and not pooled.
        order: row of `ids` of each text.
    """

    texts: list[str]
    ids: Ids
    attended: Ids
    prompt: int
    order: Ids

    @property
    def tokens(self) -> int:
        """Tokens that are read, padding aside."""
        return int(self.attended.sum())


@dataclass(frozen=True, slots=True)
class Batch:
    """What one process works on in a step.

    Attributes:
        source: name of its source.
        queries: B of them.
        documents: D of them, all different.
        own: [B, 1 + N] place among the documents of each query's positive (first) and negatives; -1 where there are fewer.
        grades: [B, 1 + N], NaN where nobody graded.
        weights: [B].
        known: [B, K] keys of texts that are no negatives for the query: its positives, itself; `NO_KEY` fills up.
        keys: [D] keys of the documents.
    """

    source: str
    queries: Side
    documents: Side
    own: Ids
    grades: Numbers
    weights: Numbers
    known: Ids
    keys: Ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How texts become tokens.

    Attributes:
        tokenizer: of the base.
        query_prefixes: prefix of the queries of each source, by its name.
        document_prefix: of all documents.
        query_tokens: most tokens of a query, prefix and special tokens included.
        document_tokens: likewise.
        negatives: most negatives of an example in a batch.
        pool_prefix: whether prefixes are pooled too.
        seed: decides which positive and which negatives.
    """

    tokenizer: TextTokenizer
    query_prefixes: dict[str, str]
    document_prefix: str
    query_tokens: int
    document_tokens: int
    negatives: int
    pool_prefix: bool
    seed: int

    def batch(self, drawn: Drawn, *, rank: int = 0, world: int = 1) -> Batch:
        """The part of a step's examples that a process works on.

        Args:
            drawn: the examples of all processes.
            rank: number of the process.
            world: how many there are; it divides the number of examples.
        """
        share = len(drawn.examples) // world
        examples = drawn.examples[rank * share : (rank + 1) * share]
        chosen = [self._candidates(one, drawn.passes) for one in examples]
        places: dict[str, int] = {}
        own = np.full((len(examples), 1 + max(len(one) - 1 for one in chosen)), -1, dtype=np.int64)
        grades = np.full(own.shape, np.nan, dtype=np.float32)
        texts: list[str] = []
        for row, candidates in enumerate(chosen):
            for column, one in enumerate(candidates):
                place = places.setdefault(same_words(one.text), len(texts))
                if place == len(texts):
                    texts.append(one.text)
                own[row, column] = place
                grades[row, column] = np.nan if one.grade is None else one.grade
        return Batch(
            source=drawn.source.name,
            queries=self._side([one.query for one in examples], self.query_prefixes[drawn.source.name], is_query=True),
            documents=self._side(texts, self.document_prefix, is_query=False),
            own=own,
            grades=grades,
            weights=np.array([one.weight for one in examples], dtype=np.float32),
            known=_known(examples),
            keys=np.array([key_of(text) for text in texts], dtype=np.int64),
        )

    def _candidates(self, example: Example, passes: int) -> list[Candidate]:
        """One positive, another at each pass, and some negatives in the order of their hardness."""
        start = chance(self.seed, example.id, example.query) % len(example.positives)
        positive = example.positives[(start + passes) % len(example.positives)]
        count = len(example.negatives)
        if count <= self.negatives:
            return [positive, *example.negatives]
        generator = np.random.default_rng(chance(self.seed, example.id, example.query, passes))
        picked = sorted(generator.choice(count, self.negatives, replace=False).tolist())
        return [positive, *(example.negatives[one] for one in picked)]

    def _side(self, texts: Sequence[str], prefix: str, *, is_query: bool) -> Side:
        most = self.query_tokens if is_query else self.document_tokens
        split = self.tokenizer.split([well_formed(text) for text in texts], prefix, longest=most)
        for text, tokens in zip(texts, split, strict=True):
            if not tokens.body:
                raise InputError(f"the text {text[:60]!r} has no token that the base knows; remove it from the data")
        rows = [Row(cut(tokens, most)) for tokens in split]
        by_length = sorted(range(len(rows)), key=lambda place: -len(rows[place].ids))
        ids, attended, _ = pad([rows[place] for place in by_length])
        order = np.empty(len(rows), dtype=np.int64)
        order[by_length] = np.arange(len(rows))
        return Side(list(texts), ids, attended.astype(np.int64), self._prompt(split, prefix), order)

    def _prompt(self, split: Sequence[Tokens], prefix: str) -> int:
        return 0 if self.pool_prefix or not prefix else len(split[0].head)


def _known(examples: Sequence[Example]) -> Ids:
    keys = [
        [key_of(text) for text in (one.query, *(good.text for good in one.positives), *one.related)] for one in examples
    ]
    known = np.full((len(examples), max(len(one) for one in keys)), NO_KEY, dtype=np.int64)
    for row, one in enumerate(keys):
        known[row, : len(one)] = one
    return known
