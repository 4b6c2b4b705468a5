"""A held-out part by seed document: no document has rows, or text in rows, on both sides.

A document is held out when the hash of its name falls below the share. The choice for one document does not depend on
the others, so a data set that grows never moves a document from one side to the other. The pages of a document go
together. A mined negative is a piece of a document too: on the wrong side it is dropped, and so is one whose document
is not known; both are counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from reasonir_agent.errors import InputError
from reasonir_trainer.export.formats import Notes, Source
from reasonir_trainer.synthesis.data_files import SEEDS, read_lines
from reasonir_trainer.synthesis.rows import Negative, Row, Seed

_MINED: Final = ("bm25", "encoder")


def document_of(source: str) -> str:
    """The document of a place: a page belongs to its file, a record of a collection is a document by itself."""
    return source.partition("#page=")[0]


def is_held_out(source: str, share: float) -> bool:
    """Whether a document belongs to the held-out part.

    Args:
        source: a seed's source.
        share: of the documents that are held out, about; 0 to 1.
    """
    digest = hashlib.sha256(f"held out\0{document_of(source)}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


class Part:
    """The rows of one side, read anew each time that they are gone through.

    Args:
        rows: of both sides.
        share: of documents that are held out, about.
        held_out: which side.
        sources: seed -> source, for mined negatives.

    Attributes:
        notes: what was dropped when the rows were gone through last.
    """

    def __init__(self, rows: Source, share: float, *, held_out: bool, sources: Mapping[str, str]) -> None:
        self._rows, self._share, self._held_out, self._sources = rows, share, held_out, sources
        self.notes = Notes()

    def __iter__(self) -> Iterator[Row]:
        self.notes = Notes()
        for row in self._rows:
            if is_held_out(row.seed.source, self._share) != self._held_out:
                continue
            kept = tuple(one for one in row.negatives if self._belongs(one))
            yield row if len(kept) == len(row.negatives) else row.model_copy(update={"negatives": kept})

    def _belongs(self, negative: Negative) -> bool:
        if negative.origin not in _MINED:
            return True
        source = self._sources.get(negative.source)
        if source is None:
            self.notes.add("mined negatives of a document that is not known, which are dropped")
            return False
        if is_held_out(source, self._share) != self._held_out:
            self.notes.add("mined negatives of a document of the other part, which are dropped")
            return False
        return True


def split(rows: Source, share: float, *, folder: Path | None = None) -> tuple[Part, Part]:
    """The rows to train with, and those that are held out.

    Args:
        rows: to split; gone through more than once.
        share: of documents that are held out, about; above 0 and below 1.
        folder: of the run; its seeds tell the documents of mined negatives.

    Raises:
        InputError: the share is none, rows do not say their document, or one of the parts would be empty.
    """
    if not 0 < share < 1:
        raise InputError(f"the held-out share must be above 0 and below 1, got {share}")
    sources = _sources(rows, folder)
    documents = {document_of(row.seed.source) for row in rows}
    if "" in documents:
        raise InputError("rows without a source cannot be split by document; they were taken over from another format")
    held_out = sum(is_held_out(one, share) for one in documents)
    if not 0 < held_out < len(documents):
        which = "none" if not held_out else "each"
        raise InputError(
            f"{which} of the {len(documents)} documents falls into the held-out part at a share of {share:g}; "
            "take another share, or more documents"
        )
    return (
        Part(rows, share, held_out=False, sources=sources),
        Part(rows, share, held_out=True, sources=sources),
    )


def _sources(rows: Source, folder: Path | None) -> dict[str, str]:
    """Seed -> source, of the rows' own seeds and of those that the run chose."""
    found = {row.seed.id: row.seed.source for row in rows}
    files = [] if folder is None else [folder / SEEDS, *sorted(folder.glob("seeds-*-of-*.jsonl"))]
    for file in files:
        for number, _, line in read_lines(file) if file.is_file() else ():
            try:
                seed = Seed.model_validate_json(line)
            except ValueError as cause:
                raise InputError(f"{file}:{number} is no seed") from cause
            found[seed.id] = seed.source
    return found
