"""The steps of the agent, each `state -> partial update`. Collaborators are given when the graph is built.

Encoder and store work in worker threads, so the event loop stays free. A model that fails after work has begun
degrades the result and leaves a warning; one that cannot be reached at all is an error before work starts.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass
from typing import Any

from reasonir_agent.agent.abstention import weigh
from reasonir_agent.agent.answering import Written, write_answer
from reasonir_agent.agent.extractive import extract_answer
from reasonir_agent.agent.state import AgentState, pack_hits, unpack_hits, usage_of
from reasonir_agent.config import AgentSettings
from reasonir_agent.errors import ChatError, ChatUnavailable, InputError
from reasonir_agent.llm import ChatModel, Meter
from reasonir_agent.reranking import judge
from reasonir_agent.rewriting import rewrite as rewrite_question
from reasonir_agent.stores.filters import parse_where
from reasonir_agent.types import Hit, PassageSource, Reranker

Update = dict[str, Any]

NOT_FOUND = "The corpus does not seem to hold an answer to this question."
NO_ANSWER = "no answer could be had from the model"
"""How the warning begins when sentences were extracted although there is a model."""

NO_MODEL = (
    "no chat model: the answer is made of sentences from the passages; with --llm provider:model the question is "
    "rewritten, passages are reranked, and an answer is written"
)


@dataclass(slots=True)
class Steps:
    """The steps with their collaborators.

    Attributes:
        corpus: what is searched.
        chat: the model, None without one.
        reranker: scores passages, None without one.
        settings: how to work.
    """

    corpus: PassageSource
    chat: ChatModel | None
    reranker: Reranker | None
    settings: AgentSettings

    async def rewrite(self, state: AgentState) -> Update:
        """Turn the question into a long reasoning query; without a model, search with the question."""
        question = state.get("question")
        if not isinstance(question, str) or not question.strip():
            raise InputError(f"a question is needed, got {question!r}")
        where = parse_where(state.get("where") or ())
        await asyncio.to_thread(self.corpus.check, where)  # a filter that cannot be used is told before a model is paid
        if self.chat is None or not self.settings.rewrite:
            return {"rewrites": []}
        began, meter = time.perf_counter(), Meter()
        try:
            text = await rewrite_question(question, self.chat, words=self.settings.rewrite_words, meter=meter)
        except ChatUnavailable:
            raise
        except ChatError as problem:
            warning = f"the question could not be rewritten ({problem}); it was searched with as it is"
            return {"rewrites": [], "warnings": [warning], "usage": _usage(meter, began)}
        return {"rewrites": [text], "usage": _usage(meter, began)}

    async def retrieve(self, state: AgentState) -> Update:
        """Find candidates by meaning and by words."""
        began = time.perf_counter()
        depth = max(self.settings.k, self.settings.rerank_depth if self.reranker else 0)
        queries = state["rewrites"] or [state["question"]]
        where = parse_where(state.get("where") or ())
        hits = await asyncio.to_thread(self.corpus.find, queries, depth, where=where, rewritten=bool(state["rewrites"]))
        return {"hits": pack_hits(hits), "usage": _usage(Meter(), began)}

    async def rerank(self, state: AgentState) -> Update:
        """Score the candidates against the original question and interpolate."""
        hits = await self._hits(state)
        if self.reranker is None or not hits:
            return {"hits": pack_hits(hits[: self.settings.k])}
        began, meter = time.perf_counter(), Meter()
        judged = await judge(state["question"], hits, self.reranker, weight=self.settings.rerank_weight, meter=meter)
        return {
            "hits": pack_hits(judged.hits[: self.settings.k]),
            "warnings": judged.warnings,
            "usage": usage_of(meter, seconds=time.perf_counter() - began, reranker_failures=judged.failures),
        }

    async def answer(self, state: AgentState) -> Update:
        """Answer from the hits, with a model or by extraction, or abstain."""
        began, meter = time.perf_counter(), Meter()
        hits = await self._hits(state)
        warnings: list[str] = []
        if self.chat is None:
            written = await asyncio.to_thread(self._extract, state["question"], hits)
            warnings.append(NO_MODEL)
        elif not hits:
            written = Written(NOT_FOUND, abstained=True)
        else:
            written, warnings = await self._write(state["question"], hits, meter)
        return {
            "answer": written.answer or NOT_FOUND,
            "abstained": written.abstained,
            "citations": [asdict(citation) for citation in written.citations],
            "warnings": warnings,
            "usage": _usage(meter, began),
        }

    async def _write(self, question: str, hits: list[Hit], meter: Meter) -> tuple[Written, list[str]]:
        assert self.chat is not None
        try:
            written = await write_answer(question, [hit.passage for hit in hits], self.chat, meter=meter)
        except ChatError as problem:
            written = await asyncio.to_thread(self._extract, question, hits)
            return written, [f"{NO_ANSWER} ({problem}); sentences were extracted instead"]
        if written.problems and not written.abstained and not written.citations:
            extracted = await asyncio.to_thread(self._extract, question, hits)
            return extracted, [
                f"none of the model's citations could be verified ({written.problems[0]}); sentences were extracted instead"
            ]
        warnings = (
            [f"{len(written.problems)} citations could not be verified and were dropped"] if written.problems else []
        )
        return written, warnings

    def _extract(self, question: str, hits: list[Hit]) -> Written:
        encoder = self.corpus.encoder
        if not weigh(question, hits, self.corpus, encoder).suffices:
            return Written(NOT_FOUND, abstained=True)
        vector = encoder.encode_queries([question])
        text, citations = extract_answer(question, vector, hits, encoder, sentences=self.settings.answer_sentences)
        return Written(text or NOT_FOUND, abstained=not citations, citations=citations)

    async def _hits(self, state: AgentState) -> list[Hit]:
        packed = state["hits"]
        passages = await asyncio.to_thread(self.corpus.passages, [one["id"] for one in packed])
        return unpack_hits(packed, passages)


def _usage(meter: Meter, began: float) -> dict[str, Any]:
    return usage_of(meter, seconds=time.perf_counter() - began)
