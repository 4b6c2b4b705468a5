"""What makes two sets of vectors comparable.

A fingerprint names everything that shapes a vector: weights and tokenizer, prefixes, pooling, the rule for long texts,
dimension, class of number. It keys vectors, caches and collections. bfloat16, float16 and float32 are one class,
"float": their vectors agree to 2e-3, so a corpus encoded on a GPU can be searched from a laptop; quantised weights are
another class.

The weights behind somebody else's server cannot be hashed. There the name stands for them, and beside the parts, outside
of the id, lie the vectors that the server gave for a few fixed texts (probes.py). They are compared at every open.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from reasonir_agent.encoder.files import file_hashes
from reasonir_agent.encoder.probes import agreement
from reasonir_agent.errors import EncoderMismatch, InputError

SAME_MODEL: Final = 0.999
"""Least cosine of one probe's vector, stored and new, of one model.

Half precision and other kernels stay above it (0.9999 with the checkpoints that we measured); a causal mask, another
pooling or another prefix moves some probe far below it.
"""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""An id names folders: from a server, it may hold nothing that means something in a path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """The parts, in words that a mismatch can be explained with.

    `probes` is no part: two fingerprints with one id are equal whatever probes they carry.
    """

    weights: str
    query_prefix: str
    document_prefix: str
    pooling: str
    window: int
    window_rule: str
    dim: int
    number_class: str = "float"
    probes: str | None = field(default=None, compare=False, repr=False)

    @property
    def id(self) -> str:
        """16 hexadecimal digits over all parts."""
        return hashlib.sha256(json.dumps(self._parts(), sort_keys=True).encode()).hexdigest()[:16]

    def as_json(self) -> dict[str, Any]:
        """The parts and the id, to be stored beside the vectors; the probes where there are some."""
        beside = {} if self.probes is None else {"probes": self.probes}
        return {"id": self.id, **self._parts(), **beside}

    def _parts(self) -> dict[str, Any]:
        parts = asdict(self)
        del parts["probes"]
        return parts


@dataclass(frozen=True, slots=True)
class ForeignFingerprint:
    """The fingerprint of an encoder that is not ours, as a server of ours announces it."""

    id: str
    parts: dict[str, Any] = field(hash=False, compare=False)

    def as_json(self) -> dict[str, Any]:
        """The parts and the id, as they were announced."""
        return {**self.parts, "id": self.id}


PARTS: Final = tuple(one.name for one in fields(Fingerprint) if one.name != "probes")


def read_fingerprint(parts: object) -> Fingerprint | ForeignFingerprint:
    """A fingerprint from what `as_json` gave, checked.

    Raises:
        InputError: a part has another type, or the id is not the parts' own.
    """
    if not isinstance(parts, dict) or not all(isinstance(name, str) for name in parts):
        raise InputError(f"a fingerprint must be an object with an id, got {str(parts)[:80]!r}")
    named = parts.get("id")
    if not isinstance(named, str) or not _ID.fullmatch(named):
        raise InputError(f"a fingerprint's id must be letters and digits, got {str(named)[:80]!r}")
    if not set(PARTS) <= set(parts):
        return ForeignFingerprint(named, dict(parts))
    for name in PARTS:
        kind = int if name in ("window", "dim") else str
        if type(parts[name]) is not kind:
            raise InputError(f"a fingerprint's {name} must be of the type {kind.__name__}, got {parts[name]!r:.80}")
    probes = parts.get("probes")
    found = Fingerprint(**{name: parts[name] for name in PARTS}, probes=probes if isinstance(probes, str) else None)
    if found.id != named:
        raise InputError(f"a fingerprint says that its id is {named}, but its parts give {found.id}")
    return found


def weights_hash(files: list[Path]) -> str:
    """One hash over the contents of weights and tokenizer; names and places of the files do not matter."""
    hashes = sorted(file_hashes(files).values())
    return hashlib.sha256("".join(hashes).encode()).hexdigest()[:32]


def explain_mismatch(stored: dict[str, Any], stored_name: str, given: dict[str, Any], given_name: str) -> str:
    """One sentence that names both encoders, the parts that differ, and the remedy."""
    parts = [name for name in PARTS if stored.get(name) != given.get(name)]
    remedy = f"use --encoder {stored_name}"
    if stored_name == given_name and "weights" in parts:  # trained again, or shipped anew
        remedy = f"reasonir reembed --encoder {given_name} moves it"
    return (
        f"the store was made with the encoder {stored_name!r} ({stored.get('id')}) and cannot be searched with "
        f"{given_name!r} ({given.get('id')}): they differ in {', '.join(parts) or 'an unknown part'}; "
        f"{remedy}, or index into another --store"
    )


def check_match(stored: dict[str, Any], stored_name: str, given: dict[str, Any], given_name: str) -> None:
    """Refuse to mix vectors of two encoders: by their ids, and where both have probe vectors, by these.

    Raises:
        EncoderMismatch: the fingerprints differ, or one name stands for two models.
    """
    if stored.get("id") != given.get("id"):
        raise EncoderMismatch(explain_mismatch(stored, stored_name, given, given_name))
    cosine = agreement(stored.get("probes"), given.get("probes"), dim=int(stored.get("dim") or 0))
    if cosine is not None and cosine < SAME_MODEL:
        raise EncoderMismatch(
            f"the server's model changed: {given_name!r} gives other vectors now than when the store was made (cosine "
            f"{cosine:.4f} for the same text, at least {SAME_MODEL} expected): other weights, pooling or prompts; serve "
            "it as it was, or index into another --store (reasonir doctor --endpoint URL says how a server is wrong)"
        )
