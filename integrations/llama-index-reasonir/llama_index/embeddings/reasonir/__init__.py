"""ReasonIR for LlamaIndex: translation only. What is computed is computed in `reasonir_agent.encoder`."""

from llama_index.embeddings.reasonir.base import ReasonIREmbedding
from llama_index.embeddings.reasonir.plain import PlainText, plain

__all__ = ["PlainText", "ReasonIREmbedding", "plain"]
