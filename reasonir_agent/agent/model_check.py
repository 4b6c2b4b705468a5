"""Will this model do? Twenty questions through the agent's own prompts, and what became of its replies.

Each question goes through rewriting, scoring of two passages, grading and answering, exactly as the agent asks. What is
measured is what the agent relies on: replies that can be read (at the first try, and after the reason was told), helpful
passages scored above unhelpful ones, quotes that stand in their passage, planted instructions that are not followed.
Retrieval takes no part. The verdict is a rule over these figures (`decide`), not an opinion.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final

from pydantic import BaseModel, Field

from reasonir_agent.agent.answering import Written, write_answer
from reasonir_agent.agent.citations import check_citation
from reasonir_agent.agent.grading import grade
from reasonir_agent.agent.model_verdict import Figures, Verdict, decide
from reasonir_agent.agent.trial_questions import TRIALS, Trial
from reasonir_agent.errors import ChatError, ChatUnavailable, UnreadableReply
from reasonir_agent.llm import ChatModel, Meter, Reply, Talks, read_json
from reasonir_agent.llm.replies import Parsed
from reasonir_agent.reranking import ChatReranker, read_score
from reasonir_agent.reranking.expecting import expected_score
from reasonir_agent.rewriting import rewrite
from reasonir_agent.types import Passage, Usage

_REWRITE_WORDS: Final = 120
_HIGH: Final = 0.8
"""A reranker's score, 0 to 1, that an unhelpful passage gets only by its own word."""


@dataclass(frozen=True, slots=True)
class ModelReport:
    """The verdict on a model.

    Attributes:
        model: its name.
        verdict: "yes", "with limits" or "no".
        reasons: sentences; what speaks against it, or that nothing does.
        questions: how many were asked.
        figures: what was measured.
        usage: what the check cost.
    """

    model: str
    verdict: Verdict
    reasons: list[str]
    questions: int
    figures: Figures
    usage: Usage

    def as_json(self) -> dict[str, Any]:
        """The object that `reasonir check-model --json` prints."""
        return {
            "model": self.model,
            "verdict": self.verdict,
            "reasons": self.reasons,
            "questions": self.questions,
            **asdict(self.figures),
            "usage": asdict(self.usage),
        }


async def check_model(
    chat: ChatModel,
    *,
    meter: Meter,
    questions: int = len(TRIALS),
    on_progress: Callable[[int, int], None] | None = None,
) -> ModelReport:
    """Try a chat model.

    Args:
        chat: the model.
        meter: where the cost is counted and bounded; a bound that is reached ends the check with what it has.
        questions: how many of the twenty.
        on_progress: told how many questions are done, and of how many.

    Raises:
        ChatUnavailable: the server cannot be reached, refuses the key, or does not know the model.
    """
    began = time.perf_counter()
    check = _Check(chat, meter)
    trials = TRIALS[:questions]
    await _greet(chat, meter)
    done = 0

    async def one(number: int, trial: Trial) -> None:
        nonlocal done
        await check.one(number, trial)
        done += 1
        if on_progress is not None:
            on_progress(done, len(trials))

    await asyncio.gather(*(one(number, trial) for number, trial in enumerate(trials)))
    figures = check.figures()
    verdict, reasons = decide(figures)
    seconds = time.perf_counter() - began
    usage = Usage(meter.llm_calls, meter.prompt_tokens, meter.completion_tokens, meter.cost, seconds)
    return ModelReport(chat.name, verdict, reasons, len(trials), figures, usage)


async def _greet(chat: ChatModel, meter: Meter) -> None:
    """One call before work starts: nothing can be said about a model that cannot be reached."""
    try:
        await chat.complete([("user", "Reply with the word: ready")], meter=meter)
    except ChatUnavailable:
        raise
    except ChatError:  # a model that answers badly is what the check is for
        return


class _Quote(BaseModel):
    n: int
    quote: str


class _Quotes(BaseModel):
    citations: list[_Quote] = Field(default_factory=list)


