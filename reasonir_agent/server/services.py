"""What the routes work with. Built once, before the first request; the routes own nothing themselves.

Encoding goes through `batcher` (asynchronous, joined across requests), never through `encoder` directly, which would
block the event loop. `corpus` and `chat` may be None; a route that needs one says so with `need_corpus`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reasonir_agent.config import AgentSettings
from reasonir_agent.server.batching import Batcher
from reasonir_agent.server.limits import Limits
from reasonir_agent.server.metrics import Metrics
from reasonir_agent.server.problems import Problem

if TYPE_CHECKING:
    from reasonir_agent.llm import ChatModel
    from reasonir_agent.types import Encoder, PassageSource

AGENT_MODEL: Final = "reasonir-agent"
"""Name of the agent among the models of `/v1/models`, asked at `/v1/chat/completions`."""


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that routes share.

    Attributes:
        encoder: for its name, dimension, window and fingerprint.
        corpus: what is searched, None without a store.
        chat: the chat model, None without one.
        settings: how the agent works.
        limits: how much one request may ask.
        batcher: `await batcher.encode_queries(texts)` and `encode_documents(texts)`, float32 [n, dim].
        metrics: counters.
    """

    encoder: Encoder
    corpus: PassageSource | None
    chat: ChatModel | None
    settings: AgentSettings
    limits: Limits
    batcher: Batcher
    metrics: Metrics

    @classmethod
    def build(
        cls,
        encoder: Encoder,
        *,
        corpus: PassageSource | None = None,
        chat: ChatModel | None = None,
        settings: AgentSettings | None = None,
        limits: Limits | None = None,
    ) -> Services:
        """Put the parts together; what is not given takes its usual value."""
        limits = limits or Limits()
        metrics = Metrics()
        batcher = Batcher(encoder, limits, metrics)
        return cls(encoder, corpus, chat, settings or AgentSettings(), limits, batcher, metrics)

    @property
    def encoder_name(self) -> str:
        """The encoder's name for clients: of a folder, the last part of its path."""
        name = self.encoder.name
        is_path = name.startswith((".", "~")) or Path(name).is_absolute() or "\\" in name
        shown = re.split(r"[/\\]", name.rstrip("/\\"))[-1] if is_path else name
        return shown.strip(". ") or "encoder"

    def need_corpus(self) -> PassageSource:
        """The corpus.

        Raises:
            Problem: 501, there is none.
        """
        if self.corpus is None:
            raise Problem(
                501,
                "this server has no store to search; start it with --store DIR (made by: reasonir index PATH)",
                kind="not_available",
                code="no_store",
            )
        return self.corpus
