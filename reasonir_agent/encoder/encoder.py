"""`ReasonIREncoder`: the one object that turns texts into vectors.

Queries and documents go by separate roads and cannot be mixed up. A query is never cut: beyond the window it is read
in overlapping windows. A document is cut at the window with a counted warning (indexing splits, so it does not happen
there). Empty texts give zero vectors, counted. Equal texts are encoded once; results come in the caller's order.
"""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from reasonir_agent.encoder.batching import Row
from reasonir_agent.encoder.checkpoint import Checkpoint, count_parameters, read_checkpoint
from reasonir_agent.encoder.engine import Engine
from reasonir_agent.encoder.fingerprint import Fingerprint, ForeignFingerprint, weights_hash
from reasonir_agent.encoder.known import KnownEncoder, default_encoder
from reasonir_agent.encoder.locate import locate
from reasonir_agent.encoder.probes import SAMPLE, pack
from reasonir_agent.encoder.remote import RemoteBackend
from reasonir_agent.encoder.remote.texts import beginning, estimate
from reasonir_agent.encoder.template import prefix, task_instruction
from reasonir_agent.encoder.tokens import TextTokenizer, Tokens, well_formed
from reasonir_agent.encoder.windows import RULE, combined, cut, windows
from reasonir_agent.errors import InputError
from reasonir_agent.spans import span

if TYPE_CHECKING:
    from reasonir_agent.types import FloatMatrix

Dtype = Literal["auto", "float32", "bfloat16", "float16"]

_DTYPES: Final = ("auto", "float32", "bfloat16", "float16")
LONGEST_QUERY: Final = 1_000_000
"""Characters. A book passed as a question is refused before minutes are spent on tokenising it."""


class EncoderWarning(UserWarning):
    """Texts were empty or cut; the message counts them."""


@dataclass(slots=True)
class Counters:
    """What happened to texts since the encoder was made."""

    encoded: int = 0
    duplicates: int = 0
    empty: int = 0
    cut: int = 0


