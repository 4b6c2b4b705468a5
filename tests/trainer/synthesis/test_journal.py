"""What a run must not lose: lines survive a kill, a torn end is repaired, anything else broken is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reasonir_agent.errors import StoreError
from reasonir_agent.llm import Reply
from reasonir_trainer.synthesis.calling import Call
from reasonir_trainer.synthesis.journal import Asked, Journal, Lines, read_lines


def call(item: str = "a" * 24, text: str = "ask", attempt: int = 1) -> Call:
    return Call(item, "query", attempt, (("user", text),))


def kept(file: Path, *calls: Call) -> Path:
    with Journal(file) as journal:
        for number, one in enumerate(calls):
            journal.keep(
                Asked.of(one), Reply(f"said {number}", prompt_tokens=10, completion_tokens=number, ended="stop")
            )
    return file


def test_a_reply_is_found_again_by_the_next_run(tmp_path: Path) -> None:
    kept(tmp_path / "calls.jsonl", call(), call(text="another"))
    with Journal(tmp_path / "calls.jsonl") as journal:
        assert journal.find(call(text="another").key) == Reply("said 1", "", 10, 1, "stop")
        assert journal.find(call(text="a third").key) is None
        assert (journal.before.calls, journal.before.prompt_tokens, journal.before.completion_tokens) == (2, 20, 1)


def test_texts_of_any_language_and_shape_come_back_whole(tmp_path: Path) -> None:
    text = 'line\nbreak\u2028 "quoted" \U0001f41f \x00 \\u0041 数'
    with Journal(tmp_path / "calls.jsonl") as journal:
        journal.keep(Asked.of(call()), Reply(text))
    with Journal(tmp_path / "calls.jsonl") as journal:
        found = journal.find(call().key)
        assert found is not None and found.text == text
        assert journal.before.silent == 1  # no server reported its tokens
        assert journal.before.estimated_completion == len(text.encode()) // 2


@pytest.mark.parametrize("torn", [b'{"key": "00', b"\x00\x00\x00\x00", b"{}x\n", b"\x00\x00\n", b"[1]\n"])
def test_a_torn_last_line_is_cut_off_and_counted(tmp_path: Path, torn: bytes) -> None:
    file = kept(tmp_path / "calls.jsonl", call(), call(text="another"))
    whole = file.read_bytes()
    file.write_bytes(whole + torn)
    with Journal(file) as journal:
        assert (journal.cut_off, len(journal)) == (1, 2)
        journal.keep(Asked.of(call(text="a third")), Reply("more"))
    assert file.read_bytes().startswith(whole)
    assert [line["text"] for _, line in read_lines(file)] == ["said 0", "said 1", "more"]


def test_every_cut_of_the_last_line_leaves_the_lines_before(tmp_path: Path) -> None:
    whole = kept(tmp_path / "calls.jsonl", call(), call(text="another")).read_bytes()
    second = whole.index(b"\n") + 1
    for end in range(second, len(whole)):
        file = tmp_path / "cut.jsonl"
        file.write_bytes(whole[:end])
        with Journal(file) as journal:
            assert (len(journal), journal.cut_off) == (1, int(end > second))


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    file = kept(tmp_path / "calls.jsonl", call(), call(text="another"), call(text="a third"))
    lines = file.read_bytes().split(b"\n")
    lines[1] = lines[1][:20]
    file.write_bytes(b"\n".join(lines))
    with pytest.raises(StoreError, match=r"line 2 of .*calls\.jsonl is broken"):
        Journal(file)
    with pytest.raises(StoreError, match="line 2"):
        list(read_lines(file))
    lines[1] = b'{"no": "entry"}'
    file.write_bytes(b"\n".join(lines))
    with pytest.raises(StoreError, match=r"line 2 of .*calls\.jsonl"):
        Journal(file)


def test_a_file_has_one_writer(tmp_path: Path) -> None:
    with Lines(tmp_path / "a.jsonl") as lines:
        lines.append("{}")
        with pytest.raises(StoreError, match="another process is writing"):
            Lines(tmp_path / "a.jsonl")
    Lines(tmp_path / "a.jsonl").close()


def test_a_reader_beside_the_writer_passes_over_what_is_not_finished(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"a": 1}\n{"a": 2')
    assert list(read_lines(file)) == [(b'{"a": 1}\n', {"a": 1})]
    assert file.read_bytes().endswith(b"2")


def test_only_what_will_be_asked_again_takes_memory(tmp_path: Path) -> None:
    done, undone = call("d" * 24), call("e" * 24)
    file = kept(tmp_path / "calls.jsonl", done, undone)
    with Journal(file, wanted=lambda item: item != "d" * 24) as journal:
        assert len(journal) == 1
        assert journal.before.calls == 2  # its cost counts all the same
        assert journal.find(done.key) is None
        journal.forget(undone.key)
        assert len(journal) == 0


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.jsonl"
    with Lines(file) as lines:
        lines.append(json.dumps({"a": 1}))
        write = __import__("os").write

        def half(descriptor: int, line: bytes) -> int:
            if len(line) < 5:
                raise OSError(28, "No space left on device")
            return int(write(descriptor, line[: len(line) // 2]))

        with monkeypatch.context() as patch:
            patch.setattr("os.write", half)
            with pytest.raises(StoreError, match="No space left"):
                lines.append(json.dumps({"a": 2}))
        lines.append(json.dumps({"a": 3}))
    assert [found for _, found in read_lines(file)] == [{"a": 1}, {"a": 3}]
