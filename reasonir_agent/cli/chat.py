"""`reasonir chat`: a conversation on the terminal, or one question a line from a pipe.

Each turn is kept under the store, in `chats/NAME.sqlite`, or in a file that the user names. A conversation that was
ended in the middle of a turn, even by `kill -9`, goes on there with --resume. On a terminal a turn that fails, or that
Ctrl-C stops, ends only itself; from a pipe it ends the command.
"""

from __future__ import annotations

import datetime
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.padding import Padding
from rich.text import Text

from reasonir_agent.cli import screen
from reasonir_agent.cli.live import Watch, watching
from reasonir_agent.cli.options import EncoderOption, JsonOption, KOption, LlmOption, StoreOption, WhereOption
from reasonir_agent.cli.settings import Choices, choose
from reasonir_agent.errors import InputError, ReasonIRError

if TYPE_CHECKING:
    from reasonir_agent.agent.conversation import Conversation, Exchange
    from reasonir_agent.corpus import Corpus

SHOWN: Final = 3
"""Turns that are shown again when a conversation goes on."""

_NAME: Final = re.compile(r"\w[\w.-]{0,63}")
_COMMAND: Final = re.compile(r"/[a-z]+")
_HELP: Final = "/sources shows the cited passages, /new begins another conversation, /quit (or Ctrl-D) ends"


def chat(
    name: Annotated[
        str | None, typer.Argument(help="Name of the conversation (default: the time, or the last one).")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a conversation, and finish its interrupted turn.")
    ] = False,
    session: Annotated[
        str | None, typer.Option("--session", help="Name of the conversation, or a file to keep it in.")
    ] = None,
    store: StoreOption = None,
    encoder: EncoderOption = None,
    llm: LlmOption = None,
    k: KOption = None,
    where: WhereOption = None,
    as_json: JsonOption = False,
) -> None:
    """Talk with the corpus: follow-up questions are understood, and a killed conversation can be resumed.

    Commands: /sources, /new, /quit. From a pipe, every line is a question.
    """
    if name is not None and session is not None:
        raise InputError(f"name the conversation once, got {name!r} and --session {session!r}")
    choices = choose(store=store, encoder=encoder, llm=llm, k=k)
    with screen.python_warnings(), choices.open_corpus() as corpus:
        file = _file(choices.store / "chats", name or session, resume=resume)
        talk = _Talk(corpus, choices, where or [], as_json=as_json)
        try:
            talk.open(file)
            talk.run()
        finally:
            talk.close()
    if as_json:
        screen.print_json(talk.as_json())


class _Talk:
    """The conversation with the user: what they type, and what they see."""

    def __init__(self, corpus: Corpus, choices: Choices, where: list[str], *, as_json: bool) -> None:
        self._corpus, self._choices, self._where, self._as_json = corpus, choices, where, as_json
        self._chat = choices.open_chat_model()
        self._is_terminal = sys.stdin.isatty()
        self._done: list[Exchange] = []
        self._conversation: Conversation | None = None
        self._last: Exchange | None = None
        self._watch: Watch | None = None
        self._file = Path()

    def open(self, file: Path) -> None:
        """Open a conversation and show how far it came."""
        from reasonir_agent.agent.conversation import Conversation
        from reasonir_agent.agent.sessions import Session
        from reasonir_agent.bridge import run_sync

        session = run_sync(Session.open(file))
        is_seen = screen.err.is_terminal
        self._conversation = conversation = Conversation(
            session,
            self._corpus,
            chat=self._chat,
            settings=self._choices.agent,
            on_step=self._step if is_seen else None,
            on_news=self._news if is_seen else None,
        )
        before = run_sync(conversation.turns(SHOWN))
        self._last = before[-1] if before else None
        if not self._as_json:
            for one in before:
                _print(one)

    def run(self) -> None:
        """Finish what was interrupted, then take one message after the other."""
        from reasonir_agent.bridge import run_sync

        if self._chat is None:
            screen.note(
                "note: no chat model, so each message is a question of its own and answers are quoted sentences"
            )
        conversation = self._opened()
        interrupted = run_sync(conversation.interrupted())
        if interrupted is not None:
            screen.note(f"finishing the turn that was interrupted: {interrupted}")
            self._turn(None)
        if self._is_terminal:
            screen.note(_HELP, style="dim")
        for line in self._lines():
            if not _COMMAND.fullmatch(line):
                self._turn(line)
            elif line == "/quit":
                return
            else:
                self._command(line)

    def close(self) -> None:
        """Close the conversation's file and say how it goes on."""
        from reasonir_agent.bridge import run_sync

        if self._conversation is None:
            return
        session, self._conversation = self._conversation.session, None
        has_turns = bool(run_sync(session.turns()))
        run_sync(session.close())
        self._file = session.file
        if has_turns and self._is_terminal:
            is_ours = session.file.parent == self._choices.store / "chats"
            name = session.file.stem if is_ours else f"--session {session.file}"
            screen.note(f"kept; go on with: reasonir chat --resume {name}", style="dim")

    def as_json(self) -> dict[str, Any]:
        """What --json prints: the turns of this run."""
        from reasonir_agent.agent.conversation import total

        return {
            "conversation": self._file.stem,
            "file": str(self._file),
            "turns": [one.as_json() for one in self._done],
            "usage": total(self._done),
        }

    def _opened(self) -> Conversation:
        assert self._conversation is not None
        return self._conversation

    def _lines(self) -> Iterator[str]:
        """What the user types; without white lines."""
        if not self._is_terminal:
            lines: Iterator[str] = iter(sys.stdin)
        else:
            with suppress(ImportError):
                import readline  # noqa: F401  arrow keys in `input`
            lines = iter(self._prompt, None)
        yield from (line.strip() for line in lines if line.strip())

    def _prompt(self) -> str | None:
        try:
            if not self._as_json:
                return input("> ")
            sys.stderr.write("> ")
            sys.stderr.flush()
            return input()
        except EOFError:
            sys.stderr.write("\n")
            return None

    def _turn(self, message: str | None) -> None:
        """Answer a message, or finish the interrupted turn."""
        from reasonir_agent.bridge import run_sync

        conversation = self._opened()
        work = conversation.finish() if message is None else conversation.say(message, where=self._where)
        try:
            with watching(has_model=self._chat is not None) as self._watch:
                exchange = run_sync(work)
        except KeyboardInterrupt:
            if not self._is_terminal:
                raise
            run_sync(conversation.drop())
            screen.note("stopped; this turn is forgotten")
            return
        except ReasonIRError as problem:
            if not self._is_terminal:
                raise
            screen.note(f"error: {problem}", style="bold red")
            return
        self._done.append(exchange)
        self._last = exchange
        if not self._as_json:
            _print(exchange)

    def _command(self, line: str) -> None:
        if line == "/new":
            self.close()
            self.open(_new(self._choices.store / "chats"))
            screen.note("a new conversation", style="dim")
        elif line == "/sources" and not self._as_json:
            _print_sources(self._last)
        elif line != "/sources":
            screen.note(f"there is no {line}; {_HELP}")

    def _news(self, news: Mapping[str, Any]) -> None:
        """Show what happens; called on another thread."""
        if self._watch is None:
            return
        if news["kind"] == "question":
            self._watch.phase = f"understood as: {news['text']}"
        else:
            self._watch.news(news)

    def _step(self, name: str, update: Mapping[str, Any]) -> None:
        if self._watch is not None:
            self._watch.step(name, update)


