"""How the vectors of an encoder look when its server makes one of the known mistakes, or two of them.

Four independent choices shape a vector, and each can be made wrongly: the direction of *attention* (causal, as the stock
class of a Llama has it), how the text is *written* (no template, no newline behind the marker, text stripped, newlines
flattened, both roads alike), which tokens are *pooled* (the instruction's too, the last one, the first one), and the
*window* (cut at 512 tokens; a long query cut where ours is read in windows). Every variant with up to two mistakes is
computed for the fixed probes (probes.py) with the network itself; hidden states are made once and pooled in every way.

A mistake that an encoder cannot have, or that makes no difference to it, is left out and named with the reason. Needs
torch and the checkpoint; what it makes can be saved (probe_file.py) and used where neither is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from reasonir_agent.encoder.probes import PROBES, cosines
from reasonir_agent.encoder.windows import combined, cut, windows
from reasonir_agent.errors import CheckpointError, InputError

if TYPE_CHECKING:
    from reasonir_agent.encoder.encoder import ReasonIREncoder
    from reasonir_agent.types import FloatMatrix

CAUSAL: Final = "causal mask"
NO_NEWLINE: Final = "newline behind the marker missing"
NO_TEMPLATE: Final = "no template"
STRIPPED: Final = "white space around the text stripped"
FLAT: Final = "newlines replaced by spaces"
AS_QUERIES: Final = "documents treated as queries"
AS_DOCUMENTS: Final = "queries treated as documents"
ALL_POOLED: Final = "instruction pooled"
LAST: Final = "last token pooled"
FIRST: Final = "first token pooled"
MEAN: Final = "mean of all tokens pooled"
CUT: Final = "cut at 512 tokens"
QUERY_CUT: Final = "long queries cut, not read in windows"

_MOST_MISTAKES: Final = 2
_EQUAL: Final = 1 - 1e-6
_CUT: Final = 512

_ALWAYS_BOTH_WAYS: Final = frozenset(
    {"bert", "roberta", "xlm-roberta", "camembert", "nomic_bert", "mpnet", "distilbert", "modernbert", "electra"}
)
"""Architectures that no server runs with a causal mask."""

Writing = Callable[[str, str], tuple[str, str]]
"""From prefix and text, as they should be, to those that a server uses."""


@dataclass(frozen=True, slots=True)
class Variant:
    """The probes' vectors under some mistakes.

    Attributes:
        mistakes: none of them: the right encoder.
        vectors: unit vectors, float32 [2 * len(PROBES), dim]; as queries, then as documents.
    """

    mistakes: tuple[str, ...]
    vectors: FloatMatrix

    @property
    def name(self) -> str:
        """For a table."""
        return " + ".join(self.mistakes) or "right"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a server of one encoder can give.

    Attributes:
        encoder: its name.
        fingerprint: of the right encoder, as JSON.
        query_prefix: stands before a query that is sent as a whole string.
        document_prefix: stands before a document that is sent as a whole string.
        window: tokens that the encoder reads.
        tokens: of each probe as a query and as a document, prefix included, at most.
        variants: the right one first; no two are alike.
        left_out: mistakes that are not among them, each with the reason.
    """

    encoder: str
    fingerprint: dict[str, Any]
    query_prefix: str
    document_prefix: str
    window: int
    tokens: tuple[int, ...]
    variants: tuple[Variant, ...]
    left_out: tuple[str, ...]

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.variants[0].vectors.shape[1])


def expected(encoder: ReasonIREncoder, *, by_roads: bool) -> Expected:
    """Compute every variant of a local encoder.

    Args:
        encoder: a local one.
        by_roads: whether the server gets bare texts and has a model for each road (`reasonir serve`); otherwise it gets
            whole strings.

    Raises:
        InputError: the encoder is behind a server itself.
        CheckpointError: the network cannot be made causal, and so the mistake cannot be computed.
    """
    if encoder._checkpoint is None:
        raise InputError(f"{encoder.name!r} is behind a server; a local checkpoint is needed to compute what is right")
    maker = _Maker(encoder, by_roads=by_roads)
    found = [variant for variant in maker.variants() if len(variant.mistakes) <= _MOST_MISTAKES]
    found.sort(key=lambda variant: len(variant.mistakes))
    kept, alike = _distinct(found)
    return Expected(
        encoder=encoder.name,
        fingerprint=encoder.fingerprint.as_json(),
        query_prefix=encoder.query_prefix,
        document_prefix=encoder.document_prefix,
        window=encoder.window,
        tokens=maker.lengths(),
        variants=tuple(kept),
        left_out=(*maker.impossible, *alike),
    )


