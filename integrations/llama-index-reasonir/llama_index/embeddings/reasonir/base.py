"""`ReasonIREmbedding`: a LlamaIndex embedding model over `ReasonIREncoder`. Batches go to the encoder whole.

It serialises to what is needed to open the encoder again: no weights, no key. An encoder that was handed in is named by
its fingerprint too, and what is opened later under that name must have the same one.

LlamaIndex's `embeddings_cache` keeps a text's vector under the text alone: a query gets the vector that the same text
has as a document. Such a store is taken, and kept from LlamaIndex: here the keys carry fingerprint and role (cache.py).
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import ConfigDict, Field, PrivateAttr, SecretStr
from llama_index.core.storage.kvstore.types import BaseKVStore

from llama_index.embeddings.reasonir.cache import Role, VectorCache
from reasonir_agent.encoder import ReasonIREncoder
from reasonir_agent.errors import EncoderMismatch, InputError
from reasonir_agent.types import Encoder


class ReasonIREmbedding(BaseEmbedding):
    """Embeddings of a ReasonIR encoder, opened at first use.

    Arguments and errors are those of `ReasonIREncoder`; further ones those of LlamaIndex's `BaseEmbedding`. Texts are
    passed byte for byte. The asynchronous methods encode in a worker thread and leave the loop free.

    Example:
        >>> Settings.embed_model = ReasonIREmbedding(model_name="minilm")     # doctest: +SKIP
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", hide_input_in_errors=True)

    embed_batch_size: int = Field(default=256, description="Texts given to the encoder at once.", gt=0, le=2048)
    query_instruction: str | None = Field(default=None, description="Task sentence for queries.")
    document_instruction: str | None = Field(default=None, description="Task sentence for documents.")
    task: str | None = Field(default=None, description="BRIGHT split whose instruction is used.")
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:N, mps.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(default="auto", description="Number format.")
    max_tokens: int | None = Field(default=None, description="Smaller window than the checkpoint's.")
    base_url: str | None = Field(default=None, description="An OpenAI-compatible embeddings server, up to /v1.")
    api_key: SecretStr | None = Field(default=None, exclude=True, repr=False, description="Key for that server.")
    fingerprint: str | None = Field(default=None, description="What the opened encoder's fingerprint must be.")

    _encoder: Encoder | None = PrivateAttr(default=None)
    _cache: VectorCache | None = PrivateAttr(default=None)

    def __init__(self, model_name: str = "minilm", **fields: Any) -> None:
        _check_address(fields.get("base_url"))
        cache = fields.pop("embeddings_cache", None)
        super().__init__(model_name=model_name, **fields)
        self.embeddings_cache = cache

    @classmethod
    def from_encoder(cls, encoder: Encoder, **fields: Any) -> Self:
        """Embeddings of an encoder that is open already; several models may share it.

        Args:
            encoder: a `ReasonIREncoder`, or anything that keeps to `reasonir_agent.types.Encoder`.
            fields: of LlamaIndex's `BaseEmbedding`, for example `embed_batch_size`.

        Raises:
            InputError: it is no encoder.
        """
        if not isinstance(encoder, Encoder):
            raise InputError(f"expected an encoder such as ReasonIREncoder(...), got {type(encoder).__name__}")
        made = cls(model_name=encoder.name, fingerprint=encoder.fingerprint.id, **fields)
        made._encoder = encoder
        return made

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "embeddings_cache":
            self._set_cache(value)
        else:
            super().__setattr__(name, value)

    def _set_cache(self, store: BaseKVStore | None) -> None:
        """Take a cache out of LlamaIndex's hands: the field stays empty, so none of its own look-ups happens."""
        if store is not None and not isinstance(store, BaseKVStore):
            raise InputError(f"embeddings_cache must be a LlamaIndex key-value store, got {type(store).__name__}")
        self._cache = None if store is None else VectorCache(store)

    @classmethod
    def class_name(cls) -> str:
        """Name in serialised form."""
        return "ReasonIREmbedding"

    @property
    def encoder(self) -> Encoder:
        """The encoder underneath.

        Raises:
            EncoderMismatch: what this name opens is not the encoder that this model was saved with.
        """
        if self._encoder is None:
            opened = self._open()
            if self.fingerprint is not None and opened.fingerprint.id != self.fingerprint:
                raise EncoderMismatch(
                    f"{self.model_name!r} opens an encoder with the fingerprint {opened.fingerprint.id}, and this model "
                    f"was saved with {self.fingerprint}; hand the same encoder to ReasonIREmbedding.from_encoder"
                )
            self._encoder = opened
        return self._encoder

    def _open(self) -> ReasonIREncoder:
        return ReasonIREncoder(
            self.model_name,
            query_instruction=self.query_instruction,
            document_instruction=self.document_instruction,
            task=self.task,
            device=self.device,
            dtype=self.dtype,
            max_tokens=self.max_tokens,
            base_url=self.base_url,
            api_key=self.api_key.get_secret_value() if self.api_key else None,
        )

    def _vectors(self, texts: list[str], role: Role) -> list[list[float]]:
        encode = self.encoder.encode_queries if role == "query" else self.encoder.encode_documents
        if self._cache is None:
            rows: list[list[float]] = encode(texts).tolist()
            return rows
        return self._cache.vectors(texts, encode, f"{self.encoder.fingerprint.id}/{role}", self.encoder.dim)

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._vectors([query], "query")[0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._vectors([text], "document")[0]

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._vectors(texts, "document")

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)


def _check_address(base_url: object) -> None:
    """An address with a password in it would be written wherever the model is serialised."""
    if not isinstance(base_url, str):
        return
    address = urlsplit(base_url)
    if address.username or address.password:
        raise InputError("base_url must not hold a name or password; give the key as api_key")
