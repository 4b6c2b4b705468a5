"""Chroma alone: a collection of our own, and the whole way of moving one that another embedder filled.

    python examples/07_chroma.py

The other embedder is a stand-in on this machine that speaks OpenAI's protocol and gives vectors of 1,536 numbers; the
encoder that the texts move to is the real local one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import chromadb
from chromadb.utils.embedding_functions import OpenAIEmbeddingFunction

from reasonir_agent.errors import EncoderMismatch
from reasonir_agent.stores.chroma import open_collection
from reasonir_agent.testing import FakeEncoder, ScriptedChatServer

CORPUS = Path(__file__).parent / "corpus"
QUESTION = "Why does a small round hole keep a crack from growing?"
REASONIR = [sys.executable, "-m", "reasonir_agent.cli"]  # the same as `reasonir`, wherever this Python is installed


def texts(number: int = 12) -> dict[str, str]:
    """Some documents of the example corpus, the one that answers the question among them."""
    files = [CORPUS / "stress-concentration.md", *sorted(CORPUS.glob("[a-l]*.md"))]
    return {file.stem: file.read_text(encoding="utf-8") for file in files[:number]}


def a_collection_of_our_own(folder: Path) -> None:
    """`open_collection` makes it with cosine distances, our settings, and the encoder that it remembers."""
    documents = texts()
    collection = open_collection(folder, "notes", encoder="minilm")
    collection.add(
        ids=list(documents),
        documents=list(documents.values()),
        metadatas=[{"words": len(text.split())} for text in documents.values()],
    )
    found = collection.query(query_texts=[QUESTION], n_results=3)
    print(f"our own: {collection.count()} documents; {found['ids'][0]}")
    short = collection.query(query_texts=[QUESTION], n_results=3, where={"words": {"$lt": 150}})
    print(f"  under 150 words: {short['ids'][0]}")


def made_by_another_embedder(folder: Path) -> None:
    """What people come with: Chroma's own function for OpenAI, whose vectors lie in the collection."""
    other = FakeEncoder("theirs", dim=1536)
    client = chromadb.PersistentClient(path=str(folder))
    with ScriptedChatServer(embed=other.encode_documents) as server:
        os.environ["OPENAI_API_KEY"] = "none"  # Chroma keeps the variable's name, never the key
        function = OpenAIEmbeddingFunction(model_name="text-embedding-3-small", api_base=server.base_url)
        documents = texts()
        collection = client.create_collection("articles", embedding_function=function)
        collection.add(ids=list(documents), documents=list(documents.values()))
        print(f"theirs: {collection.count()} documents, vectors of {dimension(collection)} numbers")
    client.close()


def dimension(collection: chromadb.Collection) -> int:
    return len(collection.peek(1)["embeddings"][0])


def moved(folder: Path) -> None:
    """One command; the old collection is kept beside the new one."""
    try:
        open_collection(folder, "articles", encoder="minilm")
    except EncoderMismatch as refused:
        print(f"  before: {refused}")
    command = ["reembed", "--chroma", str(folder), "--collection", "articles", "--encoder", "minilm"]
    print("  $ reasonir reembed --chroma DIR --collection articles --encoder minilm")
    subprocess.run([*REASONIR, *command], check=True)
    collection = open_collection(folder, "articles")  # it says itself which encoder it needs
    found = collection.query(query_texts=[QUESTION], n_results=3)
    print(f"  after: vectors of {dimension(collection)} numbers; {found['ids'][0]}")


def both_are_there(folder: Path) -> None:
    client = chromadb.PersistentClient(path=str(folder))
    for one in sorted(client.list_collections(), key=lambda one: len(one.name)):
        print(f"  {one.name}: {one.count()} documents, vectors of {dimension(one)} numbers")
    client.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        a_collection_of_our_own(Path(folder) / "ours")
        made_by_another_embedder(Path(folder) / "theirs")
        moved(Path(folder) / "theirs")
        both_are_there(Path(folder) / "theirs")


if __name__ == "__main__":
    main()
