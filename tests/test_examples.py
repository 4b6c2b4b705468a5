"""The examples run as they are, offline."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@pytest.mark.slow
def test_asking_a_folder_prints_both_answers_with_citations() -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "01_ask_a_folder.py")], capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "== without a model" in done.stdout
    scripted = done.stdout.split("== with a scripted model")[1]
    assert "stress-concentration.md" in scripted
    assert "“the sharper the tip, the higher the stress”" in scripted
    assert "32 model calls" in scripted  # one rewrite, 30 passages, one answer
