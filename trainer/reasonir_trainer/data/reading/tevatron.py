"""Tevatron's JSON lines: query_id, query, positive_passages and negative_passages of {docid, title, text}.

A passage is its title and its text, with a space between, as Tevatron encodes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from reasonir_agent.evaluation.datasets.records import Record, read_records
from reasonir_trainer.data.examples import Candidate, Example


def read_tevatron(file: Path) -> Iterator[tuple[str, Example]]:
    """The examples of a file and where each stands.

    Raises:
        InputError: a line has not the fields.
    """
    for record in read_records(file, ("query_id", "query", "positive_passages", "negative_passages")):
        negatives = _passages(record, "negative_passages") if "negative_passages" in record.fields else ()
        yield (
            f"{file}:{record.number}",
            Example(
                id=str(record.fields.get("query_id") or record.number),
                query=record.text("query"),
                positives=_passages(record, "positive_passages"),
                negatives=negatives,
            ),
        )


def _passages(record: Record, name: str) -> tuple[Candidate, ...]:
    found = record.fields.get(name)
    if not isinstance(found, list):
        raise record.problem(f"must have a list of passages in its field {name!r}")
    return tuple(Candidate(_text(record, name, one)) for one in found)


def _text(record: Record, name: str, passage: object) -> str:
    if not isinstance(passage, Mapping) or not isinstance(passage.get("text"), str):
        raise record.problem(f"must have passages with a text in its field {name!r}, got {passage!r:.60}")
    return f"{passage.get('title') or ''} {passage['text']}".strip()
