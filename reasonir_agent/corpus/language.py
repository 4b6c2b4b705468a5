"""Does the encoder know the language of a corpus? Measured on a sample, when the corpus has changed by more than 2%."""

from __future__ import annotations

from typing import Final

from reasonir_agent.corpus.report import IndexReport
from reasonir_agent.encoder.known import MULTILINGUAL_ENCODER
from reasonir_agent.stores.database import Database
from reasonir_agent.types import Encoder

UNKNOWN_LIMIT: Final = 0.10
"""Share of unknown tokens above which an encoder does not know the language of a text."""

_SAMPLE: Final = 400
_CHANGE: Final = 0.02


def note_language(database: Database, encoder: Encoder, report: IndexReport) -> None:
    """Measure the share of passages with unknown tokens; above the limit, say so and let search lean on words."""
    passages = database.count()[1]
    known = database.get_meta("language")
    if (
        not known
        or known["encoder"] != encoder.fingerprint.id
        or abs(known["passages"] - passages) > _CHANGE * passages
    ):
        numbers = database.numbers()
        sample = [p.text for p in database.numbered(numbers[:: max(1, len(numbers) // _SAMPLE)].tolist()).values()]
        shares = [encoder.unknown_share([text]) for text in sample]
        weights = [len(text) for text in sample]
        overall = sum(s * w for s, w in zip(shares, weights, strict=True)) / (sum(weights) or 1)
        foreign = sum(share > UNKNOWN_LIMIT for share in shares) / (len(shares) or 1)
        known = {"encoder": encoder.fingerprint.id, "passages": passages, "unknown": overall, "foreign": foreign}
        with database.transaction():
            database.set_meta("language", known)
            database.set_meta("foreign", overall > UNKNOWN_LIMIT)
    if known["unknown"] > UNKNOWN_LIMIT:
        report.warnings.append(
            f"the encoder {encoder.name} does not know {known['unknown']:.0%} of this corpus; search leans on words, "
            f"and --encoder {MULTILINGUAL_ENCODER} would understand more"
        )
    elif known["foreign"]:
        share = f"about {known['foreign']:.0%}" if known["foreign"] >= 0.01 else "fewer than 1%"
        report.warnings.append(
            f"{share} of the passages are in a script that the encoder {encoder.name} does not "
            f"know; they are found by their words only (--encoder {MULTILINGUAL_ENCODER} would understand them)"
        )
