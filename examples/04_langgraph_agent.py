"""A LangGraph agent that searches with our tool and cites what it found.

    python examples/04_langgraph_agent.py                                # the chat model is a script on this machine
    python examples/04_langgraph_agent.py --llm openai:gpt-5-mini        # a real one, with OPENAI_API_KEY set

The model sees numbered passages. The program reads the same passages, with scores and places, from the artifact of the
tool's message, and turns the model's [1] into a source: a number that no passage has is not a citation.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
from pathlib import Path

from langchain.agents import create_agent
from langchain.chat_models import init_chat_model
from langchain_core.documents import Document
from langchain_core.messages import ToolMessage
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_reasonir import ReasonIREmbeddings, reasonir_search_tool
from reasonir_agent.testing import Reply, ScriptedChatServer

CORPUS = Path(__file__).parent / "corpus"
TOPICS = (
    "bridge-expansion-joints bus-lanes mechanical-resonance metal-fatigue pin-tumbler-lock stress-concentration "
    "surface-tension tap-washers"
).split()
QUESTION = "How can drilling a hole at the end of a crack stop it from growing?"
SYSTEM = "Answer from the documents: search first, then answer in one or two sentences with the passages' numbers, as in [1]."


def script(request: dict) -> str | Reply:
    """The scripted model: it searches once, then answers with the number of the passage that it was shown."""
    results = [str(message["content"]) for message in request["messages"] if message["role"] == "tool"]
    if not results:
        return calls_tool("search_documents", {"query": QUESTION})
    number = re.search(r"\[(\d+)\] source: stress", results[-1]).group(1)
    return (
        f"A crack's sharp tip concentrates the stress; a round hole there blunts it [{number}]. Some say so too [99]."
    )


def calls_tool(name: str, arguments: dict) -> Reply:
    """A reply of the server that asks for a tool."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", "type": "function", "function": function}],
    }
    choice = {"index": 0, "finish_reason": "tool_calls", "message": message}
    body = {"id": "scripted", "object": "chat.completion", "created": 0, "model": "scripted", "choices": [choice]}
    return Reply(body=json.dumps(body).encode())


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--llm", help="provider:model; without it a scripted server is used")
    name = arguments.parse_args().llm
    with contextlib.ExitStack() as stack:
        if name:
            llm = init_chat_model(name)
        else:
            server = stack.enter_context(ScriptedChatServer(script))
            llm = init_chat_model("openai:scripted", base_url=server.base_url, api_key="none")

        store = InMemoryVectorStore(ReasonIREmbeddings(model="minilm"))
        paths = [CORPUS / f"{topic}.md" for topic in TOPICS]
        store.add_documents(
            [Document(page_content=path.read_text("utf-8"), metadata={"source": path.name}) for path in paths]
        )
        # with llm=llm the tool would rewrite every query and rerank what it finds
        agent = create_agent(llm, [reasonir_search_tool(vectorstore=store, k=3)], system_prompt=SYSTEM)
        messages = agent.invoke({"messages": [("user", QUESTION)]})["messages"]

    found = [one for message in messages if isinstance(message, ToolMessage) for one in message.artifact or []]
    answer = messages[-1].text
    print(f"Question: {QUESTION}\nAnswer: {answer}\n\nThe tool found:")
    for number, document in enumerate(found, start=1):
        print(f"  [{number}] {document.metadata['source']:26} cosine {document.metadata['dense_score']:.2f}")
    print("\nCitations:")
    for number in sorted({int(one) for one in re.findall(r"\[(\d+)\]", answer)}):
        known = number <= len(found)
        print(f"  [{number}] {found[number - 1].metadata['source'] if known else 'no such passage, dropped'}")


if __name__ == "__main__":
    main()
