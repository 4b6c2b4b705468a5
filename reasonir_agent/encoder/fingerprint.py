"""What makes two sets of vectors comparable.

A fingerprint names everything that shapes a vector: weights and tokenizer, prefixes, pooling, the rule for long texts,
dimension, class of number. It keys vectors, caches and collections. bfloat16, float16 and float32 are one class,
"float": their vectors agree to 2e-3, so a corpus encoded on a GPU can be searched from a laptop; quantised weights are
another class.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from reasonir_agent.encoder.files import file_hashes
from reasonir_agent.errors import EncoderMismatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """The parts, in words that a mismatch can be explained with."""

    weights: str
    query_prefix: str
    document_prefix: str
    pooling: str
    window: int
    window_rule: str
    dim: int
    number_class: str = "float"

    @property
    def id(self) -> str:
        """16 hexadecimal digits over all parts."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    def as_json(self) -> dict[str, Any]:
        """The parts and the id, to be stored beside the vectors."""
        return {"id": self.id, **asdict(self)}


def weights_hash(files: list[Path]) -> str:
    """One hash over the contents of weights and tokenizer; names and places of the files do not matter."""
    hashes = sorted(file_hashes(files).values())
    return hashlib.sha256("".join(hashes).encode()).hexdigest()[:32]


def explain_mismatch(stored: dict[str, Any], stored_name: str, given: dict[str, Any], given_name: str) -> str:
    """One sentence that names both encoders, the parts that differ, and the remedy."""
    parts = [field.name for field in fields(Fingerprint) if stored.get(field.name) != given.get(field.name)]
    return (
        f"the store was made with the encoder {stored_name!r} ({stored.get('id')}) and cannot be searched with "
        f"{given_name!r} ({given.get('id')}): they differ in {', '.join(parts) or 'an unknown part'}; "
        f"use --encoder {stored_name}, or index into another --store"
    )


def check_match(stored: dict[str, Any], stored_name: str, given: dict[str, Any], given_name: str) -> None:
    """Refuse to mix vectors of two encoders.

    Raises:
        EncoderMismatch: the fingerprints differ.
    """
    if stored.get("id") != given.get("id"):
        raise EncoderMismatch(explain_mismatch(stored, stored_name, given, given_name))
