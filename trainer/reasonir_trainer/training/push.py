"""A trained encoder onto a hub, private unless it is asked for otherwise; see `pushing`.

What is sent: the model with its card, the adapter in `adapter/`, and the picture of the run. What stays: checkpoints, the history,
and the settings, which hold paths of the user's machine.
"""

from __future__ import annotations

from pathlib import Path

from reasonir_agent.errors import InputError
from reasonir_trainer import pushing
from reasonir_trainer.training.plot import PICTURE
from reasonir_trainer.training.resume import ADAPTER_FOLDER, MODEL, WHOLE


def push(
    folder: Path, repo_id: str, *, private: bool = True, endpoint: str | None = None, token: str | None = None
) -> str:
    """Send the encoder of a finished run to a repository, which is made where there is none.

    Args:
        folder: of the run.
        repo_id: "owner/name".
        private: whether only its owner may see it.
        endpoint: address of the hub; None is the library's own choice.
        token: of the user; None is what the library finds by itself.

    Returns:
        The address of the model.

    Raises:
        InputError: the run is not finished, or the repository is public and private was asked for.
        MissingExtra: the hub's library is not installed.
        StoreError: the hub cannot be reached, or refuses.
    """
    files = sent(folder)
    return pushing.send(files, repo_id, "model", private=private, endpoint=endpoint, token=token)


def sent(folder: Path) -> dict[str, Path]:
    """The files of a run that are sent, by their names on the hub.

    Raises:
        InputError: the run is not finished.
    """
    if not (folder / MODEL / WHOLE).is_file():
        raise InputError(f"{folder} holds no {MODEL}: only a finished training run can be pushed")
    found = _under(folder / MODEL)
    found |= {f"{ADAPTER_FOLDER}/{name}": file for name, file in _under(folder / ADAPTER_FOLDER).items()}
    if (folder / PICTURE).is_file():
        found[PICTURE] = folder / PICTURE
    return found


def _under(folder: Path) -> dict[str, Path]:
    return {
        one.relative_to(folder).as_posix(): one
        for one in sorted(folder.rglob("*"))
        if one.is_file() and one.name != WHOLE
    }
