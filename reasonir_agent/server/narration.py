"""An answer as a chat page shows it: Markdown with its sources at the end, and what the agent does meanwhile.

Documents and models are not trusted, and a chat page loads every image that Markdown names: an address in a quote could
carry the conversation away. So a quote that holds anything of the kind stands as code, in which a page sees neither,
pictures and HTML are written such that the page shows their source text, and what is told meanwhile holds no address. The payload
(`citations`) holds the words as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from reasonir_agent.agent.draft_stream import HarmlessStream
from reasonir_agent.agent.harmless import harmless
from reasonir_agent.types import Answer, Citation

_ACTIVE: Final = re.compile(r"!(?=\[)|<(?=[A-Za-z/!?])")
_WRITTEN: Final = {"!": "&#33;", "<": "&lt;"}
_EVERY: Final = 10  # passages that are scored between two lines about it
_WITH: Final = "searching with: "

SOURCES: Final = "\n\n**Sources**\n\n"
"""What stands between an answer and the list of its sources."""


def inert(text: str) -> str:
    """Markdown in which no picture is loaded and no HTML is read.

    Character references stand for the signs: a backslash before them would be undone by a backslash in the text.
    """
    return _ACTIVE.sub(lambda match: _WRITTEN[match[0]], text)


def markdown(answer: Answer) -> str:
    """The answer and a list of its sources with the quotes; a quote that supports nothing is no source."""
    founded = [citation for citation in answer.citations if citation.verified != "unsupported"]
    if not founded:
        return inert(answer.answer)
    sources = "\n".join(_source(citation) for citation in sorted(founded, key=lambda one: (one.n, one.start)))
    return f"{inert(answer.answer)}{SOURCES}{sources}"


def _source(citation: Citation) -> str:
    place = f"characters {citation.start} to {citation.end}"
    return f"- [{citation.n}] {_code(citation.source)}, {place}: {_quoted(citation.quote)}"


def _quoted(quote: str) -> str:
    """A quote between quotation marks; as code where a page would make more of it than words."""
    line = " ".join(quote.split())
    return f"“{line}”" if inert(harmless(line, "")) == line else _code(line)


def _code(words: str) -> str:
    """Words as code on one line, between more backticks than stand in them side by side."""
    line = " ".join(words.split())
    ticks = "`" * (max(map(len, re.findall("`+", line)), default=0) + 1)
    blank = " " if line[:1] == "`" or line[-1:] == "`" else ""
    return f"{ticks}{blank}{line}{blank}{ticks}"


class Narrator:
    """Tells what the agent does, in lines; the rewrite piece by piece where the model streams it.

    What was told cannot be taken back: a text that begins anew is told anew, and a rewrite that could not be used is
    followed by the line that says so.

    Args:
        tell: gets each piece; a line ends with its line end.
        scores: whether a chat model scores passages.
        depth: how many it scores at first.
        shown: how many passages an answer may rest on.
    """

    def __init__(self, tell: Callable[[str], None], *, scores: bool, depth: int, shown: int) -> None:
        self._tell, self._scores, self._depth, self._shown = tell, scores, depth, shown
        self._line: _Line | None = None  # of the rewrite that is coming
        self._found = 0

    def question(self, question: str) -> None:
        """The message was taken for this question."""
        self._say(f"understood as: {question}")

    def news(self, news: Mapping[str, Any]) -> None:
        """What happens inside a step. The draft of the answer is not told: nothing of it is checked yet."""
        if news["kind"] == "rewrite":
            self._rewrite(news["text"])
        elif news["kind"] == "rerank" and news["done"] % _EVERY == 0:
            self._tell(f"scored {news['done']} of {news['of']}\n")

    def step(self, name: str, update: Mapping[str, Any]) -> None:
        """A step has ended, and left this in the state."""
        lines: list[str] = []
        if name == "rewrite":
            lines = self._searched_with(update["trace"][-1])
        elif name == "retrieve":
            lines = [self._retrieved(update["hits"])]
        elif name == "rerank":
            self._found = len(update["hits"])
        elif name == "grade":
            lines = [self._graded(update)]
        for line in [*lines, *(f"note: {warning}" for warning in update.get("warnings") or ())]:
            self._say(line)

    def _say(self, line: str) -> None:
        self._tell(f"{_plain(line)}\n")

    def _rewrite(self, piece: str | None) -> None:
        if piece is None:
            self._end_line()
            return
        if self._line is None:
            self._line = _Line()
            self._tell(_WITH)
        if said := self._line.feed(piece):
            self._tell(said)

    def _end_line(self) -> str:
        """End the line of the rewrite that came piece by piece, and what it says; "" where there is none."""
        if self._line is None:
            return ""
        self._tell(f"{self._line.rest()}\n")
        said, self._line = self._line.said, None
        return said

    def _searched_with(self, line: Mapping[str, Any]) -> list[str]:
        """Lines for what this round searches with, but for the rewrite that was told piece by piece."""
        told = self._end_line()
        rewrites, missing = line.get("rewrites") or (), line.get("missing") or ()
        if rewrites:
            return [f"{_WITH}{text}" for text in rewrites if _beginning(_plain(text)) != _beginning(told)]
        if "rewrites" in line and missing:
            return []  # no rewrite could be had, and a note says so
        return ["searching with what is missing" if missing else "searching with the question"]

    def _retrieved(self, hits: Sequence[Mapping[str, Any]]) -> str:
        if not self._scores or not hits:
            return f"found {len(hits)} passages"
        new = sum(hit.get("reranker_score") is None for hit in hits)  # what was scored before keeps its score
        return f"scoring {min(new, self._depth)} passages" if new else "nothing was found that is new"

    def _graded(self, update: Mapping[str, Any]) -> str:
        if update.get("missing"):
            return f"searching again for: {'; '.join(update['missing'])}"
        if update.get("verdict") == "abstain":
            return "the passages are from other fields"
        return f"answering from {min(self._found, self._shown)} passages"


class _Line:
    """One line out of pieces, inert and without addresses. What may be the beginning of one waits for what follows it."""

    def __init__(self) -> None:
        self.said = ""
        self._waiting, self._is_empty = "", True
        self._whole: list[str] = []
        self._words = HarmlessStream("", lambda words: self._whole.append(words or ""))

    def feed(self, piece: str) -> str:
        """What can be told of the line now."""
        self._words.feed(piece)
        text = re.sub(r"\s+", " ", self._waiting + "".join(self._whole))
        self._whole.clear()
        text = text.lstrip() if self._is_empty else text
        ready = text.rstrip(" !<")
        self._waiting = text[len(ready) :]
        self._is_empty = self._is_empty and not ready
        return self._told(ready)

    def rest(self) -> str:
        """What was waiting."""
        self._words.end()
        return self.feed("") + self._told(self._waiting.rstrip())

    def _told(self, words: str) -> str:
        self.said += inert(words)
        return inert(words)


def _beginning(line: str) -> list[str]:
    """The first words: pieces and the whole may differ in a blank or two where markup was broken."""
    return re.findall(r"\w+", line)[:8]


def _plain(text: str) -> str:
    """A text on one line, inert and without addresses."""
    return inert(harmless(" ".join(text.split()), ""))
