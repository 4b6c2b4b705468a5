"""The wire shapes of `/v1/chat/completions`: what a chat client sends, and what it gets.

The agent answers the last user message; what was said before (`dialogue`) tells what it means. What a client asks of a
chat model beyond that is treated by one rule: a field that asks for another *shape* of reply is refused in words, a field
that only steers a model's sampling is ignored, since the agent's own settings hold.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from reasonir_agent.errors import InputError
from reasonir_agent.server.results import CitationBody
from reasonir_agent.server.services import AGENT_MODEL
from reasonir_agent.types import Answer, Usage


class _Request(BaseModel):
    model_config = ConfigDict(strict=True)


class Part(_Request):
    """A part of a message's content."""

    type: str = Field(description='"text"; a question with parts of another type (images, audio, files) is refused.')
    text: str | None = Field(default=None, description='The words of a "text" part.')


class Message(_Request):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"] = Field(
        description="Who speaks. The last user message is the question, what users and assistants said before it is read "
        "to understand it. System, developer, tool and function messages are ignored: the agent's own instructions hold."
    )
    content: str | list[Part] | None = Field(
        default=None,
        description="The words: a text, or a list of parts. Before the question, only text parts are read.",
    )


class StreamOptions(_Request):
    """Options of a streamed reply."""

    include_usage: bool | None = Field(
        default=None, description="Send one more chunk, with the usage and no choice, at the end."
    )


class ChatRequest(_Request):
    """A request for an answer. Fields that are not listed here (temperature, max_tokens, stop, seed ...) are ignored."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": AGENT_MODEL,
                    "messages": [{"role": "user", "content": "Why do ducks not freeze to the ice?"}],
                    "stream": True,
                }
            ]
        }
    )

    model: str = Field(description=f'"{AGENT_MODEL}".', json_schema_extra={"enum": [AGENT_MODEL]})
    messages: list[Message] = Field(
        min_length=1,
        description="The conversation. Its last user message is the question; with a chat model it is made to stand alone "
        "by what was said before (the last six turns), without one it is taken as it is. What follows it is ignored.",
    )
    stream: bool | None = Field(default=None, description="Send the reply as server-sent events.")
    stream_options: StreamOptions | None = Field(default=None, description="Options of a streamed reply.")
    n: int | None = Field(default=None, description="Number of answers; only 1.")
    tools: list[dict[str, Any]] | None = Field(
        default=None, description="Refused unless empty: the agent calls no tools."
    )
    functions: list[dict[str, Any]] | None = Field(default=None, description="Refused unless empty, as tools are.")
    response_format: dict[str, Any] | None = Field(
        default=None, description='Refused unless {"type": "text"}; `POST /ask` gives structured answers.'
    )
    logprobs: bool | None = Field(
        default=None, description="Refused unless false: an answer has no token probabilities."
    )
    modalities: list[str] | None = Field(default=None, description='Refused unless ["text"].')

    def question(self) -> str:
        """The question: the text of the last user message.

        Raises:
            InputError: there is none, it holds no text, or the request asks for what the agent cannot do.
        """
        self._refuse_other_shapes()
        for message in reversed(self.messages):
            if message.role == "user":
                return _text(message)
        raise InputError("a message with the role 'user' is needed: the last one is the question")

    def _refuse_other_shapes(self) -> None:
        refused = {
            "n": self.n not in (None, 1),
            "tools": bool(self.tools),
            "functions": bool(self.functions),
            "response_format": bool(self.response_format) and self.response_format != {"type": "text"},
            "logprobs": bool(self.logprobs),
            "modalities": self.modalities not in (None, [], ["text"]),
        }
        wanted = [name for name, is_refused in refused.items() if is_refused]
        if wanted:
            raise InputError(
                f"the model {AGENT_MODEL!r} gives one answer in plain text and calls no tools; leave out: {', '.join(wanted)}"
            )


def _text(message: Message) -> str:
    if isinstance(message.content, str):
        text = message.content
    else:
        parts = message.content or []
        others = sorted({part.type for part in parts if part.type != "text"})
        if others:
            raise InputError(
                f"the model {AGENT_MODEL!r} reads text only; the question holds parts of type {', '.join(others)!r}"
            )
        text = "\n".join(part.text or "" for part in parts)
    if not text.strip():
        raise InputError("a question is needed: the last user message holds no text")
    return text


class TokenUsage(BaseModel):
    """Tokens of the chat model behind the agent, as its server reported them; 0 without one."""

    prompt_tokens: int = Field(description="Tokens read, over all of the agent's requests.")
    completion_tokens: int = Field(description="Tokens written.")
    total_tokens: int = Field(description="Their sum.")

    @classmethod
    def of(cls, usage: Usage) -> TokenUsage:
        """The tokens of a question."""
        return cls(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            total_tokens=usage.prompt_tokens + usage.completion_tokens,
        )


class HitSummary(BaseModel):
    """A passage that was found, without its text."""

    id: str = Field(description="Id of the passage.")
    source: str = Field(description="Path of the document.")
    start: int = Field(description="First character of the passage in the document's text.")
    end: int = Field(description="One past its last character.")
    final_score: float = Field(description="What the passages are ordered by.")


class Details(BaseModel):
    """What the agent did, for clients that know it."""

    question: str = Field(description="What was asked: the last user message, as a question that stands alone.")
    abstained: bool = Field(description="Whether the documents hold no answer.")
    rewrites: list[str] = Field(description="Rewritten queries that were searched with.")
    hits: list[HitSummary] = Field(description="The passages that the answer could rest on, best first.")
    warnings: list[str] = Field(description="Sentences about what was degraded.")
    llm_calls: int = Field(description="Requests to the chat model.")
    seconds: float = Field(description="Time that the steps took.")

    @classmethod
    def of(cls, answer: Answer) -> Details:
        """The details of an answer."""
        return cls(
            question=answer.question,
            abstained=answer.abstained,
            rewrites=answer.rewrites,
            hits=[
                HitSummary(
                    id=hit.passage.id,
                    source=hit.passage.source,
                    start=hit.passage.start,
                    end=hit.passage.end,
                    final_score=hit.final_score,
                )
                for hit in answer.hits
            ],
            warnings=answer.warnings,
            llm_calls=answer.usage.llm_calls,
            seconds=answer.usage.seconds,
        )


class AnswerMessage(BaseModel):
    """The agent's message."""

    role: Literal["assistant"] = Field(default="assistant", description="Always the assistant.")
    content: str = Field(description="The answer in Markdown, with [n] for its citations and the quotes at the end.")
    reasoning_content: str = Field(description="What the agent did, step by step; chat pages show it as thinking.")


