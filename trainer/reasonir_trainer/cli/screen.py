"""What the user sees. Results go to stdout, everything else to stderr; with --json, stdout is exactly one object.

Texts of documents and models are untrusted: control characters are removed, and nothing is read as markup.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text


class Ended(Exception):
    """A command that has said itself how it ended.

    Attributes:
        code: exit code.
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"exit code {code}")
        self.code = code


def clean(text: str) -> str:
    """Text without control and formatting characters (terminal escapes, direction marks), newlines kept."""
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else " " for c in text)


def say(text: str) -> None:
    """Lines of the result on stdout."""
    sys.stdout.write(clean(text) + "\n")


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on stdout, in which nothing acts on a terminal."""
    text = json.dumps(value, ensure_ascii=False, indent=2).encode("utf-8", "replace").decode()
    escaped = {ord(c): json.dumps(c)[1:-1] for c in set(text) if clean(c) != c}
    sys.stdout.write(text.translate(escaped) + "\n")


def stderr() -> Console:
    """The console of progress and notes; opened when it is needed, for tests and pipes change the stream."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def note(text: str, *, style: str = "yellow") -> None:
    """A line for the user on stderr."""
    console = stderr()
    console.print(Text(clean(text), style=style), soft_wrap=not console.is_terminal)
