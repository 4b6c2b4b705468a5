"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StoreOption = Annotated[
    Path | None,
    typer.Option("--store", help="Folder of the store (default: $REASONIR_STORE or ./.reasonir)."),
]
EncoderOption = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        help="Folder, known name, hub name, or a server as http://HOST/v1#MODEL (default: the store's, or minilm).",
    ),
]
LlmOption = Annotated[
    str | None, typer.Option("--llm", help="Chat model as provider:model (default: $REASONIR_LLM, or none).")
]
KOption = Annotated[int | None, typer.Option("-k", help="Number of passages (default: 8).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object to stdout.")]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        help="Only documents with this: source=notes/*, type=pdf, date>=2024-03, or a field of the records. Repeatable.",
    ),
]