def _distinct(found: list[Variant]) -> tuple[list[Variant], list[str]]:
    """Variants of which no two are alike, and what was left out of the single mistakes."""
    kept: list[Variant] = []
    alike: list[str] = []
    for variant in found:
        same = next((one for one in kept if cosines(one.vectors, variant.vectors).min() >= _EQUAL), None)
        if same is None:
            kept.append(variant)
        elif len(variant.mistakes) == 1:
            reason = f"the same as: {same.name}" if same.mistakes else "makes no difference for this encoder"
            alike.append(f"{variant.name} ({reason})")
    return kept, alike


class _Maker:
    """The choices that one encoder leaves open, and the vectors that they give."""

    def __init__(self, encoder: ReasonIREncoder, *, by_roads: bool) -> None:
        assert encoder._checkpoint is not None
        self._encoder, self._checkpoint, self._by_roads = encoder, encoder._checkpoint, by_roads
        self._backbone = encoder._engine.heavy_backbone()
        self._states: dict[tuple[bool, int, tuple[int, ...]], dict[str, FloatMatrix]] = {}
        self.impossible: list[str] = []
        self._attentions = self._possible_attentions()
        self._writings = self._possible_writings()
        self._poolings = self._possible_poolings()
        self._windows = self._possible_windows()

    def variants(self) -> Iterator[Variant]:
        """Every combination of one choice of each kind that has few enough mistakes."""
        for causal in self._attentions:
            with self._attention(causal=bool(causal)):
                for writing, window in product(self._writings, self._windows):
                    named = tuple(one for one in (causal, writing, window) if one)
                    if len(named) > _MOST_MISTAKES:
                        continue
                    for pooling, vectors in self._vectors(bool(causal), writing, window).items():
                        yield Variant((*named, *((pooling,) if pooling else ())), vectors)

    def lengths(self) -> tuple[int, ...]:
        """Tokens of each probe with the longer prefix."""
        tokenizer = self._encoder._tokenizer
        assert tokenizer is not None
        before = max(self._encoder.query_prefix, self._encoder.document_prefix, key=len)
        return tuple(len(tokens) for tokens in tokenizer.split(PROBES, before))

    def _possible_attentions(self) -> list[str]:
        # whoever can look both ways by a switch can be left causal by a server that does not know the switch
        if self._checkpoint.bidirectional and self._checkpoint.architecture not in _ALWAYS_BOTH_WAYS:
            return ["", CAUSAL]
        why = "it is causal" if not self._checkpoint.bidirectional else "its architecture always looks both ways"
        self.impossible.append(f"{CAUSAL} ({why})")
        return [""]

    def _possible_writings(self) -> dict[str, Writing]:
        prefixes = (self._encoder.query_prefix, self._encoder.document_prefix)
        found: dict[str, Writing] = {"": lambda before, text: (before, text)}
        found[STRIPPED] = lambda before, text: (
            before,
            text.rstrip() if before and not self._by_roads else text.strip(),
        )
        found[FLAT] = lambda before, text: (before.replace("\n", " "), text.replace("\n", " "))
        if any(prefixes):
            found[NO_TEMPLATE] = lambda _, text: ("", text)
        else:
            self.impossible.append(f"{NO_TEMPLATE} (this encoder has none)")
        if any(before.endswith("\n") for before in prefixes):
            found[NO_NEWLINE] = lambda before, text: (before.removesuffix("\n"), text)
        else:
            self.impossible.append(f"{NO_NEWLINE} (this encoder has no marker)")
        if not self._by_roads:
            self.impossible.append(f"{AS_QUERIES}, {AS_DOCUMENTS} (this server gets whole strings)")
        elif len(set(prefixes)) > 1:
            found[AS_QUERIES] = lambda _, text: (prefixes[0], text)
            found[AS_DOCUMENTS] = lambda _, text: (prefixes[1], text)
        else:
            self.impossible.append(f"{AS_QUERIES}, {AS_DOCUMENTS} (this encoder makes no difference)")
        return found

    def _possible_poolings(self) -> list[str]:
        found = {"": "", "last": LAST, "cls": FIRST, "mean": MEAN}
        if self._checkpoint.pooling != "mean":
            return [name for how, name in found.items() if how != self._checkpoint.pooling]
        if self._checkpoint.pool_prefix:
            self.impossible.append(f"{ALL_POOLED} (right for this encoder)")
            return ["", LAST, FIRST]
        return ["", ALL_POOLED, LAST, FIRST]

    def _possible_windows(self) -> list[str]:
        found, longest, window = [""], max(self.lengths()), self._encoder.window
        positions = int(self._checkpoint.config.get("max_position_embeddings") or _CUT)
        if window != _CUT and longest > min(window, _CUT) and positions >= _CUT:
            found.append(CUT)
        else:
            self.impossible.append(f"{CUT} (right for this encoder)" if window == _CUT else f"{CUT} (it cannot)")
        if self._by_roads and longest > window:
            found.append(QUERY_CUT)
        return found

    def _vectors(self, causal: bool, writing: str, window: str) -> dict[str, FloatMatrix]:
        """For each pooling the vectors of all probes, queries first."""
        rows: dict[str, list[FloatMatrix]] = {pooling: [] for pooling in self._poolings}
        write = self._writings[writing]
        roads = ((self._encoder.query_prefix, True), (self._encoder.document_prefix, False))
        for (before, is_query), text in product(roads, PROBES):
            used, written = write(before, text)
            sequences, pool_from = self._sequences(used, written, window, is_query=is_query)
            for pooling in self._poolings:
                parts = np.stack([self._pooled(causal, ids, pool_from)[pooling] for ids in sequences])
                rows[pooling].append(combined(parts, [0] * len(parts), 1)[0])
        return {pooling: np.stack(found) for pooling, found in rows.items()}

    def _sequences(self, before: str, text: str, window: str, *, is_query: bool) -> tuple[list[list[int]], int]:
        assert self._encoder._tokenizer is not None
        (tokens,) = self._encoder._tokenizer.split([text], before)
        pool_from = 0 if self._checkpoint.pool_prefix or not before else len(tokens.head)
        reads_windows = is_query and self._by_roads and not window
        if reads_windows:
            return windows(tokens, self._encoder.window), pool_from
        return [cut(tokens, _CUT if window == CUT else self._encoder.window)], pool_from

    def _pooled(self, causal: bool, ids: list[int], pool_from: int) -> dict[str, FloatMatrix]:
        """The unit vector of one sequence under each pooling."""
        key = (causal, pool_from, tuple(ids))
        if key not in self._states:
            hidden = self._hidden(ids)
            own = {"mean": hidden[pool_from:].mean(axis=0), "cls": hidden[pool_from], "last": hidden[-1]}
            whole = {ALL_POOLED: hidden.mean(axis=0), MEAN: hidden.mean(axis=0), LAST: hidden[-1], FIRST: hidden[0]}
            found = {"": own[self._checkpoint.pooling], **whole}
            self._states[key] = {name: found[name] / np.linalg.norm(found[name]) for name in self._poolings}
        return self._states[key]

    def _hidden(self, ids: list[int]) -> FloatMatrix:
        """States of the last layer, float32 [tokens, dim]; one text at a time, so that nothing is padded."""
        import torch

        with torch.inference_mode():
            row = torch.tensor([ids], device=self._backbone.device)
            states = self._backbone.model(input_ids=row, **self._backbone._extra).last_hidden_state
            hidden: FloatMatrix = states[0].float().cpu().numpy()
        return hidden

    @contextmanager
    def _attention(self, *, causal: bool) -> Iterator[None]:
        """Switch the loaded network to a causal mask for a while, and prove that it is."""
        if not causal:
            yield
            return
        from reasonir_agent.encoder.torch_backbone import is_bidirectional

        config = self._backbone.model.config
        config.is_causal = True
        try:
            if is_bidirectional(self._backbone.model):
                raise CheckpointError(
                    f"{self._encoder.name} stays bidirectional; the causal mistake cannot be computed"
                )
            yield
        finally:
            config.is_causal = False
