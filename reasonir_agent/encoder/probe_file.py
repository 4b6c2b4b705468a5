"""Expected vectors in a file: computed once where the checkpoint can be loaded, checked against servers elsewhere.

JSON with the encoder's fingerprint and, for both kinds of servers, each variant's vectors as float16 in base64. A file
is untrusted: everything in it is checked, and a file of other probe texts is refused.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from reasonir_agent.encoder.fingerprint import read_fingerprint
from reasonir_agent.encoder.mistakes import Expected, Variant
from reasonir_agent.encoder.probes import PROBES, pack, unpack
from reasonir_agent.errors import InputError

_FORMAT: Final = "reasonir-probes-1"
_TEXTS: Final = hashlib.sha256("\0".join(PROBES).encode()).hexdigest()[:16]
_KINDS: Final = {False: "whole_strings", True: "roads"}
_PLAIN: Final[dict[str, type]] = {"encoder": str, "query_prefix": str, "document_prefix": str, "window": int}


def save_expected(path: Path, whole_strings: Expected, roads: Expected) -> None:
    """Write what servers of one encoder can give.

    Raises:
        InputError: the file cannot be written.
    """
    one = whole_strings
    kinds = {
        name: {
            "left_out": list(found.left_out),
            "variants": [{"mistakes": list(v.mistakes), "vectors": pack(v.vectors)} for v in found.variants],
        }
        for name, found in ((_KINDS[False], whole_strings), (_KINDS[True], roads))
    }
    content = {
        "format": _FORMAT,
        "texts": _TEXTS,
        **{name: getattr(one, name) for name in _PLAIN},
        "tokens": list(one.tokens),
        "dim": one.dim,
        "fingerprint": one.fingerprint,
        "kinds": kinds,
    }
    try:
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    except OSError as cause:
        raise InputError(f"{path} cannot be written: {cause.strerror}") from cause


def load_expected(path: Path, *, by_roads: bool) -> Expected:
    """Read what a server of one kind can give.

    Raises:
        InputError: the file cannot be read, or was not written by `save_expected` for the same probes.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as cause:
        raise InputError(f"{path} cannot be read: {cause}") from cause
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise InputError(f"{path} holds no probes; make it with: reasonir doctor --encoder NAME --save-probes FILE")
    if content.get("texts") != _TEXTS:
        raise InputError(f"{path} was made by another version with other texts; make it again with --save-probes")
    try:
        return _read(content, _KINDS[by_roads])
    except (KeyError, TypeError, ValueError) as cause:
        raise InputError(f"{path} is damaged ({type(cause).__name__}: {cause}); make it again") from cause


def _read(content: dict[str, Any], kind: str) -> Expected:
    for name, wanted in _PLAIN.items():
        if type(content[name]) is not wanted:
            raise ValueError(f"{name} is {content[name]!r:.40}")
    variants = tuple(_variant(found, int(content["dim"])) for found in content["kinds"][kind]["variants"])
    tokens = tuple(int(length) for length in content["tokens"])
    if not variants or variants[0].mistakes or len(tokens) != len(PROBES):
        raise ValueError("the right vectors are missing")
    return Expected(
        **{name: content[name] for name in _PLAIN},
        fingerprint=read_fingerprint(content["fingerprint"]).as_json(),
        tokens=tokens,
        variants=variants,
        left_out=tuple(str(one) for one in content["kinds"][kind]["left_out"]),
    )


def _variant(found: dict[str, Any], dim: int) -> Variant:
    vectors = unpack(found["vectors"], dim=dim)
    if vectors is None or len(vectors) != 2 * len(PROBES) or not np.isfinite(vectors).all():
        raise ValueError("vectors of another shape")
    return Variant(tuple(str(one) for one in found["mistakes"]), vectors)
