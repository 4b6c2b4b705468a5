"""What a reader gives, as lines of JSON: the language between the child process and us. Nothing is executed to read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from reasonir_agent.corpus.reading.formats import Fields, File
from reasonir_agent.types import Document, Section, Skipped


def request(file: File) -> bytes:
    """The head of a request; `size` bytes of content follow it."""
    fields = {"text": file.fields.text, "id": file.fields.id, "title": file.fields.title}
    return line({"path": file.path, "fields": fields, "size": len(file.content)})


def requested(head: Mapping[str, Any], content: bytes) -> File:
    """The file of a request."""
    return File(head["path"], content, Fields(**head["fields"]))


def line(message: Mapping[str, Any]) -> bytes:
    """A message as one line."""
    return json.dumps(message, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def message(item: Document | Skipped) -> dict[str, Any]:
    """A reader's item as a message."""
    if isinstance(item, Skipped):
        return {"skipped": [item.path, item.reason]}
    sections = [[one.start, one.end, one.heading] for one in item.sections]
    return {"document": [item.source, item.text, sections, dict(item.metadata)]}


def item(message: Mapping[str, Any]) -> Document | Skipped:
    """The item of a message."""
    if "skipped" in message:
        return Skipped(*message["skipped"])
    source, text, sections, metadata = message["document"]
    return Document(source, text, tuple(Section(a, b, tuple(path)) for a, b, path in sections), metadata)
