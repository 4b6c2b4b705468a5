"""Settings as frozen data. Building one does no I/O; the environment and files are read in `cli` and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from reasonir_agent.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """How the agent works on one question.

    Every bound counts for one question, retries included. A call reserves what it may cost at most before it is sent; one
    that would pass a bound is not sent, and the question ends with the best answer that the rest of its budget gives. The
    steps before the answer leave a part for it: four calls, a fifth of the tokens, the time and the money or what those
    calls may take; of small bounds half.

    Attributes:
        k: passages that the answer may rest on, and hits that are returned.
        rewrite: whether a chat model rewrites the question into a long reasoning query.
        rewrite_words: length that the rewrite is asked for; 48 to 1,536 words are about 64 to 2,048 tokens.
        rewrites: how many different rewrites are made, and searched with together.
        rewrite_from_evidence: search with the first rewrite, show the best passages to the rewriter, rewrite again; costs
            one more call for each rewrite.
        question_weight: share of the question itself beside its rewrites in the search, 0 to 1.
        rerank_depth: passages that a chat model scores at first, a call each.
        rerank_most: passages that it scores at most in a round, in waves, while a wave still changes the best ten.
        rerank_weight: weight of the reranker's score in `final_score`; the rest is the retriever's cosine.
        rerank_criteria: what counts as relevant: a task with criteria of its own ("leetcode", "pony", "aops",
            "theoremqa_questions", "theoremqa_theorems"), or a text of the user's; "" for the general criteria.
        rounds: how often is searched at most. Beyond 1 a grading step decides, one call, whether something is missing;
            each missing fact (up to three) then costs a rewrite, and what it finds is scored like the first.
        check_support: whether a further call judges that each quote supports its sentence.
        max_calls: requests to the chat server, retries included; None is no bound, here and below. A question with the
            usual settings takes about 35, with a second round about 70; the default is far above and stops what runs away.
        max_tokens: of prompts and replies together. Where a server reports none, they are estimated.
        max_seconds: from the question to the answer; what is under way is cut off then. Time that a person takes at an
            interrupt does not count.
        max_money: in the currency of the two prices, which it needs.
        prompt_price: of a million tokens of prompts; with `completion_price` the cost of a question is told.
        completion_price: of a million tokens of replies.
        concurrency: requests under way at the same time.
        answer_sentences: most sentences of an answer without a model.
        temperature: of the chat model.
        max_reply_tokens: bound on every reply, thinking included.
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
    rerank_criteria: str = ""
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
            "rerank_most",
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
        prices = (self.prompt_price is not None) + (self.completion_price is not None)
        _check("prompt_price", self.prompt_price, prices != 1, "given together with completion_price")
        priced = self.max_money is None or prices == 2
        _check("max_money", self.max_money, priced, "given together with prompt_price and completion_price")
        _check("rerank_weight", self.rerank_weight, 0 <= self.rerank_weight <= 1, "between 0 and 1")
        _check("temperature", self.temperature, self.temperature >= 0, "0 or more")

    @classmethod
    def names(cls) -> list[str]:
        """Names of all settings."""
        return [field.name for field in fields(cls)]


def _check(name: str, value: Any, is_right: bool, wanted: str) -> None:
    if not is_right:
        raise InputError(f"{name} must be {wanted}, got {value!r}")
