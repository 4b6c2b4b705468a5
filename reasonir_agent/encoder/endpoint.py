"""How an embeddings server is wrong: its vectors of the probes beside those of the right encoder and of each mistake.

The nearest variant is named, by the mean cosine over all probes and both roads. Length is judged apart from direction,
so a server that pools wrongly and does not normalise is told both. Nothing near: another model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from reasonir_agent.encoder import mistakes
from reasonir_agent.encoder.fingerprint import PARTS
from reasonir_agent.encoder.known import MINILM, known_encoder
from reasonir_agent.encoder.mistakes import Expected, Variant
from reasonir_agent.encoder.probes import LONG, PROBES, SAMPLE, cosines
from reasonir_agent.encoder.remote import RemoteBackend
from reasonir_agent.encoder.remote.sender import TooLong
from reasonir_agent.errors import InputError

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

EXACT: Final = 0.999
"""Least mean cosine of the same computation. Half precision gives 0.9999; the smallest mistake is told by being nearer."""

EXACT_EACH: Final = 0.995
"""Least cosine of any probe of the same computation: an unknown mistake may move one text only."""

NEAR: Final = 0.98
"""Least mean cosine at which a variant is named; two models that are unrelated are at 0."""

UNIT: Final = 0.01
"""How far from 1 a normalised vector's length may be: bfloat16 leaves 1.003."""

NOT_NORMALISED: Final = "not normalised"
REFUSES_LONG: Final = "long texts refused"

_MEANING: Final[dict[str, str]] = {
    mistakes.CAUSAL: "each token sees only those before it; the server must run the network with is_causal = false",
    mistakes.ALL_POOLED: (
        "the prefix's tokens are pooled too, as servers do that get whole strings; the vectors are another fingerprint, "
        "never mix with local ones, and the published quality is not theirs"
    ),
    mistakes.LAST: "the server must pool the mean, not the last token (vLLM: the pooler's configuration)",
    mistakes.FIRST: "the server must pool the mean, not the first token",
    mistakes.MEAN: "the server pools the mean where the encoder was trained with one token",
    mistakes.NO_TEMPLATE: "texts are encoded without the prefixes that the encoder was trained with",
    mistakes.NO_NEWLINE: "the prefix must end in a newline, behind the marker",
    mistakes.STRIPPED: "texts are changed before they are encoded; they must be sent byte for byte",
    mistakes.FLAT: "texts are changed before they are encoded; line breaks must stay",
    mistakes.AS_QUERIES: "both roads use the query's prefix",
    mistakes.AS_DOCUMENTS: "both roads use the document's prefix",
    mistakes.CUT: "the server's window is 512 tokens; set it to the encoder's",
    mistakes.QUERY_CUT: "what is beyond the window is lost; it must be read in overlapping windows",
    NOT_NORMALISED: "vectors must have the length 1; we normalise them, other clients may not",
    REFUSES_LONG: "the server's window is smaller than the encoder's",
}


@dataclass(frozen=True, slots=True)
class Closeness:
    """How near a server's vectors are to one variant's: mean and least cosine over the probes."""

    variant: str
    mean: float
    least: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointReport:
    """What was found out about a server.

    Attributes:
        address: of the server, without secrets.
        model: its model.
        encoder: what it was compared with.
        by_roads: whether it has a model for each road; otherwise it got whole strings.
        verdict: one sentence.
        mistakes: what is wrong, by name; empty also for another model.
        is_right: whether nothing is wrong.
        norms: least and greatest length of its vectors.
        nearest: all variants, nearest first.
        left_out: mistakes that were not compared, with the reasons.
        notes: what else should be known.
    """

    address: str
    model: str
    encoder: str
    by_roads: bool
    verdict: str
    mistakes: tuple[str, ...]
    is_right: bool
    norms: tuple[float, float]
    nearest: tuple[Closeness, ...]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]

    def meanings(self) -> list[str]:
        """For each mistake a line: its name, and what it means."""
        return [f"{name}: {_MEANING[name]}" for name in self.mistakes]

    def as_json(self) -> dict[str, Any]:
        """The object that `reasonir doctor --endpoint --json` prints."""
        return {
            "sound": self.is_right,
            "endpoint": self.address,
            "model": self.model,
            "encoder": self.encoder,
            "models_for_roles": self.by_roads,
            "verdict": self.verdict,
            "mistakes": [{"mistake": name, "meaning": _MEANING[name]} for name in self.mistakes],
            "norms": {"least": self.norms[0], "greatest": self.norms[1]},
            "cosines": [{"variant": one.variant, "mean": one.mean, "least": one.least} for one in self.nearest],
            "left_out": list(self.left_out),
            "notes": list(self.notes),
        }


def right_encoder(remote: RemoteBackend, *, is_named: bool) -> str:
    """The local encoder that a server should be compared with when the user names none.

    Args:
        remote: the server.
        is_named: whether the user named the model; a name that only the server gives fetches nothing from the hub.

    Raises:
        InputError: nothing says which.
    """
    row = known_encoder(remote.model)
    if row is not None and (is_named or row.is_local):
        return row.name
    dim = remote.dim or remote.probe([SAMPLE[0]], [SAMPLE[0]]).shape[1]
    usual = known_encoder(MINILM)
    if row is None and usual is not None and dim == usual.dim:
        return usual.name
    raise InputError(
        f"say which encoder {remote.model!r} ({dim} numbers) should be: --encoder with a folder or name, or --probes with "
        "a file that reasonir doctor --encoder NAME --save-probes FILE made where the checkpoint can be loaded"
    )


