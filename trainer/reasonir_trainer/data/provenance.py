"""Who wrote exported data: a small file beside it, since formats of other people have no place for it.

    train.jsonl     ->  train.jsonl.provenance.json    {"models": ["openai:gpt-5-mini"]}
    train/ (BEIR)   ->  train/provenance.json

`export` writes it, and reading a source picks it up, so that the card of an encoder names the models. Data that are copied
without it have nobody's name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from reasonir_agent.errors import InputError, StoreError, boundary
from reasonir_trainer.synthesis.data_files import write_text

PROVENANCE: Final = "provenance.json"


def place_of(data: Path) -> Path:
    """Where the file about some data stands."""
    return data / PROVENANCE if data.is_dir() else data.with_name(f"{data.name}.{PROVENANCE}")


def write_provenance(data: Path, models: Iterable[str]) -> None:
    """Say which models wrote some data; without any, no file stands there, nor one of data that were there before.

    Raises:
        StoreError: it cannot be written.
    """
    file = place_of(data)
    if not (found := sorted(set(models))):
        with boundary(StoreError, f"removing {file}", catch=(OSError,)):
            file.unlink(missing_ok=True)
        return
    write_text(file, json.dumps({"models": found}, ensure_ascii=False) + "\n")


def read_provenance(data: Path) -> tuple[str, ...]:
    """The models that wrote some data; none where nobody says.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    file = place_of(data)
    if not file.is_file():
        return ()
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as cause:
        raise InputError(f"{file} cannot be read: {cause}") from cause
    models = found.get("models") if isinstance(found, dict) else None
    if not isinstance(models, list) or not all(isinstance(one, str) for one in models):
        raise InputError(f'{file} must hold {{"models": [...]}}, the names of the models that wrote the data beside it')
    return tuple(models)
