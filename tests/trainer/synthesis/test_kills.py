"""Killed at random moments, again and again, a run makes the items of an uninterrupted one and pays for little twice."""

from __future__ import annotations

import multiprocessing
import random
import time
from pathlib import Path

import pytest

from reasonir_agent.testing import ScriptedChatServer
from reasonir_trainer.synthesis.pipeline import How
from tests.trainer.synthesis.standin import done, made, run, scripted

_LOADED = ["langchain_openai", "langchain.chat_models", "tests.trainer.synthesis.standin"]


def work(out: Path, base_url: str, seeds: int) -> None:
    run(out, base_url, seeds=seeds, how=How(workers=10)).work()


def killed_and_resumed(out: Path, server: ScriptedChatServer, *, seeds: int, kills: int, longest: float) -> int:
    """Begin and kill, then let it finish; returns how many kills hit a run at work."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_LOADED)
    chance, hits = random.Random(7), 0
    for _ in range(kills):
        process = context.Process(target=work, args=(out, server.base_url, seeds))
        process.start()
        before = len(server.requests)
        until = time.monotonic() + 20
        while process.is_alive() and len(server.requests) == before and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, longest))
        hits += process.is_alive()
        process.kill()
        process.join()
    return hits


def check(tmp_path: Path, *, seeds: int, kills: int, longest: float, delay: float) -> None:
    with ScriptedChatServer(scripted(delay=delay)) as server:
        run(tmp_path / "whole", server.base_url, seeds=seeds, how=How(workers=10)).work()
        paid = len(server.requests)
        server.requests.clear()
        hits = killed_and_resumed(tmp_path / "a", server, seeds=seeds, kills=kills, longest=longest)
        assert hits == kills  # each hit a run that was not done
        kept = (tmp_path / "a" / "calls-1-of-1.jsonl").read_bytes().count(b"\n")
        assert kills < kept < paid and len(made(tmp_path / "a")) < 2 * seeds
        report = run(tmp_path / "a", server.base_url, seeds=seeds, how=How(workers=10)).work()
        assert report.is_complete and done(report) == 2 * seeds
        assert len(server.requests) <= paid + kills * 8  # the model's concurrency: no more is under way
    assert made(tmp_path / "a") == made(tmp_path / "whole")


@pytest.mark.slow
def test_a_run_that_is_killed_six_times_makes_the_same_items(tmp_path: Path) -> None:
    check(tmp_path, seeds=60, kills=6, longest=0.3, delay=0.05)


@pytest.mark.torture
@pytest.mark.timeout(1800)
def test_two_thousand_seeds_survive_sixty_kills(tmp_path: Path) -> None:
    check(tmp_path, seeds=2_000, kills=60, longest=1.0, delay=0.05)
