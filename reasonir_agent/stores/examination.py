"""Is the manifest what was written? SQLite's own checks see a torn page, ours see a flipped letter.

A passage's text stands in its document, its id and its vector's key are hashes of what it holds, and a document's
digest ends with a hash of its metadata; so most of what a disk can do to a row is found.
"""

from __future__ import annotations

import json
from typing import Final

from reasonir_agent.stores.database import Database, metadata_digest, vector_key
from reasonir_agent.types import Passage

_COUNTED: Final = {
    "texts of passages are not what stands in their documents": (
        "passages p JOIN documents d ON p.source = d.source "
        'WHERE substr(d.text, p.start + 1, p."end" - p.start) != p.text'
    ),
    "rows of metadata are no JSON": "documents WHERE NOT json_valid(metadata)",
    "rows of skipped parts are no JSON": "files WHERE NOT json_valid(skipped)",
    "settings are no JSON": "meta WHERE NOT json_valid(value)",
}


def manifest_problems(database: Database) -> list[str]:
    """What is wrong with a manifest; slow, reads all of it.

    Raises:
        StoreError: it cannot be read at all.
    """
    found = [str(row[0]) for row in database.rows("PRAGMA integrity_check(5)") if row[0] != "ok"]
    if found:
        return found
    found += [f"a row of {row[0]} refers to nothing" for row in database.rows("PRAGMA foreign_key_check")[:5]]
    for what, where in _COUNTED.items():
        ((wrong,),) = database.rows(f"SELECT count(*) FROM {where}")  # noqa: S608 - our own words
        found += [f"{wrong} {what}"] if wrong else []
    return found or _misnamed(database)


def _misnamed(database: Database) -> list[str]:
    """Passages whose id or vector key is not the hash of what they hold, documents whose metadata have changed."""
    wrong = 0
    keys = dict(database.rows("SELECT number, key FROM passages"))
    for number, passage in database.all_passages():
        made = Passage.make(passage.source, passage.start, passage.end, passage.text, passage.heading)
        wrong += made.id != passage.id or vector_key(passage.encoded_text) != keys[number]
    rows = database.rows("SELECT metadata, digest FROM documents")
    changed = sum(not digest.endswith(metadata_digest(json.loads(metadata))) for metadata, digest in rows)
    return [
        f"{count} {what} are not what was written"
        for count, what in ((wrong, "passages"), (changed, "metadata"))
        if count
    ]
