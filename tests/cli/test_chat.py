"""`reasonir chat`: from a pipe, on a terminal, and after `kill -9` in the middle of a turn."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from reasonir_agent.testing import Reply, ScriptedChatServer

DUCKS, DEBTS = "Why do ducks not freeze to the ice?", "What does inflation do to debts?"
FOLLOW_UP, ALONE = "And to lenders?", "What does inflation do to lenders?"


class Model:
    """Answers from the passage about debts; knows which step is asking."""

    def __init__(self) -> None:
        self.answering: str | Reply | None = None
        self.asked: list[str] = []

    def __call__(self, request: Mapping[str, Any]) -> str | Reply:
        system, text = (str(message["content"]) for message in request["messages"][:2])
        says: dict[str, Callable[[], str | Reply]] = {
            "You are given a conversation": lambda: ALONE,
            "You prepare searches": lambda: "Inflation erodes the real value of nominal debts.",
            "You judge how useful": lambda: "Score: 5" if "Inflation erodes" in text else "Score: 0",
            "You decide how": lambda: '{"verdict": "answer", "missing": []}',
            "You answer a question": lambda: self.answering or self._answer(text),
            "You check citations": lambda: json.dumps(
                {"pairs": [{"pair": one["pair"], "supported": True} for one in json.loads(text)]}
            ),
        }
        step = next(start for start in says if system.startswith(start))
        self.asked.append(step)
        return says[step]()

    def _answer(self, text: str) -> str:
        found = re.search(r'<passage n="(\d+)">(?:(?!</passage>).)*Borrowers repay', text, flags=re.DOTALL)
        assert found
        quote = {"n": int(found[1]), "quote": "Borrowers repay with money that buys less"}
        return json.dumps({"found": True, "answer": f"Borrowers win [{found[1]}].", "citations": [quote]})


_ON_TERMINAL = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever runs tests in the background ignores it
os.execv(sys.executable, sys.argv[1:])
"""


class Terminal:
    """`reasonir chat` on a pseudo-terminal of its own, where Ctrl-C and Ctrl-D are what they are for a user."""

    def __init__(self, *words: object, **environment: str) -> None:
        self.screen, inside = pty.openpty()
        command = [sys.executable, "-m", "reasonir_agent.cli", "chat", *map(str, words)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", _ON_TERMINAL, *command],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
            env={**os.environ, "TERM": "dumb", "COLUMNS": "100", **environment},
        )
        os.close(inside)
        self.seen = ""

    def until(self, wanted: str, seconds: float = 60.0) -> str:
        """Read what the screen shows until a text is there; returns what came since the last call."""
        ends = time.monotonic() + seconds
        while wanted not in self.seen:
            assert time.monotonic() < ends, self.seen
            if select.select([self.screen], [], [], 0.2)[0]:
                piece = self._read()
                assert piece, self.seen
                self.seen += piece
        before, found, self.seen = self.seen.partition(wanted)
        return before + found

    def type(self, line: str) -> None:
        os.write(self.screen, f"{line}\n".encode())

    def end(self) -> tuple[int, str]:
        """Exit code, and what was shown at last."""
        self.process.wait(60)
        while piece := self._read():
            self.seen += piece
        os.close(self.screen)
        return self.process.returncode, self.seen

    def kill(self) -> None:
        self.process.kill()

    def _read(self) -> str:
        try:
            return os.read(self.screen, 65536).decode(errors="replace")
        except OSError:  # the other end is gone
            return ""


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_one(*words: object, **environment: str) -> Terminal:
        opened.append(Terminal(*words, **environment))
        return opened[-1]

    yield open_one
    for one in opened:
        if one.process.poll() is None:
            one.kill()
            one.end()


@pytest.fixture
def piped(run: Any, monkeypatch: pytest.MonkeyPatch, indexed: Path, work: Path) -> Callable[..., Any]:
    """Run `reasonir chat` with lines from a pipe; conversations are kept in the test's own folder."""

    def call(lines: str, *words: object, session: str = "talk.sqlite") -> Any:
        monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
        return run("chat", "--store", indexed / "store", "--session", work / session, *words)

    return call


def test_every_line_of_a_pipe_is_a_question(piped: Any) -> None:
    found = piped(f"{DUCKS}\n\n  \n/sources\n/nothing\n{DEBTS}\n/quit\nnever asked\n")
    assert found.code == 0
    assert "counter-current" in found.out and "Inflation erodes" in found.out and "never asked" not in found.out
    assert "[1] texts/ducks.txt:0-" in found.out
    assert found.err.count("no chat model") == 1
    assert "there is no /nothing; /sources shows" in found.err


def test_json_is_one_object_with_the_turns_of_this_run(piped: Any, work: Path) -> None:
    assert piped(f"{DUCKS}\n").code == 0
    found = piped(f"{DEBTS}\n/sources\n{DUCKS}\n", "--json").json
    assert set(found) == {"conversation", "file", "turns", "usage"}
    assert (found["conversation"], found["file"]) == ("talk", str(work / "talk.sqlite"))
    assert [(one["message"], one["question"]) for one in found["turns"]] == [(DEBTS, DEBTS), (DUCKS, DUCKS)]
    assert found["turns"][0]["citations"][0]["source"] == "texts/debts.md"
    assert set(found["usage"]) == {
        "llm_calls",
        "prompt_tokens",
        "completion_tokens",
        "cost",
        "seconds",
        "reranker_failures",
    }
    assert piped("", "--json").json["turns"] == []


def test_going_on_shows_the_last_turns(piped: Any) -> None:
    for question in (DEBTS, DUCKS, DUCKS, DUCKS):
        piped(f"{question}\n")
    found = piped("")
    assert (found.code, found.out.count(DUCKS), DEBTS in found.out) == (0, 3, False)


