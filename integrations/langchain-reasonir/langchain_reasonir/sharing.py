"""The embeddings of ours in what a vector store or a user holds."""

from __future__ import annotations

from langchain_core.embeddings import Embeddings

from langchain_reasonir.cache import CachedReasonIREmbeddings
from langchain_reasonir.embeddings import ReasonIREmbeddings
from reasonir_agent.errors import InputError
from reasonir_agent.types import Encoder


def our_embeddings(embeddings: Embeddings | None) -> ReasonIREmbeddings | CachedReasonIREmbeddings:
    """Ours as they are, or out of LangChain's cache around them; that cache is not asked, since it mixes the roles.

    Raises:
        InputError: they are others.
    """
    if isinstance(embeddings, (ReasonIREmbeddings, CachedReasonIREmbeddings)):
        return embeddings
    inner = getattr(embeddings, "underlying_embeddings", None)
    if isinstance(inner, (ReasonIREmbeddings, CachedReasonIREmbeddings)):
        return inner
    came = "none" if embeddings is None else type(embeddings).__name__
    raise InputError(
        f"the vector store's embeddings must be ReasonIREmbeddings, got {came}; "
        "give embeddings=ReasonIREmbeddings(...), of the encoder that the store was filled with"
    )


def encoder_of(embeddings: Embeddings | None) -> Encoder:
    """The encoder under embeddings of ours.

    Raises:
        InputError: they are others.
    """
    return our_embeddings(embeddings).encoder
