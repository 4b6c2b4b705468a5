"""Point it at a folder and ask: without a model, then with one.

    python examples/01_ask_a_folder.py                                   # the chat model is a script on this machine
    python examples/01_ask_a_folder.py --llm openai:gpt-5-mini           # a real one, with OPENAI_API_KEY set

The scripted model shows what travels where; it has not understood anything.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from reasonir_agent import Corpus, ReasonIREncoder, ask
from reasonir_agent.llm import open_chat_model
from reasonir_agent.testing import ScriptedChatServer
from reasonir_agent.types import Answer

CORPUS = Path(__file__).parent / "corpus"
QUESTION = "How can drilling a hole at the end of a crack stop it from growing?"


def script(request: dict) -> str:
    """What the scripted model says to the five kinds of requests."""
    prompt = "\n".join(str(message["content"]) for message in request["messages"])
    if prompt.startswith("You decide how a search goes on"):
        return json.dumps({"verdict": "answer", "missing": []})
    if prompt.startswith("You check citations"):
        return json.dumps({"pairs": [{"pair": 1, "supported": True}]})
    if "Reply with one JSON object" in prompt:
        quote = "the sharper the tip, the higher the stress"
        passages = prompt.split('<passage n="')[1:]
        number = next((n for n, passage in enumerate(passages, start=1) if quote in passage), 1)
        answer = f"A crack's sharp tip concentrates the stress; a round hole there blunts it [{number}]."
        return json.dumps({"found": True, "answer": answer, "citations": [{"n": number, "quote": quote}]})
    if "Score: N" in prompt:
        return "Score: 5" if "radius of curvature" in prompt else "Score: 1"
    return (
        "The essential problem is stress concentration: a notch crowds the lines of force, and the local stress at its "
        "tip depends on the radius of curvature. A crack tip is sharp; a drilled hole is round and lowers the stress."
    )


def show(title: str, answer: Answer) -> None:
    """Print an answer and its citations."""
    print(f"\n== {title}\n{answer.answer}")
    for citation in answer.citations:
        print(f"  [{citation.n}] {Path(citation.source).name}:{citation.start}-{citation.end} “{citation.quote}”")
    print(
        f"  {answer.usage.llm_calls} model calls; first hits:", [Path(h.passage.source).stem for h in answer.hits[:3]]
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--llm", help="provider:model; without it a scripted server is used")
    llm = arguments.parse_args().llm
    with tempfile.TemporaryDirectory() as folder, Corpus(folder, ReasonIREncoder("minilm"), create=True) as corpus:
        report = corpus.index([CORPUS])
        print(f"{report.passages} passages of {report.files} files")
        show("without a model", ask(QUESTION, store=corpus))
        if llm:
            show(llm, ask(QUESTION, store=corpus, chat_model=llm))
            return
        with ScriptedChatServer(script) as server:
            model = open_chat_model("openai:scripted", base_url=server.base_url)
            show("with a scripted model", ask(QUESTION, store=corpus, chat_model=model))


if __name__ == "__main__":
    main()
