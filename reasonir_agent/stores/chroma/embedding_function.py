"""Our encoders as an embedding function of Chroma, registered as "reasonir".

What Chroma keeps of it: the model's name, both prefixes, the window, the fingerprint, and for a server its address, the
*name* of the variable that holds the key, and the vectors that it gave for a few fixed texts (its weights cannot be
hashed). Never kept: a key, a device, weights. A function that Chroma rebuilds out of that is opened again and refused
when its fingerprint or those vectors are others.

Three habits of Chroma that shape this module, each held by a test:
- on opening it compares the function's name and nothing else, so a bare `get_collection` takes any instruction and any
  weights; `open_collection` is the road that compares;
- it rebuilds the function at every query of a collection that was opened without one; so an encoder that is open in
  this process is used again, and the last ones that were rebuilt are kept;
- it knows the name only in a process that has imported this module (the package's door does that when asked for the
  class); elsewhere it says "Embedding function reasonir not found".

A rebuilt function has no place for a key but the environment, by Chroma's own habit (`api_key_env_var`). This is the
one place below the command line that reads it. A collection may be somebody else's, so it may ask for variables of the
pattern REASONIR_*KEY only: it cannot have another secret sent to an address of its choice.
"""

from __future__ import annotations

import os
import re
import threading
import weakref
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reasonir_agent.encoder import ReasonIREncoder
from reasonir_agent.encoder.fingerprint import SAME_MODEL
from reasonir_agent.encoder.probes import agreement
from reasonir_agent.encoder.template import DEFAULT_INSTRUCTION
from reasonir_agent.errors import EncoderMismatch, InputError, missing_extra, redact
from reasonir_agent.types import Encoder

try:
    from chromadb.api.types import Documents, EmbeddingFunction, Space
    from chromadb.utils.embedding_functions import register_embedding_function
except ModuleNotFoundError as cause:
    raise missing_extra("agent", "the embedding function for Chroma", cause) from cause

if TYPE_CHECKING:
    from chromadb.api.types import Embeddings

    from reasonir_agent.encoder.encoder import Dtype

_KEY_VARIABLE: Final = re.compile(r"REASONIR_[A-Z0-9_]*KEY")
_KEPT: Final = 2
"""Rebuilt encoders that are kept open: each may be gigabytes."""

_TEXTS: Final = ("model", "query_prefix", "document_prefix", "fingerprint")
_NUMBERS: Final = ("max_tokens", "dim")
_OPTIONAL: Final = ("base_url", "api_key_env_var", "probes")


