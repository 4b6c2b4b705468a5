"""The values that travel between the rooms, and the protocols of the collaborators. No third-party import.

Domain words (fixed): a *question* is what the user asked, a *rewritten query* what we search with; a *passage*
is the piece of a document that is encoded; a *hit* is a passage with its scores.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatMatrix = NDArray[np.float32]  # [rows, dim], float32

Scalar = str | int | float | bool
"""A value of a document's metadata."""

Operator = Literal["=", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a filter: what a document's metadata must hold."""

    field: str
    operator: Operator
    value: Scalar


Where = tuple[Condition, ...]
"""A filter: all of its conditions hold; the empty one lets everything through."""


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a document under one heading path. Offsets are characters of the document's text."""

    start: int
    end: int
    heading: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """One readable unit of the user's data: a file, a page of it, or one record of a table.

    Attributes:
        source: path as the user gave it, with `#id=...` or `#page=N` where the file holds several.
        text: the extracted text; every offset in the package refers to it.
        sections: heading structure, covering `text` in order; empty when the format has none.
        metadata: what `--where` can ask for; `type` (kind of file) and `date` (YYYY-MM-DD) where they are known.
    """

    source: str
    text: str
    sections: tuple[Section, ...] = ()
    metadata: Mapping[str, Scalar] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document, the unit that is encoded and shown.

    Attributes:
        id: hash of source, span and text.
        source: source of its document.
        start: first character in the document's text.
        end: one past its last character.
        text: the words themselves, equal to `document.text[start:end]`.
        heading: heading path ("Title > Section"), or "".
    """

    id: str
    source: str
    start: int
    end: int
    text: str
    heading: str = ""

    @classmethod
    def make(cls, source: str, start: int, end: int, text: str, heading: str = "") -> Passage:
        """Build a passage with the id that its source, span and text determine."""
        digest = hashlib.sha256(f"{source}\0{start}\0{end}\0{text}".encode()).hexdigest()
        return cls(digest[:32], source, start, end, text, heading)

    @property
    def encoded_text(self) -> str:
        """The text that is encoded: the heading path leads where the passage does not show it itself."""
        if self.heading and self.heading.rsplit(" > ", 1)[-1] not in self.text[:200]:
            return f"{self.heading}\n{self.text}"
        return self.text


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage and its scores.

    Attributes:
        passage: the passage.
        dense_score: cosine of query and passage, in [-1, 1].
        lexical_score: BM25 score, 0 or more; None where no lexical index was asked.
        reranker_score: 0 to 1 (the chat model's 0..5 divided by 5), None without a reranker.
        final_score: what the list is ordered by: the interpolation after a reranker, else the fused score.
    """

    passage: Passage
    dense_score: float
    lexical_score: float | None = None
    reranker_score: float | None = None
    final_score: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The hit as the command line prints it (`interfaces`: hits[])."""
        p = self.passage
        return {
            "id": p.id,
            "source": p.source,
            "start": p.start,
            "end": p.end,
            "heading": p.heading,
            "text": p.text,
            "dense_score": self.dense_score,
            "lexical_score": self.lexical_score,
            "reranker_score": self.reranker_score,
            "final_score": self.final_score,
        }


@dataclass(frozen=True, slots=True)
class Citation:
    """A verbatim quote that supports a part of an answer.

    Attributes:
        n: the number in the answer's text, `[n]`.
        id: id of the passage.
        source: source of the passage.
        start: first character of the quote in the document's text.
        end: one past its last character.
        quote: the words, as they stand in the passage.
        verified: "quote": the words stand in the passage that was shown; "supported": and a further call judged that they
            support the sentence; "unsupported": and that they do not, so no sentence cites them any more.
    """

    n: int
    id: str
    source: str
    start: int
    end: int
    quote: str
    verified: str = "quote"


@dataclass(slots=True)
class Usage:
    """What a question cost. Tokens are as the server reported them; `cost` is None without a price table."""

    llm_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None
    seconds: float = 0.0
    reranker_failures: int = 0


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What `search` gives: the hits, best first, and how they were found.

    Attributes:
        question: as the user asked it.
        rewrites: the queries that were searched with; empty when the question itself was.
        hits: best first.
        usage: what it cost.
        warnings: sentences about what was degraded.
        trace: what each step did, in order (`AgentState.trace`), JSON-native; for showing how the result came about.
            Not part of `as_json`.
    """

    question: str
    rewrites: list[str]
    hits: list[Hit]
    usage: Usage
    warnings: list[str] = field(default_factory=list)
    trace: list[dict[str, Any]] = field(default_factory=list, repr=False, compare=False)

    def as_json(self) -> dict[str, Any]:
        """The object that `reasonir search --json` prints."""
        return {
            "question": self.question,
            "rewrites": list(self.rewrites),
            "hits": [hit.as_json() for hit in self.hits],
            "usage": asdict(self.usage),
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True)
class Answer(SearchResult):
    """What `ask` gives: the search and an answer with checked citations, or an abstention."""

    answer: str = ""
    abstained: bool = False
    citations: list[Citation] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The object that `reasonir ask --json` prints."""
        return {
            **SearchResult.as_json(self),
            "answer": self.answer,
            "abstained": self.abstained,
            "citations": [asdict(citation) for citation in self.citations],
        }


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or record that was not indexed, and why."""

    path: str
    reason: str


class Fingerprinted(Protocol):
    """What tells whether two sets of vectors may be compared; `encoder.fingerprint` makes it."""

    @property
    def id(self) -> str:
        """Hash of everything that shapes a vector."""
        ...

    def as_json(self) -> dict[str, Any]:
        """The parts, to be stored beside the vectors and shown when they differ."""
        ...


@runtime_checkable
class Encoder(Protocol):
    """Turns texts into unit vectors; queries and documents by separate roads."""

    @property
    def name(self) -> str:
        """Name under which it can be opened again."""
        ...

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    @property
    def window(self) -> int:
        """Tokens that one forward pass reads, prefix and special tokens included."""
        ...

    @property
    def fingerprint(self) -> Fingerprinted:
        """What makes its vectors comparable."""
        ...

    @property
    def abstain_below(self) -> float | None:
        """Cosine under which the best of 100 passages is no evidence; None where it was never calibrated."""
        ...

    def encode_queries(self, texts: Sequence[str], /) -> FloatMatrix:
        """Encode questions, float32 [n, dim]."""
        ...

    def encode_documents(self, texts: Sequence[str], /) -> FloatMatrix:
        """Encode passages, float32 [n, dim]."""
        ...

    def count_tokens(self, texts: Sequence[str], /) -> list[int]:
        """Tokens of each text alone, without prefix and special tokens."""
        ...

    def unknown_share(self, texts: Sequence[str], /) -> float:
        """Share of tokens, 0 to 1, that the encoder's vocabulary does not know."""
        ...


class VectorIndex(Protocol):
    """A place that finds the nearest vectors. Vectors are unit length; scores are cosines.

    The conformance suite (tests/stores/test_vector_index.py) says the rest, and runs on every engine.
    """

    def add(
        self, ids: Sequence[str], vectors: FloatMatrix, metadata: Sequence[Mapping[str, Scalar]] | None = None
    ) -> None:
        """Add rows, float32 [n, dim]; an id that is there already keeps its row."""
        ...

    def search(self, vector: FloatMatrix, k: int, *, where: Where = ()) -> list[tuple[str, float]]:
        """The k nearest of one vector [1, dim] among the rows that the filter lets through.

        Texts are compared by = and != only, numbers by all operators; a row without the field matches != alone.

        Returns:
            (id, cosine), best first; equal scores in order of id.
        """
        ...

    def delete(self, ids: Iterable[str]) -> None:
        """Remove rows; unknown ids are ignored."""
        ...

    def ids(self, *, where: Where = ()) -> set[str]:
        """The ids of the rows that the filter lets through."""
        ...


@runtime_checkable
class PassageSource(Protocol):
    """What the agent searches: a `Corpus`, or a road to somebody else's store."""

    @property
    def encoder(self) -> Encoder:
        """The encoder that its vectors are of."""
        ...

    @property
    def size(self) -> int:
        """Number of passages; the best of many unrelated ones comes closer than the best of few."""
        ...

    def check(self, where: Where) -> None:
        """Refuse a filter that cannot be used here, before anything is paid for.

        Raises:
            InputError: it cannot.
        """
        ...

    def find(
        self,
        queries: Sequence[str],
        k: int,
        *,
        vectors: FloatMatrix | None = None,
        where: Where = (),
        rewritten: bool = False,
        weights: Sequence[float] | None = None,
    ) -> list[Hit]:
        """The best passages for several forms of one question, best first.

        Args:
            queries: the forms; at least one.
            k: how many hits.
            vectors: their vectors, float32 [len(queries), dim], when the caller has them already.
            where: what the documents' metadata must hold.
            rewritten: whether these are rewritten queries, not the question itself.
            weights: what each form counts, in order; equal ones when None.
        """
        ...

    def passages(self, ids: Sequence[str]) -> dict[str, Passage]:
        """The passages with these ids; unknown ids are left out."""
        ...

    def rarity(self, terms: Sequence[str]) -> dict[str, float]:
        """How telling each word (as `stores.words` gives them) is among these passages, 0 or more."""
        ...


class Reranker(Protocol):
    """Scores passages against the original question, 0 to 1; None where no score could be had."""

    async def score(self, question: str, passages: Sequence[Passage]) -> Sequence[float | None]:
        """One score for each passage, in order."""
        ...
