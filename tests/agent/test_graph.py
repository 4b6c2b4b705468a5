"""The compiled graph: edges, all ways of running it, its state, checkpoints and resuming."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from reasonir_agent import Corpus, build_agent
from reasonir_agent.agent.state import add_usage
from reasonir_agent.errors import ChatUnavailable, EncoderMismatch, InputError, StoreError
from reasonir_agent.testing import FakeEncoder, ScriptedChatServer
from reasonir_agent.types import Passage

STEPS = ["begin", "rewrite", "retrieve", "rerank", "grade", "answer", "finish"]
SEARCHING = {
    "question",
    "where",
    "round",
    "searches",
    "missing",
    "verdict",
    "rewrites",
    "hits",
    "usage",
    "warnings",
    "trace",
    "estimates",
}
KEYS = SEARCHING | {"answer", "abstained", "citations"}


def edges(graph: Any) -> set[tuple[str, str]]:
    return {(edge.source, edge.target) for edge in graph.get_graph().edges}


def test_the_edges_are_the_documented_ones(corpus: Corpus) -> None:
    graph = build_agent(store=corpus, encoder=corpus.encoder)
    path = ["__start__", *STEPS, "__end__"]
    assert edges(graph) == {*pairwise(path), ("grade", "rewrite")}
    drawn = re.findall(r"(\w+) -(?:-|\.-)>(?: \w+ -+>)? (\w+);", graph.get_graph().draw_mermaid())
    assert set(drawn) == edges(graph)


def test_a_searching_graph_ends_before_the_answer(corpus: Corpus, question: str) -> None:
    graph = build_agent(store=corpus, encoder=corpus.encoder, until="rerank")
    path = ["__start__", "begin", "rewrite", "retrieve", "rerank", "finish", "__end__"]
    assert edges(graph) == set(pairwise(path))
    assert set(graph.invoke({"question": question})) == SEARCHING


def test_the_state_is_json_and_holds_no_passage(
    corpus: Corpus, model: Any, open_chat: Any, question: str, texts: dict[str, str]
) -> None:
    with ScriptedChatServer(model()) as server:
        state = build_agent(store=corpus, encoder=corpus.encoder, chat_model=open_chat(server)).invoke(
            {"question": question}
        )
    assert set(state) == KEYS
    written = json.dumps(state)
    assert json.loads(written) == state
    assert all(
        set(hit) == {"id", "dense_score", "lexical_score", "reranker_score", "final_score"} for hit in state["hits"]
    )
    assert not [name for name, text in texts.items() if text[:60] in written]


async def test_all_ways_of_running_give_the_same(corpus: Corpus, question: str) -> None:
    graph = build_agent(store=corpus, encoder=corpus.encoder)

    def told(state: dict[str, Any]) -> Any:
        return {name: value for name, value in state.items() if name not in ("usage", "trace")}

    expected = told(await graph.ainvoke({"question": question}))
    assert expected["citations"]
    assert told(graph.invoke({"question": question})) == expected  # inside a running loop
    assert told(await asyncio.to_thread(graph.invoke, {"question": question})) == expected
    assert told(list(graph.stream({"question": question}, stream_mode="values"))[-1]) == expected
    assert told([part async for part in graph.astream({"question": question}, stream_mode="values")][-1]) == expected


async def test_updates_are_streamed_step_by_step(corpus: Corpus, model: Any, open_chat: Any, question: str) -> None:
    with ScriptedChatServer(model()) as server:
        graph = build_agent(store=corpus, encoder=corpus.encoder, chat_model=open_chat(server))
        here = list(graph.stream({"question": question}, stream_mode="updates"))
        there = [part async for part in graph.astream({"question": question}, stream_mode="updates")]
    for parts in (here, there):
        assert [next(iter(part)) for part in parts] == STEPS
        assert all(len(part) == 1 for part in parts)
        assert parts[1]["rewrite"]["rewrites"]
        assert parts[5]["answer"]["citations"]


async def test_messages_of_the_model_are_streamed_too(
    corpus: Corpus, model: Any, open_chat: Any, question: str
) -> None:
    with ScriptedChatServer(model()) as server:
        graph = build_agent(store=corpus, encoder=corpus.encoder, chat_model=open_chat(server))
        seen = [part async for part in graph.astream({"question": question}, stream_mode=["values", "messages"])]
    assert [part for mode, part in seen if mode == "values"][-1]["citations"]


def test_many_questions_at_once_do_not_mix(corpus: Corpus, texts: dict[str, str]) -> None:
    graph = build_agent(store=corpus, encoder=corpus.encoder)
    asked = [{"question": text.split(". ")[0]} for text in texts.values()]
    found = asyncio.run(graph.abatch(asked))
    ids = {
        passage.id: Path(passage.source).name
        for passage in corpus.passages(corpus.store.database.passage_ids()).values()
    }
    assert [ids[state["hits"][0]["id"]] for state in found] == list(texts)


@pytest.mark.parametrize("given", [{}, {"question": ""}, {"question": "  "}, {"question": 7}, {"question": None}])
def test_a_state_without_a_question_is_wrong_input(corpus: Corpus, given: dict[str, Any]) -> None:
    graph = build_agent(store=corpus, encoder=corpus.encoder)
    with pytest.raises((InputError, _empty_input_error())):
        graph.invoke(given)


def _empty_input_error() -> type[Exception]:
    from langgraph.errors import EmptyInputError

    return EmptyInputError


def test_collaborators_are_checked_when_the_graph_is_built(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        build_agent(store=tmp_path / "none", encoder=FakeEncoder())
    with pytest.raises(EncoderMismatch):
        build_agent(store=corpus.store.folder, encoder=FakeEncoder(dim=32))
    with pytest.raises(InputError, match="provider:model"):
        build_agent(store=corpus, encoder=corpus.encoder, chat_model="gpt")


def test_a_store_and_a_folder_can_be_given(corpus: Corpus, question: str) -> None:
    for store in (corpus, corpus.store, corpus.store.folder, str(corpus.store.folder)):
        graph = build_agent(store=store, encoder=corpus.encoder, until="rerank")
        assert len(graph.invoke({"question": question})["hits"]) == 6


class LastFirst:
    """A reranker of the caller's own."""

    async def score(self, question: str, passages: Sequence[Passage]) -> list[float]:
        return [n / (len(passages) - 1) for n in range(len(passages))]


