"""Both error rates of abstention without a model, and what other thresholds would have given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from reasonir_agent.agent.abstention import Evidence, weigh
from reasonir_agent.corpus import Corpus
from reasonir_agent.errors import InputError
from reasonir_agent.evaluation.questions import GoldQuestion

_SWEEP = (0.0, 0.15, 0.20, 0.25, 0.30, 0.35, 0.40, 0.45, 0.50, 0.55, 0.60)


@dataclass(frozen=True, slots=True)
class AbstentionReport:
    """The measurement.

    Attributes:
        evidence: question id -> (whether it can be answered, its evidence).
    """

    evidence: dict[str, tuple[bool, Evidence]]

    def rates(self, threshold: float | None = None) -> tuple[float, float]:
        """(answerable questions that got silence, unanswerable ones that got an answer), each 0 to 1.

        Args:
            threshold: take this cosine instead of the encoder's.
        """
        silent = {True: 0, False: 0}
        total = {True: 0, False: 0}
        for answerable, evidence in self.evidence.values():
            tried = evidence if threshold is None else replace(evidence, threshold=threshold)
            total[answerable] += 1
            silent[answerable] += not tried.suffices
        return silent[True] / total[True], 1 - silent[False] / total[False]

    def as_json(self) -> dict[str, Any]:
        """Rates, the sweep, and the evidence of each question."""
        wrongly_silent, wrongly_answered = self.rates()
        return {
            "answerable": sum(answerable for answerable, _ in self.evidence.values()),
            "unanswerable": sum(not answerable for answerable, _ in self.evidence.values()),
            "silent_where_answerable": wrongly_silent,
            "answered_where_unanswerable": wrongly_answered,
            "sweep": [{"threshold": t, "rates": self.rates(t)} for t in _SWEEP],
            "questions": {
                one: {
                    "answerable": answerable,
                    "cosine": evidence.cosine,
                    "coverage": evidence.coverage,
                    "understood": evidence.understood,
                    "answers": evidence.suffices,
                }
                for one, (answerable, evidence) in self.evidence.items()
            },
        }

    def lines(self) -> list[str]:
        """The report for a terminal."""
        found = self.as_json()
        lines = [
            f"{found['answerable']} answerable questions: {found['silent_where_answerable']:.1%} got silence",
            f"{found['unanswerable']} unanswerable questions: {found['answered_where_unanswerable']:.1%} got an answer",
            "other thresholds of the cosine:   silent where answerable   answered where unanswerable",
        ]
        for row in found["sweep"]:
            silent, answered = row["rates"]
            lines.append(f"  {row['threshold']:.2f} {silent:>35.1%} {answered:>29.1%}")
        return lines


def measure(corpus: Corpus, questions: Sequence[GoldQuestion], *, k: int = 8) -> AbstentionReport:
    """Weigh the evidence for every question.

    Raises:
        InputError: the questions are all answerable, or all unanswerable.
    """
    if len({bool(one.gold_ids) for one in questions}) != 2:
        raise InputError("both answerable and unanswerable questions (empty gold_ids) are needed")
    vectors = corpus.encoder.encode_queries([one.question for one in questions])
    evidence = {}
    for one, vector in zip(questions, vectors, strict=True):
        hits = corpus.find([one.question], k, vectors=vector[None])
        evidence[one.id] = (bool(one.gold_ids), weigh(one.question, hits, corpus, corpus.encoder))
    return AbstentionReport(evidence)
