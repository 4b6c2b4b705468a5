"""The child process that reads risky files: it may die, hang or fill its memory, and the run goes on."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pytest

from reasonir_agent.corpus.reading import Fields, Readers, Unreadable, process, read_file
from reasonir_agent.corpus.reading.formats import File
from reasonir_agent.corpus.reading.process import ReaderProcess
from reasonir_agent.types import Document
from tests.corpus.making import parquet, pdf

PAGE = pdf(["words"])
LARGE_HTML = b"<title>T</title>" + b"<p>words of a page</p>\n" * 1000


@pytest.fixture
def child() -> Iterator[ReaderProcess]:
    reader = ReaderProcess()
    yield reader
    reader.close()


def read(child: ReaderProcess, content: bytes = PAGE, path: str = "a.pdf") -> list[str]:
    return [one.text for one in child.read(File(path, content)) if isinstance(one, Document)]


def pid_of(child: ReaderProcess) -> int:
    assert child.pid is not None
    return child.pid


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_one_child_reads_one_file_after_another(child: ReaderProcess) -> None:
    assert child.pid is None
    assert read(child) == ["words\n"]
    first = child.pid
    assert read(child, pdf(["one", "two"])) == ["one\n", "two\n"]
    assert child.pid == first


def test_an_unreadable_file_does_not_cost_the_child(child: ReaderProcess) -> None:
    read(child)
    first = child.pid
    with pytest.raises(Unreadable, match=r"^is a broken PDF: "):
        read(child, b"no PDF")
    assert read(child) == ["words\n"]
    assert child.pid == first


def test_what_comes_back_is_what_the_reader_gives_here(child: ReaderProcess) -> None:
    from reasonir_agent.corpus.reading.parquet import read_parquet

    content = parquet({"text": ["é 中 😀 \u2028 \n", "b", None], "n": [1, None, 2.5], "flag": [True, None, False]})
    file = File("t.parquet", content, Fields(text="text"))
    assert list(child.read(file)) == list(read_parquet(file))


def test_fields_reach_the_child(child: ReaderProcess) -> None:
    file = File("t.parquet", parquet({"body": ["b"], "key": ["k"]}), Fields(text="body", id="key"))
    (document,) = child.read(file)
    assert isinstance(document, Document) and document.source == "t.parquet#id=k"


def test_a_child_that_was_killed_between_two_files_is_replaced(child: ReaderProcess) -> None:
    read(child)
    killed = pid_of(child)
    os.kill(killed, signal.SIGKILL)
    while is_alive(killed):
        time.sleep(0.001)
    assert read(child) == ["words\n"]
    assert child.pid != killed


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV], ids=["killed", "crashed"])
def test_a_child_that_dies_over_a_file_is_named_and_the_next_file_is_read(child: ReaderProcess, number: int) -> None:
    pages = child.read(File("a.pdf", pdf(["words"] * 50_000)))
    assert next(pages)
    os.kill(pid_of(child), number)
    with pytest.raises(Unreadable, match=rf"^crashed its reader \(signal {number:d}\)$"):
        list(pages)
    assert child.pid is None
    assert read(child) == ["words\n"]


def test_a_child_that_ends_is_named(child: ReaderProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_PROGRAM", "reasonir_agent.no_such_module")
    with pytest.raises(Unreadable, match=r"^crashed its reader \(exit code 1\)$"):
        read(child)


def test_half_a_line_is_no_answer(child: ReaderProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half.py").write_text("""print('{"document": ["a.pdf", "wor', end="")""")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(process, "_PROGRAM", "half")
    with pytest.raises(Unreadable, match=r"^crashed its reader \(exit code 0\)$"):
        read(child)


def test_a_child_that_says_nothing_is_killed() -> None:
    child = ReaderProcess(patience=60)
    read(child)
    stopped = pid_of(child)
    os.kill(stopped, signal.SIGSTOP)  # as one that never ends
    child._patience = 0.1
    with pytest.raises(Unreadable, match=r"^could not be read within 0\.1 s$"):
        read(child, bytes(10_000_000))  # more than a pipe holds
    assert not is_alive(stopped)
    assert child.pid is None
    child._patience = 60
    assert read(child) == ["words\n"]
    child.close()


@pytest.mark.slow
def test_a_file_that_wants_too_much_memory_is_named_and_the_next_is_read(child: ReaderProcess) -> None:
    text = pyarrow.array(["x" * 50_000_000])
    same = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 200, pyarrow.int32()), text)
    bomb = parquet({"text": same})
    assert len(bomb) < 10_000_000
    with pytest.raises(Unreadable, match=r"^needs more than 4 GB to read$"):
        read(child, bomb, "t.parquet")
    assert child.pid is None
    assert read(child) == ["words\n"]


def test_an_answer_without_end_is_cut(child: ReaderProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_MOST_ANSWERED", 1000)
    with pytest.raises(Unreadable, match=r"^holds more than 0 MB of text; split it$"):
        read(child, pdf(["words"] * 100))
    assert child.pid is None


def test_a_reading_that_is_given_up_ends_the_child(child: ReaderProcess) -> None:
    pages = child.read(File("a.pdf", pdf(["words"] * 100)))
    next(pages)
    pages.close()  # type: ignore[attr-defined]
    assert child.pid is None
    assert read(child) == ["words\n"]


def test_closing_leaves_nothing_behind() -> None:
    gc.collect()  # what other tests left open is not counted
    threads = threading.active_count()
    files = len(list(Path("/proc/self/fd").iterdir()))
    with Readers() as readers:
        readers.read("a.pdf", PAGE)
        pid = pid_of(readers._process)
    readers.close()  # twice is once
    gc.collect()  # a warning about what is open would be an error
    assert not is_alive(pid)
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)
    assert threading.active_count() == threads
    assert len(list(Path("/proc/self/fd").iterdir())) <= files


def test_a_child_is_started_only_for_risky_files() -> None:
    with Readers() as readers:
        readers.read("a.txt", b"words")
        readers.read("a.html", b"<p>words</p>")
        readers.read("a.jsonl", b'{"text": "words"}')
        assert readers._process.pid is None
        (document,), _ = readers.read("a.html", LARGE_HTML)
        assert readers._process.pid is not None
    assert document.text == "words of a page\n\n" * 999 + "words of a page\n"


def test_the_child_ignores_an_interrupt(child: ReaderProcess) -> None:
    read(child)
    os.kill(pid_of(child), signal.SIGINT)
    first = child.pid
    assert read(child) == ["words\n"]
    assert child.pid == first


@pytest.mark.slow
def test_the_child_ends_when_its_parent_does(tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "from reasonir_agent.corpus.reading import Readers\n"
        "readers = Readers()\n"
        "readers.read('a.pdf', sys.stdin.buffer.read())\n"
        "print(readers._process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], input=PAGE, capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL
    pid = int(done.stdout)
    deadline = time.monotonic() + 30
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(pid)


def test_the_child_gets_no_keys_and_imports_nothing_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pypdfium2.py").write_text("raise SystemExit('the wrong module')")
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    monkeypatch.setenv("OPENAI_API_KEY", "sk-something")
    with Readers() as readers:
        assert readers.read("a.pdf", PAGE)[0]
        environment = Path(f"/proc/{readers._process.pid}/environ").read_bytes()
    assert b"PYTHONPATH=" in environment
    assert b"OPENAI" not in environment


def test_the_limits_hold_in_the_child(child: ReaderProcess) -> None:
    read(child)
    limits = Path(f"/proc/{child.pid}/limits").read_text()
    (space,) = [line.split() for line in limits.splitlines() if line.startswith("Max address space")]
    (core,) = [line.split() for line in limits.splitlines() if line.startswith("Max core file size")]
    assert space[3:5] == ["4000000000", "4000000000"]
    assert core[4:6] == ["0", "0"]


@pytest.mark.parametrize("package", ["pypdfium2", "docx", "pptx", "defusedxml", "bs4", "pyarrow", "charset_normalizer"])
def test_a_package_that_is_missing_is_named_with_the_command(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from reasonir_agent.corpus.reading.formats import reader_of

    path, content, extra = {
        "pypdfium2": ("a.pdf", PAGE, "docs"),
        "docx": ("a.docx", b"x", "docs"),
        "pptx": ("a.pptx", b"x", "docs"),
        "defusedxml": ("a.epub", _epub(), "docs"),
        "bs4": ("a.html", b"<p>x", "docs"),
        "pyarrow": ("a.parquet", b"x", "parquet"),
        "charset_normalizer": ("a.txt", "Почему лапы уток не примерзают".encode("koi8_r"), "agent"),
    }[package]
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(Unreadable, match=rf"needs? a package; run: pip install 'reasonir-agent\[{extra}\]'$"):
        list(reader_of(path)(File(path, content)))


def _epub() -> bytes:
    from tests.corpus.making import epub

    return epub({"a.xhtml": "<p>x</p>"})


def test_a_file_without_a_reader_starts_nothing() -> None:
    with pytest.raises(Unreadable, match=r"^no reader for \.exe$"):
        read_file("a.exe", b"MZ")