def test_a_reranker_of_one_s_own_works_without_a_model(corpus: Corpus, question: str) -> None:
    graph = build_agent(store=corpus, encoder=corpus.encoder, reranker=LastFirst(), until="rerank")
    state = graph.invoke({"question": question})
    retrieved = [hit.passage.id for hit in corpus.find([question], 6)]
    scores = {hit["id"]: hit["reranker_score"] for hit in state["hits"]}
    assert [scores[one] for one in retrieved] == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert state["usage"]["llm_calls"] == 0


def test_the_reranker_can_be_left_out(corpus: Corpus, model: Any, open_chat: Any, question: str) -> None:
    said = model()
    with ScriptedChatServer(said) as server:
        chat = open_chat(server)
        graph = build_agent(store=corpus, encoder=corpus.encoder, chat_model=chat, reranker=None, until="rerank")
        state = graph.invoke({"question": question})
    assert said.asked == {"rewrite": 1}
    assert all(hit["reranker_score"] is None for hit in state["hits"])


def test_what_steps_cost_is_joined() -> None:
    one = {"llm_calls": 1, "prompt_tokens": 10, "completion_tokens": 2, "seconds": 0.5, "reranker_failures": 1}
    assert add_usage({}, {}) == {**dict.fromkeys(one, 0), "cost": None}
    assert add_usage({}, {**one, "cost": 0.25})["cost"] == 0.25
    assert add_usage({**one, "cost": None}, {**one, "cost": 0.5})["cost"] is None, "a part that is unknown is no cost"
    assert add_usage({**one, "llm_calls": 0, "cost": None}, {**one, "cost": 0.5})["cost"] == 0.5
    assert add_usage({**one, "cost": 0.25}, {**one, "cost": 0.25}) == {
        "llm_calls": 2,
        "prompt_tokens": 20,
        "completion_tokens": 4,
        "seconds": 1.0,
        "reranker_failures": 2,
        "cost": 0.5,
    }


