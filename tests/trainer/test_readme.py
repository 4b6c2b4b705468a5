"""The commands in the trainer's README exist, with their options."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import typer

from reasonir_trainer.cli.main import app
from reasonir_trainer.export import FORMATS
from tests.check_docs import commands, problem

README = Path(__file__).resolve().parents[2] / "trainer" / "README.md"
TEXT = README.read_text(encoding="utf-8")
LINES = commands(TEXT)


def test_there_are_commands() -> None:
    assert {line.split()[1] for line in LINES if line.startswith("reasonir-trainer")} >= {
        "synthesize", "merge", "inspect", "export", "import", "push", "mine",
    }  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_a_command_can_be_typed(line: str) -> None:
    program, *words = shlex.split(line)
    if program != "reasonir-trainer":
        assert problem(line) is None
        return
    command = typer.main.get_command(app).commands[words[0]]  # type: ignore[attr-defined]
    with command.make_context(words[0], words[1:], resilient_parsing=False) as context:
        assert context.args == []


def test_the_table_names_every_format() -> None:
    rows = [line.split("|")[1].strip(" `") for line in TEXT.splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(FORMATS)
