"""The shape of a base: its config.json alone, without a weight. Of a hub's model no other file is fetched.

A folder may hold config.json and nothing else. An adapter has its base's shape; one on a hub is a few megabytes and is fetched
as `locate` does it, its base from what is on this machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined,unused-ignore]

from reasonir_agent.encoder import adapter
from reasonir_agent.encoder.known import known_encoder
from reasonir_agent.encoder.locate import locate
from reasonir_agent.errors import CheckpointError, InputError, boundary

_CONFIG: Final = "config.json"


def shape_folder(base: str) -> Path:
    """The folder with a base's config.json.

    Args:
        base: a folder, a known name or a hub name, as `locate` takes it.

    Raises:
        InputError: the base is unknown.
        CheckpointError: its config.json cannot be had.
    """
    hub_id = _hub_id(base)
    if hub_id is None:
        return locate(base).folder
    found = _fetched(hub_id, _CONFIG)
    if found is not None:
        return found.parent
    if _fetched(hub_id, adapter.CONFIG) is not None:
        return locate(base).folder
    raise CheckpointError(f"the model hub's {hub_id!r} has no {_CONFIG}; give a base that has one, or a folder")


def _hub_id(base: str) -> str | None:
    """The repository that `locate` would fetch; None where it fetches nothing."""
    row = known_encoder(base)
    try:
        if Path(base).exists() or (row is not None and (row.is_local or row.adapter)):
            return None
        validate_repo_id(base if row is None else row.hub_id)
    except (OSError, ValueError):  # too long for a path, or no name of a repository
        return None
    if row is not None:
        return row.hub_id
    return base if "/" in base else None


def _fetched(hub_id: str, name: str) -> Path | None:
    """One file of a repository; None where it has no such file."""
    with boundary(CheckpointError, f"fetching {name} of {hub_id!r} from the model hub"):
        try:
            return Path(hf_hub_download(hub_id, name))
        except RepositoryNotFoundError as cause:
            raise InputError(
                f"the model hub has no model {hub_id!r}, or shows it only after `hf auth login`"
            ) from cause
        except LocalEntryNotFoundError as cause:
            raise CheckpointError(
                f"{name} of {hub_id!r} is not on this machine and the model hub cannot be reached; check the connection, or "
                "give a folder that holds it"
            ) from cause
        except EntryNotFoundError:
            return None
