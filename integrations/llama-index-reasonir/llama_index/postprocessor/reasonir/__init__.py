"""Reranking for LlamaIndex: translation only. What is computed is computed in `reasonir_agent.reranking`."""

from llama_index.postprocessor.reasonir.base import ReasonIRRerank

__all__ = ["ReasonIRRerank"]
