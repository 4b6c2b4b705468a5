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
        rewrite_words: length that the rewrite is asked for; 48 to 1,536 words are about 64 to 2,048 tokens.
        rewrites: how many different rewrites are made, and searched with together.
        rewrite_from_evidence: search with the first rewrite, show the best passages to the rewriter, rewrite again.
        question_weight: share of the question itself beside its rewrites in the search, 0 to 1.
        rerank_depth: passages that a chat model scores at first.
        rerank_most: passages that it scores at most, in waves, while a wave still changes the best ten.
        rerank_weight: weight of the reranker's score in `final_score`; the rest is the retriever's cosine.
        rounds: how often is searched at most; beyond 1 a grading step decides whether something is missing.
        check_support: whether a further call judges that each quote supports its sentence.
        max_calls: requests to the chat server for one question, retries included; None is no bound, here and below.
        max_tokens: of prompts and replies together.
        max_seconds: from the question to the answer.
        max_money: by the two prices.
        prompt_price: of a million tokens of prompts.
        completion_price: of a million tokens of replies.
        concurrency: requests under way at the same time.
        answer_sentences: most sentences of an answer without a model.
        temperature: of the chat model for rewriting and answering.
        max_reply_tokens: bound on every reply.
    """

    k: int = 8
    rewrite: bool = True
    rewrite_words: int = 350
    rewrites: int = 1
    rewrite_from_evidence: bool = False
    question_weight: float = 0.0
    rerank_depth: int = 30
    rerank_most: int = 100
    rerank_weight: float = 0.5
    rounds: int = 2
    check_support: bool = True
    max_calls: int | None = 250
    max_tokens: int | None = 500_000
    max_seconds: float | None = 600.0
    max_money: float | None = None
    prompt_price: float | None = None
    completion_price: float | None = None
    concurrency: int = 8
    answer_sentences: int = 3
    temperature: float = 0.0
    max_reply_tokens: int = 2048

    def __post_init__(self) -> None:
        for name in (
            "k",
            "rewrites",
            "rerank_depth",
            "rounds",
            "concurrency",
            "answer_sentences",
            "max_reply_tokens",
        ):
            _check(name, getattr(self, name), getattr(self, name) >= 1, "1 or more")
        words = self.rewrite_words
        _check("rewrite_words", words, 48 <= words <= 1536, "between 48 and 1,536 (about 64 to 2,048 tokens)")
        _check("question_weight", self.question_weight, 0 <= self.question_weight <= 1, "between 0 and 1")
        for name in ("max_calls", "max_tokens", "max_seconds", "max_money", "prompt_price", "completion_price"):
            value = getattr(self, name)
            _check(name, value, value is None or value >= 0, "0 or more")
        priced = self.prompt_price is not None and self.completion_price is not None
        _check(
            "max_money",
            self.max_money,
            self.max_money is None or priced,
            "given with prompt_price and completion_price",
        )
        _check("rerank_weight", self.rerank_weight, 0 <= self.rerank_weight <= 1, "between 0 and 1")
        _check("temperature", self.temperature, self.temperature >= 0, "0 or more")

    @classmethod
    def names(cls) -> list[str]:
        """Names of all settings."""
        return [field.name for field in fields(cls)]


def _check(name: str, value: Any, is_right: bool, wanted: str) -> None:
    if not is_right:
        raise InputError(f"{name} must be {wanted}, got {value!r}")
