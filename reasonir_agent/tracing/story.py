"""What a page is made from, and the agent's trace read into steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from reasonir_agent.tracing.markup import visible
from reasonir_agent.types import Answer, Citation, Passage, SearchResult

_SILENT: Final = ("begin", "finish")
"""Steps that do nothing anybody waits for; a grading that nobody asked for is another."""

UNSUPPORTED: Final = "unsupported"
"""What `Citation.verified` is where the quote does not support its sentence; the answer does not cite it then."""


@dataclass(frozen=True, slots=True)
class Rank:
    """A place in a list of passages, with the scores that gave it."""

    id: str
    dense: float
    reranker: float | None
    final: float


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the agent.

    Attributes:
        name: "rewrite", "retrieve", "rerank", "grade" or "answer".
        round: of searching, counted from 1.
        seconds: that it took.
        calls: of the chat model.
        tokens: of prompts and replies; None where it was not noted.
        cost: in the money of the prices; None without.
        rewrites: what was searched with.
        missing: facts that were not found; of "rewrite" those that it searches for.
        verdict: of "grade".
        ranks: the passages in their order after the step.
    """

    name: str
    round: int
    seconds: float
    calls: int
    tokens: int | None = None
    cost: float | None = None
    rewrites: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    verdict: str = ""
    ranks: tuple[Rank, ...] = ()

    @classmethod
    def of(cls, line: Mapping[str, Any]) -> Step:
        """A line of the trace."""
        tokens = [line[name] for name in ("prompt_tokens", "completion_tokens") if line.get(name) is not None]
        return cls(
            name=str(line.get("step", "")),
            round=int(line.get("round") or 0),
            seconds=float(line.get("seconds") or 0.0),
            calls=int(line.get("calls") or 0),
            tokens=sum(tokens) if tokens else None,
            cost=line.get("cost"),
            rewrites=tuple(map(str, line.get("rewrites") or ())),
            missing=tuple(map(str, line.get("missing") or ())),
            verdict=str(line.get("verdict") or ""),
            ranks=tuple(
                Rank(one["id"], one["dense"], one["reranker"], one["final"]) for one in line.get("ranks") or ()
            ),
        )


@dataclass(frozen=True, slots=True)
class Traced:
    """A question with everything that its page shows.

    Attributes:
        result: of `ask` or `search`.
        steps: what was done, in order.
        passages: by id; those of the steps that are in no hit. One that is not here is shown by its id.
        settings: what it was done with, by name.
        asked: when, in words.
    """

    result: SearchResult
    steps: tuple[Step, ...] = ()
    passages: Mapping[str, Passage] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    asked: str = ""

    @classmethod
    def of(
        cls,
        result: SearchResult,
        trace: Iterable[Mapping[str, Any]],
        *,
        passages: Mapping[str, Passage],
        settings: Mapping[str, object],
        asked: str = "",
    ) -> Traced:
        """Out of a result and the `trace` of the agent's state."""
        steps = [Step.of(line) for line in trace]
        known = {**passages, **{hit.passage.id: hit.passage for hit in result.hits}}
        told = (one for one in steps if one.name not in _SILENT and (one.name != "grade" or one.calls or one.verdict))
        return cls(result, tuple(told), known, settings, asked)

    @property
    def answer(self) -> Answer | None:
        """The result, where it is one of `ask`."""
        return self.result if isinstance(self.result, Answer) else None

    @property
    def rounds(self) -> list[list[Step]]:
        """The steps before the answer, by round."""
        numbers = sorted({one.round for one in self.steps})
        found = [[one for one in self.steps if one.round == number and one.name != "answer"] for number in numbers]
        return [one for one in found if one]

    @property
    def founded(self) -> list[Citation]:
        """The citations that the answer rests on: those that were not judged unsupported."""
        found = self.answer
        return [] if found is None else [one for one in found.citations if one.verified != UNSUPPORTED]

    @property
    def cited(self) -> set[str]:
        """Ids of the passages that the answer rests on."""
        return {one.id for one in self.founded}

    def name_of(self, id: str) -> str:
        """Where a passage comes from."""
        passage = self.passages.get(id)
        return f"passage {id[:8]}" if passage is None else visible(passage.source)


def ids_of(trace: Sequence[Mapping[str, Any]]) -> list[str]:
    """The ids of all passages that a trace names, each once."""
    return list(dict.fromkeys(rank.id for line in trace for rank in Step.of(line).ranks))
