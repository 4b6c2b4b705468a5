"""Batches over real HTTP: the rows of the live way, few rounds, nothing paid twice, failures sent again."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from reasonir_agent.errors import InputError
from reasonir_agent.llm import Bounds, Meter
from reasonir_agent.testing import ScriptedChatServer
from reasonir_trainer.synthesis.batch import BatchApi, BatchLimits
from reasonir_trainer.synthesis.batch.requests import ModelOptions, Refused, as_request, read_output
from reasonir_trainer.synthesis.calling import Call
from reasonir_trainer.synthesis.journal import read_lines
from reasonir_trainer.synthesis.opening import batched_calls
from reasonir_trainer.synthesis.pipeline import How, Run
from reasonir_trainer.synthesis.run_folder import RunFolder
from tests.trainer.synthesis.batch_server import BatchServer
from tests.trainer.synthesis.standin import done, made, run, says, scripted

QUICK = {"settle": 0.05, "first_pause": 0.01, "longest_pause": 0.05}


def batched(
    out: Path, server: BatchServer, *, seeds: int = 10, how: How | None = None, key: str = "sk-loopback", **limits: Any
) -> Run:
    calls = batched_calls(
        "openai:scripted",
        RunFolder(out),
        base_url=server.base_url,
        api_key=key,
        reply_tokens=64,
        limits=BatchLimits(**(QUICK | limits)),
    )
    return run(out, calls, seeds=seeds, how=how or How(workers=1_000))


@pytest.fixture
def whole(tmp_path: Path) -> list[str]:
    """What the live way makes of ten seeds."""
    with ScriptedChatServer(scripted()) as server:
        run(tmp_path / "live", server.base_url).work()
    return made(tmp_path / "live")


def test_batches_make_what_calls_make_in_as_many_rounds_as_there_are_turns(tmp_path: Path, whole: list[str]) -> None:
    with BatchServer(says) as server:
        report = batched(tmp_path / "a", server).work()
    assert report.is_complete and made(tmp_path / "a") == whole
    assert [len(server.requests(one)) for one in server.batches.values()] == [10, 20, report.rows]
    assert report.meter.llm_calls == 30 + report.rows == len(list(read_lines(tmp_path / "a" / "calls-1-of-1.jsonl")))
    assert report.meter.completion_tokens == 10 * report.meter.llm_calls  # of as many words is each reply
    assert not list((tmp_path / "a" / "batches-1-of-1").iterdir())


@pytest.mark.slow
def test_a_batch_is_cut_where_it_is_full(tmp_path: Path, whole: list[str]) -> None:
    with BatchServer(says) as server:
        batched(tmp_path / "a", server, requests=8).work()
        sizes = [len(server.requests(one)) for one in server.batches.values()]
    assert made(tmp_path / "a") == whole and max(sizes) == 8
    with BatchServer(says) as server:
        batched(tmp_path / "b", server, bytes=300).work()
        assert len(server.batches) > 10
    assert made(tmp_path / "b") == whole


def test_lines_without_a_reply_are_sent_again(tmp_path: Path, whole: list[str]) -> None:
    def answers(number: int, request: dict[str, Any]) -> Any:
        digit = int(request["custom_id"][0], 16)
        return "reply" if number % 2 == 0 else "error" if digit < 4 else "missing" if digit < 8 else "reply"

    with BatchServer(says, answers=answers) as server:
        report = batched(tmp_path / "a", server).work()
    assert report.is_complete and made(tmp_path / "a") == whole
    assert len(server.answered) == len(set(server.answered)) == report.meter.llm_calls


@pytest.mark.parametrize("end", ["failed", "expired", "cancelled"])
def test_a_batch_that_ends_badly_is_sent_again(tmp_path: Path, whole: list[str], end: Any) -> None:
    def answers(number: int, request: dict[str, Any]) -> Any:
        return "reply" if number != 2 or request["custom_id"] < "8" else "missing"

    with BatchServer(says, ends=lambda n, _: end if n == 2 else "completed", answers=answers) as server:
        report = batched(tmp_path / "a", server).work()
    assert report.is_complete and made(tmp_path / "a") == whole
    assert len(server.answered) == len(set(server.answered))  # what an expired batch had answered was kept


@pytest.mark.slow
def test_too_large_a_batch_is_halved(tmp_path: Path, whole: list[str]) -> None:
    with BatchServer(says, ends=lambda _, requests: "too large" if requests > 6 else "completed") as server:
        report = batched(tmp_path / "a", server).work()
    assert report.is_complete and made(tmp_path / "a") == whole


def test_batches_that_bring_nothing_stop_the_run(tmp_path: Path) -> None:
    with BatchServer(says, ends=lambda *_: "failed") as server:
        report = batched(tmp_path / "a", server).work()
        assert (report.end, len(server.batches)) == ("unavailable", 3)
    assert "3 batches in a row brought no reply: the batch ended failed the batch is failed" in report.message


def test_a_request_that_is_refused_for_good_is_a_rejected_item(tmp_path: Path) -> None:
    def answers(number: int, request: dict[str, Any]) -> Any:
        return "refused" if "query hq 0: seed3" in str(request["body"]["messages"]) else "reply"

    with BatchServer(says, answers=answers) as server:
        report = batched(tmp_path / "a", server).work()
    assert report.is_complete and report.rejected["the model's server refused"] == 1


@pytest.mark.parametrize("when", ["prepared", "created", "submitted"])
def test_a_killed_run_finds_its_batch_and_pays_nothing_twice(tmp_path: Path, whole: list[str], when: str) -> None:
    with BatchServer(says) as server:
        server.hold = True
        first = batched(tmp_path / "a", server)
        thread = threading.Thread(target=first.work)
        thread.start()
        file = tmp_path / "a" / "batches-1-of-1.json"
        while not (file.exists() and "batch_1" in file.read_text()):
            time.sleep(0.01)
        first.interrupt()
        thread.join()
        state = json.loads(file.read_text())
        assert state["rounds"][0]["calls"] == 10
        if when != "submitted":  # killed before the id was written
            state["rounds"][0]["batch"] = ""
            file.write_text(json.dumps(state))
        if when == "prepared":  # and even before there was a batch
            server.batches.clear()
        server.hold = False
        report = batched(tmp_path / "a", server).work()
        assert len(server.batches) == 3
    assert report.is_complete and made(tmp_path / "a") == whole
    assert len(server.answered) == len(set(server.answered)) == report.meter.llm_calls


@pytest.mark.parametrize("is_done", [True, False])
def test_a_batch_whose_creation_nobody_saw_is_not_created_twice(
    tmp_path: Path, whole: list[str], is_done: bool
) -> None:
    with BatchServer(says) as server:
        server.fail_once["POST /v1/batches"] = (503, is_done)
        report = batched(tmp_path / "a", server).work()
        assert len(server.batches) == 3
    assert report.is_complete and made(tmp_path / "a") == whole


def test_a_bound_holds_over_a_batch(tmp_path: Path) -> None:
    how = How(workers=1_000, bounds=Bounds(tokens=800))
    with BatchServer(says) as server:
        report = batched(tmp_path / "a", server, how=how).work()
    assert report.end == "bound" and 0 < done(report) < 20
    assert report.meter.prompt_tokens + report.meter.completion_tokens <= 800


def test_a_wrong_key_is_told_without_it(tmp_path: Path) -> None:
    with BatchServer(says) as server:
        report = batched(tmp_path / "a", server, key="sk-wrong-key-12345").work()
    assert report.end == "unavailable" and "refuses the key" in report.message
    assert "sk-wrong" not in report.message and not server.batches


def test_only_openai_has_batches(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="openai:NAME"):
        batched_calls("ollama:qwen3", RunFolder(tmp_path), base_url=None, api_key=None)
    with pytest.raises(InputError, match="cannot be used"):
        BatchApi.open(base_url=None, api_key=None)


class Shape(BaseModel):
    """Any."""

    query: str


def test_a_request_says_what_the_live_way_says() -> None:
    call = Call("a", "query", 1, (("system", "be brief"), ("user", "ask")), Shape)
    request = as_request(call, ModelOptions("m", 0.5, 100))
    assert request["custom_id"] == call.key and request["url"] == "/v1/chat/completions"
    assert request["body"]["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "ask"},
    ]
    assert request["body"]["temperature"] == 0.5 and request["body"]["max_completion_tokens"] == 100
    assert request["body"]["response_format"]["json_schema"]["name"] == "Shape"
    assert "response_format" not in as_request(call, ModelOptions("m"), plain=True)["body"]


def test_output_is_read_as_replies_are() -> None:
    def line(**body: Any) -> bytes:
        return json.dumps(
            {"custom_id": "k", "response": {"status_code": 200, "body": body}}, ensure_ascii=False
        ).encode()

    message = {"content": "<think>hm</think> yes\u2028no"}
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    ((_, reply),) = read_output(line(choices=[{"message": message, "finish_reason": "length"}], usage=usage))
    assert not isinstance(reply, Refused)
    assert (reply.text, reply.thinking, reply.ended) == ("yes\u2028no", "hm", "length")
    assert (reply.prompt_tokens, reply.completion_tokens) == (3, 4)
    ((_, refused),) = read_output(line(choices=[]))
    assert isinstance(refused, Refused) and not refused.is_lasting
    assert list(read_output(b"\nnot json\n[]\n{}\n")) == []


async def test_calls_of_one_item_at_the_same_time_share_a_round(tmp_path: Path) -> None:
    from reasonir_trainer.synthesis.journal import Journal
    from reasonir_trainer.synthesis.progress import Progress

    with BatchServer(says) as server, Journal(tmp_path / "calls.jsonl") as journal:
        calls = batched_calls(
            "openai:m",
            RunFolder(tmp_path),
            base_url=server.base_url,
            api_key="sk-loopback",
            limits=BatchLimits(**QUICK),
        )
        async with calls(journal, Meter(), Progress()) as caller:
            asked = [Call("a" * 24, f"judge {n}", 1, (("user", f"{n}"),)) for n in range(3)]
            caller.begin("a" * 24)
            replies = await asyncio.gather(*map(caller.reply, asked))
        assert len(server.batches) == 1 and len({one.text for one in replies}) == 3
