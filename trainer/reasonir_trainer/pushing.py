"""Files onto a hub, private unless it is asked for otherwise.

A repository that is there and public is refused when private was asked for: the hub would keep it public. The token goes to
the hub's own library and into no message.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from reasonir_agent.errors import InputError, StoreError, missing_extra, redact

if TYPE_CHECKING:
    from huggingface_hub import HfApi

Kind = Literal["dataset", "model"]


def send(
    files: Mapping[str, Path],
    repo_id: str,
    kind: Kind,
    *,
    private: bool = True,
    endpoint: str | None = None,
    token: str | None = None,
) -> str:
    """Send files to a repository in one commit; it is made where there is none.

    Args:
        files: name in the repository -> file.
        repo_id: "owner/name".
        kind: what the repository holds.
        private: whether only its owner may see it.
        endpoint: address of the hub; None is the library's own choice.
        token: of the user; None is what the library finds by itself.

    Returns:
        The address of the repository.

    Raises:
        InputError: the repository is public and private was asked for.
        MissingExtra: the hub's library is not installed.
        StoreError: the hub cannot be reached, or refuses.
    """
    try:
        from huggingface_hub import HfApi
    except ModuleNotFoundError as cause:
        raise missing_extra("eval", "pushing to the hub", cause) from cause
    try:
        return _send(HfApi(endpoint=endpoint, token=token), files, repo_id, kind, private=private)
    except (InputError, KeyboardInterrupt):
        raise
    except Exception as cause:
        # not chained: what the library raises may hold the request, and the request the token
        raise StoreError(f"pushing to {repo_id!r} failed: {_without(token, cause)}") from None


def _send(api: HfApi, files: Mapping[str, Path], repo_id: str, kind: Kind, *, private: bool) -> str:
    from huggingface_hub import CommitOperationAdd

    url = api.create_repo(repo_id, repo_type=kind, private=private, exist_ok=True)
    if private and not api.repo_info(repo_id, repo_type=kind).private:
        raise InputError(
            f"{repo_id!r} is there already and public; make it private, take another name, or ask for a public push"
        )
    what = "Data set" if kind == "dataset" else "Encoder"
    api.create_commit(
        repo_id,
        [CommitOperationAdd(name, str(file)) for name, file in files.items()],
        commit_message=f"{what} of reasonir-trainer",
        repo_type=kind,
    )
    return str(url)


def _without(token: str | None, error: Exception) -> str:
    """What went wrong, and what the hub or the error at the bottom says about it; without the token."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    said = getattr(error, "server_message", None) or (_first_line(cause) if cause is not error else "")
    text = redact("; ".join(part for part in (_first_line(error), " ".join(str(said).split())) if part))
    return text.replace(token, "[secret]") if token else text


def _first_line(error: BaseException) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
