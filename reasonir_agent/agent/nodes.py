"""The steps of the agent, each `state -> partial update`. Collaborators are given when the graph is built.

Encoder and store work in worker threads, so the event loop stays free. A model that fails after work has begun
degrades the result and leaves a warning; one that cannot be reached at all is an error before work starts. A bound that
is reached ends with what there is, and the warning names the bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from reasonir_agent.agent.abstention import weigh
from reasonir_agent.agent.answering import Written, write_answer
from reasonir_agent.agent.extractive import extract_answer
from reasonir_agent.agent.gathering import gather_hits
from reasonir_agent.agent.grading import grade
from reasonir_agent.agent.looked_for import NOT_FOUND, silence
from reasonir_agent.agent.spending import Spending, spending
from reasonir_agent.agent.state import ANEW, AgentState, pack_hits, unpack_hits
from reasonir_agent.config import AgentSettings
from reasonir_agent.errors import BudgetSpent, ChatError, ChatUnavailable, InputError
from reasonir_agent.llm import ChatModel
from reasonir_agent.llm.model import OnText
from reasonir_agent.reranking import judge
from reasonir_agent.rewriting import rewrite_several
from reasonir_agent.stores.filters import parse_where
from reasonir_agent.types import Hit, Passage, PassageSource, Reranker

Update = dict[str, Any]
Tell = Callable[[dict[str, Any]], None]
"""Takes news for whoever watches: {"kind": "rewrite" | "answer", "text": piece or None} and
{"kind": "rerank", "done": n, "of": m}. A text of None means that it begins anew."""

NO_ANSWER = "no answer could be had from the model"
"""How the warning begins when sentences were extracted although there is a model."""

_SHOWN: Final = 5
"""Passages that a rewriter sees."""

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
        streams: whether replies are told as they come, by `Tell`.
    """

    corpus: PassageSource
    chat: ChatModel | None
    reranker: Reranker | None
    settings: AgentSettings
    streams: bool = False

    async def begin(self, state: AgentState, tell: Tell) -> Update:
        """Check the question and its filters before anything is paid for, and forget the thread's last question."""
        question = state.get("question")
        if not isinstance(question, str) or not question.strip():
            raise InputError(f"a question is needed, got {question!r}")
        where = parse_where(state.get("where") or ())
        await asyncio.to_thread(self.corpus.check, where)
        return {
            "rewrites": [],
            "round": 0,
            "searches": [],
            "missing": [],
            "verdict": "",
            "hits": [],
            "usage": {ANEW: True},
            "warnings": ANEW,
            "trace": ANEW,
            "estimates": {},
        }

    async def rewrite(self, state: AgentState, tell: Tell) -> Update:
        """Turn the question, or what is missing, into long reasoning queries; without a model, search as asked."""
        number, missing = state["round"] + 1, state["missing"]
        spent = self._spending(state)
        if self.chat is None or not self.settings.rewrite:
            searches = [[one] for one in missing or [state["question"]]]
            update = {"round": number, "searches": searches, "rewrites": []}
            return self._update(state, "rewrite", spent, update, missing=missing)
        evidence = [hit.passage for hit in await self._hits(state)] if missing else []
        try:
            made = await rewrite_several(
                state["question"],
                self.chat,
                count=self.settings.rewrites,
                words=self.settings.rewrite_words,
                meter=spent.meter,
                missing=missing,
                evidence=evidence[:_SHOWN],
                on_text=self._on_text("rewrite", tell),
            )
            texts, problems = made.texts, made.problems
            if not missing and texts and self.settings.rewrite_from_evidence:
                texts, more = await self._again_from_evidence(state, texts, spent, tell)
                problems = [*problems, *more]
        except ChatUnavailable as gone:
            if spent.before.get("llm_calls"):
                texts, problems = [], [gone]
            else:  # before any work
                raise
        # each missing fact is a search of its own; several rewrites of one question are searched together
        searches = [[text] for text in texts] if missing else [texts] if texts else []
        warnings = _rewrite_warnings(problems, bool(texts), number)
        return self._update(
            state,
            "rewrite",
            spent,
            {
                "round": number,
                "searches": searches or ([[state["question"]]] if number == 1 else []),
                "rewrites": [*state["rewrites"], *texts],
                "warnings": warnings,
            },
            rewrites=texts,
            missing=missing,
        )

    async def retrieve(self, state: AgentState, tell: Tell) -> Update:
        """Find candidates by meaning and by words; several searches run at the same time."""
        spent = self._spending(state)
        before = await self._hits(state)
        found = await self._find(state, state["searches"])
        hits = gather_hits(before, found, self._depth())
        return self._update(state, "retrieve", spent, {"hits": pack_hits(hits)}, ranks=_ranks(hits))

    async def rerank(self, state: AgentState, tell: Tell) -> Update:
        """Score the candidates against the original question and interpolate."""
        spent = self._spending(state)
        hits = await self._hits(state)
        if self.reranker is None or not hits:
            return self._update(state, "rerank", spent, {"hits": pack_hits(hits)})
        judged = await judge(
            state["question"],
            hits,
            self.reranker,
            weight=self.settings.rerank_weight,
            depth=self.settings.rerank_depth,
            most=self.settings.rerank_most,
            meter=spent.meter,
            on_progress=lambda done, of: tell({"kind": "rerank", "done": done, "of": of}),
        )
        spent.reranker_failures = judged.failures
        return self._update(
            state,
            "rerank",
            spent,
            {"hits": pack_hits(judged.hits), "warnings": judged.warnings},
            ranks=_ranks(judged.hits),
        )

    async def grade(self, state: AgentState, tell: Tell) -> Update:
        """Decide whether to answer, to search again, or to give up; the last round answers without asking."""
        spent = self._spending(state)
        hits = (await self._hits(state))[: self.settings.k]
        # without searches nothing is new: what was missing could not be searched for
        if self.chat is None or not hits or not state["searches"] or state["round"] >= self.settings.rounds:
            return self._update(state, "grade", spent, {"verdict": "answer", "missing": []})
        try:
            graded = await grade(state["question"], [hit.passage for hit in hits], self.chat, meter=spent.meter)
        except ChatError as problem:
            warnings = [f"what was found could not be graded ({problem}); it was answered with"]
            return self._update(state, "grade", spent, {"verdict": "answer", "missing": [], "warnings": warnings})
        missing = graded.facts() if graded.verdict != "answer" else []
        verdict = "answer" if graded.verdict == "search" and not missing else graded.verdict
        update = {"verdict": verdict, "missing": missing if verdict == "search" else []}
        return self._update(state, "grade", spent, update, verdict=verdict, missing=missing)

    async def finish(self, state: AgentState, tell: Tell) -> Update:
        """Keep the best k and forget the filter: a checkpointer would hand it to the thread's next question."""
        return {"hits": state["hits"][: self.settings.k], "where": [], "searches": []}

    async def answer(self, state: AgentState, tell: Tell) -> Update:
        """Answer from the hits, with a model or by extraction, or abstain."""
        spent = self._spending(state, for_answer=True)
        hits = (await self._hits(state))[: self.settings.k]
        warnings: list[str] = []
        if self.chat is None:
            written = await asyncio.to_thread(self._extract, state["question"], hits)
            warnings.append(NO_MODEL)
        elif not hits or state.get("verdict") == "abstain":
            written = Written(silence(state), abstained=True)
        else:
            written, warnings = await self._write(state["question"], hits, spent, tell)
            if written.abstained:
                written = replace(written, answer=silence(state, written.answer))
        return self._update(
            state,
            "answer",
            spent,
            {
                "answer": written.answer or NOT_FOUND,
                "abstained": written.abstained,
                "citations": [asdict(citation) for citation in written.citations],
                "warnings": warnings,
            },
            abstained=written.abstained,
        )

    async def _again_from_evidence(
        self, state: AgentState, texts: list[str], spent: Spending, tell: Tell
    ) -> tuple[list[str], list[ChatError]]:
        """Search with the first rewrites, show the best passages to the rewriter, rewrite again."""
        assert self.chat is not None
        (found,) = await self._find(state, [texts])
        on_text = self._on_text("rewrite", tell)
        if on_text is not None:
            on_text(None)  # the second text takes the first one's place
        try:
            made = await rewrite_several(
                state["question"],
                self.chat,
                count=self.settings.rewrites,
                words=self.settings.rewrite_words,
                meter=spent.meter,
                evidence=[hit.passage for hit in found[:_SHOWN]],
                on_text=on_text,
            )
        except ChatUnavailable as gone:
            return texts, [gone]
        return made.texts or texts, made.problems

    async def _find(self, state: AgentState, searches: Sequence[Sequence[str]]) -> list[list[Hit]]:
        where = parse_where(state.get("where") or ())
        depth = self._depth()

        def one(forms: Sequence[str]) -> list[Hit]:
            is_rewritten = list(forms) != [state["question"]]
            share = self.settings.question_weight if is_rewritten else 0.0
            queries = [*forms, state["question"]] if share else list(forms)
            weights = [(1 - share) / len(forms)] * len(forms) + [share] if share else None
            return self.corpus.find(queries, depth, where=where, rewritten=is_rewritten, weights=weights)

        return list(await asyncio.gather(*(asyncio.to_thread(one, forms) for forms in searches)))

    async def _write(self, question: str, hits: list[Hit], spent: Spending, tell: Tell) -> tuple[Written, list[str]]:
        assert self.chat is not None
        try:
            written = await write_answer(
                question,
                [hit.passage for hit in hits],
                self.chat,
                meter=spent.meter,
                check_support=self.settings.check_support,
                on_text=self._on_text("answer", tell),
            )
        except ChatError as problem:
            written = await asyncio.to_thread(self._extract, question, hits)
            return written, [f"{NO_ANSWER} ({problem}); sentences were extracted instead"]
        if written.problems and not written.abstained and not written.citations:
            extracted = await asyncio.to_thread(self._extract, question, hits)
            reason = f"none of the model's citations could be verified ({written.problems[0]})"
            more = [written.not_corrected()] if written.unrepaired else []
            return extracted, [f"{reason}; sentences were extracted instead", *more]
        return written, written.warnings()

    def _depth(self) -> int:
        """Hits of one search."""
        return max(self.settings.k, self.settings.rerank_most if self.reranker else 0)

    def _spending(self, state: AgentState, *, for_answer: bool = False) -> Spending:
        return spending(
            self.settings,
            state.get("usage") or {},
            price=None if self.chat is None else self.chat.price,
            carried=state.get("estimates"),
            for_answer=for_answer,
        )

    def _on_text(self, kind: str, tell: Tell) -> OnText | None:
        return (lambda text: tell({"kind": kind, "text": text})) if self.streams else None

    def _extract(self, question: str, hits: list[Hit]) -> Written:
        encoder = self.corpus.encoder
        if not weigh(question, hits, self.corpus, encoder).suffices:
            return Written(NOT_FOUND, abstained=True)
        vector = encoder.encode_queries([question])
        text, citations = extract_answer(question, vector, hits, encoder, sentences=self.settings.answer_sentences)
        return Written(text or NOT_FOUND, abstained=not citations, citations=citations)

    async def _hits(self, state: AgentState) -> list[Hit]:
        packed = state.get("hits") or []
        passages: dict[str, Passage] = await asyncio.to_thread(self.corpus.passages, [one["id"] for one in packed])
        return unpack_hits(packed, passages)

    def _update(self, state: AgentState, step: str, spent: Spending, update: Update, **noted: Any) -> Update:
        """The update with what the step cost and its line in the trace."""
        number = update.get("round", state.get("round", 0))
        usage = spent.usage()
        cost = {name: usage[name] for name in ("seconds", "prompt_tokens", "completion_tokens", "cost")}
        line = {"step": step, "round": number, "calls": usage["llm_calls"], **cost, **noted}
        return {**update, "usage": usage, "trace": [line], "estimates": spent.meter.carried()}


def _rewrite_warnings(problems: Sequence[ChatError], any_text: bool, number: int) -> list[str]:
    if not problems:
        return []
    spent = next((one for one in problems if isinstance(one, BudgetSpent)), problems[0])
    if any_text:
        return [f"{len(problems)} of the rewrites could not be had ({spent})"]
    if number > 1:
        return [f"what was missing could not be searched for ({spent})"]
    return [f"the question could not be rewritten ({spent}); it was searched with as it is"]


def _ranks(hits: Sequence[Hit]) -> list[dict[str, Any]]:
    """A list of hits as the trace keeps it."""
    return [
        {"id": hit.passage.id, "dense": hit.dense_score, "reranker": hit.reranker_score, "final": hit.final_score}
        for hit in hits
    ]
