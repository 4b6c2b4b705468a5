"""The door of the command line: commands, exit codes, and errors as one clear sentence.

0 a result, degraded included · 2 wrong input, or a chat server that cannot be reached · 1 an internal error · 130
interrupted. A traceback is shown with --debug only. A command is a function in a module of its own, and one line here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from reasonir_agent.errors import (
    ChatUnavailable,
    EncoderError,
    InputError,
    MissingExtra,
    ReasonIRError,
    StoreError,
    redact,
)
from reasonir_trainer.cli import screen
from reasonir_trainer.cli.ablate import ablate
from reasonir_trainer.cli.export import export, take_over
from reasonir_trainer.cli.inspect import inspect
from reasonir_trainer.cli.merge import merge
from reasonir_trainer.cli.mine import mine
from reasonir_trainer.cli.push import push
from reasonir_trainer.cli.synthesize import synthesize
from reasonir_trainer.cli.train import train

_USERS_TO_MEND = (InputError, MissingExtra, StoreError, ChatUnavailable, EncoderError)
_INTERRUPTED = 130

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


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    words = [word for word in given if word != "--debug"]
    try:
        code = app(words, standalone_mode=False)
    except screen.Ended as ended:
        sys.exit(ended.code)
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
        text = str(error.format_message()) or "a command is needed; see reasonir-trainer --help"
    else:
        code, text = 1, f"internal error ({type(error).__name__}: {redact(str(error))}); --debug shows where"
    text = " ".join(text.split())
    screen.note(f"error: {text}", style="bold red")
    if as_json:
        screen.print_json({"error": text})
    return int(code)
