"""What the tests of langchain-reasonir share: a few documents, a scripted chat model, stores that are filled."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langchain_chroma import Chroma
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_reasonir import ReasonIREmbeddings
from reasonir_agent.llm import ChatModel, open_chat_model
from reasonir_agent.testing import FakeEncoder, Reply, ScriptedChatServer

TINY = {
    "model": str(Path(__file__).resolve().parent.parent / "data" / "reasonir-tiny"),
    "device": "cpu",
    "dtype": "float32",
}
TEXTS = {
    "ducks": "Ducks keep their feet cold on purpose. Outgoing warm blood heats the returning cold blood.",
    "debts": "Inflation erodes the real value of nominal debts, so borrowers gain what lenders lose.",
    "mirror": "Fog on a mirror is made of small drops. A film of soap lowers the surface tension of water.",
    "queue": "A heap gives the smallest element in logarithmic time.",
    "frost": "A roof under a clear sky radiates heat to space and becomes colder than the air.",
    "bread": "Salt slows the yeast in a dough. Bakers use it to control how fast bread rises.",
}
QUESTION = "Why do ducks lose hardly any heat through their feet?"
REWRITE = "The essential problem is what inflation does to nominal debts: borrowers repay lenders with less."
KEY = "very-private-word"


def documents() -> list[Document]:
    return [Document(id=one, page_content=text, metadata={"source": f"{one}.txt"}) for one, text in TEXTS.items()]


def in_memory(encoder: FakeEncoder, given: list[Document] | None = None) -> InMemoryVectorStore:
    store = InMemoryVectorStore(ReasonIREmbeddings.from_encoder(encoder))
    store.add_documents(documents() if given is None else given)
    return store


@contextmanager
def chroma(embeddings: Any, folder: Path | None = None, *, space: str = "cosine") -> Iterator[Chroma]:
    """An empty collection in a folder, or in memory."""
    options: dict[str, Any] = {} if folder is None else {"persist_directory": str(folder)}
    store = Chroma("texts", embeddings, collection_configuration={"hnsw": {"space": space}}, **options)
    try:
        yield store
    finally:
        if folder is None:
            store.delete_collection()
        store._client.close()


class Script:
    """A model that rewrites, and scores passages by a word that they hold."""

    def __init__(
        self,
        *,
        rewrite: str | Reply = REWRITE,
        scores: Mapping[str, str | Reply] | None = None,
        other: str = "Score: 1",
    ) -> None:
        self.rewrite, self.scores, self.other = rewrite, scores or {}, other
        self.asked: list[str] = []
        self.texts: list[str] = []

    def __call__(self, request: Mapping[str, Any]) -> str | Reply:
        system, text = (str(request["messages"][place]["content"]) for place in (0, 1))
        self.texts.append(text)
        if system.startswith("You prepare searches"):
            self.asked.append("rewrite")
            return self.rewrite
        self.asked.append("rerank")
        passage = re.split(r"passage", text, maxsplit=1, flags=re.IGNORECASE)[-1]
        return next((said for word, said in self.scores.items() if word in passage), self.other)


@contextmanager
def scripted(script: Script) -> Iterator[ChatModel]:
    with ScriptedChatServer(script) as server:
        yield open_chat_model("openai:test", base_url=server.base_url, max_retries=0, timeout=5.0)
