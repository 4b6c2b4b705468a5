"""Named ways to rerank: model, sampling, depth, weight, and what counts as relevant for a task.

`qwen` is the paper's QwenRerank (ReasonIR, arXiv 2504.20595): Qwen2.5-32B-Instruct, temperature 0.6, top-p 0.9, the top
100, half and half with the retriever. The paper has criteria of their own for code, for pony and for mathematics; so
have we, in our own words. Relevance is always judged against the original question.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from reasonir_agent.errors import InputError
from reasonir_agent.reranking.prompt import DEFAULT_CRITERIA

_CODE: Final = (
    "The question is a programming problem and the passage another problem or an example. It is relevant when whoever "
    "solved it could carry the method over: the same algorithm, data structure, invariant or reduction. The story, the "
    "names and the format of input and output are worth nothing."
)
_LANGUAGE: Final = (
    "The question asks for a program in the language Pony and the passage is from that language's documentation. It is "
    "relevant when its syntax, types, capabilities or library calls are needed to write that program, even if the "
    "example in it is about something else. A passage on a part of the language that the program does not use is not."
)
_PROBLEM: Final = (
    "The question is a mathematical problem and the passage another problem with its solution. It is relevant when the "
    "same theorem or technique carries both solutions. Similar numbers, objects or wording are worth nothing."
)
_THEOREM: Final = (
    "The question is a mathematical problem and the passage a theorem or definition. It is relevant when a solution of "
    "the problem would use it. A statement of the same field that the solution does not need is not."
)

TASK_CRITERIA: Final[Mapping[str, str]] = {
    "leetcode": _CODE,
    "pony": _LANGUAGE,
    "aops": _PROBLEM,
    "theoremqa_questions": _PROBLEM,
    "theoremqa_theorems": _THEOREM,
}
"""Criteria of BRIGHT's splits; the others take the general ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankPreset:
    """One way to rerank.

    Attributes:
        name: for `--rerank`.
        model: as "provider:model", for when the user names none; None where there is no usual one.
        temperature: of the model.
        top_p: of the model; None leaves the server's.
        depth: candidates that are scored.
        weight: of the reranker's score, 0 to 1.
        criteria: task -> what counts as relevant.
    """

    name: str
    model: str | None
    temperature: float
    top_p: float | None
    depth: int
    weight: float = 0.5
    criteria: Mapping[str, str] = field(default_factory=dict)

    def criteria_for(self, task: str | None) -> str:
        """What counts as relevant for a task; the general criteria for one without its own."""
        return self.criteria.get(task or "", DEFAULT_CRITERIA)


PRESETS: Final = {
    one.name: one
    for one in (
        RerankPreset(name="default", model=None, temperature=0.0, top_p=None, depth=30, criteria=TASK_CRITERIA),
        RerankPreset(
            name="qwen",
            model="openai:Qwen/Qwen2.5-32B-Instruct",
            temperature=0.6,
            top_p=0.9,
            depth=100,
            criteria=TASK_CRITERIA,
        ),
    )
}


def criteria_named(given: str) -> str:
    """What counts as relevant, as a setting names it.

    Args:
        given: name of a task of `TASK_CRITERIA`; criteria in the user's own words; "" for the general ones.
    """
    return TASK_CRITERIA.get(given.strip(), given.strip() or DEFAULT_CRITERIA)


def rerank_preset(name: str) -> RerankPreset:
    """The preset of that name.

    Raises:
        InputError: there is none.
    """
    if name not in PRESETS:
        raise InputError(f"a rerank preset must be one of {', '.join(PRESETS)}; got {name!r}")
    return PRESETS[name]
