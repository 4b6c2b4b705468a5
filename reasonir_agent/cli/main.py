"""The door of the command line: a command is a function in a module of its own, and one line here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from reasonir_agent._version import __version__
from reasonir_agent.cli.ask import ask
from reasonir_agent.cli.chat import chat
from reasonir_agent.cli.check_model import check_model
from reasonir_agent.cli.doctor import doctor
from reasonir_agent.cli.evaluate import evaluate
from reasonir_agent.cli.index import index
from reasonir_agent.cli.mcp import mcp
from reasonir_agent.cli.reembed import reembed
from reasonir_agent.cli.report import report
from reasonir_agent.cli.search import search
from reasonir_agent.cli.serve import serve
from reasonir_agent.terminal import run

app = typer.Typer(
    name="reasonir",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Agentic search for questions that need reasoning: point it at a folder, ask, get an answer with citations.",
)
app.command()(index)
app.command()(search)
app.command()(ask)
app.command()(chat)
app.command("check-model")(check_model)
app.command()(doctor)
app.command()(reembed)
app.command()(report)
app.command()(serve)
app.command()(mcp)
app.add_typer(evaluate, name="evaluate")


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"reasonir-agent {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before the command."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave the process with its exit code."""
    run(app, arguments)
