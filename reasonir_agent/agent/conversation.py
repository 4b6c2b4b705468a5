"""A conversation: each message is made a question that stands alone, and that question is answered by the agent.

    START -> understand -> answer -> END           one run of this graph is one turn; `answer` runs the agent's own graph

Every turn is a thread of the session's checkpointer, the agent's steps in it included. A turn that was interrupted is
finished from its last step: what was paid for is not paid for again. What making the question stand alone costs counts
against the bounds of the turn. Without a chat model every message is a question as it stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final, TypedDict, cast

from reasonir_agent.agent.api import OnNews, OnStep
from reasonir_agent.agent.follow_up import REMEMBERED, understand
from reasonir_agent.agent.graph import build_agent
from reasonir_agent.agent.sessions import Session
from reasonir_agent.agent.spending import left, spending
from reasonir_agent.agent.state import Question, add_usage, unpack_hits
from reasonir_agent.config import AgentSettings
from reasonir_agent.errors import InputError, StoreError, boundary, missing_extra
from reasonir_agent.llm import ChatModel, Price
from reasonir_agent.rewriting import Turn
from reasonir_agent.types import Answer, Citation, PassageSource, Usage

try:
    from langgraph.graph import END, START, StateGraph
except ModuleNotFoundError as cause:
    raise missing_extra("agent", "a conversation", cause) from cause

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

_KEPT: Final = ("rewrites", "hits", "answer", "abstained", "citations", "usage", "warnings")


class _State(TypedDict, total=False):
    """One turn. `said` is what was said before, [{question, answer}]; `kept` what the agent left."""

    message: str
    where: list[str]
    said: list[dict[str, str]]
    question: str
    usage: dict[str, Any]
    estimates: dict[str, float]
    warnings: list[str]
    kept: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One turn of a conversation.

    Attributes:
        message: what the user wrote.
        answer: the answer; its `question` is the message as a question that stands alone.
    """

    message: str
    answer: Answer

    def as_json(self) -> dict[str, Any]:
        """The object that `reasonir chat --json` prints for a turn."""
        return {"message": self.message, **self.answer.as_json()}


