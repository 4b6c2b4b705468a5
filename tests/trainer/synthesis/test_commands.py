"""`reasonir-trainer synthesize` and `merge` as a user runs them, against a scripted model over real HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reasonir_agent.testing import Reply, ScriptedChatServer
from tests.trainer.synthesis import scripted
from tests.trainer.synthesis.batch_server import BatchServer
from tests.trainer.synthesis.conftest import FAULTS, KEY, Call


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "data.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
def test_one_command_makes_a_data_set_and_the_same_one_again_asks_nothing(
    server: ScriptedChatServer, call: Call, documents: Path, tmp_path: Path
) -> None:
    words = ("synthesize", documents, "--out", tmp_path / "a", "--price", "1,2", "--json")
    code, out, _ = call(*words)
    told = json.loads(out)
    assert (code, told["end"], told["complete"], told["warnings"]) == (0, "finished", True, [])
    made = rows(tmp_path / "a")
    assert len(made) == told["data"]["rows"] > 8 and {one["kind"] for one in made} == {"hq", "vl"}
    assert told["items"] == 2 * told["seeds"] and told["usage"]["cost"] > 0
    calls, data = len(server.requests), (tmp_path / "a" / "data.jsonl").read_bytes()
    assert told["usage"]["llm_calls"] == calls
    code, out, _ = call(*words)
    assert (code, len(server.requests)) == (0, calls)
    assert json.loads(out)["data"]["rows"] == len(made) and (tmp_path / "a" / "data.jsonl").read_bytes() == data


@pytest.mark.slow
def test_shards_and_merge_make_what_one_run_makes_byte_for_byte(
    server: ScriptedChatServer, call: Call, documents: Path, tmp_path: Path
) -> None:
    assert call("synthesize", documents, "--out", tmp_path / "whole")[0] == 0
    for number in (1, 2):
        code, out, err = call("synthesize", documents, "--out", tmp_path / f"s{number}", "--shard", f"{number}/2")
        assert code == 0 and f"shard {number}-of-2" in out and "reasonir-trainer merge" in err
        assert not (tmp_path / f"s{number}" / "data.jsonl").exists()
    code, out, _ = call("merge", tmp_path / "s1", tmp_path / "s2", "--out", tmp_path / "merged", "--json")
    assert code == 0 and json.loads(out)["missing"] == 0 and json.loads(out)["warnings"] == []
    for name in ("data.jsonl", "rejected.jsonl", "summary.json"):
        assert (tmp_path / "merged" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()

    code, out, err = call("merge", tmp_path / "s2", "--out", tmp_path / "half")
    assert code == 0 and "of 2 shards these are missing: 1" in err
    code, _, err = call("merge", tmp_path / "s1", "--out", tmp_path / "half")
    assert code == 2 and "new folder" in err
    assert call("synthesize", documents, "--out", tmp_path / "other", "--hard", 2, "--shard", "1/2")[0] == 0
    code, _, err = call("merge", tmp_path / "s1", tmp_path / "other", "--out", tmp_path / "no")
    assert code == 2 and "hard: 2 there, 1 now" in err and not (tmp_path / "no").exists()


@pytest.mark.slow
def test_a_merged_half_is_finished_by_an_ordinary_run(
    server: ScriptedChatServer, call: Call, documents: Path, tmp_path: Path
) -> None:
    assert call("synthesize", documents, "--out", tmp_path / "whole")[0] == 0
    assert call("synthesize", documents, "--out", tmp_path / "all", "--seeds-only")[0] == 0
    assert call("synthesize", documents, "--out", tmp_path / "all", "--shard", "1/2")[0] == 0
    code, out, _ = call("merge", tmp_path / "all", "--out", tmp_path / "half", "--json")
    assert code == 0 and json.loads(out)["missing"] > 0
    code, out, _ = call("synthesize", documents, "--out", tmp_path / "half", "--json")
    assert code == 0 and json.loads(out)["complete"]
    assert (tmp_path / "half" / "data.jsonl").read_bytes() == (tmp_path / "whole" / "data.jsonl").read_bytes()


@pytest.mark.slow
def test_batches_make_the_same_rows(
    server: ScriptedChatServer, call: Call, documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reasonir_trainer.synthesis.batch import BatchLimits

    words = ("synthesize", documents, "--varied", 0)
    assert call(*words, "--out", tmp_path / "live")[0] == 0
    model = scripted.model(FAULTS)

    def says(body: Mapping[str, Any]) -> str:
        answer = model(body)
        return answer.text if isinstance(answer, Reply) else answer

    quick = lambda requests: BatchLimits(requests=requests, settle=0.05, first_pause=0.01, longest_pause=0.05)  # noqa: E731
    monkeypatch.setattr("reasonir_trainer.synthesis.batch.BatchLimits", quick)
    with BatchServer(says, api_key=KEY) as batches:
        monkeypatch.setenv("OPENAI_BASE_URL", batches.base_url)
        code, _, err = call(*words, "--out", tmp_path / "batched", "--batch")
    assert code == 0, err
    assert (tmp_path / "batched" / "data.jsonl").read_bytes() == (tmp_path / "live" / "data.jsonl").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_a_run_that_is_stopped_goes_on(
    documents: Path, tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    model = scripted.model(FAULTS)

    def slow(asked: Mapping[str, Any]) -> Reply:
        answer = model(asked)
        return Reply(answer, delay=0.2) if isinstance(answer, str) else answer

    with ScriptedChatServer(slow) as server:
        for name, value in {"BASE_URL": server.base_url, "API_KEY": KEY}.items():
            monkeypatch.setenv(f"OPENAI_{name}", value)
        words = ["synthesize", str(documents), "--llm", "openai:scripted", "--concurrency", "4", "--out"]
        assert call(*words, tmp_path / "whole")[0] == 0
        as_json = ["--json"] if number == signal.SIGTERM else []
        start = [sys.executable, "-c", "from reasonir_trainer.cli import main; main()"]
        command = [*start, *words, str(tmp_path / "a"), *as_json]
        paths = os.pathsep.join(path for path in sys.path if path)
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": paths}
        )
        items = tmp_path / "a" / "items-1-of-1.jsonl"
        while process.poll() is None and not (items.exists() and items.stat().st_size):
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert process.returncode == code, err
        assert "Traceback" not in err and KEY not in err
        assert json.loads(out)["error"] == "interrupted" if as_json else out == ""
        assert code != 130 or err.count("the same command goes on") == 1
        assert not (tmp_path / "a" / "data.jsonl").exists()
        assert call(*words, tmp_path / "a")[0] == 0
    assert (tmp_path / "a" / "data.jsonl").read_bytes() == (tmp_path / "whole" / "data.jsonl").read_bytes()


def test_a_bound_finishes_what_there_is_with_a_warning(
    server: ScriptedChatServer, call: Call, documents: Path, tmp_path: Path
) -> None:
    words = ("synthesize", documents, "--out", tmp_path / "a", "--concurrency", 2)
    code, out, err = call(*words, "--max-calls", 45)
    assert code == 0 and "rows in" in out and "the bound on calls is reached" in err and "higher bound goes on" in err
    assert len(server.requests) == 45
    code, out, err = call(*words, "--max-calls", 46, "--json")
    assert code == 0 and "items are left" in json.loads(out)["warnings"][0]


def test_many_rejections_end_with_reasons(call: Call, documents: Path, tmp_path: Path, monkeypatch: Any) -> None:
    with ScriptedChatServer(scripted.model(scripted.always("hard query", "mentions"))) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        words = ("synthesize", documents, "--out", tmp_path / "a", "--llm", "openai:s", "--varied", 0, "--hard", 12)
        code, out, err = call(*words, "--negatives", "none", "--concurrency", 4)
        assert code == 2 and out == ""
        assert "50 of the first 50 finished items were rejected" in err and err.count("| ") == 5 and "--force" in err
        code, out, _ = call(*words, "--negatives", "none", "--json")
        assert code == 2 and json.loads(out)["error"].startswith("50 of the first 50")


def test_a_dry_run_tells_all_and_does_nothing(
    server: ScriptedChatServer, call: Call, documents: Path, tmp_path: Path
) -> None:
    words = ("synthesize", documents, "--out", tmp_path / "a", "--dry-run", "--price", "1,10")
    code, out, _ = call(*words)
    assert code == 0 and not server.requests and not (tmp_path / "a").exists()
    assert (
        "--- seed: quality (user)" in out and "--- vl 1: positive (user)" in out and "--- hq 1: judge 1 (user)" in out
    )
    told = json.loads(call(*words, "--json", "--grade", "--rewrite")[1])
    seeds = told["seeds"]
    assert told["calls"]["least"] == seeds * (1 + 4 + 3 + 2 * 3)  # judged; VL, HQ; two grades and a rewrite each
    assert told["calls"]["likely"] > told["calls"]["least"] and told["cost"] > 0
    mined = json.loads(call(*words, "--json", "--negatives", "bm25", "--grade", "--least-quality", 0)[1])
    assert mined["calls"]["least"] == seeds * (1 + 2 + 1 + 2 * 2)  # the field is asked for still


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--llm", "scripted"), "provider:model"),
        (("--negatives", "guessed"), "written, bm25, encoder, none"),
        (("--varied", 0, "--hard", 0), "nothing is asked for"),
        (("--price", "cheap"), "PROMPT,COMPLETION"),
        (("--max-cost", 1), "--price"),
        (("--shard", "3/2"), "I/N"),
        (("--shard", "1/2", "--most-seeds", 5), "--seeds-only"),
        (("--llm", "ollama:qwen3", "--batch"), "openai:NAME"),
        (("--config", "missing.toml"), "missing.toml"),
        (("--exclude", "no-such-set"), "no-such-set"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_sentence(
    server: ScriptedChatServer, call: Call, documents: Path, tmp_path: Path, words: tuple[object, ...], said: str
) -> None:
    code, out, err = call("synthesize", documents, "--out", tmp_path / "a", *words)
    assert code == 2 and said in err and out == "" and err.startswith("error: ")
    assert not server.requests and not (tmp_path / "a").exists()


def test_documents_and_folder_must_be_apart(server: ScriptedChatServer, call: Call, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("text")
    code, _, err = call("synthesize", tmp_path, "--out", tmp_path / "run")
    assert code == 2 and "lies in" in err
    code, _, err = call("synthesize", tmp_path / "none", "--out", tmp_path / "run")
    assert code == 2 and "none" in err
    code, _, err = call("synthesize", tmp_path / "a.md", "--out", tmp_path / "run")
    assert code == 2 and "no seeds are left" in err


def test_no_model_is_told(call: Call, documents: Path, tmp_path: Path) -> None:
    code, _, err = call("synthesize", documents, "--out", tmp_path / "a")
    assert code == 2 and "--llm" in err and "REASONIR_LLM" in err


def test_a_wrong_key_ends_before_work_begins(
    call: Call, documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedChatServer(api_key="sk-right") as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        code, out, _ = call("synthesize", documents, "--out", tmp_path / "a", "--llm", "openai:s", "--json")
    assert code == 2 and "refuses the key" in json.loads(out)["error"]


def test_settings_come_from_a_file_and_options_beat_it(
    server: ScriptedChatServer, call: Call, documents: Path, tmp_path: Path
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(
        'varied = 0\nhard = 2\nnegatives = "none"\nlanguages = ["en"]\nleast_quality = 0\nlabel_fields = false\n'
    )
    words = ("synthesize", documents, "--config", file, "--out", tmp_path / "a", "--json")
    told = json.loads(call(*words, "--dry-run", "--hard", 3)[1])
    assert told["calls"]["least"] == 3 * told["seeds"]
    for text, said in (
        ("hards = 2", "'hards'"),
        ('hard = "2"', "hard must be a whole number"),
        ("grade = 1", "true or"),
    ):
        file.write_text(text)
        code, out, _ = call(*words)
        assert code == 2 and said in json.loads(out)["error"]


def test_changed_settings_are_told(server: ScriptedChatServer, call: Call, documents: Path, tmp_path: Path) -> None:
    words = ("synthesize", documents, "--out", tmp_path / "a", "--varied", 0, "--seeds-only")
    assert call(*words)[0] == 0
    code, _, err = call(*words, "--temperature", 0.5)
    assert code == 2 and "temperature: None there, 0.5 now" in err and "--force" in err
    other = tmp_path / "other.md"
    other.write_text("more")
    code, _, err = call("synthesize", documents, other, "--out", tmp_path / "a", "--varied", 0, "--seeds-only")
    assert code == 2 and "documents:" in err
