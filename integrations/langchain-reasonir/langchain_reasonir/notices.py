"""What the user must be told while a result is given all the same."""

from __future__ import annotations

import warnings
from collections.abc import Iterable


class ReasonIRWarning(UserWarning):
    """Something was degraded; the sentence says what."""


class RewriteWarning(ReasonIRWarning):
    """A question could not be rewritten and was searched with as it is."""


class RerankWarning(ReasonIRWarning):
    """Passages got no reranker score, or the retriever's scores could not be used."""


Notice = tuple[type[ReasonIRWarning], str]
"""A warning that is not given yet: work on another thread collects them, the caller's thread gives them."""


def give(notices: Iterable[Notice]) -> None:
    """Warn the caller of the caller."""
    for kind, sentence in notices:
        warnings.warn(sentence, kind, stacklevel=4)
