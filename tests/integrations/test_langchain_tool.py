"""`reasonir_search_tool`: what the model sees, what the application gets, and what happens when a search fails."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage

from langchain_reasonir import ReasonIREmbeddings, ReasonIRRetriever, reasonir_search_tool
from langchain_reasonir.tool import MOST_CHARACTERS, NOTHING
from reasonir_agent.errors import InputError
from reasonir_agent.testing import FakeEncoder
from tests.integrations.langchain_scene import KEY, QUESTION, TEXTS, documents, in_memory


def called(query: str = QUESTION) -> dict[str, Any]:
    return {"type": "tool_call", "id": "1", "name": "search_documents", "args": {"query": query}}


class CallsOnce(GenericFakeChatModel):
    def bind_tools(self, *_: Any, **__: Any) -> CallsOnce:
        return self


def test_the_model_sees_numbered_passages_and_sources_and_no_scores() -> None:
    content = reasonir_search_tool(vectorstore=in_memory(FakeEncoder()), k=2).invoke({"query": QUESTION})
    first, second = content.split("\n\n")
    assert first == f"[1] source: ducks.txt\n{TEXTS['ducks']}"
    assert second.startswith("[2] source: ")
    assert "score" not in content


async def test_the_artifact_holds_the_documents_with_their_scores() -> None:
    tool = reasonir_search_tool(ReasonIRRetriever(vectorstore=in_memory(FakeEncoder()), k=1), k=3)
    message = tool.invoke(called())
    assert [type(one) for one in message.artifact] == [Document] * 3
    assert message.artifact[0].id == "ducks"
    assert {"dense_score", "final_score", "source"} <= message.artifact[0].metadata.keys()
    assert await tool.ainvoke(called()) == message


def test_any_retriever_will_do() -> None:
    tool = reasonir_search_tool(in_memory(FakeEncoder()).as_retriever(), k=2)
    assert len(tool.invoke(called()).artifact) == 2


def test_it_has_a_name_a_description_and_one_argument() -> None:
    tool = reasonir_search_tool(vectorstore=in_memory(FakeEncoder()), name="look", description="Looks.")
    assert (tool.name, tool.description) == ("look", "Looks.")
    assert list(tool.args) == ["query"]
    assert reasonir_search_tool(vectorstore=in_memory(FakeEncoder())).name == "search_documents"


def test_an_agent_uses_it_and_the_artifact_is_in_its_messages() -> None:
    model = CallsOnce(messages=iter([AIMessage("", tool_calls=[called()]), AIMessage("By cold feet [1].")]))
    agent = create_agent(model, [reasonir_search_tool(vectorstore=in_memory(FakeEncoder()))])
    messages = agent.invoke({"messages": [("user", QUESTION)]})["messages"]
    (told,) = [one for one in messages if isinstance(one, ToolMessage)]
    assert told.status == "success"
    assert told.artifact[0].metadata["source"] == "ducks.txt"
    assert messages[-1].content == "By cold feet [1]."


class TestFailures:
    """Messages that the model can read; the agent goes on."""

    async def test_a_store_that_fails(self) -> None:
        longer = ReasonIREmbeddings.from_encoder(FakeEncoder("longer", dim=128))
        tool = reasonir_search_tool(vectorstore=in_memory(FakeEncoder()), embeddings=longer)
        for message in (tool.invoke(called()), await tool.ainvoke(called())):
            assert message.status == "error"
            assert message.content.startswith("The search failed: the vector store InMemoryVectorStore could not be")

    def test_a_retriever_of_somebody_else_that_fails(self) -> None:
        from langchain_core.retrievers import BaseRetriever

        class Broken(BaseRetriever):
            def _get_relevant_documents(self, query: str, **_: Any) -> list[Document]:
                raise RuntimeError(f"api_key={KEY} refused\nby 10.0.0.1")

        message = reasonir_search_tool(Broken()).invoke(called())
        assert message.status == "error"
        assert (
            message.content
            == "The search failed: searching the documents failed: RuntimeError: api_key=[secret] refused"
        )

    def test_an_empty_question_of_the_model(self) -> None:
        message = reasonir_search_tool(vectorstore=in_memory(FakeEncoder())).invoke(called(" "))
        assert (message.status, "a question is needed" in message.content) == ("error", True)

    def test_nothing_found(self) -> None:
        message = reasonir_search_tool(vectorstore=in_memory(FakeEncoder(), [])).invoke(called())
        assert (message.content, message.artifact) == (NOTHING, [])


@pytest.mark.slow
def test_a_passage_of_10_mb_does_not_flood_the_model() -> None:
    long = Document(id="long", page_content="duck " + "x" * 10_000_000, metadata={"source": "long.txt"})
    message = reasonir_search_tool(vectorstore=in_memory(FakeEncoder(), [long, *documents()])).invoke(called())
    assert len(message.content) < 2 * MOST_CHARACTERS
    assert "[cut]" in message.content
    assert long.page_content in {one.page_content for one in message.artifact}


@pytest.mark.parametrize("given", [{}, {"retriever": "both"}])
def test_a_retriever_or_its_arguments_not_both_or_neither(given: dict[str, Any]) -> None:
    store = in_memory(FakeEncoder())
    if given:
        given = {"retriever": store.as_retriever(), "vectorstore": store}
    with pytest.raises(InputError, match="give a retriever, or the arguments of ReasonIRRetriever"):
        reasonir_search_tool(**given)
