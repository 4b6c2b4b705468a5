"""`reasonir doctor`: what is wrong with a store, and what was done about it."""

from __future__ import annotations

from typing import Annotated

import typer

from reasonir_agent.cli import screen
from reasonir_agent.cli.options import EncoderOption, JsonOption, StoreOption
from reasonir_agent.cli.settings import choose

_DAMAGED = 2


def doctor(
    store: StoreOption = None,
    encoder: EncoderOption = None,
    rebuild: Annotated[
        bool,
        typer.Option(
            "--rebuild", help="Make the indexes anew, drop unused vectors, put a damaged manifest aside (vectors stay)."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Examine a store (manifest, vectors, lexical index, Chroma, encoder) and repair it."""
    from reasonir_agent.corpus.doctor import examine
    from reasonir_agent.encoder import ReasonIREncoder

    choices = choose(store=store, encoder=encoder)
    with screen.python_warnings():
        findings = examine(
            choices.store,
            lambda name: ReasonIREncoder(choices.encoder_option or name),
            rebuild=rebuild,
            exact_bytes=choices.exact_bytes,
        )
    sound = all(one.sound for one in findings)
    if as_json:
        screen.print_json({"sound": sound, "findings": [one.as_json() for one in findings]})
    else:
        screen.print_findings(findings, choices.store)
    if not sound:
        raise typer.Exit(_DAMAGED)
