"""A caller that lets calls wait until a batch is worth sending, and answers them from its output.

Calls gather until every item that is being made waits for a reply (nothing more will come by itself), or until a batch
is full. Then they go out as one round, and the next calls gather while it is under way. What came of a round goes into
the journal before anyone sees it. A request without a reply is sent again in a later round, a few times; rounds that
bring nothing at all, one after the other, end the run.

A round of an earlier run is waited for like one of this run: a call that stands in it is not sent again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from reasonir_agent.errors import ChatError, ChatUnavailable, InputError, ReasonIRError
from reasonir_agent.llm import Meter, Reply
from reasonir_agent.llm.model import DEFAULT_REPLY_TOKENS
from reasonir_trainer.synthesis.batch.api import BatchApi, State
from reasonir_trainer.synthesis.batch.requests import ModelOptions, Refused, as_request, read_output
from reasonir_trainer.synthesis.batch.rounds import Round, Rounds
from reasonir_trainer.synthesis.calling import Call
from reasonir_trainer.synthesis.journal import Asked, Journal
from reasonir_trainer.synthesis.live_caller import CallFailed, NeverReached

_TRIES: Final = 3
"""How often a request that got no reply is sent."""

_BARREN: Final = 3
"""Rounds in a row without a single reply after which no call is expected to succeed."""

_BLIND: Final = 20
"""Polls in a row that may fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """How batches are cut and watched.

    Attributes:
        requests: most in a batch; the API takes 50,000.
        bytes: of a batch's input file; the API takes 200 MB.
        settle: seconds without a further call after which everybody who waits is taken to wait.
        first_pause: seconds before the first look at a batch.
        longest_pause: between two looks; pauses grow by half.
    """

    requests: int = 20_000
    bytes: int = 100_000_000
    settle: float = 1.0
    first_pause: float = 5.0
    longest_pause: float = 120.0

    def __post_init__(self) -> None:
        if self.requests < 1:
            raise InputError(f"a batch holds at least 1 request, got {self.requests}")


@dataclass(slots=True)
class _Waiting:
    """A call that has no reply yet."""

    call: Call
    asked: Asked
    answer: asyncio.Future[Reply]
    tries: int = 0
    is_plain: bool = False


@dataclass(slots=True)
class BatchCounts:
    """What became of batches in this run.

    Attributes:
        submitted: batches that were created, or found to have been.
        under_way: of them not over yet.
        answered: requests with a reply.
        again: requests that were put into a further round.
        failed: batches that ended otherwise than completed.
        looking: requests that are answered in each batch under way, by the last look.
    """

    submitted: int = 0
    under_way: int = 0
    answered: int = 0
    again: int = 0
    failed: int = 0
    looking: Counter[str] = field(default_factory=Counter)

    def line(self) -> str:
        """All of it in a line."""
        parts = [f"batches: {self.under_way} under way of {self.submitted}", f"{self.answered:,} requests answered"]
        done = self.looking.total()
        parts += [f"{done:,} more at the server"] if done else []
        parts += [f"{self.again:,} sent again"] if self.again else []
        return ", ".join(parts + ([f"{self.failed} failed"] if self.failed else []))