async def test_a_cancelled_run_makes_no_further_requests(
    corpus: Corpus, model: Any, open_chat: Any, question: str
) -> None:
    from reasonir_agent.testing import Reply

    said = model(rewrite=Reply("x" * 50, delay=0.5))
    with ScriptedChatServer(said) as server:
        graph = build_agent(store=corpus, encoder=corpus.encoder, chat_model=open_chat(server))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(graph.ainvoke({"question": question}), 0.2)
        await asyncio.sleep(0.6)
    assert said.asked == {"rewrite": 1}


CRASH = """
import json, sys
from pathlib import Path
from langgraph.checkpoint.sqlite import SqliteSaver
from reasonir_agent import Corpus, build_agent
from reasonir_agent.llm import open_chat_model
from reasonir_agent.testing import FakeEncoder

folder, address, question, mode = sys.argv[1:]

class Judge:
    async def score(self, question, passages):
        if mode == "crash":
            raise OSError("power cut")
        return [0.6 for _ in passages]

with SqliteSaver.from_conn_string(str(Path(folder) / "checkpoints.sqlite")) as saver:
    graph = build_agent(
        store=Path(folder) / "store", encoder=FakeEncoder(), reranker=Judge(), checkpointer=saver,
        chat_model=open_chat_model("openai:test", base_url=address, max_retries=0),
    )
    config = {"configurable": {"thread_id": "one"}}
    if mode == "crash":
        try:
            graph.invoke({"question": question}, config)
        except OSError:
            print(json.dumps({"next": graph.get_state(config).next, "values": graph.get_state(config).values}))
    elif mode == "resume":
        state = graph.invoke(None, config)
        print(json.dumps({"state": state, "kept": graph.get_state(config).values,
                          "steps": len(list(graph.get_state_history(config)))}))
"""


@pytest.mark.slow
def test_a_crashed_run_is_resumed_from_its_checkpoint_under_strict_msgpack(
    tmp_path: Path, model: Any, question: str, texts: dict[str, str]
) -> None:
    from reasonir_agent.testing import write_corpus

    write_corpus(tmp_path / "texts", texts)
    with Corpus(tmp_path / "store", FakeEncoder(), create=True) as made:
        made.index([tmp_path / "texts"])

    def run(server: ScriptedChatServer, mode: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", CRASH, str(tmp_path), server.base_url, question, mode],
            env={**os.environ, "LANGGRAPH_STRICT_MSGPACK": "true"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "msgpack" not in done.stderr
        return json.loads(done.stdout)

    said = model()
    with ScriptedChatServer(said) as server:
        crashed = run(server, "crash")
        assert crashed["next"] == ["rerank"]
        assert set(crashed["values"]) >= {"question", "rewrites", "hits"}
        assert said.asked == {"rewrite": 1}
        resumed = run(server, "resume")
    assert said.asked == dict.fromkeys(("rewrite", "grade", "answer", "support"), 1), (
        "what was done before the crash is not done again"
    )
    state = resumed["state"]
    assert state == resumed["kept"]
    assert [hit["reranker_score"] for hit in state["hits"]] == [0.6] * 6
    assert state["citations"]
    assert state["usage"]["llm_calls"] == 4
    assert state["warnings"] == []
    assert resumed["steps"] >= 5
    kept = b"".join(file.read_bytes() for file in tmp_path.glob("checkpoints.sqlite*"))
    assert question.encode() in kept
    assert not [name for name, text in texts.items() if text[:60].encode() in kept], "texts belong to the store"


def test_an_error_in_a_step_comes_out_as_it_is(corpus: Corpus, open_chat: Any, question: str) -> None:
    with ScriptedChatServer(["x"]) as server:
        chat = open_chat(server)
    graph = build_agent(store=corpus, encoder=corpus.encoder, chat_model=chat)
    with pytest.raises(ChatUnavailable) as caught:
        graph.invoke({"question": question})
    assert "\n" not in str(caught.value)
