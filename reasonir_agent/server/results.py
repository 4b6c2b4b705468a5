"""What searches and answers look like in JSON: the shapes that `reasonir search --json` and `ask --json` print.

They are written down once more as pydantic models so that the OpenAPI page tells the truth; nothing is added and nothing
left out, and a field that one side gains without the other is an error.
"""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from reasonir_agent.types import Answer, SearchResult


class _Exact(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PassageFields(BaseModel):
    """A passage."""

    id: str = Field(description="Id of the passage: a hash of source, span and text.")
    source: str = Field(description="Path of the document as it was given when it was indexed.")
    start: int = Field(description="First character of the passage in the document's text.")
    end: int = Field(description="One past its last character.")
    heading: str = Field(description='Heading path ("Title > Section"), or "".')
    text: str = Field(description="The passage's words.")


class HitBody(PassageFields, _Exact):
    """A passage and its scores."""

    dense_score: float = Field(description="Cosine of query and passage, -1 to 1.")
    lexical_score: float | None = Field(description="BM25 score, 0 or more; null where words were not searched.")
    reranker_score: float | None = Field(description="The chat model's score, 0 to 1; null without a reranker.")
    final_score: float = Field(description="What the list is ordered by.")


class UsageBody(_Exact):
    """Calls, tokens and time of one question."""

    llm_calls: int = Field(description="Requests to the chat model.")
    prompt_tokens: int = Field(description="Tokens that the chat model read, as its server reported them.")
    completion_tokens: int = Field(description="Tokens that it wrote.")
    cost: float | None = Field(description="Money; null without a price table.")
    seconds: float = Field(description="Time that the steps took.")
    reranker_failures: int = Field(description="Passages that got no reranker score.")


class CitationBody(_Exact):
    """A verbatim quote that supports a part of the answer."""

    n: int = Field(description="The number in the answer's text, [n].")
    id: str = Field(description="Id of the passage.")
    source: str = Field(description="Path of the document.")
    start: int = Field(description="First character of the quote in the document's text.")
    end: int = Field(description="One past its last character.")
    quote: str = Field(description="The words as they stand in the document.")
    verified: str = Field(
        description='"quote": the words stand in the passage that was shown; "supported": and a further call judged that '
        'they support the sentence; "unsupported": and that they do not, so no sentence cites them any more.'
    )


class SearchBody(_Exact):
    """What a search found, as `reasonir search --json` prints it."""

    question: str = Field(description="The question as it was asked.")
    rewrites: list[str] = Field(description="Rewritten queries that were searched with; empty without a chat model.")
    hits: list[HitBody] = Field(description="Passages, best first.")
    usage: UsageBody = Field(description="What the question cost.")
    warnings: list[str] = Field(description="Sentences about what was degraded.")

    @classmethod
    def of(cls, result: SearchResult) -> Self:
        """The body of a result."""
        return cls.model_validate(result.as_json())


class AnswerBody(SearchBody):
    """An answer with checked citations, or an abstention, as `reasonir ask --json` prints it."""

    answer: str = Field(
        description="The answer, with [n] for its citations; a sentence that says so when there is none."
    )
    abstained: bool = Field(description="Whether the documents hold no answer.")
    citations: list[CitationBody] = Field(description="Every quote that the answer rests on, checked.")

    @classmethod
    def of(cls, result: SearchResult) -> Self:
        """The body of an answer."""
        assert isinstance(result, Answer)
        return cls.model_validate(result.as_json())