class BatchCaller:
    """Answers calls from the journal, else by batches.

    Args:
        api: the server.
        options: of every request.
        journal: where replies are kept.
        rounds: what is under way, on disk.
        meter: what calls cost and may cost.
        limits: see there.
        tell: gets a line about the batches whenever something happens to them.

    Attributes:
        counts: what became of batches.
    """

    def __init__(
        self,
        api: BatchApi,
        options: ModelOptions,
        journal: Journal,
        rounds: Rounds,
        meter: Meter,
        *,
        limits: BatchLimits | None = None,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._api, self._options, self._journal = api, options, journal
        self._rounds, self._meter, self._limits = rounds, meter, limits or BatchLimits()
        self._most, self._tell = self._limits.requests, tell
        self._queue: dict[str, _Waiting] = {}
        self._open: dict[str, _Waiting] = {}
        self._under_way: set[str] = set()
        self._making: set[str] = set()
        self._outstanding: Counter[str] = Counter()
        self._keys: dict[str, list[str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._lost: dict[str, Exception] = {}
        self._barren = 0
        self._worked = False
        self.counts = BatchCounts()

    async def reply(self, call: Call) -> Reply:
        """The model's reply, within a day or so.

        Raises:
            NeverReached: no batch could be created at all.
            ChatUnavailable: no call can succeed any more.
            BudgetSpent: a bound of the run is reached.
            CallFailed: this call failed, and may succeed another time.
            ChatError: this call failed for good.
        """
        self._keys.setdefault(call.item, []).append(call.key)
        known = self._journal.find(call.key)
        if known is not None:
            return known
        if call.key in self._lost:
            raise self._lost[call.key]
        self._outstanding[call.item] += 1
        self._look_again()
        try:
            return await self._within_bounds(call)
        finally:
            self._outstanding[call.item] -= 1
            if not self._outstanding[call.item]:
                del self._outstanding[call.item]

    def begin(self, item: str) -> None:
        """Work on an item begins: nothing is sent until it waits too."""
        self._making.add(item)

    def end(self, item: str) -> None:
        """Work on an item has ended."""
        self._making.discard(item)
        for key in self._keys.pop(item, ()):
            self._journal.forget(key)
        self._look_again()

    async def resume(self) -> None:
        """Take up the rounds of an earlier run.

        Raises:
            ChatUnavailable: the server cannot be reached.
        """
        for one in self._rounds:
            known = one
            if not one.batch:
                found = await self._api.find(one.name)
                if found is None:  # it was killed before the batch was created
                    self._rounds.close(one)
                    continue
                known = self._rounds.submitted(one, found)
            asked = self._rounds.asked(known)
            self._start(known, asked)

    async def close(self) -> None:
        """Stop watching; batches that were created go on at the server, and a later run collects them."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._api.close()

    async def _within_bounds(self, call: Call) -> Reply:
        asked = Asked.of(call)
        longest = self._options.reply_tokens or DEFAULT_REPLY_TOKENS
        estimate = self._meter.estimate(asked.asked, len(call.messages), longest)
        async with self._meter.reserved(estimate):
            waiting = _Waiting(call, asked, asyncio.get_running_loop().create_future())
            self._open[call.key] = waiting
            if call.key not in self._under_way:
                self._queue[call.key] = waiting
            self._look_again()
            try:
                reply = await waiting.answer
            finally:
                self._open.pop(call.key, None)
                self._queue.pop(call.key, None)
            counted = reply.prompt_tokens, reply.completion_tokens
            said = len(reply.text.encode(errors="replace"))
            self._meter.settle(*counted, characters=asked.asked, estimate=estimate, reply=said)
            return reply

    def _look_again(self) -> None:
        """Look in a moment whether a batch is worth sending; every further call puts the moment off."""
        if self._timer is not None:
            self._timer.cancel()
        if len(self._queue) >= self._most:
            self._send()
        self._timer = asyncio.get_running_loop().call_later(self._limits.settle, self._send_if_all_wait)

    def _send_if_all_wait(self) -> None:
        if self._queue and all(self._outstanding[item] for item in self._making):
            self._send()

    def _send(self) -> None:
        """Send what has gathered, in as many rounds as the limits make of it."""
        gathered, self._queue = list(self._queue.values()), {}
        size, part = 0, list[_Waiting]()
        for one in gathered:
            if part and (len(part) >= self._most or size + one.asked.asked > self._limits.bytes):
                self._send_part(part)
                size, part = 0, []
            part.append(one)
            size += one.asked.asked
        if part:
            self._send_part(part)

    def _send_part(self, part: list[_Waiting]) -> None:
        requests = [(one.asked, as_request(one.call, self._options, plain=one.is_plain)) for one in part]
        try:
            new = self._rounds.prepare(requests)
        except ReasonIRError as error:  # the disk; whoever waits carries it out
            _fail(part, error)
            return
        self._start(new, {one.asked.key: one.asked for one in part})

    def _start(self, one: Round, asked: dict[str, Asked]) -> None:
        self._under_way |= asked.keys()
        task = asyncio.create_task(self._round(one, asked))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _round(self, one: Round, asked: dict[str, Asked]) -> None:
        """See a round through to its end."""
        counted = False
        try:
            if not one.batch:
                one = self._rounds.submitted(one, await self._api.create(one.name, self._rounds.input(one)))
            self._worked = counted = True
            self.counts.submitted += 1
            self.counts.under_way += 1
            self._tell(self.counts.line())
            state = await self._watched(one)
            replies = await self._collected(asked, state)
            self._rounds.close(one)
            self._under_way -= asked.keys()
            self._judge(replies, state)
            self._answer(asked, replies, state)
        except Exception as error:
            if one.batch:  # it is paid for: a later run collects it
                self._lost |= dict.fromkeys(asked, error)
            self._under_way -= asked.keys()
            first = isinstance(error, ChatUnavailable) and not isinstance(error, CallFailed) and not self._worked
            told = NeverReached(str(error)) if first else error
            _fail([self._open[key] for key in asked if key in self._open], told)
        finally:
            self.counts.under_way -= counted
            self.counts.looking.pop(one.name, None)
            self._tell(self.counts.line())

    async def _watched(self, one: Round) -> State:
        """Poll until the batch is over, with growing pauses."""
        pause, blind = self._limits.first_pause, 0
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, self._limits.longest_pause)
            try:
                state = await self._api.state(one.batch)
            except ChatUnavailable:
                blind += 1
                if blind >= _BLIND:
                    raise
                continue
            blind = 0
            self.counts.looking[one.name] = state.done
            self._tell(self.counts.line())
            if state.is_over:
                return state

    async def _collected(self, asked: dict[str, Asked], state: State) -> dict[str, Reply | Refused]:
        """Bring everything that came into the journal."""
        found: dict[str, Reply | Refused] = {}
        for file in state.outputs:
            for key, said in read_output(await self._api.download(file)):
                if key in found or key not in asked:
                    continue
                found[key] = said
                if isinstance(said, Reply):
                    kept = replace(said, thinking="", tokens=())
                    found[key] = kept
                    self._journal.keep(asked[key], kept)
        self._journal.sync()  # the round is forgotten next
        return found

    def _judge(self, replies: dict[str, Reply | Refused], state: State) -> None:
        """Learn from how a round ended."""
        answered = sum(isinstance(one, Reply) for one in replies.values())
        self.counts.answered += answered
        self.counts.failed += state.status != "completed"
        if state.is_too_large and self._most > 1:
            self._most = max(1, self._most // 2)
        else:
            self._barren = 0 if answered else self._barren + 1

    def _answer(self, asked: dict[str, Asked], replies: dict[str, Reply | Refused], state: State) -> None:
        """Tell everybody who waits for this round, or send again."""
        for key in asked:
            waiting = self._open.get(key)
            if waiting is None or waiting.answer.done():
                continue
            said = replies.get(key)
            if isinstance(said, Reply):
                waiting.answer.set_result(said)
                continue
            why = said.message if said is not None else f"the batch ended {state.status} {state.problem}".strip()
            self._again(waiting, why, is_lasting=said is not None and said.is_lasting, was_asked=said is not None)
        self._look_again()

    def _again(self, waiting: _Waiting, why: str, *, is_lasting: bool, was_asked: bool) -> None:
        """Put a request without a reply into a later round, or say why there is none."""
        waiting.tries += was_asked
        if self._barren >= _BARREN:
            waiting.answer.set_exception(ChatUnavailable(f"{_BARREN} batches in a row brought no reply: {why}"))
        elif is_lasting and (waiting.is_plain or waiting.call.shape is None):
            waiting.answer.set_exception(ChatError(f"the batch API refused the request: {why}"))
        elif waiting.tries >= _TRIES:
            waiting.answer.set_exception(CallFailed(f"the request got no reply in {_TRIES} batches: {why}"))
        else:
            waiting.is_plain = waiting.is_plain or is_lasting  # some servers refuse shapes of replies
            self.counts.again += 1
            self._queue[waiting.asked.key] = waiting


def _fail(part: list[_Waiting], error: Exception) -> None:
    for one in part:
        if not one.answer.done():
            one.answer.set_exception(error)
