"""Options that several commands share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from reasonir_agent.config import AgentSettings

StoreOption = Annotated[
    Path | None,
    typer.Option("--store", help="Folder of the store (default: $REASONIR_STORE or ./.reasonir)."),
]
EncoderOption = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        help="Folder, known name, hub name, or a server as http://HOST/v1#MODEL (default: the store's, or the local one).",
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
RoundsOption = Annotated[
    int | None, typer.Option("--rounds", help="How often is searched at most (default: 2).", show_default=False)
]
MaxCallsOption = Annotated[
    int | None,
    typer.Option("--max-calls", help="Most requests to the chat model (default: 250).", show_default=False),
]
MaxSecondsOption = Annotated[
    float | None, typer.Option("--max-seconds", help="Longest time (default: 600).", show_default=False)
]
TraceOption = Annotated[
    Path | None,
    typer.Option(
        "--trace", help="Write a page about how the result came about: FILE.html.", show_default=False, metavar="FILE"
    ),
]


def bounded(settings: AgentSettings, **bounds: float | None) -> AgentSettings:
    """Settings with the bounds that were given as options, by the names of the settings.

    Raises:
        InputError: a bound is out of its range.
    """
    given: dict[str, Any] = {name: value for name, value in bounds.items() if value is not None}
    return replace(settings, **given)
