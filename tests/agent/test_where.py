"""Filters on their way from the user's text to the documents, through every door of the agent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from reasonir_agent import Corpus, ask, build_agent, search
from reasonir_agent.agent.sources import open_source
from reasonir_agent.errors import InputError
from reasonir_agent.testing import FakeEncoder, ScriptedChatServer
from reasonir_agent.types import PassageSource

RECORDS = [
    {"id": "old", "text": "Ducks keep their feet cold on the ice.", "year": 1999, "kind": "book"},
    {"id": "new", "text": "Ducks lose hardly any heat through their feet.", "year": 2020, "kind": "paper"},
    {
        "id": "debts",
        "text": "Inflation erodes the real value of nominal debts of ducks.",
        "year": 2021,
        "kind": "paper",
    },
]
QUESTION = "Why do ducks lose hardly any heat through their feet on the ice?"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    folder = tmp_path_factory.mktemp("library")
    (folder / "records.jsonl").write_text("\n".join(map(json.dumps, RECORDS)))
    with Corpus(folder / "store", FakeEncoder(), create=True) as made:
        made.index([folder / "records.jsonl"])
        yield made


def found(result: Any) -> set[str]:
    return {hit.passage.source.partition("#id=")[2] for hit in result.hits}


def sources(corpus: Corpus, state: dict[str, Any]) -> set[str]:
    passages = corpus.passages([one["id"] for one in state["hits"]])
    return {passage.source.partition("#id=")[2] for passage in passages.values()}


CASES: list[tuple[list[str], set[str]]] = [
    ([], {"old", "new", "debts"}),
    (["kind=paper"], {"new", "debts"}),
    (["kind=paper", "year<2021"], {"new"}),
    (["kind!=paper"], {"old"}),
    (["kind=letter"], set()),
]


@pytest.mark.parametrize(("where", "expected"), CASES)
def test_a_search_finds_only_what_the_filters_let_through(
    library: Corpus, where: list[str], expected: set[str]
) -> None:
    assert found(search(QUESTION, store=library, where=where)) == expected


@pytest.mark.parametrize(("where", "expected"), CASES)
def test_so_does_the_graph_and_its_state_is_json(library: Corpus, where: list[str], expected: set[str]) -> None:
    graph = build_agent(store=library, encoder=library.encoder)
    state = graph.invoke({"question": QUESTION, "where": where})
    assert sources(library, state) == expected
    assert json.loads(json.dumps(state)) == state


def test_an_answer_cites_only_what_the_filters_let_through(library: Corpus) -> None:
    assert ask(QUESTION, store=library).citations[0].source.endswith("#id=new")
    filtered = ask(QUESTION, store=library, where=["year<2000"])
    assert {one.source.partition("#id=")[2] for one in filtered.citations} == {"old"}
    nothing = ask(QUESTION, store=library, where=["kind=letter"])
    assert nothing.abstained and not nothing.hits


def test_with_a_model_the_filters_hold_for_the_rewritten_question(library: Corpus, model: Any, open_chat: Any) -> None:
    with ScriptedChatServer(model(rewrite="inflation, debts and borrowers")) as server:
        result = search(QUESTION, store=library, chat_model=open_chat(server), where=["year<=2020"])
    assert result.rewrites == ["inflation, debts and borrowers"]
    assert found(result) == {"old", "new"}


@pytest.mark.parametrize("bad", ["kind", "=paper", "date>=March"])
def test_a_filter_that_cannot_be_read_is_told_before_work_starts(
    library: Corpus, model: Any, open_chat: Any, bad: str, tmp_path: Path
) -> None:
    with ScriptedChatServer(model()) as server:
        for run in (search, ask):
            with pytest.raises(InputError, match="got"):
                run(QUESTION, store=library, chat_model=open_chat(server), where=["year=2020", bad])
            with pytest.raises(InputError, match="got"):  # before the store is looked for
                run(QUESTION, store=tmp_path / "nowhere", encoder=FakeEncoder(), where=[bad])
        graph = build_agent(store=library, encoder=library.encoder, chat_model=open_chat(server))
        with pytest.raises(InputError, match="got"):
            graph.invoke({"question": QUESTION, "where": [bad]})
        assert server.requests == []


def test_a_field_that_no_document_has_is_told_before_a_model_is_paid(
    library: Corpus, model: Any, open_chat: Any
) -> None:
    with ScriptedChatServer(model()) as server:
        for run in (search, ask):
            with pytest.raises(InputError, match="no document of this store has the field 'colour'; there are source"):
                run(QUESTION, store=library, chat_model=open_chat(server), where=["colour=red"])
        assert server.requests == []


def test_one_text_in_the_place_of_a_list_is_refused(library: Corpus) -> None:
    with pytest.raises(InputError, match="as a list of texts"):
        search(QUESTION, store=library, where="kind=paper")
    with pytest.raises(InputError, match="as a list of texts"):
        build_agent(store=library, encoder=library.encoder).invoke({"question": QUESTION, "where": "kind=paper"})  # type: ignore[typeddict-item]


@pytest.mark.parametrize("until", ["rerank", "answer"])
def test_the_next_question_of_a_thread_starts_without_the_filters_of_the_last(library: Corpus, until: Any) -> None:
    graph = build_agent(store=library, encoder=library.encoder, until=until, checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}}
    first = graph.invoke({"question": QUESTION, "where": ["kind=book"]}, thread)
    second = graph.invoke({"question": QUESTION}, thread)
    assert (sources(library, first), sources(library, second)) == ({"old"}, {"old", "new", "debts"})


def test_a_question_that_stopped_half_way_goes_on_with_its_filters(library: Corpus) -> None:
    graph = build_agent(store=library, encoder=library.encoder, checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}}
    graph.invoke({"question": QUESTION, "where": ["kind=book"]}, thread, interrupt_before=["retrieve"])
    assert sources(library, graph.invoke(None, thread)) == {"old"}


def test_a_corpus_is_a_source_of_passages_and_is_taken_as_it_is(library: Corpus) -> None:
    assert isinstance(library, PassageSource)
    assert library.size == len(RECORDS)
    assert open_source(library, None) is library
    by_folder, by_store = (open_source(one, library.encoder) for one in (library.store.folder, library.store))
    assert by_folder.size == by_store.size == len(RECORDS)
    for one in (by_folder, by_store):
        assert isinstance(one, Corpus)
        one.close()
