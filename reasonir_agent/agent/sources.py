"""What the agent searches, out of what the caller gave: a store's folder, an open corpus, or a LangChain vector store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from reasonir_agent.corpus import Corpus
from reasonir_agent.errors import InputError
from reasonir_agent.stores.store import Store
from reasonir_agent.types import Encoder, PassageSource

if TYPE_CHECKING:
    from langchain_core.vectorstores import VectorStore


def open_source(store: str | Path | Store | PassageSource | VectorStore, encoder: Encoder | None) -> PassageSource:
    """Open a folder, wrap a LangChain vector store, and leave everything else as it is.

    Args:
        store: what the caller gave.
        encoder: None opens the one that the store was made with; a vector store does not say which that is.

    Raises:
        InputError: it is nothing that can be searched, or a vector store came without its encoder.
        StoreError: there is no store in the folder.
        EncoderMismatch: the store was made with another encoder.
    """
    if isinstance(store, PassageSource):
        return store
    if isinstance(store, (str, Path, Store)):
        folder = store.folder if isinstance(store, Store) else store
        return Corpus(folder, encoder or _encoder_of(folder))
    if not hasattr(store, "similarity_search_by_vector"):  # asking for the class would import LangChain
        raise InputError(f"store must be a folder, a corpus or a LangChain vector store, got {store!r}")
    if encoder is None:
        raise InputError(
            f"a LangChain vector store does not say which encoder it was filled with; give encoder= with {store!r}"
        )
    from reasonir_agent.stores.vector_store import VectorStoreCorpus

    return VectorStoreCorpus(store, encoder)


def _encoder_of(folder: str | Path) -> Encoder:
    from reasonir_agent.encoder import ReasonIREncoder
    from reasonir_agent.stores.encoders import stored_encoder

    return ReasonIREncoder(stored_encoder(folder))