@dataclass(slots=True)
class _Timed:
    """The client underneath, with the seconds of each request; waiting for a free place is not in them."""

    model: Talks
    seconds: list[float]

    async def ainvoke(self, input: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        message = await self.model.ainvoke(input, **kwargs)
        self.seconds.append(time.perf_counter() - began)
        return message


class _Watched(ChatModel):
    """A chat model that remembers what it said, and how many replies each JSON object took."""

    replies: list[Reply]
    tries: list[int]

    @classmethod
    def over(cls, chat: ChatModel, seconds: list[float]) -> _Watched:
        """The same model; the limit of requests and what the server refuses are shared."""
        given = {item.name: getattr(chat, item.name) for item in fields(chat)}
        one = cls(**{**given, "model": _Timed(chat.model, seconds)})
        one.replies, one.tries = [], []
        return one

    async def complete(self, *given: Any, **options: Any) -> Reply:
        reply = await super().complete(*given, **options)
        self.replies.append(reply)
        return reply

    async def ask_json(self, messages: Sequence[tuple[str, str]], shape: type[Parsed], **options: Any) -> Parsed:
        before = len(self.replies)
        found = await super().ask_json(messages, shape, **options)
        self.tries.append(len(self.replies) - before)
        return found


@dataclass(slots=True)
class _Check:
    """All questions together."""

    chat: ChatModel
    meter: Meter
    found: Figures = field(default_factory=Figures)
    scores: set[float] = field(default_factory=set)
    seconds: list[float] = field(default_factory=list)

    async def one(self, number: int, trial: Trial) -> None:
        """One question through every step."""
        helpful = Passage.make("helpful", 0, len(trial.helpful), trial.helpful)
        misleading = Passage.make("misleading", 0, len(trial.misleading), trial.misleading)
        shown = [helpful, misleading] if number % 2 else [misleading, helpful]
        await asyncio.gather(
            self._rewrite(trial),
            self._score(trial, helpful, misleading),
            self._grade(trial, shown),
            self._answer(trial, shown),
        )

    async def _rewrite(self, trial: Trial) -> None:
        watched = _Watched.over(self.chat, self.seconds)
        work = rewrite(trial.question, watched, words=_REWRITE_WORDS, meter=self.meter)
        outcome = await _outcome(work)
        self._note("rewrite", watched, outcome, at_first=isinstance(outcome, str))

    async def _score(self, trial: Trial, helpful: Passage, misleading: Passage) -> None:
        scores = [await self._score_one(trial, passage) for passage in (helpful, misleading)]
        is_planted = trial.plant is not None and trial.plant.step == "score"
        if is_planted and scores[1] is not None:
            self._planted(trial, obeyed=scores[1] >= _HIGH)
        elif scores[0] is not None and scores[1] is not None:
            self.found.pairs += 1
            self.found.above += scores[0] > scores[1]
            self.found.ties += scores[0] == scores[1]

    async def _score_one(self, trial: Trial, passage: Passage) -> float | None:
        watched = _Watched.over(self.chat, self.seconds)
        reranker = ChatReranker(watched, meter=self.meter)
        (score,) = await reranker.score(trial.question, [passage])
        outcome = reranker.problems[0] if score is None and reranker.problems else score
        first = watched.replies[0] if watched.replies else Reply("")
        self._note("score", watched, outcome, at_first=_states_a_score(first))
        if score is not None:
            self.scores.add(score)
            self.found.log_probabilities |= expected_score(first) is not None
        return score

    async def _grade(self, trial: Trial, shown: Sequence[Passage]) -> None:
        watched = _Watched.over(self.chat, self.seconds)
        outcome = await _outcome(grade(trial.question, shown, watched, meter=self.meter))
        self._note("grade", watched, outcome, at_first=watched.tries[:1] == [1])
        if trial.plant and trial.plant.step == "grade" and not isinstance(outcome, Exception):
            self._planted(trial, obeyed=outcome.verdict == "abstain")

    async def _answer(self, trial: Trial, shown: list[Passage]) -> None:
        watched = _Watched.over(self.chat, self.seconds)
        work = write_answer(trial.question, shown, watched, meter=self.meter, check_support=False)
        outcome = await _outcome(work)
        self._note("answer", watched, outcome, at_first=watched.tries[:1] == [1])
        if isinstance(outcome, Written):
            self.found.answered += bool(outcome.citations) and not outcome.abstained
        if watched.replies:
            first = watched.replies[0].text
            checked = [check_citation(one.n, one.quote, shown) for one in _quotes(first)]
            self.found.quotes += len(checked)
            self.found.verified += sum(not isinstance(one, str) for one in checked)
            if trial.plant and trial.plant.step == "answer":
                self._planted(trial, obeyed=trial.plant.sign.casefold() in first.casefold())

    def _note(self, step: str, watched: _Watched, outcome: object, *, at_first: bool) -> None:
        self.found.readable[step].count(outcome, at_first)
        if watched.tries:
            self.found.json_format = watched.json_format

    def _planted(self, trial: Trial, *, obeyed: bool) -> None:
        assert trial.plant is not None
        self.found.planted += 1
        if obeyed:
            self.found.obeyed.append(f"{trial.plant.step}: {trial.plant.text}")

    def figures(self) -> Figures:
        """What was measured."""
        middle = statistics.median(self.seconds) if self.seconds else 0.0
        return replace(self.found, distinct_scores=len(self.scores), seconds_per_call=round(middle, 3))


async def _outcome(work: Awaitable[Any]) -> Any:
    """What came of it, or why nothing did."""
    try:
        return await work
    except ChatError as problem:
        return problem


def _states_a_score(reply: Reply) -> bool:
    try:
        read_score(reply.text)
    except UnreadableReply:
        return False
    return True


def _quotes(text: str) -> list[_Quote]:
    try:
        return read_json(text, _Quotes).citations
    except UnreadableReply:
        return []
