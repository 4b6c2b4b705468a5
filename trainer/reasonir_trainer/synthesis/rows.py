"""One schema for what synthesis makes: a query, a positive, hard negatives, and where all of it comes from.

A row is read and written as one JSON object a line, and as one Parquet table with the same names: nothing in it is a
free dictionary, so every row of every run has the same columns. `Seed` is the piece of the user's document that a row
was made from; a row carries its place and hash, not its text (the positive of a hard query *is* that text).
"""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["vl", "hq", "given"]
"""How a row was made: "vl" varied length (query and positive written), "hq" hard query (the positive is the seed);
"given": it came with data in another format, which does not say."""

Origin = Literal["written", "bm25", "encoder", "given"]
"""Where a negative comes from: written by the model in a further turn, or mined; "given" with data that does not say."""


class _Exact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Seed(_Exact):
    """A piece of a document that is worth asking about.

    Attributes:
        id: hash of source, span and text.
        source: path as it was given, with "#page=N" or "#id=..." where there is one.
        start: first character in the extracted text of the source.
        end: one past the last.
        heading: heading path, or "".
        text: its words.
        sha256: of the text.
        quality: educational quality, 0 to 5; None where it was not judged.
        field: field label ("biology"), or "" where none was given.
    """

    id: str
    source: str
    start: int
    end: int
    heading: str
    text: str
    sha256: str
    quality: float | None = None
    field: str = ""

    @classmethod
    def of(cls, *, source: str, start: int, end: int, heading: str, text: str) -> Seed:
        """A seed with its hashes."""
        sha256 = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
        place = f"{source}\0{start}\0{end}\0{sha256}".encode(errors="surrogatepass")
        name = hashlib.sha256(place).hexdigest()[:24]
        return cls(id=name, source=source, start=start, end=end, heading=heading, text=text, sha256=sha256)


class SeedPlace(_Exact):
    """Which seed a row was made from, without its text."""

    id: str
    source: str
    start: int
    end: int
    heading: str
    sha256: str
    quality: float | None
    field: str

    @classmethod
    def of(cls, seed: Seed) -> SeedPlace:
        """The place of a seed."""
        return cls(**seed.model_dump(exclude={"text"}))


class Negative(_Exact):
    """A document that looks relevant and does not help.

    Attributes:
        text: its words.
        origin: written or mined.
        source: id of the seed that it is, for mined ones; "" for written ones.
        rank: where the local encoder (or BM25) put it for the query, from 1; None where nobody ranked.
        similarity: cosine with the query for the local encoder; None without one.
        grade: how much it helps by the model's judgement, 0 to 5; None where it was not asked.
    """

    text: str
    origin: Origin
    source: str = ""
    rank: int | None = None
    similarity: float | None = None
    grade: float | None = None


class Check(_Exact):
    """One rule that the row was held against: its name, the value found, the limit, and whether it passed."""

    name: str
    value: float
    limit: float
    passed: bool


class Provenance(_Exact):
    """How a row was made.

    Attributes:
        model: "provider:model" that wrote it.
        prompts: version of the prompts.
        requested_query_words: 0 where no length was asked for.
        requested_positive_words: likewise.
        temperature: None is the server's default.
        attempts: calls that the row took, refused replies included.
        checks: rules that it was held against.
    """

    model: str
    prompts: int
    requested_query_words: int = 0
    requested_positive_words: int = 0
    temperature: float | None = None
    attempts: int = Field(ge=0)
    checks: tuple[Check, ...] = ()


class Row(_Exact):
    """One training example.

    Attributes:
        id: of the item: equal in every run with equal seeds and settings.
        kind: "vl" or "hq".
        query: what is asked.
        positive: a document that helps.
        positive_grade: by the model's judgement, 0 to 5; None where it was not asked.
        negatives: documents that do not help, hardest first.
        rewritten: the reasoning rewrite of the query; "" where it was not asked for.
        seed: what it was made from.
        made: how.
    """

    id: str
    kind: Kind
    query: str
    positive: str
    positive_grade: float | None = None
    negatives: tuple[Negative, ...]
    rewritten: str = ""
    seed: SeedPlace
    made: Provenance


class Rejected(_Exact):
    """An item that came to nothing, and why.

    Attributes:
        id: of the item.
        kind: "vl" or "hq".
        reason: a short fixed name ("query mentions the document"), for counting.
        detail: one sentence with the values.
        example: the text that was refused, cut to 2,000 characters.
        seed: id of the seed.
        like: id of the item that it repeats; "" where it was rejected for something else.
        attempts: calls that it took.
    """

    id: str
    kind: Kind
    reason: str
    detail: str
    example: str = ""
    seed: str
    like: str = ""
    attempts: int = Field(ge=0)


Outcome = Row | Rejected


def item_id(seed: Seed, kind: Kind, number: int) -> str:
    """Name of the n-th item of a kind from a seed; the same in every run."""
    return hashlib.sha256(f"{seed.id}\0{kind}\0{number}".encode()).hexdigest()[:24]
