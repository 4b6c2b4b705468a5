"""`--trace FILE.html`: the page of a question, with what it needs beyond the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from reasonir_agent.config import AgentSettings
from reasonir_agent.errors import InputError, ReasonIRError, redact
from reasonir_agent.types import PassageSource, SearchResult


def refuse_folder(file: Path) -> None:
    """Refuse before anything is paid for what can be known to fail.

    Raises:
        InputError: the file is a folder.
    """
    if file.is_dir():
        raise InputError(f"{file} is a folder; name the file of the trace, as in {file / 'trace.html'}")


def leave_trace(
    file: Path,
    result: SearchResult,
    corpus: PassageSource,
    settings: AgentSettings,
    *,
    chat_model: str | None,
    store: Path,
    where: Sequence[str],
) -> bool:
    """Write the page, and tell whether it is there; what goes wrong becomes a warning of the result.

    Args:
        file: the page.
        result: of `ask` or `search`.
        corpus: what was searched; it holds the passages that the trace names.
        settings: what it was done with.
        chat_model: its name, None without one.
        store: the folder.
        where: filters.
    """
    from reasonir_agent.tracing import Traced, ids_of, write_trace

    chosen = {
        "chat model": redact(chat_model or "none"),
        "encoder": corpus.encoder.name,
        "store": str(store),
        "passages in the store": f"{corpus.size:,}",
        "filters": ", ".join(where) or "none",
    }
    try:
        traced = Traced.of(
            result,
            result.trace,
            passages=corpus.passages(ids_of(result.trace)),
            settings={**chosen, **asdict(settings)},
            asked=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        )
        write_trace(traced, file)
    except ReasonIRError as problem:
        result.warnings.append(f"the trace was not written: {redact(str(problem))}")
        return False
    return True
