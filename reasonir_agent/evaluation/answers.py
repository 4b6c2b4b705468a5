"""Are the answers founded? The agent behind `ask` answers every question; citations, quotes and silence are counted.

Figures over questions {id, question, gold_ids}; empty gold_ids: the corpus holds no answer.

    citation precision   citations of a gold document / all citations (those of unanswerable questions are all wrong)
    citation recall      gold documents that are cited / gold documents, over answerable questions that were answered
    verbatim share       quotes that stand in the named stretch of the stored document / all citations
    answered share       questions that got an answer / all questions
    abstention accuracy  answerable questions that got an answer and unanswerable ones that got none / all questions

A quote is checked here again, against the document as the store keeps it and at the place that the citation names,
with white space and Unicode compared as `citations.locate_quote` does; what the answer itself claims is not trusted,
and disagreement is counted. A question without an answer of the model (the server failed) is recorded with its reason;
it counts as not answered and as a wrong decision. Finished answers are kept in a ledger by question, corpus, model and
settings, so gold ids may change without asking again.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, TypedDict

from pydantic import BaseModel, JsonValue

from reasonir_agent._version import __version__
from reasonir_agent.agent.citations import locate_quote
from reasonir_agent.agent.nodes import NO_ANSWER
from reasonir_agent.bridge import run_sync
from reasonir_agent.config import AgentSettings
from reasonir_agent.corpus import Corpus
from reasonir_agent.corpus.report import Progress
from reasonir_agent.errors import ChatError, InputError
from reasonir_agent.evaluation.asking import Failed, Tally, greet, work_through
from reasonir_agent.evaluation.identity import code_hash, corpus_hash
from reasonir_agent.evaluation.ledger import Ledger, key_of
from reasonir_agent.evaluation.questions import GoldQuestion, document_id
from reasonir_agent.evaluation.results import AnsweredQuestion, AnswersResult, provenance
from reasonir_agent.llm import Meter

if TYPE_CHECKING:
    from reasonir_agent.llm import ChatModel

_SHAPING: Final = ("agent", "encoder", "reranking", "llm", "rewriting", "sentences.py", "stores")
"""The code that shapes an answer."""

_DETAIL: Final = re.compile(r"\s*\(.*\)", re.DOTALL)
_NUMBER: Final = re.compile(r"\d+")


class _Cited(BaseModel):
    source: str
    start: int
    end: int
    quote: str
    verified: str


class _Given(BaseModel):
    """An answer as the ledger keeps it."""

    answer: str
    abstained: bool
    citations: list[_Cited]
    warnings: list[str]
    usage: dict[str, float | None]


class Figures(TypedDict):
    """The figures of a run; None where there was nothing to count."""

    citation_precision: float | None
    citation_recall: float | None
    verbatim_share: float | None
    answered_share: float | None
    abstention_accuracy: float | None
    on_answerable: float | None
    on_unanswerable: float | None


@dataclass(frozen=True, slots=True)
class _Judged:
    """A question's figures, and how many citations claim what is not so (or the other way round)."""

    answered: AnsweredQuestion
    disagreeing: int


