"""What `reasonir serve` says about itself in `/v1/models`, checked before it is believed.

Each road of its encoder is a model (`NAME-query`, `NAME-document`) with an object `reasonir`: fingerprint, role, dim,
window. From it a laptop knows that the server's vectors are those that its store was made with. Values of other types, a
fingerprint whose id is not the hash of its parts, and two roads that contradict each other are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from reasonir_agent.encoder.fingerprint import Fingerprint, ForeignFingerprint, read_fingerprint
from reasonir_agent.encoder.known import known_encoder
from reasonir_agent.errors import EncoderError, InputError

ROLES: Final = ("query", "document")


@dataclass(frozen=True, slots=True)
class Announced:
    """An encoder that a server of ours offers.

    Attributes:
        name: the encoder's.
        fingerprint: what makes its vectors comparable.
        dim: length of a vector.
        window: tokens that one pass reads; the server reads longer queries in several.
    """

    name: str
    fingerprint: Fingerprint | ForeignFingerprint
    dim: int
    window: int

    def model(self, role: str) -> str:
        """The server's model for "query" or "document"."""
        return f"{self.name}-{role}"


def find_announced(listing: Sequence[dict[str, Any]], wanted: str | None, address: str) -> Announced | None:
    """The encoder among the models of a server of ours; None when it is another server.

    Args:
        listing: what /v1/models lists.
        wanted: the name the caller gave, with or without a role; None takes the only one there is.
        address: of the server, for messages.

    Raises:
        InputError: the server has no encoder of that name, or several and none was named.
        EncoderError: what it says about itself is not possible.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for item in listing:
        about, name = item.get("reasonir"), str(item.get("id"))
        if not isinstance(about, dict):
            continue
        role = about.get("role")
        if role not in ROLES or not name.endswith(f"-{role}"):
            raise EncoderError(f"the server at {address} announces the model {name!r} with the role {role!r}")
        found.setdefault(name.removesuffix(f"-{role}"), {})[role] = about
    if not found:
        return None
    name = _chosen(list(found), wanted, address)
    roads = found[name]
    if set(roads) != set(ROLES):
        raise EncoderError(f"the server at {address} announces only the {next(iter(roads))} road of {name!r}")
    query, document = (_read(name, roads[role], address) for role in ROLES)
    if (query.fingerprint.id, query.dim, query.window) != (document.fingerprint.id, document.dim, document.window):
        raise EncoderError(f"the server at {address} announces two different encoders as {name!r}")
    return query


def _chosen(names: list[str], wanted: str | None, address: str) -> str:
    if wanted is None and len(names) == 1:
        return names[0]
    row = known_encoder(wanted) if wanted else None
    for name in names:
        if wanted in (name, *(f"{name}-{role}" for role in ROLES)) or (row is not None and row == known_encoder(name)):
            return name
    asked = f"not {wanted!r}" if wanted else "name one of them"
    raise InputError(f"the server at {address} offers the encoder {', '.join(map(repr, names))}; {asked}")


def _read(name: str, about: dict[str, Any], address: str) -> Announced:
    dim, window, parts = about.get("dim"), about.get("window"), about.get("fingerprint")
    for what, value in (("dim", dim), ("window", window)):
        if type(value) is not int or value < 1:
            raise EncoderError(f"the server at {address} announces {name!r} with the {what} {str(value)[:80]!r}")
    assert isinstance(dim, int)
    assert isinstance(window, int)
    try:
        fingerprint = read_fingerprint(parts)
    except InputError as cause:
        raise EncoderError(f"the server at {address} announces {name!r} with a wrong fingerprint: {cause}") from cause
    if fingerprint.as_json().get("dim", dim) != dim:
        raise EncoderError(f"the server at {address} announces {name!r} with a fingerprint of another dim than {dim}")
    return Announced(name, fingerprint, dim, window)
