"""Retrieval for LlamaIndex: translation only. What is computed is computed in `reasonir_agent`."""

from llama_index.retrievers.reasonir.base import ReasonIRRetriever
from llama_index.retrievers.reasonir.transform import ReasonIRQueryTransform

__all__ = ["ReasonIRQueryTransform", "ReasonIRRetriever"]
