"""The door of the command line: a command is a function in a module of its own, and one line here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import typer

from reasonir_agent.terminal import run
from reasonir_trainer.cli.ablate import ablate
from reasonir_trainer.cli.export import export, take_over
from reasonir_trainer.cli.inspect import inspect
from reasonir_trainer.cli.merge import merge
from reasonir_trainer.cli.mine import mine
from reasonir_trainer.cli.push import push
from reasonir_trainer.cli.synthesize import synthesize
from reasonir_trainer.cli.train import train

app = typer.Typer(
    name="reasonir-trainer",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Training data and training for retrieval encoders, after ReasonIR.",
)
app.command("synthesize")(synthesize)
app.command("merge")(merge)
app.command("inspect")(inspect)
app.command("export")(export)
app.command("import")(take_over)
app.command("push")(push)
app.command("mine")(mine)
app.command("train")(train)
app.command("ablate")(ablate)


@app.callback()
def _root() -> None:
    """Options before the command."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave the process with its exit code."""
    run(app, arguments)
