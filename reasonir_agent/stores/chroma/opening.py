"""`open_collection`: a Chroma collection of ours or of `reasonir reembed`, opened on the checked road.

A collection's metadata hold the fingerprint of the encoder that filled it. Every opening compares it, the dimension and
the space with the encoder's. Chroma itself compares the embedding function's *name* and nothing else: a bare
`client.get_collection(name, embedding_function=...)` takes another instruction or other weights without a word and
answers with meaningless distances.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reasonir_agent.errors import EncoderMismatch, InputError, StoreError, boundary, missing_extra
from reasonir_agent.stores.chroma.embedding_function import (
    ReasonIREmbeddingFunction,
    as_embedding_function,
    difference,
)
from reasonir_agent.stores.chroma.index import FINGERPRINT, HNSW
from reasonir_agent.types import Encoder

try:
    import chromadb
    from chromadb.config import Settings
except ModuleNotFoundError as cause:
    raise missing_extra("agent", "opening a Chroma collection", cause) from cause

if TYPE_CHECKING:
    from chromadb.api import ClientAPI

_SPACE: Final = "cosine"
_REEMBED: Final = "encode its texts anew: reasonir reembed --chroma FOLDER --collection {name} --encoder NAME"


def open_collection(
    client_or_path: ClientAPI | str | Path,
    name: str,
    *,
    encoder: Encoder | ReasonIREmbeddingFunction | str | Path | None = None,
    create: bool = True,
    metadata: Mapping[str, str | int | float | bool] | None = None,
) -> chromadb.Collection:
    """Open a collection with the encoder that its vectors are of, or make it.

    Args:
        client_or_path: an open client of Chroma, or the folder of its files. A client that is opened here is closed
            when the collection is collected.
        name: the collection's name.
        encoder: an encoder, an embedding function or a model's name; None takes the one that the collection was made
            with, and for a new collection the local default.
        create: make the collection when it is not there, with cosine distances and settings that find 98% of the true
            ten nearest at 4,096 dimensions (Chroma's own find 80%).
        metadata: of a new collection; what an existing one has is left alone.

    Returns:
        Chroma's collection; `add(documents=...)` and `query(query_texts=...)` use the encoder.

    Raises:
        EncoderMismatch: the collection was made with another encoder, or does not say with which.
        InputError: there is no such collection, or its distances are not cosine.
        StoreError: Chroma cannot open its files.
    """
    client, is_ours = _client(client_or_path, create=create)
    try:
        with boundary(StoreError, f"opening the collection {name!r}"):
            names = [one.name for one in client.list_collections()]
            if name in names:
                opened = _opened(client, name, encoder)
            elif create:
                opened = _made(client, name, encoder, metadata or {})
            else:
                raise InputError(f"there is no collection {name!r}; there are {', '.join(sorted(names)) or 'none'}")
    except BaseException:
        if is_ours:
            _close(client)
        raise
    if is_ours:
        weakref.finalize(opened, _close, client).atexit = False  # Chroma may be gone by then
    return opened


def _made(client: ClientAPI, name: str, encoder: Any, metadata: Mapping[str, Any]) -> chromadb.Collection:
    function = as_embedding_function(encoder)
    client.get_or_create_collection(
        name,
        embedding_function=function,  # type: ignore[arg-type]  # Chroma's is one over texts or images
        metadata={**metadata, FINGERPRINT: function.encoder.fingerprint.id},
        configuration={"hnsw": dict(HNSW)},  # type: ignore[arg-type]  # constants of ours, of the right kind
    )
    return _opened(client, name, function)  # another process may have made it meanwhile


def _opened(client: ClientAPI, name: str, encoder: Any) -> chromadb.Collection:
    found = client.get_collection(name, embedding_function=None)
    configuration = found.configuration_json
    stored = configuration.get("embedding_function") or {}
    config = stored.get("config", {}) if stored.get("name") == ReasonIREmbeddingFunction.name() else {}
    fingerprint = (found.metadata or {}).get(FINGERPRINT) or config.get("fingerprint")
    if fingerprint is None:
        raise EncoderMismatch(
            f"the collection {name!r} does not say which encoder its vectors are of (its embedding function is "
            f"{stored.get('name', 'unknown')!r}), so no query can be compared with them; {_REEMBED.format(name=name)}"
        )
    if encoder is None and not config:
        raise InputError(f"the collection {name!r} does not say how its encoder {fingerprint} is opened; give encoder=")
    function = (
        ReasonIREmbeddingFunction.build_from_config(config) if encoder is None else as_embedding_function(encoder)
    )
    _check(name, fingerprint, config, function)
    _check_shape(name, configuration, found.get_model().dimension, function)
    return client.get_collection(name, embedding_function=function)  # type: ignore[arg-type]


def _check(name: str, fingerprint: str, config: Mapping[str, Any], function: ReasonIREmbeddingFunction) -> None:
    differ = difference({**config, "fingerprint": fingerprint}, function.encoder)
    if differ is not None:
        raise EncoderMismatch(
            f"the collection {name!r} was made with the encoder {config.get('model', 'unknown')!r} ({fingerprint}) and "
            f"cannot be searched with {function.encoder.name!r} ({function.encoder.fingerprint.id}): {differ}; open it "
            f"with the first, or {_REEMBED.format(name=name)}"
        )


def _check_shape(name: str, configuration: Mapping[str, Any], dim: int | None, function: Any) -> None:
    index = configuration.get("hnsw") or configuration.get("spann") or {}
    if index.get("space") != _SPACE:
        raise InputError(
            f"the collection {name!r} measures {index.get('space')!r} distances, expected {_SPACE!r}; Chroma cannot "
            f"change that later; {_REEMBED.format(name=name)}"
        )
    if dim is not None and dim != function.encoder.dim:
        raise EncoderMismatch(
            f"the collection {name!r} holds vectors of {dim} numbers, the encoder {function.encoder.name!r} makes "
            f"{function.encoder.dim}; {_REEMBED.format(name=name)}"
        )


def _client(given: ClientAPI | str | Path, *, create: bool) -> tuple[ClientAPI, bool]:
    """An open client, and whether it was opened here."""
    if not isinstance(given, (str, Path)):
        if not hasattr(given, "get_or_create_collection") or inspect.iscoroutinefunction(given.get_collection):
            raise InputError(f"expected a (synchronous) client of Chroma or a folder, got {type(given).__name__}")
        return given, False
    if not create and not (Path(given) / "chroma.sqlite3").is_file():
        raise InputError(f"{given} is no Chroma folder: it has no chroma.sqlite3")
    with boundary(StoreError, f"opening the Chroma database in {given} (a client that is open already: give that)"):
        return chromadb.PersistentClient(path=str(given), settings=Settings(anonymized_telemetry=False)), True


def _close(client: Any) -> None:
    close = getattr(client, "close", None)  # chromadb before 1.5 had none
    if close is not None:
        close()
