"""A command line to call, a scripted model behind it, and a few documents."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reasonir_agent.testing import ScriptedChatServer
from reasonir_trainer.cli import main
from tests.trainer.synthesis import scripted
from tests.trainer.synthesis.hub import Hub

CORPUS = Path(__file__).resolve().parents[3] / "examples" / "corpus"
FAULTS = scripted.sometimes(0.2, "not json", "mentions", "helps", "wrong length")
KEY = "sk-a-secret-key-1234567890"

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    for file in sorted(CORPUS.glob("*.md"))[:14]:
        (folder / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    return folder


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedChatServer]:
    with ScriptedChatServer(scripted.model(FAULTS)) as opened:
        monkeypatch.setenv("OPENAI_BASE_URL", opened.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("REASONIR_LLM", "openai:scripted")
        yield opened


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the command line; gives exit code, stdout, stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main([str(word) for word in words])
        said = capsys.readouterr()
        assert "Traceback" not in said.err + said.out and KEY not in said.err + said.out
        return int(left.value.code or 0), said.out, said.err

    return run


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # the plain protocol, which our hub speaks
    server = Hub()
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
