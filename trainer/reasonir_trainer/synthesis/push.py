"""A finished data set onto a hub, private unless it is asked for otherwise; see `pushing`.

What is sent: the table, the card and the summary. What stays: the journal of replies, the seeds (whole pieces of the
user's documents) and what was rejected.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from reasonir_agent.errors import InputError
from reasonir_trainer import pushing
from reasonir_trainer.synthesis.data_files import CARD, SUMMARY, TABLE

SENT: Final = (CARD, TABLE, SUMMARY)


def push(
    folder: Path, repo_id: str, *, private: bool = True, endpoint: str | None = None, token: str | None = None
) -> str:
    """Send a finished data set to a repository, which is made where there is none.

    Args:
        folder: of a finished run.
        repo_id: "owner/name".
        private: whether only its owner may see it.
        endpoint: address of the hub; None is the library's own choice.
        token: of the user; None is what the library finds by itself.

    Returns:
        The address of the data set.

    Raises:
        InputError: the folder is not finished, or the repository is public and private was asked for.
        MissingExtra: the hub's library is not installed.
        StoreError: the hub cannot be reached, or refuses.
    """
    missing = [name for name in SENT if not (folder / name).is_file()]
    if missing:
        raise InputError(f"{folder} holds no {missing[0]}: only a finished data set can be pushed")
    files = {name: folder / name for name in SENT}
    return pushing.send(files, repo_id, "dataset", private=private, endpoint=endpoint, token=token)
