"""Check that the commands in the documents exist: make targets, commands of ours and their options, files named.

Run by `make check`. Exits 1 with a line for each command that nobody could run.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import typer

from reasonir_agent.cli.main import app
from reasonir_trainer.cli.main import app as trainer_app

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benchmarks/RESULTS.md",
    "examples/05_langgraph_server/README.md",
    "integrations/langchain-reasonir/README.md",
    "integrations/llama-index-reasonir/README.md",
    "trainer/README.md",
)
_FENCE = re.compile(r"^```(?:bash|sh|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[str]:
    """The command lines in the shell blocks of a Markdown text, continuation lines joined."""
    lines = "\n".join(_FENCE.findall(text)).replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ").split(" #")[0].strip() for line in lines if line.strip() and line[0] != "#"]


def problem(line: str, root: Path = ROOT) -> str | None:
    """Why a command cannot be run, or None."""
    words = shlex.split(line)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if words[0] == "make":
        targets = re.findall(r"^([\w-]+):", (root / "Makefile").read_text(), re.MULTILINE)
        return next((f"no make target {word!r}" for word in words[1:] if word not in targets), None)
    if words[0] == "reasonir":
        return _option_problem(app, words[1:])
    if words[0] == "reasonir-trainer":
        return _option_problem(trainer_app, words[1:])
    if words[0] == "python":
        return None if words[1].startswith("-") or (root / words[1]).is_file() else f"no file {words[1]!r}"
    return None


def _option_problem(app: typer.Typer, words: list[str]) -> str | None:
    command = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words[0]]  # type: ignore[attr-defined]
        words = words[1:]
    if getattr(command, "commands", None) and words[:1] != ["--help"]:
        return f"no command {' '.join(words[:1])!r}"
    known = {option for parameter in command.params for option in parameter.opts} | {"--help", "--debug"}
    options = [word.split("=")[0] for word in words if word.startswith("-")]
    return next((f"no option {option!r}" for option in options if option not in known), None)


def main() -> int:
    """Check every document; returns the exit code."""
    checked, wrong = 0, 0
    for name in DOCUMENTS:
        for line in commands((ROOT / name).read_text(encoding="utf-8")):
            checked += 1
            found = problem(line)
            if found is not None:
                wrong += 1
                print(f"{name}: {line}: {found}")
    print(f"{checked} commands in {len(DOCUMENTS)} documents, {wrong} wrong")
    return 1 if wrong or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