class Conversation:
    """A conversation over a corpus, kept in a session. Its methods run one after the other.

    Args:
        session: where it is kept.
        corpus: what is asked about.
        chat: the model; None works without one.
        settings: of the agent.
        on_step: told after each step of the agent, on the conversation's own loop.
        on_news: told what happens inside the steps, likewise, and {"kind": "question", "text": ...} once the question
            stands alone; with it the model's replies are streamed.
    """

    def __init__(
        self,
        session: Session,
        corpus: PassageSource,
        *,
        chat: ChatModel | None = None,
        settings: AgentSettings | None = None,
        on_step: OnStep | None = None,
        on_news: OnNews | None = None,
    ) -> None:
        self.session = session
        self._corpus, self._chat, self._settings = corpus, chat, settings or AgentSettings()
        self._on_step, self._on_news = on_step, on_news
        self._one_at_a_time = asyncio.Lock()
        graph: StateGraph[_State, None, _State, _State] = StateGraph(_State)
        graph.add_node("understand", self._understand)
        graph.add_node("answer", self._answer)
        for before, after in ((START, "understand"), ("understand", "answer"), ("answer", END)):
            graph.add_edge(before, after)
        self._graph = graph.compile(checkpointer=session.saver, name="conversation")

    async def say(self, message: str, *, where: Sequence[str] = ()) -> Exchange:
        """Answer a message. A turn that was left unfinished is given up.

        Args:
            message: a question, or a follow-up.
            where: filters over the documents' metadata.

        Raises:
            InputError: the message is empty, or a filter cannot be used.
            ChatUnavailable: the chat server cannot be reached; the turn is kept and can be finished later.
        """
        if not message.strip():
            raise InputError("a question is needed, got an empty text")
        await self.drop()
        async with self._one_at_a_time:
            before = await self._finished(REMEMBERED)
            said = [{"question": one.answer.question, "answer": one.answer.answer} for one in before]
            turn = await self.session.next_turn()
            text = message.strip().encode(errors="replace").decode()  # half a character cannot be kept
            return await self._run(turn, {"message": text, "where": list(where), "said": said})

    async def interrupted(self) -> str | None:
        """The message of the last turn when it was never finished."""
        async with self._one_at_a_time:
            turns = await self.session.turns()
            state = await self._state(turns[-1]) if turns else {}
            return None if not turns or "kept" in state else str(state.get("message", ""))

    async def finish(self) -> Exchange:
        """Go on with the interrupted turn where it stopped.

        Raises:
            InputError: the last turn is finished.
            ChatUnavailable: the chat server cannot be reached.
        """
        if await self.interrupted() is None:
            raise InputError("the last turn of this conversation is finished")
        async with self._one_at_a_time:
            return await self._run((await self.session.turns())[-1], None)

    async def drop(self) -> None:
        """Forget the interrupted turn; nothing happens when there is none."""
        if await self.interrupted() is not None:
            await self.session.forget((await self.session.turns())[-1])

    async def turns(self, last: int | None = None) -> list[Exchange]:
        """The finished turns, oldest first; the last ones only where a number is given."""
        async with self._one_at_a_time:
            return await self._finished(last)

    async def _finished(self, last: int | None = None) -> list[Exchange]:
        threads = await self.session.turns()
        if last is not None:
            threads = threads[-last - 1 :]  # the last one may be unfinished
        states = [state for state in [await self._state(turn) for turn in threads] if "kept" in state]
        return [await self._exchange(state) for state in (states if last is None else states[-last:])]

    async def _run(self, turn: str, begin: _State | None) -> Exchange:
        # every step is on disk before the next begins
        await self._graph.ainvoke(begin, _thread(turn), durability="sync")
        exchange = await self._exchange(await self._state(turn))
        await self.session.tidy(turn)
        return exchange

    async def _state(self, turn: str) -> _State:
        found = await self._graph.aget_state(_thread(turn))
        return cast(_State, found.values)

    async def _understand(self, state: _State) -> _State:
        spent = spending(self._settings, {}, price=self._price())
        said = [Turn(one["question"], one["answer"]) for one in state["said"]]
        question, warnings = await understand(state["message"], said, self._chat, meter=spent.meter)
        if self._on_news is not None:
            self._on_news({"kind": "question", "text": question})
        estimates = spent.meter.carried()
        return {"question": question, "warnings": warnings, "usage": spent.usage(), "estimates": estimates}

    async def _answer(self, state: _State) -> _State:
        """Run the agent as a part of this turn's thread, so that its steps are kept too."""
        agent = build_agent(
            store=self._corpus,
            encoder=self._corpus.encoder,
            chat_model=self._chat,
            settings=left(self._settings, state["usage"], state.get("estimates"), price=self._price()),
            stream_replies=self._on_news is not None,
        )
        asked = Question(question=state["question"], where=state.get("where", []))
        found: dict[str, Any] = {}
        parts: AsyncIterator[Any] = agent.astream(asked, stream_mode=["values", "updates", "custom"])
        async for kind, news in parts:
            if kind == "values":
                found = news
            elif kind == "custom" and self._on_news is not None:
                self._on_news(news)
            elif kind == "updates" and self._on_step is not None:
                for step in news.keys() - {"begin", "finish"}:
                    self._on_step(step, news[step])
        return {"kept": {name: found[name] for name in _KEPT}}

    def _price(self) -> Price | None:
        return None if self._chat is None else self._chat.price

    async def _exchange(self, state: _State) -> Exchange:
        with boundary(
            StoreError, f"reading the conversation {self.session.file}", catch=(KeyError, TypeError, AttributeError)
        ):
            kept = state["kept"]
            passages = await asyncio.to_thread(self._corpus.passages, [hit["id"] for hit in kept["hits"]])
            names = {field.name for field in fields(Usage)}
            usage = {name: value for name, value in add_usage(state["usage"], kept["usage"]).items() if name in names}
            answer = Answer(
                state["question"],
                kept["rewrites"],
                unpack_hits(kept["hits"], passages),
                Usage(**usage),
                [*state["warnings"], *kept["warnings"]],
                answer=kept["answer"],
                abstained=kept["abstained"],
                citations=[Citation(**one) for one in kept["citations"]],
            )
            return Exchange(state["message"], answer)


def total(exchanges: Sequence[Exchange]) -> dict[str, Any]:
    """What several turns cost together, as `Usage` names it."""
    spent: dict[str, Any] = asdict(Usage())
    for one in exchanges:
        spent = add_usage(spent, asdict(one.answer.usage))
    return spent


def _thread(turn: str) -> RunnableConfig:
    return {"configurable": {"thread_id": turn}}
