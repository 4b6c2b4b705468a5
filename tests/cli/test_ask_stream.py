"""What a question shows while it is worked on: in a real terminal, through pipes, narrow, without colour, interrupted."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from reasonir_agent.cli.live import Watch
from reasonir_agent.testing import Reply, ScriptedChatServer

QUESTION = "Why do ducks not freeze to the ice?"
REWRITE = "The essential problem is how legs on ice keep their warmth: 动脉与静脉并列，温暖的血液加热返回的冷血。"


class Model:
    """A scripted model that takes its time, so that every stage can be seen; counts what it is asked."""

    def __init__(self, **delays: float) -> None:
        self.delays = delays
        self.asked: list[str] = []

    def __call__(self, request: Any) -> Reply:
        system, text = (str(request["messages"][i]["content"]) for i in (0, 1))
        starts = {"You prepare": "rewrite", "You judge": "rerank", "You decide": "grade", "You answer": "answer"}
        step = next((name for start, name in starts.items() if system.startswith(start)), "support")
        self.asked.append(step)
        return Reply(self._said(step, text), delay=self.delays.get(step, 0.0))

    def _said(self, step: str, text: str) -> str:
        if step == "support":
            pairs = json.loads(text)
            return json.dumps(
                {"pairs": [{"pair": one["pair"], "supported": "invented" not in one["sentence"]} for one in pairs]}
            )
        if step != "answer":
            return {"rewrite": REWRITE, "rerank": "Score: 3", "grade": '{"verdict": "answer", "missing": []}'}[step]
        n = next(
            int(n) for n, said in re.findall(r'<passage n="(\d+)">(.*?)</passage>', text, re.S) if "Ducks keep" in said
        )
        return json.dumps(
            {
                "found": True,
                "answer": f"Warm blood heats the cold blood there [{n}]. \x1b[31mAn invented sentence of the draft stands here [{n}].",
                "citations": [{"n": n, "quote": "Ducks keep their feet cold on purpose."}],
            }
        )  # fmt: skip


@dataclass
class Screen:
    """A terminal that knows what rich sends: text, line ends, up, erase, colours, the cursor shown or hidden."""

    lines: list[str] = field(default_factory=lambda: [""])
    row: int = 0
    hides_cursor: bool = False
    unknown: set[str] = field(default_factory=set)

    @classmethod
    def after(cls, sent: str) -> Screen:
        screen = cls()
        for match in re.finditer(r"\x1b\[([?\d;]*)([A-Za-z])|\r?\n|\r|([^\x1b\r\n]+)|\x1b", sent):
            screen._take(match)
        return screen

    def _take(self, match: re.Match[str]) -> None:
        what = match[0]
        if match[3]:
            self.lines[self.row] += match[3]
        elif what.endswith("\n"):
            self.row += 1
            self.lines += [""] * (self.row + 1 - len(self.lines))
        elif match[2] == "A":
            self.row = max(self.row - int(match[1] or 1), 0)
        elif match[2] == "K":
            self.lines[self.row] = ""
        elif match[2] in ("h", "l") and match[1] == "?25":
            self.hides_cursor = match[2] == "l"
        elif match[2] not in ("m",) and what != "\r":
            self.unknown.add(what)

    @property
    def words(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines).strip()


@dataclass
class Shown:
    """What one call left: on its terminal, or in its pipes."""

    code: int
    terminal: str
    out: str

    @property
    def screen(self) -> Screen:
        return Screen.after(self.terminal)


Ask = Callable[..., Shown]


@pytest.fixture
def ask(indexed: Path, work: Path) -> Iterator[Ask]:
    """Run `reasonir ask` in a process of its own with a terminal at stderr, and at stdout unless that is a pipe."""
    running: list[subprocess.Popen[str]] = []

    def call(
        server: ScriptedChatServer,
        *words: str,
        width: int = 100,
        height: int = 30,
        piped: bool = False,
        until: Callable[[], object] | None = None,
        **environment: str,
    ) -> Shown:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        variables = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
        process = subprocess.Popen(
            [sys.executable, "-m", "reasonir_agent.cli", "ask", QUESTION, "--store", str(indexed / "store"), *words],
            env={**variables, "TERM": "xterm-256color", "OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "none",
                 "REASONIR_LLM": "openai:m", **environment},
            cwd=work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else theirs,
            stderr=theirs,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        running.append(process)
        os.close(theirs)
        sent = _read(ours, process, until)
        out = process.stdout.read() if process.stdout else ""
        return Shown(process.wait(60), sent, out)

    yield call
    for one in running:
        one.kill()
        if one.stdout:
            one.stdout.close()


def _read(terminal: int, process: subprocess.Popen[str], until: Callable[[], object] | None) -> str:
    """All that is sent to a terminal; when `until` comes true, the process is interrupted as by Ctrl-C."""
    sent, end = b"", time.monotonic() + 120
    with os.fdopen(terminal, "rb", buffering=0) as file, suppress(OSError):  # the other side has been closed
        while time.monotonic() < end:
            if until is not None and until():
                process.send_signal(signal.SIGINT)
                until = None
            if select.select([terminal], [], [], 0.05)[0]:
                piece = file.read(65536)
                if not piece:
                    break
                sent += piece
    return sent.decode()


@pytest.mark.slow
def test_every_stage_is_seen_and_the_checked_answer_stands_alone(ask: Ask, work: Path) -> None:
    (work / "reasonir.toml").write_text("[agent]\nconcurrency = 1\n")  # one score after the other
    with ScriptedChatServer(Model(rerank=0.4, support=0.8)) as server:
        shown = ask(server, width=140)
    assert shown.code == 0
    sent = shown.terminal
    order = [
        sent.index("rewriting the question"),
        sent.index("scoring passages"),
        sent.index("draft, not checked yet"),
        sent.rindex("An invented sentence of the draft"),
    ]
    assert order == sorted(order)
    assert "\x1b[2m" in sent and "essential problem" in sent and "温暖的血液" in sent
    assert re.search(r"[123]/3", sent)
    assert "\x1b[31m" not in sent  # a colour of the model's
    screen = shown.screen
    assert screen.unknown == set() and not screen.hides_cursor
    words = screen.words
    assert words.startswith(QUESTION)
    assert "draft" not in words.replace("sentence of the draft", "") and "scoring" not in words
    assert words.count("Warm blood heats the cold blood there [1].") == 1
    assert "sentence of the draft stands here. [no source]" in words
    lines = words.splitlines()
    assert re.fullmatch(r"\d+\.\d s · \d+ model calls, [\d,]+ \+ [\d,]+ tokens", lines[-1])
    citation, warning = (next(n for n, line in enumerate(lines) if start in line) for start in ("[1] texts/", "note: "))
    assert citation < warning < len(lines) - 1
    assert any(request.get("stream") for request in server.requests if "You answer" in str(request))


@pytest.mark.slow
def test_through_a_pipe_only_the_result_reaches_stdout(ask: Ask) -> None:
    with ScriptedChatServer(Model()) as server:
        shown = ask(server, piped=True)
        as_json = ask(server, "--json", piped=True)
    assert (shown.code, as_json.code) == (0, 0)
    assert "\x1b" not in shown.out and "draft, not" not in shown.out
    assert shown.out.startswith(QUESTION) and "Warm blood heats the cold blood there [1]." in shown.out
    assert "rewriting the question" in shown.terminal
    assert json.loads(as_json.out)["answer"].startswith("Warm blood heats")
    assert "rewriting the question" in as_json.terminal and "Warm blood" not in as_json.screen.words


@pytest.mark.slow
def test_without_a_terminal_nothing_is_shown_and_nothing_is_streamed(
    run: Any, indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedChatServer(Model()) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        found = run("ask", QUESTION, "--store", indexed / "store", "--llm", "openai:m")
    assert found.code == 0
    assert [line.partition(":")[0] for line in found.err.splitlines()] == ["note"]
    assert not any(request.get("stream") for request in server.requests)


@pytest.mark.slow
def test_a_narrow_terminal_without_colour(ask: Ask) -> None:
    with ScriptedChatServer(Model(support=0.8)) as server:
        shown = ask(server, width=24, height=8, NO_COLOR="1")
    assert shown.code == 0
    colours = {code for codes in re.findall(r"\x1b\[([\d;]*)m", shown.terminal) for code in codes.split(";")}
    assert colours <= {"", "0", "1", "2", "3"}  # bold, dim and italic are no colours
    screen = shown.screen
    assert screen.unknown == set()
    assert max(cell_len(line) for line in screen.lines) <= 24
    assert "Warm blood heats" in screen.words and "not checked" not in screen.words


@pytest.mark.slow
def test_a_terminal_that_can_do_nothing_gets_the_result(ask: Ask) -> None:
    with ScriptedChatServer(Model()) as server:
        shown = ask(server, TERM="dumb")
    assert shown.code == 0
    assert "\x1b" not in shown.terminal and "rewriting" not in shown.terminal
    assert "Warm blood heats the cold blood there [1]." in shown.terminal


@pytest.mark.slow
def test_control_c_ends_what_is_in_flight_and_gives_the_terminal_back(ask: Ask) -> None:
    model = Model(rerank=3.0)
    with ScriptedChatServer(model) as server:
        began = time.monotonic()
        shown = ask(server, until=lambda: "rerank" in model.asked)
        asked = list(model.asked)
        assert time.monotonic() - began < 60
        time.sleep(0.5)
        assert model.asked == asked and "answer" not in asked
    assert shown.code == 130
    assert "\x1b[?25l" in shown.terminal and not shown.screen.hides_cursor
    assert shown.screen.words == "interrupted"


def frame(watch: Watch, *, width: int = 40, height: int = 12) -> list[str]:
    """What a watch draws on a terminal of this size."""
    console = Console(file=StringIO(), force_terminal=True, color_system=None, width=width, height=height)
    lines = console.render_lines(watch, console.options, pad=False)
    return ["".join(segment.text for segment in line).rstrip() for line in lines]


def rewritten(text: str, *, earlier: Sequence[str] = ()) -> dict[str, Any]:
    """What the step leaves: the texts of all rounds, and in the trace those of this one."""
    return {"rewrites": [*earlier, text], "trace": [{"step": "rewrite", "rewrites": [text]}]}


def tell(watch: Watch, kind: str, *pieces: str | None) -> None:
    for piece in pieces:
        watch.news({"kind": kind, "text": piece})


@pytest.mark.parametrize("size", [(100, 40), (40, 12), (24, 8), (12, 5), (3, 3), (1, 1)])
@pytest.mark.parametrize(
    "text", ["word " * 400, "动脉与静脉并列，" * 300, "x" * 3000, "line\n" * 500, "\t\x1b[2J" * 200, ""]
)
def test_no_frame_is_larger_than_the_terminal(size: tuple[int, int], text: str) -> None:
    width, height = size
    watch = Watch()
    tell(watch, "rewrite", text)
    stages = [frame(watch, width=width, height=height)]
    watch.step("rewrite", rewritten(text))
    watch.news({"kind": "rerank", "done": 12, "of": 1300})
    stages.append(frame(watch, width=width, height=height))
    watch.step("grade", {"missing": [text, text]})
    stages.append(frame(watch, width=width, height=height))
    tell(watch, "answer", text)
    stages.append(frame(watch, width=width, height=height))
    for lines in stages:
        assert len(lines) <= max(height - 1, 1)
        assert max(map(cell_len, lines)) <= width
        assert not any(character < " " or character == "\x7f" for line in lines for character in line)


def shown_words(watch: Watch) -> str:
    return " ".join(" ".join(frame(watch, width=60, height=20)[1:]).replace("│", " ").split())


def test_the_end_of_a_long_text_is_seen_and_later_its_beginning() -> None:
    watch = Watch()
    tell(watch, "rewrite", *(f"word{number} " for number in range(500)))
    assert shown_words(watch).endswith("word498 word499")
    watch.step("rewrite", rewritten("..."))
    assert shown_words(watch).startswith("word0 word1 word2")
    assert len(frame(watch)) == 2


def test_a_text_that_begins_anew_forgets_what_came() -> None:
    watch = Watch()
    tell(watch, "rewrite", "first try", None, "second try")
    assert shown_words(watch) == "second try"
    tell(watch, "answer", "a draft", None, "another draft")
    assert "a draft" not in shown_words(watch) and "another draft" in shown_words(watch)


def test_a_model_that_does_not_stream_is_followed_by_its_steps() -> None:
    watch = Watch()
    watch.step("rewrite", rewritten("the whole rewrite"))
    assert frame(watch)[0].split()[1] == "searching" and shown_words(watch) == "the whole rewrite"
    watch.step("retrieve", {"hits": []})
    assert "scoring passages" in frame(watch)[0]
    watch.step("rerank", {})
    assert "reading the best passages" in frame(watch)[0]
    watch.step("grade", {"missing": ["what \x1b[2J veins\ndo"]})
    assert "searching again for: what [2J veins do" in frame(watch, width=90)[0]
    tell(watch, "rewrite", "veins")
    assert "again for" in frame(watch)[0] and shown_words(watch) == "veins"
    watch.step("rewrite", rewritten("veins"))
    watch.step("grade", {"missing": ["why"]})
    watch.step("rewrite", rewritten("the third round", earlier=["the whole rewrite", "veins"]))
    assert shown_words(watch) == "the third round", "its own, and none of the rounds before"
    watch.step("grade", {"missing": []})
    assert "writing the answer" in frame(watch)[0]


def test_the_bar_shows_how_far_it_is() -> None:
    watch = Watch()
    watch.news({"kind": "rerank", "done": 15, "of": 30})
    (line,) = frame(watch, width=100)
    assert "15/30" in line and line.count("━") in range(14, 32)
    watch.step("rerank", {})
    assert "/30" not in frame(watch, width=100)[0]


def test_a_megabyte_is_no_burden() -> None:
    watch = Watch()
    began = time.perf_counter()
    for _ in range(100):
        tell(watch, "answer", "wörter " * 1500)
    for _ in range(20):
        frame(watch, width=200, height=60)
    assert time.perf_counter() - began < 5
    assert len(watch.draft or "") <= 200_000


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [("--rounds", "0", "rounds must be 1 or more"), ("--max-calls", "-1", "max_calls must be 0 or more"),
     ("--max-seconds", "-1", "max_seconds must be 0 or more")],
)  # fmt: skip
def test_a_bound_out_of_range_is_refused(run: Any, indexed: Path, option: str, value: str, message: str) -> None:
    found = run("ask", QUESTION, "--store", indexed / "store", option, value)
    assert found.code == 2 and message in found.err


def test_bounds_reach_the_agent(run: Any, indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model()
    with ScriptedChatServer(model) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        words = ("--store", indexed / "store", "--llm", "openai:m", "--json")
        once = run("ask", QUESTION, *words, "--rounds", 1)
        assert once.code == 0 and "grade" not in model.asked
        model.asked.clear()
        cheap = run("ask", QUESTION, *words, "--max-calls", 2)
        assert cheap.code == 0 and len(model.asked) <= 2
        assert cheap.json["usage"]["llm_calls"] <= 2 and cheap.json["warnings"]
        model.asked.clear()
        searched = run("search", QUESTION, *words, "--max-calls", 1)
        assert searched.code == 0 and len(model.asked) <= 1 and searched.json["warnings"]


def test_money_is_shown_when_prices_are_known(
    run: Any, indexed: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work / "reasonir.toml").write_text("[agent]\nprompt_price = 2.0\ncompletion_price = 8.0\nmax_money = 1.0\n")
    with ScriptedChatServer(Model()) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        words = ("ask", QUESTION, "--store", indexed / "store", "--llm", "openai:m")
        found, as_json = run(*words), run(*words, "--json").json
    usage = as_json["usage"]
    cost = (2 * usage["prompt_tokens"] + 8 * usage["completion_tokens"]) / 1_000_000
    assert usage["cost"] == pytest.approx(cost)
    assert found.out.rstrip().endswith(f" · cost {cost:.4f}")
