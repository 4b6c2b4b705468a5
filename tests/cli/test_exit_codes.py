"""Every failure is one clear sentence with the right exit code, as JSON too, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from reasonir_agent.agent import api
from reasonir_agent.cli.main import main
from reasonir_agent.errors import ChatError, InputError
from reasonir_agent.testing import Reply, ScriptedChatServer

STORE_FILE = "reasonir.sqlite"

WRONG = {
    "missing path": (("index", "no-such-path", "--encoder", "minilm"), "no file or folder 'no-such-path'"),
    "empty folder": (("index", "empty", "--encoder", "minilm"), "nothing to index: 'empty' holds no files"),
    "unknown encoder": (("index", "full", "--encoder", "nosuch"), "unknown encoder 'nosuch'"),
    "no store": (("search", "why?"), "no store at .reasonir"),
    "no store to ask": (("ask", "why?"), "no store at .reasonir"),
    "not our store": (("search", "why?", "--store", "full"), "full is not a store of reasonir"),
    "no question": (("search",), "Missing argument"),
    "no path": (("index",), "Missing argument"),
    "unknown option": (("search", "why?", "--nope"), "--nope"),
    "unknown command": (("serach", "why?"), "serach"),
    "k no number": (("search", "why?", "-k", "many"), "'-k'"),
    "k too small": (("search", "why?", "-k", "0"), "k must be 1 or more, got 0"),
    "no questions file": (("evaluate", "abstention", "none.jsonl"), "none.jsonl"),
}


@pytest.fixture
def full(work: Path) -> Path:
    (work / "empty").mkdir()
    (work / "full").mkdir()
    (work / "full" / "text.txt").write_text("Ducks on ice.", encoding="utf-8")
    return work


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize(("words", "told"), WRONG.values(), ids=WRONG)
def test_wrong_input_is_exit_2_with_one_sentence_and_nothing_made(
    run: Any, full: Path, words: tuple[str, ...], told: str
) -> None:
    before = everything(full)
    plain = run(*words)
    assert plain.code == 2
    assert plain.out == ""
    assert plain.err.startswith("error: ")
    assert plain.err.count("\n") == 1
    assert told in plain.err
    as_json = run(*words, "--json")
    assert as_json.code == 2
    assert set(as_json.json) == {"error"}
    assert told in as_json.json["error"]
    assert everything(full) == before


def test_a_broken_store_is_exit_2(run: Any, work: Path) -> None:
    (work / ".reasonir").mkdir()
    (work / ".reasonir" / STORE_FILE).write_bytes(b"this is no database" * 100)
    found = run("search", "why?", "--json")
    assert found.code == 2
    assert ".reasonir" in found.json["error"]


def test_a_store_of_another_encoder_is_exit_2_and_names_both(run: Any, indexed: Path, golden_folder: Path) -> None:
    found = run("search", "why?", "--store", indexed / "store", "--encoder", golden_folder, "--json")
    assert found.code == 2
    assert "minilm" in found.json["error"]


def test_a_path_that_is_a_file_cannot_be_a_store(run: Any, full: Path) -> None:
    found = run("index", "full", "--store", "full/text.txt", "--encoder", "minilm")
    assert found.code == 2
    assert "must be a folder" in found.err


@pytest.mark.slow  # the client tries again before it gives up
def test_a_chat_server_that_is_not_there_is_exit_2(run: Any, indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        for command in ("search", "ask"):
            found = run(command, "why?", "--store", indexed / "store", "--llm", "openai:m", "--json")
            assert found.code == 2
            assert "cannot be reached" in found.json["error"]


def test_a_refused_key_is_exit_2_and_never_shown(run: Any, indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedChatServer(["x"], api_key="sk-right-123456") as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-654321")
        found = run("ask", "why?", "--store", indexed / "store", "--llm", "openai:m", "--json")
    assert found.code == 2
    assert "refuses the key" in found.json["error"]
    assert "654321" not in found.out + found.err


@pytest.mark.parametrize("name", ["gpt", "nosuch:model", "openai:m"])
def test_a_chat_model_that_cannot_be_opened_is_exit_2(run: Any, indexed: Path, name: str) -> None:
    found = run("ask", "why?", "--store", indexed / "store", "--llm", name)
    assert found.code == 2
    assert name in found.err
    assert found.err.count("\n") == 1


def raising(error: BaseException) -> Any:
    def run(*_: object, **__: object) -> None:
        raise error

    return run


def test_an_internal_error_is_exit_1_without_traceback(
    run: Any, indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "search", raising(ZeroDivisionError("boom with sk-secret-123456\nmore")))
    words = ("search", "why?", "--store", indexed / "store")
    plain = run(*words)
    assert plain.code == 1
    assert plain.err.startswith("error: internal error (ZeroDivisionError: boom with [secret]")
    assert "--debug shows where" in plain.err
    assert plain.err.count("\n") == 1
    found = run(*words, "--json")
    assert found.code == 1
    assert "ZeroDivisionError" in found.json["error"]


def test_a_failure_of_the_model_that_nothing_caught_is_exit_1(
    run: Any, indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "search", raising(ChatError("the model failed")))
    found = run("search", "why?", "--store", indexed / "store")
    assert (found.code, found.err) == (1, "error: the model failed\n")


def test_debug_shows_the_error_as_it_is(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "search", raising(ZeroDivisionError("boom")))
    with pytest.raises(ZeroDivisionError):
        main(["search", "why?", "--store", str(indexed / "store"), "--debug"])
    with pytest.raises(InputError):
        main(["--debug", "search", "why?"])


def test_an_interruption_is_exit_130(run: Any, indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "search", raising(KeyboardInterrupt()))
    words = ("search", "why?", "--store", indexed / "store")
    plain = run(*words)
    assert (plain.code, plain.out) == (130, "")
    assert "interrupted" in plain.err
    found = run(*words, "--json")
    assert (found.code, found.json) == (130, {"error": "interrupted"})


@pytest.mark.slow
def test_control_c_while_the_model_is_asked_ends_at_once(indexed: Path, work: Path) -> None:
    with ScriptedChatServer([Reply("late", delay=280)]) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "reasonir_agent.cli", "ask", "why?", "--store", str(indexed / "store")],
            env={**os.environ, "OPENAI_BASE_URL": server.base_url, "REASONIR_LLM": "openai:m"},
            cwd=work,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # a shell that starts us in the background has SIGINT ignored, and a child would inherit that
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        deadline = time.monotonic() + 60
        while not server.requests and time.monotonic() < deadline:
            time.sleep(0.05)
        assert server.requests
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=120)  # far less than the model takes
        finally:
            process.kill()
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err


@pytest.mark.slow
def test_the_installed_program_behaves_like_main(work: Path) -> None:
    program = Path(sys.executable).parent / "reasonir"
    done = subprocess.run([program, "search", "why?", "--json"], cwd=work, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"].startswith("there is no store at")
    assert done.stderr.startswith("error: there is no store at")
    by_module = subprocess.run(
        [sys.executable, "-m", "reasonir_agent.cli", "search"], cwd=work, capture_output=True, text=True, check=False
    )
    assert by_module.returncode == 2
    bare = subprocess.run([program], cwd=work, capture_output=True, text=True, check=False)
    assert bare.returncode == 2
    assert "Usage" in bare.stdout


def test_a_result_does_not_depend_on_its_exit(run: Any, indexed: Path) -> None:
    assert run("search", "ducks", "--store", indexed / "store").code == 0
