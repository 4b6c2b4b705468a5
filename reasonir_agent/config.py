"""Settings as frozen data. Building one does no I/O; the environment and files are read in `cli` and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from reasonir_agent.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """How the agent works on one question.

    Attributes:
        k: passages that the answer may rest on, and hits that are returned.
        rewrite: whether a chat model rewrites the question into a long reasoning query.
        rewrite_words: length that the rewrite is asked for.
        rerank_depth: passages that a chat model scores.
        rerank_weight: weight of the reranker's score in `final_score`; the rest is the retriever's cosine.
        concurrency: requests under way at the same time.
        answer_sentences: most sentences of an answer without a model.
        temperature: of the chat model for rewriting and answering.
        max_reply_tokens: bound on every reply.
    """

    k: int = 8
    rewrite: bool = True
    rewrite_words: int = 350
    rerank_depth: int = 30
    rerank_weight: float = 0.5
    concurrency: int = 8
    answer_sentences: int = 3
    temperature: float = 0.0
    max_reply_tokens: int = 2048

    def __post_init__(self) -> None:
        for name in (
            "k",
            "rewrite_words",
            "rerank_depth",
            "concurrency",
            "answer_sentences",
            "max_reply_tokens",
        ):
            _check(name, getattr(self, name), getattr(self, name) >= 1, "1 or more")
        _check("rerank_weight", self.rerank_weight, 0 <= self.rerank_weight <= 1, "between 0 and 1")
        _check("temperature", self.temperature, self.temperature >= 0, "0 or more")

    @classmethod
    def names(cls) -> list[str]:
        """Names of all settings."""
        return [field.name for field in fields(cls)]


def _check(name: str, value: Any, is_right: bool, wanted: str) -> None:
    if not is_right:
        raise InputError(f"{name} must be {wanted}, got {value!r}")