def test_a_follow_up_is_understood_and_shown(piped: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedChatServer(Model()) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        found = piped(f"{DEBTS}\n{FOLLOW_UP}\n", "--llm", "openai:test")
    assert (found.code, "no chat model" in found.err) == (0, False)
    assert f"{FOLLOW_UP}  (understood as:)\n{ALONE}\n" in found.out
    assert found.out.count("Borrowers win [1].") == 2


def test_a_server_that_is_down_ends_a_pipe_and_the_question_is_answered_later(
    piped: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedChatServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    found = piped(f"{DEBTS}\n", "--llm", "openai:test", "--json")
    assert found.code == 2
    assert "cannot be reached" in found.json["error"]
    with ScriptedChatServer(Model()) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        found = piped("", "--llm", "openai:test", "--json", "--resume")
    assert f"finishing the turn that was interrupted: {DEBTS}" in found.err
    assert [one["message"] for one in found.json["turns"]] == [DEBTS]


def test_what_cannot_be_used_is_said(run: Any, piped: Any, indexed: Path, work: Path) -> None:
    store = ("--store", indexed / "store")
    assert "name the conversation once" in run("chat", "a", "--session", "b", *store).err
    assert "there is no conversation to resume" in run("chat", "--resume", *store).err
    assert "there is no conversation 'b'; there is: none" in run("chat", "--resume", "b", *store).err
    assert "is a folder" in run("chat", "--session", work, *store).err
    assert "there is no store at" in run("chat", "--store", work / "none").err
    (work / "bad.sqlite").write_bytes(b"nothing like a database " * 50)
    assert "file is not a database" in piped("", session="bad.sqlite").err
    assert piped(f"{DUCKS}\n", "--where", "nonsense").code == 2


@pytest.mark.slow
def test_a_conversation_on_a_terminal(terminal: Callable[..., Terminal], indexed: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    subprocess.run(["cp", "-r", str(indexed / "store"), str(store)], check=True)
    talk = terminal("--store", store)
    assert "no chat model" in talk.until("> ")
    talk.type(DUCKS)
    assert "counter-current" in talk.until("> ")
    talk.type("/sources")
    assert "[1] texts/ducks.txt:0-" in talk.until("> ")
    talk.type("/new")
    talk.until("a new conversation")
    talk.until("> ")
    talk.type("/sources")
    assert "nothing was answered yet" in talk.until("> ")
    talk.type(DEBTS)
    assert "Inflation erodes" in talk.until("> ")
    talk.type("\x04")
    code, last = talk.end()
    names = sorted(file.stem for file in (store / "chats").glob("*.sqlite"))
    assert code == 0
    assert len(names) == 2 and f"reasonir chat --resume {names[1]}" in last
    again = terminal("--store", store, "--resume", names[0])
    assert "counter-current" in again.until("> ")
    again.type("/quit")
    assert again.end()[0] == 0
    last_one = terminal("--store", store, "--resume")
    assert "counter-current" in last_one.until("> ")  # the one that was used last
    time.sleep(0.5)  # a signal between the prompt and the wait for keys is seen with the next key only (CPython)
    os.write(last_one.screen, b"\x03")
    assert last_one.end()[0] == 130


@pytest.mark.slow
def test_a_chat_that_was_killed_in_the_middle_of_a_turn_is_resumed(
    terminal: Callable[..., Terminal], indexed: Path, tmp_path: Path
) -> None:
    model = Model()
    file = tmp_path / "talk.sqlite"
    words = ("--store", indexed / "store", "--session", file, "--llm", "openai:test")
    with ScriptedChatServer(model) as server:
        talk = terminal(*words, OPENAI_BASE_URL=server.base_url)
        talk.until("> ")
        talk.type(DEBTS)
        assert "Borrowers win [1]." in talk.until("> ")
        model.answering = Reply("", delay=20.0)
        talk.type(FOLLOW_UP)
        ends = time.monotonic() + 60
        while model.asked.count("You answer a question") < 2:
            assert time.monotonic() < ends, talk.seen
            time.sleep(0.02)
        talk.kill()
        assert talk.end()[0] == -signal.SIGKILL
        model.answering = None
        before = list(model.asked)
        again = terminal(*words, "--resume", OPENAI_BASE_URL=server.base_url)
        shown = again.until(f"finishing the turn that was interrupted: {FOLLOW_UP}")
        assert DEBTS in shown and "Borrowers win [1]." in shown
        finished = again.until("> ")
        assert ALONE in finished and "Borrowers win [1]." in finished
        assert model.asked[len(before) :] == ["You answer a question", "You check citations"]
        again.type("/quit")
        assert again.end()[0] == 0


@pytest.mark.slow
def test_ctrl_c_stops_a_turn_and_not_the_conversation(
    terminal: Callable[..., Terminal], indexed: Path, tmp_path: Path
) -> None:
    model = Model()
    model.answering = Reply("", delay=20.0)
    words = ("--store", indexed / "store", "--session", tmp_path / "talk.sqlite", "--llm", "openai:test")
    with ScriptedChatServer(model) as server:
        talk = terminal(*words, OPENAI_BASE_URL=server.base_url)
        talk.until("> ")
        talk.type(DEBTS)
        while "You answer a question" not in model.asked:
            time.sleep(0.02)
        os.write(talk.screen, b"\x03")
        talk.until("stopped; this turn is forgotten")
        talk.until("> ")
        model.answering = None
        talk.type(DEBTS)
        assert "Borrowers win [1]." in talk.until("> ")
        server.close()
        talk.type(FOLLOW_UP)
        assert "cannot be reached" in talk.until("> ")
        talk.type("/quit")
        assert talk.end()[0] == 0
