"""An ordinary LangChain RAG chain, and the same chain with one line changed.

    python examples/03_langchain_chain.py                                # the chat model is a script on this machine
    python examples/03_langchain_chain.py --llm openai:gpt-5-mini        # a real one, with OPENAI_API_KEY set

The question shares hardly a word with the passage that answers it. The plain retriever compares the two and passes it
by; ours lets the chat model think first, searches with what it thought, and lets it judge what was found.
The scripted model shows what travels where; it has not understood anything.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from pathlib import Path

from langchain.chat_models import init_chat_model
from langchain_chroma import Chroma
from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough

from langchain_reasonir import ReasonIREmbeddings, ReasonIRRetriever
from reasonir_agent.testing import ScriptedChatServer

CORPUS = Path(__file__).parent / "corpus"
TOPICS = (
    "baroreflex boiling-and-pressure breathing-drive decompression-sickness eccentric-contraction evaporative-cooling "
    "foehn-wind mechanical-resonance metal-fatigue skin-blood-flow"
).split()
QUESTION = (
    "Climbing the mountain had me gasping and sweating; going down was easy, I could chat all the way. So why is it the "
    "descent that everyone blames for the pain in the thighs two days later?"
)
SCORES = ("dense_score", "lexical_score", "reranker_score", "final_score")
PROMPT = ChatPromptTemplate.from_template("Answer from these passages:\n\n{passages}\n\nQuestion: {question}")


def script(request: dict) -> str:
    """What the scripted model says to the three kinds of requests."""
    prompt = "\n".join(str(message["content"]) for message in request["messages"])
    if prompt.startswith("Answer from these passages"):
        if "eccentric" in prompt:
            return (
                "Downhill the thighs brake while they are stretched: little oxygen, high tension in few fibres, damage."
            )
        return "The passages do not say."
    if "Score: N" in prompt:
        return "Score: 5" if "eccentric" in prompt.lower().split("passage", 1)[-1] else "Score: 1"
    return (
        "The essential problem is muscle soreness after lengthening contractions. Going downhill the muscle brakes while "
        "it is stretched: an eccentric contraction, with high force in few fibres and little oxygen, damages sarcomeres."
    )


def shown(documents: list[Document]) -> str:
    """Passages as the model reads them."""
    return "\n\n".join(document.page_content for document in documents)


def ask(title: str, retriever, llm) -> None:
    """Run the chain over a retriever and print what it found and what it answered."""
    answer = (
        RunnablePassthrough.assign(passages=lambda state: shown(state["documents"])) | PROMPT | llm | StrOutputParser()
    )
    chain = {"documents": retriever, "question": RunnablePassthrough()} | RunnablePassthrough.assign(answer=answer)
    result = chain.invoke(QUESTION)
    print(f"\n== {title}")
    for document in result["documents"]:
        scores = {name: document.metadata[name] for name in SCORES if document.metadata.get(name) is not None}
        print(f"  {document.metadata['source']:26}", *(f"{name} {value:.2f}" for name, value in scores.items()))
    print(f"  {result['answer']}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--llm", help="provider:model; without it a scripted server is used")
    name = arguments.parse_args().llm
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        if name:
            llm = init_chat_model(name)
        else:
            server = stack.enter_context(ScriptedChatServer(script))
            llm = init_chat_model("openai:scripted", base_url=server.base_url, api_key="none")

        space = {"hnsw": {"space": "cosine"}}
        store = Chroma("notes", ReasonIREmbeddings(model="minilm"), folder, collection_configuration=space)
        stack.callback(store._client.close)
        paths = [CORPUS / f"{topic}.md" for topic in TOPICS]
        store.add_documents(
            [Document(page_content=path.read_text("utf-8"), metadata={"source": path.name}) for path in paths]
        )
        print(f"{len(paths)} notes in a Chroma collection\nQuestion: {QUESTION}")

        retriever = store.as_retriever(search_kwargs={"k": 2})
        ask("the chain as it was", retriever, llm)

        retriever = ReasonIRRetriever(vectorstore=store, llm=llm, k=2)  # the one line
        ask("with ReasonIRRetriever", retriever, llm)


if __name__ == "__main__":
    main()
