"""One small indexed store for all tests of the command line, and a way to run it inside the test's process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reasonir_agent.cli.main import main
from reasonir_agent.encoder import files
from reasonir_agent.llm import model
from reasonir_agent.testing import write_corpus

TEXTS = {
    "ducks.txt": (
        "Ducks keep their feet cold on purpose. The arteries of their legs lie beside the veins, so outgoing warm blood "
        "heats the returning cold blood. This counter-current exchanger loses hardly any heat to the ice."
    ),
    "debts.md": "# Money\n\nInflation erodes the real value of nominal debts. Borrowers repay with money that buys less.",
    "wild.txt": (
        "Terminals obey \x1b[31mescape\x1b[0m sequences, \x9b31m too, \x1b]8;;http://evil.example\x07links\x1b]8;;\x07, bells \x07 "
        "and \u202eright-to-left\u202c marks. Markup like [bold]thick[/bold] and [link=http://evil.example]here[/link] is text."
    ),
}


@dataclass(frozen=True)
class Run:
    """What one call of the command line left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Stdout as the one JSON object that it has to be."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


@pytest.fixture(scope="session")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with `texts/` and, made with the local encoder, `store/`; tests only read it."""
    folder = tmp_path_factory.mktemp("cli")
    write_corpus(folder / "texts", TEXTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "CACHE_FOLDER", folder / "cache")
        patch.chdir(folder)
        with pytest.raises(SystemExit) as end:
            main(["index", "texts", "--store", "store", "--encoder", "minilm"])
        assert end.value.code == 0
    yield folder


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of the test's own, which it works in; nothing outside of the machine is asked for models.

    A chat server that is not there is asked again at once.
    """
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(model, "FIRST_WAIT", 0.01)
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """Run the command line with words."""

    def call(*words: object) -> Run:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        assert isinstance(end.value.code, int)
        assert "Traceback" not in captured.err
        return Run(end.value.code, captured.out, captured.err)

    return call


@pytest.fixture
def texts() -> dict[str, str]:
    return dict(TEXTS)
