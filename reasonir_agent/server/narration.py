"""An answer as a chat page shows it: Markdown with its sources at the end, and what the agent does meanwhile.

Documents and models are not trusted, and a chat page loads every image that Markdown names: an address in a quote could
carry the conversation away. So pictures and HTML are written such that the page shows their source text. The payload
(`citations`) holds the words as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from reasonir_agent.types import Answer, Citation

_ACTIVE: Final = re.compile(r"!(?=\[)|<(?=[A-Za-z/!?])")
_WRITTEN: Final = {"!": "&#33;", "<": "&lt;"}
_PREVIEW: Final = 300  # characters of a rewritten query; it may have thousands


def inert(text: str) -> str:
    """Markdown in which no picture is loaded and no HTML is read.

    Character references stand for the signs: a backslash before them would be undone by a backslash in the text.
    """
    return _ACTIVE.sub(lambda match: _WRITTEN[match[0]], text)


def markdown(answer: Answer) -> str:
    """The answer and, where it has citations, a list of its sources with the quotes."""
    if not answer.citations:
        return inert(answer.answer)
    sources = "\n".join(_source(citation) for citation in sorted(answer.citations, key=lambda one: (one.n, one.start)))
    return f"{inert(answer.answer)}\n\n**Sources**\n\n{sources}"


def _source(citation: Citation) -> str:
    path = citation.source.replace("`", "'")
    quote = " ".join(citation.quote.split())
    return f"- [{citation.n}] `{path}`, characters {citation.start} to {citation.end}: “{inert(quote)}”"


def told(step: str, update: Mapping[str, Any], *, scores: bool) -> str:
    """Lines about a step that has ended and what comes next, each with its line end; "" where nothing is to be told.

    Args:
        step: its name in the graph.
        update: what it left in the state.
        scores: whether a chat model scores passages.
    """
    lines: list[str] = []
    if step == "rewrite":
        lines = [f"searching with: {_shortened(text)}" for text in update["rewrites"]] or [
            "searching with the question"
        ]
    elif step == "retrieve":
        found = len(update["hits"])
        lines = [f"scoring {found} passages" if scores and found else f"found {found} passages"]
    elif step == "rerank":
        lines = [f"answering from {len(update['hits'])} passages"]
    lines += [f"note: {warning}" for warning in update.get("warnings") or ()]
    return "".join(f"{inert(' '.join(line.split()))}\n" for line in lines)


def _shortened(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _PREVIEW else f"{words[:_PREVIEW]}…"
