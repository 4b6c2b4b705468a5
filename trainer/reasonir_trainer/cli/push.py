"""`reasonir-trainer push`: a finished data set or a trained encoder onto the hub, private unless it is asked for otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reasonir_trainer.cli import choices, screen


def push(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a finished run.")],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Made where there is none.")],
    public: Annotated[bool, typer.Option("--public", help="Let everybody see it.")] = False,
    endpoint: Annotated[str | None, typer.Option("--endpoint", help="Address of another hub.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Send a data set (table, card, summary) or an encoder (model, adapter) to the hub.

    The token is taken from HF_TOKEN or from `hf auth login`.
    """
    from reasonir_trainer.synthesis.push import push as send_data
    from reasonir_trainer.training.push import push as send_encoder

    send = send_encoder if (folder / "run.json").is_file() else send_data

    url = send(folder, repository, private=not public, endpoint=endpoint, token=choices.hub_token())
    if as_json:
        screen.print_json({"url": url, "private": not public})
        return
    screen.say(url)
