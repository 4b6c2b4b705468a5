"""`ReasonIREmbedding`: a LlamaIndex embedding model over `ReasonIREncoder`. Batches go to the encoder whole."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import Field, PrivateAttr

from reasonir_agent.encoder import ReasonIREncoder


class ReasonIREmbedding(BaseEmbedding):
    """Embeddings of a ReasonIR encoder, opened at first use. Errors are those of `ReasonIREncoder`."""

    query_instruction: str | None = Field(default=None, description="Task sentence for queries.")
    document_instruction: str | None = Field(default=None, description="Task sentence for documents.")
    task: str | None = Field(default=None, description="BRIGHT split whose instruction is used.")
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:N, mps.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(default="auto", description="Number format.")
    max_tokens: int | None = Field(default=None, description="Smaller window than the checkpoint's.")

    _encoder: ReasonIREncoder | None = PrivateAttr(default=None)

    def __init__(self, model_name: str = "minilm", **fields: Any) -> None:
        super().__init__(model_name=model_name, **fields)

    @classmethod
    def class_name(cls) -> str:
        """Name in serialised form."""
        return "ReasonIREmbedding"

    @property
    def encoder(self) -> ReasonIREncoder:
        """The encoder underneath."""
        if self._encoder is None:
            self._encoder = ReasonIREncoder(
                self.model_name,
                query_instruction=self.query_instruction,
                document_instruction=self.document_instruction,
                task=self.task,
                device=self.device,
                dtype=self.dtype,
                max_tokens=self.max_tokens,
            )
        return self._encoder

    def _get_query_embedding(self, query: str) -> list[float]:
        row: list[float] = self.encoder.encode_queries([query])[0].tolist()
        return row

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        rows: list[list[float]] = self.encoder.encode_documents(texts).tolist()
        return rows

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)
