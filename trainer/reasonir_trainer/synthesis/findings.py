"""What a rule found out about a text that the model wrote, and what becomes of the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reasonir_trainer.synthesis.asking import Refused
from reasonir_trainer.synthesis.rows import Check


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found.

    Attributes:
        name: of the rule, as it stands in a row's checks.
        reason: why an item is rejected that does not pass.
        detail: one sentence that tells the model what to do otherwise.
        value: what was measured.
        limit: what it is held against.
        passed: whether it holds.
    """

    name: str
    reason: str
    detail: str
    value: float
    limit: float
    passed: bool

    @property
    def check(self) -> Check:
        """The part that is kept in the row."""
        return Check(name=self.name, value=round(self.value, 4), limit=self.limit, passed=self.passed)


@dataclass(frozen=True, slots=True)
class Passed:
    """A text that every rule let through, and what it was held against."""

    text: str
    checks: tuple[Check, ...]


def held(text: str, found: Sequence[Finding]) -> Passed:
    """The text with its checks.

    Raises:
        Refused: a rule does not hold; the first one is counted, and the model is told of all.
    """
    broken = [finding for finding in found if not finding.passed]
    if broken:
        raise Refused(broken[0].reason, " ".join(finding.detail for finding in broken), text)
    return Passed(text, tuple(finding.check for finding in found))
