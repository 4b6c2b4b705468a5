"""One model of one server: queries and documents in, unit vectors out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from reasonir_agent.encoder.known import KnownEncoder, known_encoder
from reasonir_agent.encoder.pooling import normalised
from reasonir_agent.encoder.remote.announced import Announced, find_announced
from reasonir_agent.encoder.remote.sender import Sender
from reasonir_agent.encoder.remote.server import EmbeddingsServer
from reasonir_agent.encoder.remote.texts import PARTS, beginning, is_beyond, room, windows
from reasonir_agent.encoder.tokens import LONGEST_TOKEN
from reasonir_agent.encoder.windows import combined
from reasonir_agent.errors import EncoderError, InputError

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

_USUAL_WINDOW: Final = 8192
"""Of a model that neither we nor the server know the window of."""


class RemoteBackend:
    """One model of one server.

    Args:
        model: the server's name for it; None for the only one that it has.
        base_url: address up to and including `/v1`.
        api_key: sent as a bearer token; None for servers without one.

    Raises:
        InputError: no model was named and the server offers several, or the address is none.
        EncoderError: the server cannot be reached, fails, or says impossible things of itself.
    """

    def __init__(self, model: str | None, *, base_url: str, api_key: str | None) -> None:
        self.server = EmbeddingsServer(base_url, api_key)
        self._sender = Sender(self.server)
        listing = self.server.models() or []
        self.announced: Announced | None = find_announced(listing, model, self.server.address)
        if self.announced is not None:
            self.model = self.announced.name
            self._sender.dim = self.announced.dim
        else:
            self.model = model or _only(listing, self.server.address)
        self.known: KnownEncoder | None = known_encoder(self.model)
        self.served_window = _window(listing, self.model)

    @property
    def dim(self) -> int:
        """Length of a vector; 0 before the first came."""
        return self._sender.dim

    def nominal_window(self, max_tokens: int | None) -> int:
        """The window that is part of the fingerprint: the caller's, the known one of the name, or the usual one.

        What the server was started with is not part of it: it only decides in how many windows a very long query is
        read, and the same model behind a smaller limit is the same model.
        """
        return max_tokens or (self.known.window if self.known else _USUAL_WINDOW)

    def window(self, max_tokens: int | None) -> int:
        """Tokens that are sent at once."""
        nominal = self.nominal_window(max_tokens)
        return min(nominal, self.served_window or nominal)

    def raw(self, texts: list[str], *, is_query: bool) -> FloatMatrix:
        """Vectors of strings as they are sent, float32 [n, dim], as long as the server made them.

        Raises:
            EncoderError: the server failed, or its answer cannot be used.
        """
        role = "query" if is_query else "document"
        return self._sender.encode(self.model if self.announced is None else self.announced.model(role), texts)

    def encode(self, texts: list[str], prefix: str, window: int, *, is_query: bool) -> tuple[FloatMatrix, int]:
        """Unit vectors, float32 [n, dim], in the order of `texts`, and the number of documents that were cut.

        Args:
            texts: well-formed texts, none of them empty.
            prefix: stands before each; a server of ours puts it on itself.
            window: tokens that are read at once.
            is_query: whether nothing may be cut.

        Raises:
            InputError: a query is longer than any question, or the prefix leaves no room.
            EncoderError: the server failed, or its answer cannot be used.
        """
        beyond = 0 if is_query else sum(is_beyond(prefix + text, window) for text in texts)
        if self.announced is not None:  # windows and cuts are the server's; what it would not read need not travel
            sent = texts if is_query else [text[: window * LONGEST_TOKEN] for text in texts]
            return normalised(self.raw(sent, is_query=is_query)), beyond
        most = room(prefix, window)
        if not is_query:
            kept = [beginning(text, most // PARTS) if is_beyond(prefix + text, window) else text for text in texts]
            return normalised(self.raw([prefix + text for text in kept], is_query=False)), beyond
        parts = [windows(text, most) for text in texts]
        owners = [number for number, some in enumerate(parts) for _ in some]
        vectors = normalised(self.raw([prefix + part for some in parts for part in some], is_query=True))
        return combined(vectors, owners, len(texts)), 0

    def probe(self, queries: list[str], documents: list[str]) -> FloatMatrix:
        """Unit vectors of whole strings by both roads, float32 [queries + documents, dim].

        Raises:
            EncoderError: the server failed, or gave vectors of another length than it announces, or zeros.
        """
        if self.announced is None:
            found = self.raw([*queries, *documents], is_query=True)
        else:
            found = np.concatenate([self.raw(queries, is_query=True), self.raw(documents, is_query=False)])
        if not found.any():
            raise EncoderError(f"{self.model!r} at {self.server.address} gave vectors of zeros for texts with words")
        return normalised(found)


def _only(listing: list[dict[str, object]], address: str) -> str:
    names = [str(item["id"]) for item in listing if item.get("id")]
    if len(names) == 1:
        return names[0]
    offered = f"; the server at {address} lists {', '.join(names[:8])}" if names else ""
    raise InputError(f"a remote encoder needs the server's model name: ReasonIREncoder('name', base_url=...){offered}")


def _window(listing: list[dict[str, object]], model: str) -> int | None:
    """The longest text that the server takes, where it says so (vLLM does)."""
    for item in listing:
        length = item.get("max_model_len")
        if item.get("id") == model and type(length) is int and length >= 8:
            return length
    return None
