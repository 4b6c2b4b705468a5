"""The door of the command line: commands, exit codes, and errors as one clear sentence.

0 a result (degraded or abstained included) · 2 wrong input · 1 an internal error · 130 interrupted.
A traceback is shown with --debug only.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from reasonir_agent._version import __version__
from reasonir_agent.cli import screen
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
from reasonir_agent.errors import (
    ChatUnavailable,
    EncoderError,
    InputError,
    MissingExtra,
    ReasonIRError,
    StoreError,
    redact,
)

_USERS_TO_MEND = (InputError, MissingExtra, StoreError, ChatUnavailable, EncoderError)
_INTERRUPTED = 130

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


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    words = [word for word in given if word != "--debug"]
    try:
        code = app(words, standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    except Exception as error:
        if debug:
            raise
        sys.exit(_explain(error, as_json="--json" in words))
    if code == _INTERRUPTED:  # newer releases of typer return it, older ones raise
        screen.note("interrupted")
        if "--json" in words:
            screen.print_json({"error": "interrupted"})
    sys.exit(code if isinstance(code, int) else 0)


def _explain(error: Exception, *, as_json: bool) -> int:
    """Say what went wrong in one sentence; returns the exit code."""
    code = getattr(error, "exit_code", None)
    if isinstance(error, ReasonIRError):
        code, text = (2 if isinstance(error, _USERS_TO_MEND) else 1), redact(str(error))
    elif isinstance(code, int) and hasattr(error, "format_message"):  # wrong options, told by the option parser
        text = str(error.format_message()) or "a command is needed; see reasonir --help"
    else:
        code, text = 1, f"internal error ({type(error).__name__}: {redact(str(error))}); --debug shows where"
    text = " ".join(text.split())
    screen.note(f"error: {text}", style="bold red")
    if as_json:
        screen.print_json({"error": text})
    return int(code)
