"""What every command line of ours does alike: how it ends, and how it speaks. Command lines import it, nothing else.

Results go to stdout, everything else to stderr; with --json, stdout is exactly one object. Texts of documents and models
are untrusted: control characters are removed, and nothing is read as markup. An error is one clear sentence.

Exit codes: 0 a result (degraded or abstained included) · 2 wrong input, or a chat server that cannot be reached · 1 an
internal error · 130 interrupted. A traceback is shown with --debug only.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

from rich.console import Console
from rich.text import Text

from reasonir_agent.errors import (
    ChatUnavailable,
    EncoderError,
    InputError,
    MissingExtra,
    ReasonIRError,
    StoreError,
    redact,
)

if TYPE_CHECKING:
    import typer

err: Final = Console(stderr=True, highlight=False, soft_wrap=True)

_USERS_TO_MEND: Final = (InputError, MissingExtra, StoreError, ChatUnavailable, EncoderError)
_INTERRUPTED: Final = 130


class Ended(Exception):
    """A command that has said itself how it ended.

    Attributes:
        code: exit code.
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"exit code {code}")
        self.code = code


def run(app: typer.Typer, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and leave the process with its exit code.

    Args:
        app: its commands; its name is that of the program.
        arguments: without the program; None takes those of the process.
    """
    import typer

    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    words = [word for word in given if word != "--debug"]
    try:
        code = app(words, standalone_mode=False)
    except Ended as ended:
        sys.exit(ended.code)
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    except Exception as error:
        if debug:
            raise
        sys.exit(_explain(error, str(app.info.name), as_json="--json" in words))
    if code == _INTERRUPTED:  # newer releases of typer return it, older ones raise
        note("interrupted")
        if "--json" in words:
            print_json({"error": "interrupted"})
    sys.exit(code if isinstance(code, int) else 0)


def _explain(error: Exception, program: str, *, as_json: bool) -> int:
    """Say what went wrong in one sentence; returns the exit code."""
    code = getattr(error, "exit_code", None)
    if isinstance(error, ReasonIRError):
        code, text = (2 if isinstance(error, _USERS_TO_MEND) else 1), redact(str(error))
    elif isinstance(code, int) and hasattr(error, "format_message"):  # wrong options, told by the option parser
        text = str(error.format_message()) or f"a command is needed; see {program} --help"
    else:
        code, text = 1, f"internal error ({type(error).__name__}: {redact(str(error))}); --debug shows where"
    text = " ".join(text.split())
    note(f"error: {text}", style="bold red")
    if as_json:
        print_json({"error": text})
    return int(code)


def clean(text: str) -> str:
    """Text without control and formatting characters (terminal escapes, direction marks), newlines kept."""
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else " " for c in text)


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on stdout; what `clean` removes elsewhere is escaped, and so no terminal acts on it."""
    text = json.dumps(value, ensure_ascii=False, indent=2).encode("utf-8", "replace").decode()
    escaped = {ord(c): json.dumps(c)[1:-1] for c in set(text) if clean(c) != c}
    sys.stdout.write(text.translate(escaped) + "\n")


def note(text: str, *, style: str = "yellow") -> None:
    """A line for the user on stderr."""
    err.print(Text(clean(text), style=style), soft_wrap=not err.is_terminal)
