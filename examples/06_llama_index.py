"""A LlamaIndex query engine over a folder: our embedding first, then our retriever and reranker in it.

    python examples/06_llama_index.py                              # the chat model is a script on this machine
    python examples/06_llama_index.py --llm openai:gpt-5-mini      # a real one, with OPENAI_API_KEY set

Needs: pip install 'reasonir-agent[local,agent]' llama-index-reasonir. The encoder is real; the scripted model shows what
travels where, and has not understood anything.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from llama_index.core import Document, VectorStoreIndex
from llama_index.core.llms import CompletionResponse, CompletionResponseGen, CustomLLM, LLMMetadata
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.query_engine import RetrieverQueryEngine
from pydantic import PrivateAttr

from llama_index.embeddings.reasonir import PlainText, ReasonIREmbedding
from llama_index.postprocessor.reasonir import ReasonIRRerank
from llama_index.retrievers.reasonir import ReasonIRRetriever
from reasonir_agent.bridge import run_sync
from reasonir_agent.llm import ChatModel, Meter, open_chat_model
from reasonir_agent.testing import ScriptedChatServer

CORPUS = Path(__file__).parent / "corpus"
FILES = "[ms]*.md"  # some of it: a processor without a graphics card encodes a few passages a second
QUESTION = "How can drilling a hole at the end of a crack stop it from growing?"


def script(request: dict) -> str:
    """What the scripted model says to the three kinds of requests."""
    prompt = "\n".join(str(message["content"]) for message in request["messages"])
    if "Score: N" in prompt:
        return "Score: 5" if "radius of curvature" in prompt else "Score: 1"
    if "in three steps" in prompt:
        return (
            "The essential problem is stress concentration: a notch crowds the lines of force, and the local stress at "
            "its tip depends on the radius of curvature. A crack tip is sharp; a drilled hole is round."
        )
    return "A crack's sharp tip concentrates the stress; a round hole there blunts it."


class OurLLM(CustomLLM):
    """Any "provider:model" as LlamaIndex's language model. Packages such as llama-index-llms-openai do as well."""

    _chat: ChatModel = PrivateAttr()

    def __init__(self, chat: ChatModel) -> None:
        super().__init__()
        self._chat = chat

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name=self._chat.name, context_window=16_000)

    def complete(self, prompt: str, formatted: bool = False, **options: object) -> CompletionResponse:
        return CompletionResponse(text=run_sync(self._chat.complete([("user", prompt)], meter=Meter())).text)

    def stream_complete(self, prompt: str, formatted: bool = False, **options: object) -> CompletionResponseGen:
        yield self.complete(prompt)


def make_index() -> VectorStoreIndex:
    """Files, split and embedded: the text alone, without the metadata lines that LlamaIndex puts above it."""
    documents = [Document(text=path.read_text(), metadata={"file": path.name}) for path in sorted(CORPUS.glob(FILES))]
    return VectorStoreIndex.from_documents(
        documents,
        embed_model=ReasonIREmbedding(model_name="minilm"),
        transformations=[SentenceSplitter(chunk_size=256, chunk_overlap=0), PlainText()],
    )


def show(title: str, engine: RetrieverQueryEngine) -> None:
    """Ask, and print the answer and where it comes from."""
    response = engine.query(QUESTION)
    print(f"\n== {title}\n{response}")
    for node in response.source_nodes:
        cosine = node.node.metadata.get("reasonir_retriever_score", node.score)
        score = node.node.metadata.get("reasonir_reranker_score")
        judged = "" if score is None else f", reranker {score:.1f}, final {node.score:.3f}"
        print(f"  {node.node.metadata['file']:32} cosine {cosine:.3f}{judged}")


def ask(index: VectorStoreIndex, chat: ChatModel) -> None:
    """The same question by one changed line, then by all of ours."""
    llm = OurLLM(chat)
    show("the embedding alone, in LlamaIndex's own engine", index.as_query_engine(llm=llm, similarity_top_k=3))
    retriever = ReasonIRRetriever(index, similarity_top_k=10, llm=llm, rerank=False)
    reranker = ReasonIRRerank(llm, top_n=3)
    engine = RetrieverQueryEngine.from_args(retriever, llm=llm, node_postprocessors=[reranker])
    show("rewritten, by meaning and by words, reranked", engine)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--llm", help="provider:model; without it a scripted server is used")
    llm = arguments.parse_args().llm
    index = make_index()
    print(f"{len(index.index_struct.nodes_dict)} nodes")
    if llm:
        ask(index, open_chat_model(llm))
        return
    with ScriptedChatServer(script) as server:
        ask(index, open_chat_model("openai:scripted", base_url=server.base_url))
        print(f"\n{len(server.requests)} model calls")


if __name__ == "__main__":
    main()
