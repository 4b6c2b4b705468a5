"""`ReasonIREmbeddings`: a LangChain embeddings class over an encoder.

Queries and documents keep their separate roads; texts are passed byte for byte. The asynchronous methods run the
synchronous ones in threads of our own (`waiting`); the encoder is safe to share between threads.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Literal, Self

from langchain_core.embeddings import Embeddings
from langchain_core.stores import BaseStore
from pydantic import BaseModel, ConfigDict, PrivateAttr, SecretStr, field_serializer

from langchain_reasonir.waiting import in_worker
from reasonir_agent.encoder import ReasonIREncoder
from reasonir_agent.errors import redact
from reasonir_agent.types import Encoder

if TYPE_CHECKING:
    from langchain_reasonir.cache import CachedReasonIREmbeddings

_opening = threading.Lock()  # two threads that ask at once must not load the weights twice


class ReasonIREmbeddings(BaseModel, Embeddings):
    """Embeddings of a ReasonIR encoder.

    The encoder is opened at first use. Arguments and errors are those of `ReasonIREncoder`.

    Example:
        >>> ReasonIREmbeddings(model="minilm").embed_query("Why?")    # doctest: +SKIP
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), frozen=True, hide_input_in_errors=True)

    model: str | None = None
    query_instruction: str | None = None
    document_instruction: str | None = None
    task: str | None = None
    device: str = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    max_tokens: int | None = None
    base_url: str | None = None
    api_key: SecretStr | None = None

    _encoder: Encoder | None = PrivateAttr(default=None)

    @classmethod
    def from_encoder(cls, encoder: Encoder) -> Self:
        """Embeddings over an encoder that is open already, so that one is shared.

        Its settings are the encoder's; what is read from the fields (`model_dump`) is its name alone.
        """
        made = cls(model=encoder.name)
        made._encoder = encoder
        return made

    @property
    def encoder(self) -> Encoder:
        """The encoder underneath."""
        if self._encoder is None:
            with _opening:
                if self._encoder is None:
                    self._encoder = self._open()
        return self._encoder

    def _open(self) -> ReasonIREncoder:
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

    def __repr_args__(self) -> Any:
        return [(name, redact(value) if isinstance(value, str) else value) for name, value in super().__repr_args__()]

    @field_serializer("base_url")
    def _without_secret(self, value: str | None) -> str | None:
        return None if value is None else redact(value)

    @property
    def cache_namespace(self) -> str:
        """For `CacheBackedEmbeddings.from_bytes_store(namespace=...)` of LangChain, whose keys know no encoder.

        It holds for documents. That class gives queries and documents one key; do not let it cache queries in the same
        byte store, or use `cached`.
        """
        return f"reasonir-{self.encoder.fingerprint.id}-"

    def cached(self, byte_store: BaseStore[str, bytes]) -> CachedReasonIREmbeddings:
        """The same embeddings with a cache for queries and documents that never mixes the two, nor two encoders.

        Args:
            byte_store: any LangChain byte store (`InMemoryByteStore`, `LocalFileStore`, Redis, ...).
        """
        from langchain_reasonir.cache import CachedReasonIREmbeddings

        return CachedReasonIREmbeddings(self, byte_store)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors of documents."""
        rows: list[list[float]] = self.encoder.encode_documents(texts).tolist()
        return rows

    def embed_query(self, text: str) -> list[float]:
        """Vector of one query."""
        row: list[float] = self.encoder.encode_queries([text])[0].tolist()
        return row

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors of documents; the event loop stays free."""
        return await in_worker(self.embed_documents, texts)

    async def aembed_query(self, text: str) -> list[float]:
        """Vector of one query; the event loop stays free."""
        return await in_worker(self.embed_query, text)