class ReasonIREmbeddingFunction(EmbeddingFunction[Documents]):
    """Encodes the documents and the queries of a Chroma collection, by separate roads.

    Args:
        model: folder, known name or hub name; None is the local default. With `base_url`, the server's name for it.
        query_instruction: task sentence for queries; None is the checkpoint's own, "" means no template at all.
        document_instruction: the same for documents.
        task: a BRIGHT split whose instruction is used for queries.
        max_tokens: smaller window than the checkpoint's.
        device: where to compute; not kept.
        dtype: as for `ReasonIREncoder`; not kept, since vectors of all float types are comparable.
        base_url: an OpenAI-compatible embeddings server; kept, and so refused when it holds a secret.
        api_key_env_var: variable that holds that server's key, named REASONIR_*KEY; its name is kept.

    Raises:
        InputError: an argument cannot be used.
        CheckpointError: the model's folder is unsafe or broken.
        MissingExtra: a package is not installed.

    Example:
        >>> client.create_collection("notes", embedding_function=ReasonIREmbeddingFunction())     # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        query_instruction: str | None = None,
        document_instruction: str | None = None,
        task: str | None = None,
        max_tokens: int | None = None,
        device: str = "auto",
        dtype: Dtype = "auto",
        base_url: str | None = None,
        api_key_env_var: str | None = None,
    ) -> None:
        _check_address(base_url, api_key_env_var)
        encoder = ReasonIREncoder(
            model,
            query_instruction=query_instruction,
            document_instruction=document_instruction,
            task=task,
            max_tokens=max_tokens,
            device=device,
            dtype=dtype,
            base_url=base_url,
            api_key=_key(api_key_env_var),
        )
        self._use(encoder, base_url, api_key_env_var)

    @classmethod
    def from_encoder(
        cls, encoder: Encoder, *, base_url: str | None = None, api_key_env_var: str | None = None
    ) -> ReasonIREmbeddingFunction:
        """A function over an encoder that is open already; both share its weights.

        Args:
            encoder: any encoder; one that `ReasonIREncoder` cannot open by its name is not rebuilt by other processes.
            base_url: where another process finds the encoder, when it is a server's.
            api_key_env_var: variable that holds that server's key.
        """
        _check_address(base_url, api_key_env_var)
        made = cls.__new__(cls)
        made._use(encoder, base_url, api_key_env_var)
        return made

    def _use(self, encoder: Encoder, base_url: str | None, api_key_env_var: str | None) -> None:
        self.encoder = encoder
        self._base_url, self._api_key_env_var = base_url, api_key_env_var
        with _lock:
            _open_encoders[encoder.fingerprint.id] = encoder

    def __repr__(self) -> str:
        return f"ReasonIREmbeddingFunction({self.encoder!r})"

    def __call__(self, input: Documents) -> Embeddings:
        """Encode documents: unit vectors, float32 [dim] each; what is beyond the window is cut with a warning.

        Raises:
            InputError: `input` is empty or holds something that is no text.
        """
        return list(self.encoder.encode_documents(_checked(input)))

    def embed_query(self, input: Documents) -> Embeddings:
        """Encode queries, never cutting them: unit vectors, float32 [dim] each.

        Raises:
            InputError: `input` is empty, holds something that is no text, or a text of more than a million characters.
        """
        return list(self.encoder.encode_queries(_checked(input)))

    @staticmethod
    def name() -> str:
        """The name under which Chroma knows the class."""
        return "reasonir"

    def default_space(self) -> Space:
        """Vectors have length 1, and cosine is what our scores are."""
        return "cosine"

    def supported_spaces(self) -> list[Space]:
        """All three order unit vectors alike."""
        return ["cosine", "ip", "l2"]

    def is_legacy(self) -> bool:
        """Chroma's own way to find out opens the encoder a second time."""
        return False

    def get_config(self) -> dict[str, Any]:
        """What Chroma keeps in the collection; see the module's text."""
        server = {"base_url": self._base_url, "api_key_env_var": self._api_key_env_var}
        is_local = self._base_url is None
        return {**_described(self.encoder), **server, **({} if is_local else {"model": self.encoder.name})}

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> ReasonIREmbeddingFunction:
        """Open the encoder that a collection was made with.

        Raises:
            EncoderMismatch: what is found under that name is another encoder now; it names what differs.
            InputError: the configuration is none of ours, or the encoder cannot be opened here.
        """
        ReasonIREmbeddingFunction.validate_config(config)
        return ReasonIREmbeddingFunction.from_encoder(
            _encoder_of(config), base_url=config.get("base_url"), api_key_env_var=config.get("api_key_env_var")
        )

    def validate_config_update(self, old_config: dict[str, Any], new_config: dict[str, Any]) -> None:
        """Refuse a function whose vectors do not compare with the collection's.

        Raises:
            EncoderMismatch: the fingerprint changes.
        """
        differ = _difference(old_config, new_config)
        if differ is not None:
            raise EncoderMismatch(
                f"the collection's vectors are of {_named(old_config)}, the new function's would be of "
                f"{_named(new_config)}: {differ}; encode the texts anew: reasonir reembed --chroma FOLDER "
                f"--collection NAME --encoder {new_config.get('model')}"
            )

    @staticmethod
    def validate_config(config: dict[str, Any]) -> None:
        """Refuse a configuration that is none of ours; a collection's file may be anybody's.

        Raises:
            InputError: it names the entry.
        """
        for names, kind in ((_TEXTS, str), (_NUMBERS, int), (_OPTIONAL, (str, type(None)))):
            for name in names:
                if not isinstance(config.get(name), kind):
                    raise InputError(
                        f"the collection's embedding function has no usable {name!r}: {redact(repr(config.get(name)))}"
                    )
        _check_address(config.get("base_url"), config.get("api_key_env_var"))


register_embedding_function(ReasonIREmbeddingFunction)  # type: ignore[no-untyped-call]


_lock: Final = threading.Lock()
_open_encoders: Final[weakref.WeakValueDictionary[str, Encoder]] = weakref.WeakValueDictionary()
_rebuilt: Final[OrderedDict[str, Encoder]] = OrderedDict()


def _encoder_of(config: Mapping[str, Any]) -> Encoder:
    """The encoder of a configuration: one that is open here, else opened and compared."""
    wanted = config["fingerprint"]
    with _lock:
        found = _open_encoders.get(wanted)
        if found is None or difference(config, found) is not None:
            found = _opened(config)
            _rebuilt[wanted] = found
            while len(_rebuilt) > _KEPT:
                _rebuilt.popitem(last=False)
        elif wanted in _rebuilt:
            _rebuilt.move_to_end(wanted)
    return found