def examine_endpoint(remote: RemoteBackend, expected: Expected) -> EndpointReport:
    """Ask a server for the probes and compare.

    Args:
        remote: the server.
        expected: what it can give; of the same kind (`remote.announced` tells which).

    Raises:
        EncoderError: the server failed, or its answers cannot be used.
    """
    short = [number for number in range(len(PROBES)) if number not in LONG]
    given, numbers = _ask(remote, expected, short), short
    notes: list[str] = []
    refuses_long = False
    try:
        given, numbers = _joined(given, _ask(remote, expected, LONG)), [*short, *LONG]
    except TooLong as refused:
        refuses_long = max(expected.tokens[number] for number in LONG) <= expected.window
        notes.append(f"the two long texts could not be compared: {refused}")
    if remote.announced is not None:
        notes += _contradiction(remote.announced.fingerprint.as_json(), expected)
    return _judged(remote, expected, given, numbers, refuses_long=refuses_long, notes=notes)


def _ask(remote: RemoteBackend, expected: Expected, numbers: Sequence[int]) -> FloatMatrix:
    """Vectors as the server makes them: the probes as queries, then as documents."""
    parts = []
    for before, is_query in ((expected.query_prefix, True), (expected.document_prefix, False)):
        sent_before = "" if remote.announced is not None else before
        parts.append(remote.raw([sent_before + PROBES[number] for number in numbers], is_query=is_query))
    return np.concatenate(parts)


def _joined(short: FloatMatrix, long: FloatMatrix) -> FloatMatrix:
    """Two sets, each queries then documents, as one."""
    pairs = zip(np.split(short, 2), np.split(long, 2), strict=True)
    return np.concatenate([np.concatenate(pair) for pair in pairs])


def _contradiction(announced: dict[str, Any], expected: Expected) -> list[str]:
    if announced.get("id") == expected.fingerprint.get("id"):
        return []
    parts = [name for name in PARTS if announced.get(name) != expected.fingerprint.get(name)]
    return [
        f"the server announces the fingerprint {announced.get('id')}, {expected.encoder!r} has "
        f"{expected.fingerprint.get('id')}: they differ in {', '.join(parts) or 'an unknown part'}"
    ]


def _judged(
    remote: RemoteBackend,
    expected: Expected,
    given: FloatMatrix,
    numbers: Sequence[int],
    *,
    refuses_long: bool,
    notes: list[str],
) -> EndpointReport:
    lengths = np.linalg.norm(given, axis=1)
    found = compare(expected, given, numbers)
    best = found[0][1] if found else None
    named = found[0][0].mistakes if best is not None and best.mean >= NEAR else ()
    is_close = best is not None and best.mean >= NEAR
    beside = [REFUSES_LONG] if refuses_long else []
    beside += [NOT_NORMALISED] if is_close and np.abs(lengths - 1).max() > UNIT else []
    wrong = (*named, *beside)
    exact = best is not None and best.mean >= EXACT and best.least >= EXACT_EACH
    return EndpointReport(
        address=remote.server.address,
        model=remote.model,
        encoder=expected.encoder,
        by_roads=remote.announced is not None,
        verdict=_verdict(expected, given.shape[1], best, wrong, exact=exact),
        mistakes=wrong,
        is_right=exact and not wrong,
        norms=(float(lengths.min()), float(lengths.max())),
        nearest=tuple(one for _, one in found),
        left_out=expected.left_out,
        notes=tuple(notes),
    )


def compare(expected: Expected, given: FloatMatrix, numbers: Sequence[int]) -> list[tuple[Variant, Closeness]]:
    """Every variant and how near it is, nearest first; of equal ones the one with fewer mistakes.

    Args:
        expected: the variants.
        given: vectors of the probes `numbers` as queries, then as documents; of another length, nothing is near.
        numbers: which probes.
    """
    if given.shape[1] != expected.dim:
        return []
    rows = [*numbers, *(number + len(PROBES) for number in numbers)]
    found = []
    for variant in expected.variants:
        near = cosines(variant.vectors[rows], given)
        found.append((variant, Closeness(variant.name, round(float(near.mean()), 6), round(float(near.min()), 6))))
    return sorted(found, key=lambda pair: (-pair[1].mean, len(pair[0].mistakes)))


def _verdict(expected: Expected, dim: int, best: Closeness | None, wrong: tuple[str, ...], *, exact: bool) -> str:
    name = repr(expected.encoder)
    if best is None:
        return f"another model: it gives vectors of {dim} numbers, {name} has {expected.dim}"
    if best.mean < NEAR:
        return f"another model than {name}: the nearest variant ({best.variant}) has a mean cosine of {best.mean:.3f}"
    if not wrong and exact:
        return f"right: the vectors are those of {name}"
    if not wrong:
        return (
            f"nearly {name}, but not the same (mean cosine {best.mean:.4f}, least {best.least:.4f}): quantised weights, "
            "or a mistake that is not known"
        )
    further = "" if exact else "; something further differs (quantised weights, or one mistake more)"
    return f"{name} with {'a mistake' if len(wrong) == 1 else 'mistakes'}: {', '.join(wrong)}{further}"
