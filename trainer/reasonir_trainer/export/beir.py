"""BEIR's layout: a corpus, queries and judgements. What it makes is an evaluation set for `reasonir evaluate retrieval`.

    corpus.jsonl {_id, title, text} · queries.jsonl {_id, text} · qrels/test.tsv with a line of column names

A document is one text: its id is a hash of it, so a seed that is the positive of two queries stands in the corpus once
and is nobody's unjudged twin. Positives are judged 1, or by their grade (at least 1); negatives 0. A grade is a whole
number here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from reasonir_agent.errors import InputError
from reasonir_agent.evaluation.datasets.judgements import read_qrels
from reasonir_agent.evaluation.datasets.records import read_records
from reasonir_trainer.export.foreign import content_id, foreign_row
from reasonir_trainer.export.formats import Notes, Source, Written
from reasonir_trainer.synthesis.data_files import Aside
from reasonir_trainer.synthesis.rows import Row

LOSES: Final = (
    "kinds, origins and ranks of negatives, the parts of grades after the point, rewritten queries, seeds, provenance"
)
_HEAD: Final = "query-id\tcorpus-id\tscore\n"


def write_beir(rows: Source, folder: Path, *, split: str = "test") -> Written:
    """Write rows as a BEIR folder.

    Args:
        rows: to write.
        folder: to make.
        split: name of the file of judgements.

    Raises:
        InputError: an id cannot stand in a tab-separated file, or stands twice.
        StoreError: it cannot be written.
    """
    notes, queries, documents = Notes(), set[str](), set[str]()
    with ExitStack() as files:
        corpus, asked, judged = (
            files.enter_context(Aside(folder / name))
            for name in ("corpus.jsonl", "queries.jsonl", f"qrels/{split}.tsv")
        )
        judged.write(_HEAD)
        for row in rows:
            _check_id(row.id, queries)
            queries.add(row.id)
            asked.write(_line({"_id": row.id, "text": row.query}))
            for document, (text, grade) in _judged(row, notes).items():
                judged.write(f"{row.id}\t{document}\t{grade}\n")
                if document not in documents:
                    documents.add(document)
                    corpus.write(_line({"_id": document, "title": "", "text": text}))
    return Written(folder, len(queries), tuple(notes))


def read_beir(folder: Path, notes: Notes, *, split: str | None = None) -> Iterator[Row]:
    """Read a BEIR folder; a row for each positive of a query, with the documents that are judged 0 as negatives.

    Args:
        folder: to read.
        notes: takes what could not be kept.
        split: name of a file of judgements; None takes the only one.

    Raises:
        InputError: a file is missing or has another shape, or a judged document is not in the corpus.
    """
    file = _qrels_file(folder, split)
    queries = {record.id("_id"): record.text("text") for record in read_records(folder / "queries.jsonl", ())}
    qrels, warnings = read_qrels(file, queries, has_header=True)
    for warning in warnings:
        notes.add(warning)
    texts = _texts(folder / "corpus.jsonl", {document for grades in qrels.values() for document in grades}, notes)
    for query, grades in qrels.items():
        yield from _rows(query, queries[query], _known(file, query, grades, texts), notes)


def _judged(row: Row, notes: Notes) -> dict[str, tuple[str, int]]:
    """Document -> its text and grade."""
    grade = 1 if row.positive_grade is None else max(1, round(row.positive_grade))
    found = {content_id(row.positive): (row.positive, grade)}
    for negative in row.negatives:
        document = content_id(negative.text)
        notes.add("negatives that repeat a text of their row, which are left out", document in found)
        found.setdefault(document, (negative.text, 0))
    return found


def _rows(query: str, text: str, judged: dict[str, int], notes: Notes) -> Iterator[Row]:
    positives = [(document, grade) for document, grade in judged.items() if grade > 0]
    negatives = [document for document, grade in judged.items() if grade == 0]
    notes.add("queries without a positive judgement, which give no row", not positives)
    notes.add("positives beyond the first of a query, which give rows of their own", max(0, len(positives) - 1))
    for number, (positive, grade) in enumerate(positives, start=1):
        yield foreign_row(
            text,
            positive,
            negatives,
            id=query if number == 1 else f"{query}-{number}",
            positive_grade=float(grade) if grade > 1 else None,
        )


def _known(file: Path, query: str, grades: dict[str, int], texts: dict[str, str]) -> dict[str, int]:
    """Text -> grade, the best first, else in the order of the judgements."""
    missing = next((document for document in grades if document not in texts), None)
    if missing is not None:
        raise InputError(f"{file} judges the document {missing!r} for the query {query!r}, which is not in the corpus")
    found: dict[str, int] = {}
    for document, grade in sorted(grades.items(), key=lambda one: -one[1]):
        found.setdefault(texts[document], grade)  # of two documents with one text, the better judgement holds
    return found


def _texts(file: Path, wanted: set[str], notes: Notes) -> dict[str, str]:
    """The texts of documents, title and text joined as BEIR does."""
    found: dict[str, str] = {}
    for record in read_records(file, ()):
        name = record.id("_id")
        if name not in wanted:
            notes.add("documents that are judged for no query, which are left")
            continue
        title = record.fields.get("title")
        found[name] = f"{title} {record.text('text')}" if isinstance(title, str) and title else record.text("text")
    return found


def _qrels_file(folder: Path, split: str | None) -> Path:
    files = sorted((folder / "qrels").glob("*.tsv"))
    named = [file for file in files if split in (None, file.stem)]
    if len(named) != 1:
        names = ", ".join(file.stem for file in files) or "none"
        raise InputError(f"{folder / 'qrels'} must hold the judgements of one split: name one of those there ({names})")
    return named[0]


def _check_id(name: str, before: Iterable[str]) -> None:
    if not name or name.strip() != name or any(c in name for c in "\t\r\n"):
        raise InputError(f"the id {name[:80]!r} cannot stand in a tab-separated file")
    if name in before:
        raise InputError(f"the id {name[:80]!r} stands in two rows; the ids of queries must differ")


def _line(record: dict[str, str]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"
