"""ReasonIR for LangChain: translation only. What is computed is computed in `reasonir_agent.encoder`."""

from langchain_reasonir.embeddings import ReasonIREmbeddings

__all__ = ["ReasonIREmbeddings"]
