"""An encoder behind an OpenAI-compatible embeddings server. Needs no torch.

Prefixes are put on here; the server sees whole strings. Such servers pool the prefix too, so their vectors carry a
fingerprint of their own and never mix with local ones.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Final

import numpy as np

from reasonir_agent.encoder.known import KnownEncoder, known_encoder
from reasonir_agent.encoder.pooling import normalised
from reasonir_agent.errors import EncoderError, InputError, boundary, redact

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

_TEXTS_PER_REQUEST: Final = 32
_PROBE: Final = "What makes the sky blue?"


class RemoteBackend:
    """One model of one server.

    Args:
        model: the server's name for it.
        base_url: address up to and including `/v1`.
        api_key: sent as a bearer token; None for servers without one.

    Raises:
        InputError: no model was named.
        EncoderError: the server cannot be reached, or does not answer with vectors.
    """

    def __init__(self, model: str, *, base_url: str, api_key: str | None) -> None:
        if not model:
            raise InputError("a remote encoder needs the server's model name: ReasonIREncoder('name', base_url=...)")
        from openai import OpenAI

        self.model = model
        self.known: KnownEncoder | None = known_encoder(model)
        self._base_url = redact(base_url)
        self._api_key = api_key
        self._client = OpenAI(base_url=base_url, api_key=api_key or "none", timeout=120.0, max_retries=3)
        weakref.finalize(self, self._client.close)  # its connections stay open for as long as we live, and no longer
        self.dim = 0
        self.dim = self.encode([_PROBE]).shape[1]

    def encode(self, texts: list[str]) -> FloatMatrix:
        """Unit vectors, float32 [n, dim], in the order of `texts`.

        Raises:
            EncoderError: the server failed, gave another number of vectors, another dimension, or no numbers.
        """
        parts = [self._request(texts[i : i + _TEXTS_PER_REQUEST]) for i in range(0, len(texts), _TEXTS_PER_REQUEST)]
        if not parts:
            return np.zeros((0, self.dim), dtype=np.float32)
        return normalised(np.concatenate(parts))

    def _request(self, texts: list[str]) -> FloatMatrix:
        try:
            with boundary(EncoderError, f"encoding with {self.model!r} at {self._base_url}"):
                reply = self._client.embeddings.create(model=self.model, input=texts, encoding_format="float")
                ordered = sorted(reply.data, key=lambda item: item.index)
                vectors: FloatMatrix = np.asarray([item.embedding for item in ordered], dtype=np.float32)
        except EncoderError as failed:
            if self._api_key and self._api_key in str(failed):  # some servers repeat a refused key, of whatever shape
                raise EncoderError(str(failed).replace(self._api_key, "[secret]")) from failed.__cause__
            raise
        if vectors.ndim != 2 or len(vectors) != len(texts) or not vectors.size:
            raise EncoderError(f"{self.model!r} at {self._base_url} gave {len(vectors)} vectors for {len(texts)} texts")
        if self.dim and vectors.shape[1] != self.dim:
            raise EncoderError(
                f"{self.model!r} at {self._base_url} gave vectors of {vectors.shape[1]} numbers, expected {self.dim}"
            )
        if not np.isfinite(vectors).all():
            raise EncoderError(f"{self.model!r} at {self._base_url} gave numbers that are not finite")
        return vectors