class Choice(BaseModel):
    """The one choice."""

    index: Literal[0] = Field(default=0, description="Always 0.")
    message: AnswerMessage = Field(description="The answer.")
    finish_reason: Literal["stop"] = Field(default="stop", description="Always stop: an answer is never cut.")


class ChatCompletion(BaseModel):
    """A whole reply."""

    id: str = Field(description="Id of this reply.")
    object: Literal["chat.completion"] = Field(default="chat.completion", description="Kind of the object.")
    created: int = Field(description="Unix time in seconds.")
    model: str = Field(description="The model.")
    choices: list[Choice] = Field(description="One choice.")
    usage: TokenUsage = Field(description="Tokens of the chat model behind the agent.")
    citations: list[CitationBody] = Field(description="Every quote that the answer rests on, checked.")
    reasonir: Details = Field(description="What the agent did.")


@dataclass(frozen=True, slots=True)
class ReplyHead:
    """What all chunks of one reply share."""

    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def completion(self, content: str, thinking: str, answer: Answer) -> ChatCompletion:
        """The whole reply."""
        return ChatCompletion(
            id=self.id,
            created=self.created,
            model=AGENT_MODEL,
            choices=[Choice(message=AnswerMessage(content=content, reasoning_content=thinking))],
            usage=TokenUsage.of(answer.usage),
            citations=citations_of(answer),
            reasonir=Details.of(answer),
        )

    def chunk(self, delta: Mapping[str, str] | None, *, finish: bool = False, **more: Any) -> dict[str, Any]:
        """One chunk of a streamed reply; no delta makes one without a choice."""
        choice = {"index": 0, "delta": dict(delta or {}), "finish_reason": "stop" if finish else None}
        return {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": AGENT_MODEL,
            "choices": [] if delta is None else [choice],
            **more,
        }


def citations_of(answer: Answer) -> list[CitationBody]:
    """The citations in their wire shape."""
    return [CitationBody.model_validate(asdict(one)) for one in answer.citations]