def _opened(config: Mapping[str, Any]) -> ReasonIREncoder:
    model, base_url = config["model"], config.get("base_url")
    key = _key(config.get("api_key_env_var"))
    try:
        encoder = ReasonIREncoder(model, max_tokens=config["max_tokens"], base_url=base_url, api_key=key)
        given = {"query_prefix": encoder.query_prefix, "document_prefix": encoder.document_prefix}
        if any(given[name] != config[name] for name in given):
            encoder = ReasonIREncoder(
                model,
                query_instruction=_instruction(config["query_prefix"], encoder.query_prefix),
                document_instruction=_instruction(config["document_prefix"], encoder.query_prefix),
                max_tokens=config["max_tokens"],
                base_url=base_url,
                api_key=key,
            )
    except InputError as cause:
        raise InputError(
            f"the collection was made with {_named(config)}, which cannot be opened here: {cause}; open it with "
            "open_collection(..., encoder=...)"
        ) from cause
    differ = difference(config, encoder)
    if differ is not None:
        raise EncoderMismatch(
            f"the collection was made with {_named(config)}, and what {model!r} opens now is another encoder "
            f"({encoder.fingerprint.id}): {differ}; open it with the encoder it was made with, or encode its texts anew: "
            "reasonir reembed --chroma FOLDER --collection NAME --encoder NAME"
        )
    return encoder


def _instruction(wanted: str, usual: str) -> str:
    """What makes `ReasonIREncoder` put this prefix, where `usual` is the one with the default instruction."""
    head, found, tail = usual.partition(DEFAULT_INSTRUCTION)
    fits = found and wanted.startswith(head) and wanted.endswith(tail) and len(wanted) >= len(head) + len(tail)
    return wanted[len(head) : len(wanted) - len(tail)] if fits else wanted


def difference(kept: Mapping[str, Any], encoder: Encoder) -> str | None:
    """Why an encoder is not the one that a configuration is of, in words; None when it is.

    Args:
        kept: a configuration; a fingerprint alone is enough.
        encoder: the encoder at hand.
    """
    return _difference(kept, _described(encoder))


def _difference(kept: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    if kept.get("fingerprint") == now.get("fingerprint"):
        cosine = agreement(kept.get("probes"), now.get("probes"), dim=now["dim"])
        if cosine is None or cosine >= SAME_MODEL:
            return None
        return f"its server gives other vectors than it did (cosine {cosine:.4f} for the same text)"
    known = [name for name in ("query_prefix", "document_prefix", "max_tokens", "dim") if name in kept]
    if not known:
        return "their fingerprints are not the same"
    differ = [name.replace("_", " ") for name in known if kept[name] != now[name]]
    return f"they differ in {', '.join(differ)}" if differ else "their weights are not the same"


def _described(encoder: Encoder) -> dict[str, Any]:
    """What Chroma keeps of an encoder; a folder with its whole path, so that other processes find it."""
    name = encoder.name
    return {
        "model": str(Path(name).absolute()) if Path(name).is_dir() else name,
        "query_prefix": getattr(encoder, "query_prefix", ""),
        "document_prefix": getattr(encoder, "document_prefix", ""),
        "max_tokens": encoder.window,
        "dim": encoder.dim,
        "fingerprint": encoder.fingerprint.id,
        "probes": encoder.fingerprint.as_json().get("probes"),
    }


def _named(config: Mapping[str, Any]) -> str:
    return f"the encoder {config.get('model')!r} ({config.get('fingerprint')})"


def _checked(texts: Sequence[Any]) -> list[str]:
    """Chroma hands on what its caller gave; it is looked at before anything is computed."""
    if isinstance(texts, str) or not hasattr(texts, "__len__"):
        raise InputError(f"expected a list of texts, got {type(texts).__name__}")
    if not len(texts):
        raise InputError("expected at least one text, got an empty list")
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"expected texts, got {type(text).__name__} at position {number}")
    return list(texts)


def _check_address(base_url: str | None, variable: str | None) -> None:
    """Both are written into the collection, where anybody may read them."""
    if base_url is not None and redact(base_url) != base_url:
        raise InputError(
            f"base_url is kept in the collection and must not hold a secret, got {redact(base_url)!r}; put the key into "
            "a variable and give its name as api_key_env_var"
        )
    if variable is not None and not _KEY_VARIABLE.fullmatch(variable):
        raise InputError(f"api_key_env_var must be a name like REASONIR_ENCODER_KEY, got {redact(variable)!r}")


def _key(variable: str | None) -> str | None:
    if variable is None:
        return None
    if not os.environ.get(variable):
        raise InputError(f"the environment variable {variable}, which is to hold the server's key, is not set")
    return os.environ[variable]


def as_embedding_function(
    encoder: Encoder | ReasonIREmbeddingFunction | str | Path | None,
) -> ReasonIREmbeddingFunction:
    """A function out of an encoder, its name, or a function.

    Raises:
        InputError: it is none of them.
    """
    if isinstance(encoder, ReasonIREmbeddingFunction):
        return encoder
    if encoder is None or isinstance(encoder, (str, Path)):
        return ReasonIREmbeddingFunction(encoder)
    if isinstance(encoder, Encoder):
        return ReasonIREmbeddingFunction.from_encoder(encoder)
    raise InputError(f"encoder must be an encoder or its name, got {type(encoder).__name__}")