def measure(
    corpus: Corpus,
    questions: Sequence[GoldQuestion],
    *,
    ledger: Ledger,
    name: str,
    chat: ChatModel | None = None,
    settings: AgentSettings | None = None,
    hashes: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> AnswersResult:
    """Ask every question and count.

    Args:
        corpus: what is asked.
        questions: with the documents that help.
        ledger: finished answers; those of an earlier run are not asked again.
        name: of the run.
        chat: the model; None measures answers by extraction.
        settings: of the agent.
        hashes: of what was read, for the result.
        progress: told after every question.

    Raises:
        InputError: a gold id is in no source of the corpus.
        ChatUnavailable: the chat server cannot be reached or refuses the key, before work starts.
        ChatError: a quarter of the questions failed.
    """
    began = time.perf_counter()
    settings = settings or AgentSettings()
    _check_gold(corpus, questions)
    content = corpus_hash(corpus)
    tally = Tally("answering", len(questions), progress)
    given = run_sync(_ask_all(corpus, questions, chat, settings, ledger, content, tally))
    judged = {one.id: _judge(corpus, one, given[one.id]) for one in questions}
    config = {
        "store": str(corpus.store.folder),
        "encoder": corpus.encoder.name,
        "llm": chat.name if chat else None,
        "settings": asdict(settings),
        "usage": _usage(given),
    }
    read = {"corpus": content, "encoder": corpus.encoder.fingerprint.id, **(hashes or {})}
    return AnswersResult(
        name=name,
        provenance=provenance(read),
        config=config,
        seconds=round(time.perf_counter() - began, 3),
        warnings=_warnings(given, judged),
        questions={one: found.answered for one, found in judged.items()},
        **figures([found.answered for found in judged.values()]),
    )


def figures(answered: Sequence[AnsweredQuestion]) -> Figures:
    """The figures over answered, silent and failed questions."""
    citations = sum(one.citations for one in answered)
    founded = [one for one in answered if one.answerable and _is_answered(one)]
    return {
        "citation_precision": _share(sum(one.helping for one in answered), citations),
        "citation_recall": _share(sum(one.gold_cited for one in founded), sum(one.gold for one in founded)),
        "verbatim_share": _share(sum(one.verbatim for one in answered), citations),
        "answered_share": _share(sum(map(_is_answered, answered)), len(answered)),
        "abstention_accuracy": abstention_accuracy(answered),
        "on_answerable": abstention_accuracy(answered, answerable=True),
        "on_unanswerable": abstention_accuracy(answered, answerable=False),
    }


def abstention_accuracy(answered: Sequence[AnsweredQuestion], *, answerable: bool | None = None) -> float | None:
    """Share of right decisions between an answer and silence; over one kind of question, or (None) over both."""
    among = [one for one in answered if answerable is None or one.answerable == answerable]
    right = sum(_is_answered(one) if one.answerable else one.abstained and not one.failed for one in among)
    return _share(right, len(among))


def _is_answered(one: AnsweredQuestion) -> bool:
    return not one.abstained and not one.failed


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _check_gold(corpus: Corpus, questions: Sequence[GoldQuestion]) -> None:
    known = {document_id(source) for source in corpus.store.database.sources()}
    for one in questions:
        missing = [gold for gold in one.gold_ids if gold not in known]
        if missing:
            raise InputError(f"question {one.id!r} names the document {missing[0]!r}, which the corpus does not hold")


async def _ask_all(
    corpus: Corpus,
    questions: Sequence[GoldQuestion],
    chat: ChatModel | None,
    settings: AgentSettings,
    ledger: Ledger,
    content: str,
    tally: Tally,
) -> dict[str, _Given | Failed]:
    shapers: dict[str, JsonValue] = {
        "code": [__version__, code_hash(*_SHAPING)],
        "settings": {name: value for name, value in asdict(settings).items() if name != "concurrency"},
        "corpus": content,
        "llm": chat.name if chat else "",
    }
    keys = {one.id: key_of(work="answer", **shapers, question=one.question) for one in questions}
    pending = [one for one in questions if ledger.get(keys[one.id]) is None]
    tally.count(len(questions) - len(pending))
    if chat is not None and pending:
        await greet(chat, Meter())
    answer = _answerer(corpus, chat, settings)

    async def work(one: GoldQuestion) -> _Given:
        given = await answer(one.question)
        ledger.put(keys[one.id], given.model_dump(mode="json"))
        return given

    concurrency = settings.concurrency if chat else 1  # without a model the processor is the limit
    fresh = await work_through(pending, work, concurrency=concurrency, tally=tally)
    found: dict[str, _Given | Failed] = dict(zip((one.id for one in pending), fresh, strict=True))
    return {one.id: found.get(one.id) or _Given.model_validate(ledger.get(keys[one.id])) for one in questions}


def _answerer(corpus: Corpus, chat: ChatModel | None, settings: AgentSettings) -> Callable[[str], Awaitable[_Given]]:
    """The agent that `ask` runs, built once for all questions."""
    from reasonir_agent.agent.graph import build_agent

    graph = build_agent(store=corpus, encoder=corpus.encoder, chat_model=chat, settings=settings)

    async def answer(question: str) -> _Given:
        state: dict[str, Any] = await graph.ainvoke({"question": question})
        given = _Given.model_validate(state)
        for warning in given.warnings:
            if warning.startswith(NO_ANSWER):
                raise ChatError(warning)
        return given

    return answer


def _judge(corpus: Corpus, question: GoldQuestion, given: _Given | Failed) -> _Judged:
    answerable, gold = bool(question.gold_ids), set(question.gold_ids)
    if isinstance(given, Failed):
        failed = AnsweredQuestion(answerable=answerable, abstained=False, gold=len(gold), failed=given.reason)
        return _Judged(failed, 0)
    citations = [] if given.abstained else given.citations
    verbatim = [_is_verbatim(corpus, one) for one in citations]
    cited = [document_id(one.source) for one in citations]
    answered = AnsweredQuestion(
        answerable=answerable,
        abstained=given.abstained,
        citations=len(citations),
        verbatim=sum(verbatim),
        helping=sum(one in gold for one in cited),
        gold=len(gold),
        gold_cited=len(gold & set(cited)),
    )
    claims = [one.verified in ("quote", "supported", "unsupported") for one in citations]
    return _Judged(answered, sum(claim != found for claim, found in zip(claims, verbatim, strict=True)))


def _is_verbatim(corpus: Corpus, cited: _Cited) -> bool:
    """Whether the words stand in the stored document, at the place that is named."""
    text = corpus.store.database.document_text(cited.source)
    if text is None or not 0 <= cited.start < cited.end <= len(text):
        return False
    return locate_quote(cited.quote, text[cited.start : cited.end]) is not None


def _usage(given: Mapping[str, _Given | Failed]) -> dict[str, JsonValue]:
    answers = [one for one in given.values() if isinstance(one, _Given)]
    names = ("llm_calls", "prompt_tokens", "completion_tokens", "reranker_failures")
    return {name: int(sum(one.usage.get(name) or 0 for one in answers)) for name in names}


def _warnings(given: Mapping[str, _Given | Failed], judged: Mapping[str, _Judged]) -> list[str]:
    """What the agent warned of, by kind and counted, then what was found here."""
    kinds: Counter[str] = Counter()
    for one in given.values():
        if isinstance(one, _Given):
            kinds.update({_NUMBER.sub("N", _DETAIL.sub("", warning)) for warning in one.warnings})
    found = [f"{count} questions: {kind}" for kind, count in kinds.items()]
    failed = [one.reason for one in given.values() if isinstance(one, Failed)]
    if failed:
        found.append(f"{len(failed)} questions failed; the same command tries them again (first reason: {failed[0]})")
    disagreeing = sum(one.disagreeing for one in judged.values())
    if disagreeing:
        found.append(f"{disagreeing} citations are marked otherwise than the stored documents say")
    return found
