"""Does the encoder know the language of a corpus? Measured on a sample, when the corpus has changed by more than 2%."""

from __future__ import annotations

from typing import Final

from reasonir_agent.corpus.report import IndexReport
from reasonir_agent.encoder.known import MULTILINGUAL_ENCODER
from reasonir_agent.stores.database import Database
from reasonir_agent.stores.language import UNKNOWN_LIMIT, sample, unknown_shares
from reasonir_agent.types import Encoder

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
        some = database.numbered(list(sample(database.numbers().tolist()))).values()
        shares, overall = unknown_shares(encoder, [passage.text for passage in some])
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
