"""Prefixes: what stands before a text when it is encoded. Pure text, the same in training and inference.

ReasonIR (arXiv 2504.20595) writes a query as `<|user|>\\n{instruction}\\n<|embed|>\\n{query}` and a document as
`<|embed|>\\n{document}`; an empty instruction means no template at all. Both markers are plain text for the Llama-3.1
tokenizer. The instruction's tokens are attended to and not pooled. Texts are never stripped.
"""

from __future__ import annotations

from typing import Final

from reasonir_agent.errors import InputError

EMBED_MARKER: Final = "<|embed|>\n"
REASONIR_QUERY: Final = "<|user|>\n{instruction}\n<|embed|>\n"
DEFAULT_INSTRUCTION: Final = "Given a question, retrieve relevant passages that help answer the question"

_POST = ("biology", "earth_science", "psychology", "robotics", "stackoverflow", "sustainable_living")
_QUESTION = ("economics", "pony")
_MATH = "Given a Math problem, retrieve relevant {what} that help answer the problem"

BRIGHT_INSTRUCTIONS: Final[dict[str, str]] = {
    **{t: f"Given a {t} post, retrieve relevant passages that help answer the post" for t in _POST},
    **{t: f"Given a {t} question, retrieve relevant passages that help answer the question" for t in _QUESTION},
    "leetcode": "Given a coding problem, retrieve relevant examples that help answer the problem",
    "aops": _MATH.format(what="examples"),
    "theoremqa_questions": _MATH.format(what="examples"),
    "theoremqa_theorems": _MATH.format(what="theorems"),
}
"""BRIGHT's instruction for each split; the task's name is spelled as the split is."""


def task_instruction(task: str) -> str:
    """The instruction of one BRIGHT split.

    Raises:
        InputError: the task is none of the twelve.
    """
    try:
        return BRIGHT_INSTRUCTIONS[task]
    except KeyError:
        known = ", ".join(sorted(BRIGHT_INSTRUCTIONS))
        raise InputError(f"task must be one of {known}; got {task!r}") from None


def prefix(template: str, default: str, given: str | None) -> str:
    """The text that stands before a query or document.

    Args:
        template: may hold `{instruction}`; "" for an encoder that was trained without prefixes.
        default: the instruction that is filled in when the caller gave none.
        given: the caller's instruction. None takes the default; "" means no prefix at all; a string that already
            ends in the embed marker is a whole prefix and is used as it is; for a template without a place for an
            instruction, it is the prefix itself.
    """
    if given is None:
        return template.replace("{instruction}", default)
    if not given or given.endswith(EMBED_MARKER) or "{instruction}" not in template:
        return given
    return template.replace("{instruction}", given)
