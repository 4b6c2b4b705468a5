"""ReasonIR's published data: query = [instruction, text], pos and neg = lists of [instruction, text].

The published hard queries give the id of their positive in BRIGHT's documents, not its words: `documents` fills them in.
A positive of one word in ASCII is an id; one that stands for no document is refused, for its letters teach nothing.
Only the texts are read; the instruction is set once for the source, since a batch has one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from reasonir_agent.errors import InputError
from reasonir_agent.evaluation.datasets.records import Record, read_records
from reasonir_trainer.data.examples import Candidate, Example


def read_release(file: Path, documents: Path | None = None) -> Iterator[tuple[str, Example]]:
    """The examples of a file of JSON lines or Parquet, and where each stands.

    Args:
        file: the data.
        documents: JSON lines {id, text}; a positive that is an id of it stands for the text.

    Raises:
        InputError: a record has not the fields, the documents cannot be read, or a positive is the id of none of them.
    """
    known = {} if documents is None else _texts(documents)
    for record in read_records(file, ("query", "pos", "neg")):
        where = f"{file}:{record.number}"
        positives = [_filled_in(record, text, known, documents) for text in _pairs(record, "pos")]
        yield (
            where,
            Example(
                id=str(record.number),
                query=_pair(record, "query", record.fields.get("query")),
                positives=tuple(Candidate(text) for text in positives),
                negatives=tuple(Candidate(text) for text in _pairs(record, "neg")),
            ),
        )


def _texts(file: Path) -> Mapping[str, str]:
    if not file.is_file():
        raise InputError(f"the documents {str(file)!r} do not exist")
    return {record.id("id"): record.text("text") for record in read_records(file, ("id", "text"))}


def _filled_in(record: Record, positive: str, known: Mapping[str, str], documents: Path | None) -> str:
    """The text of a positive, or of the document that it is the id of."""
    if positive in known:
        return known[positive]
    if not positive.isascii() or len(positive.split()) != 1:  # Chinese, say, has no spaces between words
        return positive
    if documents is None:
        what = "but its words are learnt from; give the source documents, a file of JSON lines {id, text} that has it"
    else:
        what = f"which is not in {documents}; add it there, or remove the example"
    raise record.problem(f"has the id of a document, {positive!r:.200}, as its positive, {what}")


def _pairs(record: Record, name: str) -> list[str]:
    found = record.fields.get(name)
    if found is None and name == "neg":
        return []
    if not isinstance(found, list):
        raise record.problem(f"must have a list of [instruction, text] in its field {name!r}")
    return [_pair(record, name, one) for one in found]


def _pair(record: Record, name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and len(value) == 2 and all(isinstance(one, str) for one in value):
        return str(value[1])
    raise record.problem(f"must have [instruction, text] in its field {name!r}, got {value!r:.60}")
