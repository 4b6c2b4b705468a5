"""`reasonir_search_tool`: the retriever as a tool for `create_agent` and every other LangChain agent.

The model sees numbered passages and their sources; scores and whole documents go into the artifact, from which an
application reads its citations. A search that fails is a message to the model, never a crash of the agent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool, StructuredTool, ToolException
from pydantic import BaseModel, Field

from langchain_reasonir.retriever import ReasonIRRetriever
from reasonir_agent.errors import InputError, ReasonIRError, StoreError, boundary
from reasonir_agent.stores.vector_store import as_passage

DESCRIPTION: Final = (
    "Search the document collection. Ask a whole question in plain words, with all that it is about; documents are found "
    "by what they explain, not only by the words they share with the question. Returns numbered passages with their "
    "sources."
)
NOTHING: Final = "No passages were found."

MOST_CHARACTERS: Final = 8000
"""Characters of one passage that the model is shown; the artifact holds all."""

Found = tuple[str, list[Document]]


class SearchInput(BaseModel):
    """What the model gives."""

    query: str = Field(description="the question to search for, in plain words")


def reasonir_search_tool(
    retriever: BaseRetriever | None = None,
    *,
    name: str = "search_documents",
    description: str = DESCRIPTION,
    k: int = 8,
    **options: Any,
) -> BaseTool:
    """A search tool with content and artifact.

    Args:
        retriever: a `ReasonIRRetriever`, or any other retriever; None makes one from `options`.
        name: the tool's name, as the model sees it.
        description: when the model should use it.
        k: passages that a search brings.
        options: arguments of `ReasonIRRetriever` (vectorstore=..., llm=...), where no retriever is given.

    Raises:
        InputError: a retriever and options were given, neither was, or k is not positive.
    """
    if (retriever is None) == (not options):
        raise InputError("give a retriever, or the arguments of ReasonIRRetriever (vectorstore=...), not both")
    if k < 1:
        raise InputError(f"k must be 1 or more, got {k}")
    source = ReasonIRRetriever(**options) if retriever is None else retriever
    asked: dict[str, Any] = {"k": k} if isinstance(source, ReasonIRRetriever) else {}

    def search(query: str) -> Found:
        try:
            with boundary(StoreError, "searching the documents"):
                return _shown(source.invoke(query, **asked)[:k])
        except ReasonIRError as problem:
            raise ToolException(_told(problem)) from problem

    async def asearch(query: str) -> Found:
        try:
            with boundary(StoreError, "searching the documents"):
                return _shown((await source.ainvoke(query, **asked))[:k])
        except ReasonIRError as problem:
            raise ToolException(_told(problem)) from problem

    return StructuredTool.from_function(
        search,
        asearch,
        name=name,
        description=description,
        args_schema=SearchInput,
        response_format="content_and_artifact",
        handle_tool_error=True,
        infer_schema=False,
    )


def _shown(documents: Sequence[Document]) -> Found:
    """Numbered passages for the model, documents for the application."""
    if not documents:
        return NOTHING, []
    parts = [
        f"[{n}] source: {as_passage(one).source or 'unknown'}\n{_cut(one.page_content)}"
        for n, one in enumerate(documents, start=1)
    ]
    return "\n\n".join(parts), list(documents)


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]} [cut]"


def _told(problem: ReasonIRError) -> str:
    return f"The search failed: {problem}"