class ReasonIREncoder:
    """An encoder for questions and passages.

    Args:
        model: folder, known name or hub name (see `reasonir_agent.encoder.known`); None is the local default.
        query_instruction: task sentence for queries; None is the checkpoint's own, "" means no template at all.
        document_instruction: the same for documents.
        task: a BRIGHT split whose instruction is used for queries ("biology").
        device: "auto", "cpu", "cuda", "cuda:N", "mps".
        dtype: "auto" takes bfloat16 where the hardware is fast at it, float32 elsewhere.
        max_tokens: smaller window than the checkpoint's.
        base_url: an OpenAI-compatible embeddings server (vLLM, TEI, Infinity, `reasonir serve`), up to and including
            `/v1`; `model` is then its model's name, None the only one that it has.
        api_key: key for that server.

    Raises:
        InputError: an argument cannot be used, or the name is unknown.
        CheckpointError: the folder is unsafe, broken or of an unknown shape.
        MissingExtra: a package is not installed; the message has the command.
        EncoderError: the server cannot be reached, fails, or its answers cannot be used.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        query_instruction: str | None = None,
        document_instruction: str | None = None,
        task: str | None = None,
        device: str = "auto",
        dtype: Dtype = "auto",
        max_tokens: int | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
    ) -> None:
        if dtype not in _DTYPES:
            raise InputError(f"dtype must be one of {', '.join(_DTYPES)}; got {dtype!r}")
        if max_tokens is not None and max_tokens < 8:
            raise InputError(f"max_tokens must be 8 or more, got {max_tokens}")
        if task is not None:
            if query_instruction is not None:
                raise InputError("give task or query_instruction, not both")
            query_instruction = task_instruction(task)
        self.counters = Counters()
        self._lock = threading.RLock()
        self._fingerprint: Fingerprint | ForeignFingerprint | None = None
        self._has_own_instruction = query_instruction is not None
        self._remote: RemoteBackend | None = None
        if base_url is not None:
            name = str(model) if model else None
            self._remote = RemoteBackend(name, base_url=base_url, api_key=api_key)
            self._open_remote(self._remote, query_instruction, document_instruction, max_tokens)
        else:
            self._open_local(model or default_encoder(), query_instruction, document_instruction, max_tokens)
            assert self._checkpoint is not None
            self._engine = Engine(self._checkpoint, self.name, device=device, dtype=dtype)

    def _open_local(self, model: str | Path, query: str | None, document: str | None, max_tokens: int | None) -> None:
        located = locate(model)
        checkpoint = read_checkpoint(located.folder, located.known, located.adapter)
        self._checkpoint: Checkpoint | None = checkpoint
        self._tokenizer: TextTokenizer | None = TextTokenizer(located.folder)
        self._pool_prefix = checkpoint.pool_prefix
        self.name = located.name
        self.window = min(checkpoint.window, max_tokens or checkpoint.window)
        self.dim = checkpoint.dim
        template = self._query_template = checkpoint.query_template
        self.query_prefix = prefix(template, checkpoint.instruction, query)
        self.document_prefix = (
            checkpoint.document_prefix if document is None else prefix(template, checkpoint.instruction, document)
        )
        calibrated = located.known is not None and query is None and document is None
        self.abstain_below = located.known.abstain_below if located.known and calibrated else None

    def _open_remote(
        self, remote: RemoteBackend, query: str | None, document: str | None, max_tokens: int | None
    ) -> None:
        self._checkpoint, self._tokenizer, self._pool_prefix = None, None, True
        self.name, self.abstain_below, self._query_template = remote.model, None, ""
        self.window = self._nominal_window = remote.nominal_window(max_tokens)
        row = remote.known
        if remote.announced is not None:
            if query is not None or document is not None or max_tokens is not None:
                raise InputError(
                    f"the server at {remote.server.address} puts the instruction on itself; query_instruction, task, "
                    "document_instruction and max_tokens are set where it is started, not here"
                )
            self.window = remote.announced.window
            parts = remote.announced.fingerprint.as_json()
            self.query_prefix, self.document_prefix = (str(parts.get(f"{s}_prefix", "")) for s in ("query", "document"))
            if row and (self.query_prefix, self.document_prefix) == _usual_prefixes(row):
                self.abstain_below = row.abstain_below
            remote.probe([SAMPLE[0]], [SAMPLE[0]])  # it answers, by both roads, in the length that it announces
        else:
            self.window = remote.window(max_tokens)
            self._query_template = row.query_template if row else ""
            self.query_prefix = prefix(row.query_template, row.instruction, query) if row else (query or "")
            self.document_prefix = (row.document_prefix if row else "") if document is None else document
            self._fingerprint = self._remote_fingerprint(remote)
        self.dim = remote.dim

    def __repr__(self) -> str:
        return f"ReasonIREncoder({self.name!r}, dim={self.dim}, window={self.window})"

    def for_task(self, task: str, *, kind: str = "passages") -> ReasonIREncoder:
        """The same encoder with BRIGHT's instruction for one split; both share the loaded network.

        An encoder that takes no instruction, or was given one by the caller, is returned as it is.

        Args:
            task: name of the split ("biology").
            kind: what is looked for; BRIGHT says "documents" where the documents are long.

        Raises:
            InputError: there is no such split, or the instruction is a server's.
        """
        instruction = task_instruction(task).replace("passages", kind)
        if self._remote is not None and self._remote.announced is not None and self.query_prefix:
            raise InputError(
                f"the server at {self._remote.server.address} puts the instruction on itself; start it with the task"
            )
        if self._has_own_instruction or "{instruction}" not in self._query_template:
            return self
        other = copy.copy(self)
        other.query_prefix = prefix(self._query_template, "", instruction)
        other._fingerprint, other.counters, other.abstain_below = None, Counters(), None
        return other

    @property
    def fingerprint(self) -> Fingerprint | ForeignFingerprint:
        """What makes the vectors comparable. Hashes the weights at first use; a server's was asked for at the start."""
        if self._fingerprint is None:
            self._fingerprint = self._make_fingerprint()
        return self._fingerprint

    def encode_queries(self, texts: Sequence[str], /) -> FloatMatrix:
        """Encode questions or rewritten queries, never cutting them.

        Returns:
            unit vectors, float32 [n, dim]; zeros for empty texts.

        Raises:
            InputError: `texts` is no list of strings, or a text is longer than any question.
        """
        return self._encode(texts, self.query_prefix, is_query=True)

    def encode_documents(self, texts: Sequence[str], /) -> FloatMatrix:
        """Encode passages; what is beyond the window is cut, with a counted warning.

        Returns:
            unit vectors, float32 [n, dim]; zeros for empty texts.

        Raises:
            InputError: `texts` is no list of strings.
        """
        return self._encode(texts, self.document_prefix, is_query=False)

    def count_tokens(self, texts: Sequence[str], /) -> list[int]:
        """Tokens of each text alone. For a remote encoder, a safe estimate (a token for three characters)."""
        if self._tokenizer is None:
            return [estimate(text) for text in texts]
        return self._tokenizer.count(texts)

    def beginning(self, text: str, tokens: int) -> str:
        """The text up to the end of its first `tokens` tokens; of a remote encoder, the same estimate."""
        if self._tokenizer is None:
            return beginning(text, tokens)
        return self._tokenizer.beginning(text, tokens)

    @property
    def parameters(self) -> int | None:
        """Weights that take part in every token's computation (the embedding tables do not); None for a remote encoder."""
        return None if self._checkpoint is None else count_parameters(self._checkpoint.weights)

    def unknown_share(self, texts: Sequence[str], /) -> float:
        """Share of tokens, 0 to 1, that the vocabulary does not know. 0 for a remote encoder."""
        return 0.0 if self._tokenizer is None else self._tokenizer.unknown_share(texts)

    def _encode(self, texts: Sequence[str], text_prefix: str, *, is_query: bool) -> FloatMatrix:
        _check_texts(texts, longest=LONGEST_QUERY if is_query else None)
        places: dict[str, list[int]] = {}
        for number, text in enumerate(texts):
            if text and not text.isspace():
                places.setdefault(well_formed(text), []).append(number)
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        distinct = list(places)
        with span("encode", model=self.name, query=is_query, texts=len(distinct)):
            if self._remote is None:
                with self._lock:
                    found = self._encode_distinct(distinct, text_prefix, is_query=is_query)
            else:  # a server takes several callers at once
                found = self._encode_remotely(self._remote, distinct, text_prefix, is_query=is_query)
        for text, vector in zip(distinct, found, strict=True):
            vectors[places[text]] = vector
        self._count_empty(texts, vectors, places)
        return vectors

    def _encode_distinct(self, texts: list[str], text_prefix: str, *, is_query: bool) -> FloatMatrix:
        assert self._tokenizer is not None
        longest = None if is_query else self.window
        split = self._tokenizer.split(texts, text_prefix, longest=longest)
        owners, rows = self._rows(split, text_prefix, is_query=is_query)
        parts = self._engine.run(rows) if rows else np.zeros((0, self.dim), dtype=np.float32)
        self.counters.encoded += len(rows)
        return combined(parts, owners, len(texts))

    def _encode_remotely(
        self, remote: RemoteBackend, texts: list[str], text_prefix: str, *, is_query: bool
    ) -> FloatMatrix:
        vectors, cut_short = remote.encode(texts, text_prefix, self.window, is_query=is_query)
        self.counters.encoded += len(texts)
        self._count_cut(cut_short, len(texts))
        return vectors

    def _rows(self, split: list[Tokens], text_prefix: str, *, is_query: bool) -> tuple[list[int], list[Row]]:
        """Sequences for the network and the number of the text that each belongs to."""
        owners: list[int] = []
        rows: list[Row] = []
        cut_short = 0
        for number, tokens in enumerate(split):
            if not is_query and (not tokens.whole or len(tokens) > self.window):
                cut_short += 1
            if not tokens.body:
                continue
            pool_from = 0 if self._pool_prefix or not text_prefix else len(tokens.head)
            sequences = windows(tokens, self.window) if is_query else [cut(tokens, self.window)]
            owners += [number] * len(sequences)
            rows += [Row(ids, pool_from) for ids in sequences]
        self._count_cut(cut_short, len(split))
        return owners, rows

    def _count_cut(self, cut_short: int, count: int) -> None:
        if cut_short:
            self.counters.cut += cut_short
            warnings.warn(
                f"{cut_short} of {count} documents are longer than the window of {self.window} tokens and "
                "were cut; split them first",
                EncoderWarning,
                stacklevel=6,
            )

    def _count_empty(self, texts: Sequence[str], vectors: Any, places: dict[str, list[int]]) -> None:
        filled = vectors.any(axis=1)
        empty = int((~filled).sum())
        self.counters.empty += empty
        self.counters.duplicates += int(filled.sum()) - sum(bool(filled[numbers[0]]) for numbers in places.values())
        if empty:
            warnings.warn(
                f"{empty} of {len(texts)} texts are empty for this encoder and got zero vectors",
                EncoderWarning,
                stacklevel=4,
            )

    def _make_fingerprint(self) -> Fingerprint | ForeignFingerprint:
        if self._checkpoint is None:
            assert self._remote is not None
            announced = self._remote.announced
            return announced.fingerprint if announced is not None else self._remote_fingerprint(self._remote)
        checkpoint = self._checkpoint
        return Fingerprint(
            weights=weights_hash(checkpoint.files),
            query_prefix=self.query_prefix,
            document_prefix=self.document_prefix,
            pooling=f"{checkpoint.pooling}{'' if checkpoint.pool_prefix else ' without prefix'}",
            window=self.window,
            window_rule=RULE,
            dim=self.dim,
        )

    def _remote_fingerprint(self, remote: RemoteBackend) -> Fingerprint:
        """The name stands for the weights; vectors of a few texts by both roads tell when it comes to mean others."""
        strings = [[before + text for text in SAMPLE] for before in (self.query_prefix, self.document_prefix)]
        vectors = remote.probe(*strings)
        return Fingerprint(
            weights=f"remote:{remote.model}",
            query_prefix=self.query_prefix,
            document_prefix=self.document_prefix,
            pooling="remote",
            window=self._nominal_window,
            window_rule=RULE,
            dim=remote.dim,
            probes=pack(vectors),
        )


def _usual_prefixes(row: KnownEncoder) -> tuple[str, str]:
    return prefix(row.query_template, row.instruction, None), row.document_prefix


def _check_texts(texts: Sequence[str], *, longest: int | None) -> None:
    if isinstance(texts, str):
        raise InputError(f"expected a list of texts, got one text ({texts[:40]!r}); put it into a list")
    if not hasattr(texts, "__len__"):
        raise InputError(f"expected a list of texts, got {type(texts).__name__}")
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"expected texts, got {type(text).__name__} at position {number}")
        if longest is not None and len(text) > longest:
            raise InputError(
                f"a query may have up to {longest:,} characters, got {len(text):,}; pass the question, not a file"
            )
