"""An answer without a model: the sentences of the best hits that come closest to the question, each cited.

A sentence is scored by its own cosine with the question and by the rank of its passage; neighbours of a chosen
sentence are preferred slightly, since an explanation rarely stands in one sentence. The citations are verbatim; the
answer's text shows no link and no citation that the passage brought.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reasonir_agent.agent.citations import drop_marks, marks
from reasonir_agent.agent.harmless import harmless
from reasonir_agent.sentences import sentence_spans
from reasonir_agent.stores.words import words
from reasonir_agent.types import Citation, Encoder, Hit

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

_PASSAGES: Final = 3
_SHORTEST: Final = 12  # characters; "Why?" explains nothing
_RANK_STEP: Final = 0.06  # what the next passage's sentences have to make up for
_NEIGHBOUR: Final = 0.05


@dataclass(frozen=True, slots=True)
class _Candidate:
    n: int
    hit: Hit
    start: int
    end: int
    score: float

    @property
    def text(self) -> str:
        return self.hit.passage.text[self.start : self.end]


def extract_answer(
    question: str, vector: FloatMatrix, hits: Sequence[Hit], encoder: Encoder, *, sentences: int
) -> tuple[str, list[Citation]]:
    """The answer's text with [n] marks, and its citations; n is the rank of the passage.

    Args:
        question: as the user asked it.
        vector: its vector [1, dim].
        hits: best first.
        encoder: encodes the sentences.
        sentences: at most so many.
    """
    candidates = _candidates(question, vector, hits[:_PASSAGES], encoder)
    chosen: list[_Candidate] = []
    while candidates and len(chosen) < sentences:
        best = max(candidates, key=lambda c: (c.score + _bonus(c, chosen, candidates), -c.n, -c.start))
        candidates.remove(best)
        if not _says_the_same(best, chosen):
            chosen.append(best)
    chosen.sort(key=lambda c: (c.n, c.start))
    parts: list[str] = []
    citations: list[Citation] = []
    for one in chosen:
        passage = one.hit.passage
        parts.append(f"{_shown(one.text, question)} [{one.n}]")
        citations.append(
            Citation(
                one.n,
                passage.id,
                passage.source,
                passage.start + one.start,
                passage.start + one.end,
                one.text,
            )
        )
    return harmless(" ".join(parts), question), citations


def _shown(sentence: str, question: str) -> str:
    """A sentence without addresses, and without numbers in brackets, which would pass for citations of other passages."""
    plain = harmless(" ".join(sentence.split()), question)
    return drop_marks(plain, marks(plain))


def _candidates(question: str, vector: FloatMatrix, hits: Sequence[Hit], encoder: Encoder) -> list[_Candidate]:
    places: list[tuple[int, Hit, int, int]] = []
    for n, hit in enumerate(hits, start=1):
        for start, end in sentence_spans(hit.passage.text):
            piece = hit.passage.text[start:end]
            if _can_answer(piece, hit):
                places.append((n, hit, start, end))
    if not places:
        return []
    vectors = encoder.encode_documents([hit.passage.text[start:end] for _, hit, start, end in places])
    cosines = (vectors @ vector.reshape(-1)).tolist()
    asked = set(words(question))
    found = []
    for (n, hit, start, end), cosine in zip(places, cosines, strict=True):
        shared = len(asked & set(words(hit.passage.text[start:end]))) / (len(asked) or 1)
        found.append(_Candidate(n, hit, start, end, cosine + 0.5 * shared - _RANK_STEP * (n - 1)))
    return found


def _can_answer(piece: str, hit: Hit) -> bool:
    """Neither a scrap, nor a heading, nor a question."""
    words = piece.strip()
    is_heading = words.startswith("#") or words == hit.passage.heading.rsplit(" > ", 1)[-1]
    return len(words) >= _SHORTEST and not is_heading and not words.endswith(("?", "？"))


def _bonus(one: _Candidate, chosen: Sequence[_Candidate], candidates: Sequence[_Candidate]) -> float:
    """A sentence next to a chosen one, with none between them."""
    for other in chosen:
        if other.n == one.n and not any(
            c.n == one.n and min(one.start, other.start) < c.start < max(one.start, other.start) for c in candidates
        ):
            return _NEIGHBOUR
    return 0.0


def _says_the_same(one: _Candidate, chosen: Sequence[_Candidate]) -> bool:
    return any(" ".join(one.text.split()) == " ".join(other.text.split()) for other in chosen)
