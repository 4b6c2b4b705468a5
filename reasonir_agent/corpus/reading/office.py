"""What a DOCX and a PPTX say of themselves."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from reasonir_agent.corpus.reading.decoding import clean
from reasonir_agent.types import Scalar

_LONGEST: Final = 200  # characters


def properties_of(core: Any) -> dict[str, Scalar]:
    """Title, author and the day of the last change, where the file names them."""
    found: dict[str, Scalar] = {}
    for name in ("title", "author"):
        with suppress(Exception):  # the parts of a file may be broken, and these are not why it is read
            found[name] = clean(getattr(core, name)).strip()[:_LONGEST]
    with suppress(Exception):
        found["date"] = (core.modified or core.created).date().isoformat()
    return {name: value for name, value in found.items() if value}
