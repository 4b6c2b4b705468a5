"""Runs over real HTTP: resumed, bounded, stopped, shared out; always the items of an uninterrupted run."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from reasonir_agent.errors import ChatError, InputError, StoreError
from reasonir_agent.llm import Bounds, Price
from reasonir_agent.testing import Answer, Reply, ScriptedChatServer
from reasonir_trainer.synthesis.calling import Caller
from reasonir_trainer.synthesis.journal import read_lines
from reasonir_trainer.synthesis.pipeline import How
from reasonir_trainer.synthesis.planning import Item
from reasonir_trainer.synthesis.rows import Outcome
from reasonir_trainer.synthesis.run_folder import Shard
from tests.trainer.synthesis.standin import asked_for, done, live, made, make, request, run, scripted


def test_a_run_makes_every_item_and_asks_nothing_twice(tmp_path: Path) -> None:
    with ScriptedChatServer(scripted()) as server:
        report = run(tmp_path / "a", server.base_url, seeds=20).work()
        assert report.is_complete and done(report) == report.items == 40
        assert report.rows and report.rejected  # both came about
        calls = len(server.requests)
        assert calls == report.meter.llm_calls == 20 + 40 + report.rows
        again = run(tmp_path / "a", server.base_url, seeds=20).work()
        assert len(server.requests) == calls
    assert (again.rows, again.rejected, again.is_complete) == (report.rows, report.rejected, True)
    assert again.meter.llm_calls == calls  # what earlier runs spent is told


@pytest.mark.slow
def test_a_bound_ends_a_run_truthfully_and_a_higher_one_goes_on(tmp_path: Path) -> None:
    with ScriptedChatServer(scripted()) as server:
        run(tmp_path / "whole", server.base_url, seeds=20).work()
        server.requests.clear()
        bounded = How(bounds=Bounds(tokens=2_000))
        report = run(tmp_path / "a", server.base_url, seeds=20, how=bounded).work()
        assert (report.end, report.message) == ("bound", "the bound on tokens is reached"), report.meter
        assert 0 < done(report) < 40
        spent = report.meter.prompt_tokens + report.meter.completion_tokens
        assert 1_500 < spent <= 2_000
        again = run(tmp_path / "a", server.base_url, seeds=20, how=bounded).work()
        both = again.meter.prompt_tokens + again.meter.completion_tokens
        assert again.end == "bound" and both <= 2_000  # the first run's tokens count
        finished = run(tmp_path / "a", server.base_url, seeds=20, how=How(bounds=Bounds(tokens=100_000))).work()
        assert finished.is_complete
        assert len(set(asked_for(server.requests))) > 40
    assert made(tmp_path / "a") == made(tmp_path / "whole")


@pytest.mark.parametrize("bounds", [Bounds(money=0.005), Bounds(calls=30)])
def test_no_bound_is_passed(tmp_path: Path, bounds: Bounds) -> None:
    how = How(bounds=bounds, price=Price(1.0, 10.0), workers=16)
    with ScriptedChatServer(scripted(delay=0.01)) as server:
        for _ in range(3):
            report = run(tmp_path / "a", server.base_url, seeds=20, how=how).work()
        assert report.end == "bound"
        assert bounds.calls is None or len(server.requests) <= bounds.calls
    assert report.meter.cost is not None
    assert bounds.money is None or report.meter.cost <= bounds.money


@pytest.mark.slow
def test_too_many_rejections_stop_a_run_with_reasons_and_examples(tmp_path: Path) -> None:
    async def strict(item: Item, caller: Caller) -> Outcome:
        return await make(item, caller, most_rejected=12)

    with ScriptedChatServer(scripted()) as server:
        report = run(tmp_path / "a", server.base_url, seeds=60, making=strict).work()
        assert report.end == "rejecting"
        assert 50 <= done(report) < 70  # those under way besides
        head, *lines = report.message.splitlines()
        assert "of the first 50 finished items were rejected" in head
        assert sum("begins with" in line and "|" in line for line in lines) == 5
        calls = len(server.requests)
        assert run(tmp_path / "a", server.base_url, seeds=60, making=strict).work().end == "rejecting"
        assert len(server.requests) == calls  # and not paid for again to find that out
        forced = run(tmp_path / "a", server.base_url, seeds=60, making=strict, how=How(force=True)).work()
    assert forced.is_complete and done(forced) == 120


def test_half_rejected_is_no_reason_to_stop(tmp_path: Path) -> None:
    async def alternating(item: Item, caller: Caller) -> Outcome:
        return await make(item, caller, most_rejected=16 if item.kind == "vl" else 0)

    with ScriptedChatServer(scripted()) as server:
        report = run(tmp_path / "a", server.base_url, seeds=30, making=alternating, how=How(workers=1)).work()
    assert report.is_complete and sum(report.rejected.values()) == 30


def test_an_interrupt_leaves_a_folder_that_goes_on(tmp_path: Path) -> None:
    with ScriptedChatServer(scripted(delay=0.02)) as server:
        run(tmp_path / "whole", server.base_url, seeds=30).work()
        server.requests.clear()
        interrupted = run(tmp_path / "a", server.base_url, seeds=30)
        threading.Thread(target=lambda: (wait_for(tmp_path / "a", items=10), interrupted.interrupt())).start()
        report = interrupted.work()
        assert report.end == "interrupted" and 10 <= done(report) < 60
        assert run(tmp_path / "a", server.base_url, seeds=30).work().is_complete
        asked = [str(one["messages"]) for one in server.requests if one]  # some connections closed before their request
        assert len(asked) - len(set(asked)) <= 8  # no more than were under way
    assert made(tmp_path / "a") == made(tmp_path / "whole")


def test_an_interrupt_does_not_wait_for_replies(tmp_path: Path) -> None:
    with ScriptedChatServer(scripted(delay=20.0)) as server:
        interrupted = run(tmp_path / "a", server.base_url)

        def when_asked() -> None:
            while not server.requests:
                time.sleep(0.005)
            interrupted.interrupt()

        threading.Thread(target=when_asked).start()
        began = time.monotonic()
        assert interrupted.work().end == "interrupted"
        assert time.monotonic() - began < 10


def wait_for(folder: Path, *, items: int) -> None:
    """Until a run has finished so many items."""
    file = folder / "items-1-of-1.jsonl"
    while not file.exists() or file.read_bytes().count(b"\n") < items:
        time.sleep(0.005)


def test_a_server_that_fails_for_a_while_costs_no_item(tmp_path: Path) -> None:
    failures: dict[str, int] = {}

    def sometimes(asked: Mapping[str, object]) -> Answer | None:
        key = str(asked["messages"])
        failures[key] = failures.get(key, 0) + 1
        return (
            Reply("busy", status=503, headers={"retry-after": "0"}) if failures[key] == 1 and "seed3" in key else None
        )

    with ScriptedChatServer(scripted()) as server:
        run(tmp_path / "whole", server.base_url, seeds=10).work()
    with ScriptedChatServer(scripted(instead=sometimes)) as server:
        report = run(tmp_path / "a", live(server.base_url, max_retries=1), seeds=10).work()
    assert report.is_complete and report.failed == 0
    assert made(tmp_path / "a") == made(tmp_path / "whole")


def test_what_a_server_refuses_for_good_is_a_rejected_item(tmp_path: Path) -> None:
    def refuses(asked: Mapping[str, object]) -> Answer | None:
        return Reply("content policy", status=400) if "query" in str(asked) and "seed3" in str(asked) else None

    with ScriptedChatServer(scripted(instead=refuses)) as server:
        report = run(tmp_path / "a", server.base_url, seeds=10).work()
    assert report.is_complete and report.rejected["the model's server refused"] == 2


@pytest.mark.slow
def test_a_server_that_is_gone_stops_the_run_and_the_next_one_goes_on(tmp_path: Path) -> None:
    left = [60]

    def breaks(asked: Mapping[str, object]) -> Answer | None:
        left[0] -= 1
        return Reply("unauthorized", status=401) if left[0] < 0 else None

    with ScriptedChatServer(scripted(instead=breaks)) as server:
        report = run(tmp_path / "a", server.base_url, seeds=40).work()
        assert report.end == "unavailable" and "refuses the key" in report.message
        assert len(server.requests) < 60 + 16  # it did not try them all
        left[0] = 10_000
        assert run(tmp_path / "a", server.base_url, seeds=40).work().is_complete
        run(tmp_path / "whole", server.base_url, seeds=40).work()
    assert made(tmp_path / "a") == made(tmp_path / "whole")


def test_a_model_that_was_never_reached_is_asked_once(tmp_path: Path) -> None:
    with ScriptedChatServer(scripted(), api_key="sk-another") as server:
        began = time.monotonic()
        report = run(tmp_path / "a", server.base_url, seeds=40).work()
        assert report.end == "unavailable" and "refuses the key" in report.message
        assert "sk-loopback" not in report.message
        assert not server.requests and time.monotonic() - began < 10


@pytest.mark.slow
def test_shards_make_together_what_one_run_makes(tmp_path: Path) -> None:
    with ScriptedChatServer(scripted()) as server:
        whole = run(tmp_path / "whole", server.base_url, seeds=30).work()
        reports = []
        for number in (1, 2, 3):
            how = How(shard=Shard(number, 3))
            reports.append(run(tmp_path / f"s{number}", server.base_url, seeds=30, how=how).work())
            run(tmp_path / "together", server.base_url, seeds=30, how=how).work()
    folders = [tmp_path / f"s{number}" for number in (1, 2, 3)]
    assert all(0 < report.items < whole.items for report in reports)
    assert sum(report.items for report in reports) == whole.items
    assert made(*folders) == made(tmp_path / "together") == made(tmp_path / "whole")
    assert sorted(file.name for file in (tmp_path / "together").glob("items-*.jsonl")) == [
        "items-1-of-3.jsonl",
        "items-2-of-3.jsonl",
        "items-3-of-3.jsonl",
    ]


def test_shards_cannot_choose_among_all_seeds_but_can_use_a_choice(tmp_path: Path) -> None:
    asked, how = request(most_seeds=10), How(shard=Shard(1, 2))
    with ScriptedChatServer(scripted()) as server:
        with pytest.raises(InputError, match="--seeds-only"):
            run(tmp_path / "a", server.base_url, asked=asked, how=how).work()
        before = run(tmp_path / "a", server.base_url, asked=asked, how=How(seeds_only=True)).work()
        assert (before.seeds, before.rows, before.is_complete) == (10, 0, False)
        report = run(tmp_path / "a", server.base_url, asked=asked, how=how).work()
    assert 0 < report.items < 20 and report.is_complete


def test_one_folder_is_shared_out_in_one_way(tmp_path: Path) -> None:
    with ScriptedChatServer(scripted()) as server:
        run(tmp_path / "a", server.base_url, how=How(shard=Shard(1, 2))).work()
        with pytest.raises(InputError, match="shared out among 2"):
            run(tmp_path / "a", server.base_url, how=How(shard=Shard(1, 3))).work()


def test_two_runs_of_one_shard_exclude_each_other(tmp_path: Path) -> None:
    with ScriptedChatServer(scripted(delay=0.05)) as server:
        first = run(tmp_path / "a", server.base_url, seeds=10)
        thread = threading.Thread(target=first.work)
        thread.start()
        while not (tmp_path / "a" / "calls-1-of-1.jsonl").exists():
            time.sleep(0.01)
        with pytest.raises(StoreError, match="another process is writing"):
            run(tmp_path / "a", server.base_url, seeds=10).work()
        thread.join()


def test_changed_settings_are_refused_with_their_differences(tmp_path: Path) -> None:
    with ScriptedChatServer(scripted()) as server:
        run(tmp_path / "a", server.base_url).work()
        with pytest.raises(InputError, match=r"hard: 1 there, 2 now.*--force"):
            run(tmp_path / "a", server.base_url, asked=request(hard=2)).work()
        forced = run(tmp_path / "a", server.base_url, asked=request(hard=2), how=How(force=True)).work()
        assert forced.is_complete and forced.items == 30 and "hard: 1 there, 2 now" in forced.warnings[0]
        assert run(tmp_path / "a", server.base_url, asked=request(hard=2)).work().warnings == []


@pytest.mark.parametrize("content", ["notes", '{"encoder": "minilm"}'])
def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path, content: str) -> None:
    (tmp_path / "settings.json" if content.startswith("{") else tmp_path / "notes.txt").write_text(content)
    with pytest.raises(InputError, match="holds something else"):
        run(tmp_path, "http://127.0.0.1:1/v1").work()
    assert len(list(tmp_path.iterdir())) == 1


def test_a_torn_last_line_is_repaired_and_told(tmp_path: Path) -> None:
    with ScriptedChatServer(scripted()) as server:
        run(tmp_path / "whole", server.base_url).work()
        run(tmp_path / "a", server.base_url).work()
        for name in ("items-1-of-1.jsonl", "calls-1-of-1.jsonl"):
            file = tmp_path / "a" / name
            file.write_bytes(file.read_bytes()[:-30])
        report = run(tmp_path / "a", server.base_url).work()
    assert report.is_complete and "torn" in report.warnings[0]
    assert made(tmp_path / "a") == made(tmp_path / "whole")
    assert len(list(read_lines(tmp_path / "a" / "items-1-of-1.jsonl"))) == 20


def test_an_error_of_our_own_is_no_outcome(tmp_path: Path) -> None:
    async def wrong(item: Item, caller: Caller) -> Outcome:
        raise ZeroDivisionError

    with ScriptedChatServer(scripted()) as server, pytest.raises(ZeroDivisionError):
        run(tmp_path / "a", server.base_url, making=wrong).work()
    assert made(tmp_path / "a") == []


def test_a_call_that_fails_for_good_in_the_making_is_rejected(tmp_path: Path) -> None:
    async def fails(item: Item, caller: Caller) -> Outcome:
        raise ChatError("no")

    with ScriptedChatServer(scripted()) as server:
        report = run(tmp_path / "a", server.base_url, making=fails).work()
    assert report.rejected == {"the model's server refused": 20}
