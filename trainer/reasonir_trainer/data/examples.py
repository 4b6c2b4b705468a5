"""One training example, whatever file it came from, and one source of them.

A document is known by its words: two documents with the same words, case and space aside, are one document for training.
A document that is at once positive and negative for a query is refused; a model cannot learn from it, and it is the
commonest damage of mined data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from reasonir_agent.errors import InputError


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document for a query.

    Attributes:
        text: its words.
        grade: how much it helps by some judge's scale; None where nobody graded it.
    """

    text: str
    grade: float | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """A query with documents that help and documents that do not.

    Attributes:
        id: of the example, for messages.
        query: what is asked.
        positives: documents that help; at least one.
        negatives: documents that do not, hardest first; may be empty.
        weight: what the example counts, above 0.
        rewritten: a reasoning rewrite of the query, or "".
        related: texts that are never its negatives, though they are no positives (what an evaluation excludes for it).
        model: that wrote it, for the card; "" where nobody says.
    """

    id: str
    query: str
    positives: tuple[Candidate, ...]
    negatives: tuple[Candidate, ...] = ()
    weight: float = 1.0
    rewritten: str = ""
    related: tuple[str, ...] = ()
    model: str = field(default="", repr=False)

    def check(self, where: str) -> Example:
        """This example, if it can be learnt from.

        Args:
            where: where it stands, as the start of a message.

        Raises:
            InputError: it cannot; the sentence says why.
        """
        if not self.query.strip():
            raise InputError(f"{where} has an empty query")
        if not self.positives:
            raise InputError(f"{where} has no positive document")
        if any(not one.text.strip() for one in (*self.positives, *self.negatives)):
            raise InputError(f"{where} has an empty document")
        if not 0 < self.weight < float("inf"):
            raise InputError(f"{where} must have a weight above 0, got {self.weight}")
        good = {same_words(one.text) for one in self.positives}
        for one in self.negatives:
            if same_words(one.text) in good:
                raise InputError(
                    f"{where} has a positive among its negatives ({one.text[:60]!r}); remove it from one of both"
                )
        return self


@dataclass(frozen=True)
class Source:
    """A named list of examples that share an instruction.

    Attributes:
        name: for messages, tables and the card.
        examples: at least one.
        instruction: task sentence for its queries; None takes the base's own, "" none.
        origin: where it was read, for the card.
        written_by: models that wrote it, as a file beside it says.
    """

    name: str
    examples: Sequence[Example]
    instruction: str | None = None
    origin: str = ""
    written_by: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.examples:
            raise InputError(f"the source {self.name!r} ({self.origin or 'no file'}) holds no examples")

    @cached_property
    def models(self) -> tuple[str, ...]:
        """The models that wrote examples of it, where the data say so."""
        return tuple(sorted({one.model for one in self.examples if one.model} | set(self.written_by)))

    @cached_property
    def hash(self) -> str:
        """32 hexadecimal digits over all that is trained on."""
        digest = hashlib.sha256(repr(self.instruction).encode())
        for one in self.examples:
            digest.update(repr(one).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()[:32]


def same_words(text: str) -> str:
    """What two texts have in common that differ in case and space alone."""
    return " ".join(text.casefold().split())


def key_of(text: str) -> int:
    """A number for the words of a text, the same on every machine and in every process, below 2^63."""
    digest = hashlib.blake2b(same_words(text).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def without_repeats(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """The first of every group of candidates with the same words."""
    found: dict[str, Candidate] = {}
    for one in candidates:
        found.setdefault(same_words(one.text), one)
    return tuple(found.values())