def _file(folder: Path, given: str | None, *, resume: bool) -> Path:
    """The file of the conversation that the user means."""
    from reasonir_agent.agent.sessions import SUFFIX

    known = sorted(folder.glob(f"*{SUFFIX}"), key=lambda file: file.stat().st_mtime)
    if given is None:
        if not resume:
            return _new(folder)
        if not known:
            raise InputError(f"there is no conversation to resume in {folder}; begin one with: reasonir chat")
        return known[-1]
    is_name = _NAME.fullmatch(given) and not given.endswith(SUFFIX)
    file = folder / f"{given}{SUFFIX}" if is_name else Path(given)
    if file.is_dir():
        raise InputError(f"a conversation is kept in a file; {file} is a folder")
    if resume and not file.is_file():
        names = ", ".join(one.stem for one in known[-5:]) or "none"
        raise InputError(f"there is no conversation {given!r}; there is: {names}")
    return file


def _new(folder: Path) -> Path:
    """A file for a conversation that begins now."""
    from reasonir_agent.agent.sessions import SUFFIX

    now = datetime.datetime.now().astimezone().strftime("%Y-%m-%d-%H%M%S")
    names = [now, *(f"{now}-{number}" for number in range(2, 100))]
    return next(file for file in (folder / f"{name}{SUFFIX}" for name in names) if not file.exists())


def _print(exchange: Exchange) -> None:
    from reasonir_agent.agent.nodes import NO_MODEL

    if exchange.answer.question != exchange.message:
        screen.out.print(Text(screen.clean(f"{exchange.message}  (understood as:)"), style="dim"))
    warnings = [one for one in exchange.answer.warnings if one != NO_MODEL]  # said once, at the beginning
    screen.print_answer(replace(exchange.answer, warnings=warnings))


def _print_sources(exchange: Exchange | None) -> None:
    """The passages that the last answer cites, in full; those that were found where it cites none."""
    if exchange is None:
        screen.note("nothing was answered yet")
        return
    passages = {hit.passage.id: hit.passage for hit in exchange.answer.hits}
    cited = {citation.n: passages[citation.id] for citation in exchange.answer.citations if citation.id in passages}
    if not cited:
        screen.print_hits(exchange.answer)
    for number, passage in sorted(cited.items()):
        place = f"{screen.clean(passage.source)}:{passage.start}-{passage.end}"
        screen.out.print(Text.assemble((f"[{number}] ", "bold"), (place, "cyan")))
        screen.out.print(Padding(Text(screen.clean(passage.text)), (0, 0, 1, 4), expand=False))
