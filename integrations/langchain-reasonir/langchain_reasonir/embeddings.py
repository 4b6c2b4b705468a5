"""`ReasonIREmbeddings`: a LangChain embeddings class over `ReasonIREncoder`.

Queries and documents keep their separate roads; texts are passed byte for byte. The asynchronous methods are
LangChain's own, which run the synchronous ones in a thread; the encoder is safe to share between threads.
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal

from langchain_core.embeddings import Embeddings
from pydantic import BaseModel, ConfigDict, SecretStr

from reasonir_agent.encoder import ReasonIREncoder


class ReasonIREmbeddings(BaseModel, Embeddings):
    """Embeddings of a ReasonIR encoder.

    The encoder is opened at first use. Arguments and errors are those of `ReasonIREncoder`.

    Example:
        >>> ReasonIREmbeddings(model="minilm").embed_query("Why?")    # doctest: +SKIP
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), frozen=True, ignored_types=(cached_property,))

    model: str | None = None
    query_instruction: str | None = None
    document_instruction: str | None = None
    task: str | None = None
    device: str = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    max_tokens: int | None = None
    base_url: str | None = None
    api_key: SecretStr | None = None

    @cached_property
    def encoder(self) -> ReasonIREncoder:
        """The encoder underneath."""
        return ReasonIREncoder(
            self.model,
            query_instruction=self.query_instruction,
            document_instruction=self.document_instruction,
            task=self.task,
            device=self.device,
            dtype=self.dtype,
            max_tokens=self.max_tokens,
            base_url=self.base_url,
            api_key=self.api_key.get_secret_value() if self.api_key else None,
        )

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors of documents."""
        rows: list[list[float]] = self.encoder.encode_documents(texts).tolist()
        return rows

    def embed_query(self, text: str) -> list[float]:
        """Vector of one query."""
        row: list[float] = self.encoder.encode_queries([text])[0].tolist()
        return row
